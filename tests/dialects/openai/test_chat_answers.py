"""Google's answers as chat completions, whole and streamed: golden cases, OpenAI's own types, and laws."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gemgate.core.errors import Refused
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.observe import observe
from gemgate.dialects.gemini.stream import Tap
from gemgate.dialects.openai.answered import finish, native
from gemgate.dialects.openai.pivot import Rendering, Signature, tool_call_id
from gemgate.dialects.openai.reading import read
from gemgate.dialects.sse import Feed

from .cases import CALL, CHAT, CREATED, cases, sse, unpack

MODEL = "gemini-asked"
# Every finish reason that Google documents but STOP and MAX_TOKENS, and one that it does not [facts 5.1].
OTHERS = [
    "BLOCKLIST", "ESCALATION", "IMAGE_OTHER", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_SAFETY",
    "LANGUAGE", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "OTHER",
    "PROHIBITED_CONTENT", "PUP_LIMITED_DISABLED", "RECITATION", "SAFETY", "SOMETHING_NEW", "SPII",
    "TOO_MANY_TOOL_CALLS", "UNEXPECTED_TOOL_CALL",
]  # fmt: skip
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


def rendering(*, stream: bool = True, usage: bool = False) -> Rendering:
    body = HELLO | {"stream": stream, "stream_options": {"include_usage": usage}}
    return read(CHAT, {}, json.dumps(body).encode(), "refuse").pivot({}).rendering(CALL, MODEL, CREATED)


def kept(made: Rendering) -> dict[str, list[str]]:
    return {name: [one.text, one.google_id, one.name] for name, one in made.kept}


@pytest.mark.parametrize("case", cases("answer"), ids=lambda case: case["name"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_answer_becomes_openais(case: Any, indent: int | None) -> None:
    made = rendering(stream=False)
    body = made.whole(json.dumps(case["answer"], indent=indent).encode())
    assert json.loads(body) == case["openai"]
    assert kept(made) == case.get("kept", {})
    assert made.media == "application/json"
    ChatCompletion.model_validate_json(body)


@pytest.mark.parametrize("case", cases("stream"), ids=lambda case: case["name"])
def test_a_stream_becomes_openais(case: Any) -> None:
    made = rendering(usage=case["include_usage"])
    chunks = unpack(made.feed(sse(case["events"])) + made.close())
    assert chunks == [*case["chunks"], "[DONE]"]
    assert kept(made) == case.get("kept", {})
    assert made.media == "text/event-stream"
    for chunk in chunks[:-1]:
        ChatCompletionChunk.model_validate(chunk)


@given(st.sampled_from(cases("stream")), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_a_stream_is_the_same_however_it_is_cut(case: Any, end: str, data: st.DataObject) -> None:
    whole = sse(case["events"], end)
    made, other = rendering(usage=True), rendering(usage=True)
    expected = made.feed(whole) + made.close()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(map(other.feed, pieces)) + other.close() == expected
    assert other.kept == made.kept


@pytest.mark.parametrize("case", cases("stream"), ids=lambda case: case["name"])
def test_byte_by_byte_nothing_of_the_end_comes_before_googles(case: Any) -> None:
    """What the tap has let go holds no closing chunk while a choice is open, and never the marker."""
    tap = Tap(Feed(), lambda data, name: observe(Reading.GENERATE, data, name))
    made = rendering()
    whole = sse(case["events"])
    early = b"".join(made.feed(tap.feed(whole[at : at + 1])) for at in range(len(whole)))
    tap.close()
    finished = [one for chunk in unpack(early) for one in chunk["choices"] if one["finish_reason"]]
    late = unpack(made.feed(tap.held) + made.close())
    assert late[-1] == "[DONE]"
    last = [one for chunk in late[:-1] for one in chunk["choices"] if one["finish_reason"]]
    assert len(last) >= 1
    assert len(finished) + len(last) == len({one["index"] for one in finished + last})


def test_an_event_without_its_blank_line_is_not_lost() -> None:
    made = rendering()
    whole = sse([{"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}])
    assert made.feed(whole.rstrip()) == b""
    assert [chunk["choices"][0]["finish_reason"] for chunk in unpack(made.close())[:-1]] == [
        None,
        None,
        "stop",
    ]


def test_a_choice_that_nobody_finished_is_not_taken_for_a_whole_one() -> None:
    made = rendering()
    made.feed(sse([{"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}]))
    (last, done) = unpack(made.close())
    assert (last["choices"][0]["finish_reason"], done) == ("content_filter", "[DONE]")


def test_a_stream_of_nothing_has_its_marker_only() -> None:
    assert rendering(usage=True).close() == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("reason", "word", "beside"),
    [
        ("STOP", "stop", ""),
        ("MAX_TOKENS", "length", ""),
        ("CONTINUATION", "length", "CONTINUATION"),
        ("", "content_filter", ""),
        *[(reason, "content_filter", reason) for reason in OTHERS],
    ],
)
def test_only_a_stop_is_a_stop(reason: str, word: str, beside: str) -> None:
    assert finish(reason, called=False) == word
    assert finish(reason, called=True) == ("tool_calls" if word == "stop" else word)
    assert native(reason) == beside


@pytest.mark.parametrize("body", [b"[]", b"", b"<html>", b'{"candidates": 5}', b'{"candidates": [null, 5]}'])
def test_what_cannot_be_read_is_said_to_be(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        rendering(stream=False).whole(body)
    assert (refused.value.status, refused.value.code) == (502, "UNREADABLE_ANSWER")
    with pytest.raises(Refused):
        rendering().feed(b"data: " + (body or b"x") + b"\n\n")


def test_each_choice_names_its_own_calls() -> None:
    ids = {
        tool_call_id(call, choice, at) for call in (CALL, CALL[::-1]) for choice in (0, 1) for at in range(30)
    }
    assert len(ids) == 120
    assert all(name.startswith("call_") and name[5:].isalnum() and len(name) == 31 for name in ids)
    assert tool_call_id(CALL, 0, 3) == tool_call_id(CALL, 0, 3)


words = st.text(min_size=1, max_size=8)
args = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none(), max_size=2)
marks = st.sampled_from(["", "U0lH", "T1dO"])
parts = st.one_of(
    st.builds(lambda text: {"text": text}, words),
    st.builds(lambda text: {"text": text, "thought": True}, words),
    st.builds(
        lambda name, given, google, mark: (
            {"functionCall": {"name": name, "args": given} | ({"id": google} if google else {})}
            | ({"thoughtSignature": mark} if mark else {})
        ),
        words,
        args,
        st.sampled_from(["", "g1", "g2"]),
        marks,
    ),
    st.builds(lambda data: {"inlineData": {"mimeType": "image/png", "data": data}}, st.just("AAAA")),
    st.just({"executableCode": {"code": "1"}}),
)
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 6, "thoughtsTokenCount": 2, "totalTokenCount": 13}


@settings(deadline=None)
@given(st.lists(st.lists(parts, max_size=3), max_size=4), st.sampled_from(["STOP", "MAX_TOKENS"]), marks)
def test_a_stream_says_the_same_as_the_whole(events: list[list[Any]], reason: str, mark: str) -> None:
    """Summed up by the SDK's own accumulator, for pieces of any kind in any order."""
    last = {"text": "", "thoughtSignature": mark} if mark else {"text": "."}
    said = [*events, [last]]
    pieces = [{"candidates": [{"content": {"parts": row}}], "usageMetadata": USAGE} for row in said]
    pieces[-1]["candidates"][0]["finishReason"] = reason
    joined = [part for row in said for part in row]
    answer = {"candidates": [{"content": {"parts": joined}, "finishReason": reason}], "usageMetadata": USAGE}
    one, many = rendering(stream=False), rendering(usage=True)
    whole = json.loads(one.whole(json.dumps(answer).encode()))
    state = ChatCompletionStreamState()
    for chunk in unpack(many.feed(sse(pieces)) + many.close())[:-1]:
        list(state.handle_chunk(ChatCompletionChunk.model_validate(chunk)))
    summed = state.current_completion_snapshot.model_dump(mode="json", exclude_unset=True)
    assert many.kept == one.kept
    assert (summed["id"], summed["model"], summed["created"]) == (whole["id"], whole["model"], CREATED)
    assert summed["usage"] == whole["usage"]
    (here,), (there,) = summed["choices"], whole["choices"]
    assert here["finish_reason"] == there["finish_reason"]
    message, expected = here["message"], there["message"]
    assert (message["content"] or "") == (expected["content"] or "")
    for name in ("reasoning_content", "extra_content"):
        assert message.get(name) == expected.get(name)
    calls = message.get("tool_calls") or []
    for call in calls:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    assert calls == expected.get("tool_calls", [])


@given(st.lists(parts, min_size=1, max_size=6), marks)
def test_a_plain_client_brings_back_what_google_gave(said: list[Any], mark: str) -> None:
    """Only OpenAI's own fields come back; with what was kept, Google's calls are what they were."""
    given = [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Rmlyc3Q="}, *said]
    made = rendering(stream=False)
    answer = {"candidates": [{"content": {"parts": given}, "finishReason": "STOP"}]}
    message = json.loads(made.whole(json.dumps(answer).encode()))["choices"][0]["message"]
    plain = [{name: call[name] for name in ("id", "type", "function")} for call in message["tool_calls"]]
    echo = {"role": "assistant", "content": message["content"], "tool_calls": plain}
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in plain]
    body = HELLO | {"messages": [{"role": "user", "content": "Hi"}, echo, *answers]}
    again = read(CHAT, {}, json.dumps(body).encode(), "refuse")
    assert set(dict(made.kept)) <= set(again.call_ids)
    _, spoken, heard = json.loads(again.pivot(dict(made.kept)).body)["contents"]
    calls = [part for part in given if "functionCall" in part]
    assert [part for part in spoken["parts"] if "functionCall" in part] == calls
    responses = [part["functionResponse"] for part in heard["parts"]]
    assert [one["name"] for one in responses] == [part["functionCall"]["name"] for part in calls]
    assert [one.get("id") for one in responses] == [part["functionCall"].get("id") for part in calls]
    assert all(isinstance(one, Signature) for _, one in made.kept)
