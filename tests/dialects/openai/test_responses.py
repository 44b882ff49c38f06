"""Responses: golden cases of both directions, and what OpenAI's own SDK makes of the answers."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gemgate.core.errors import Refused
from gemgate.dialects.openai import reading
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.pivot import JSON, STREAM, Pivot, Read, Rendering, Signature

from .cases import CALL, CREATED

FOLDER = Path(__file__).parents[2] / "cases" / "openai" / "responses"
CREATE = Door("responses", action="create")
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
_event = TypeAdapter[Any](ResponseStreamEvent)


def cases(kind: str) -> list[Any]:
    """The cases whose file begins with ``kind``."""
    files = sorted(FOLDER.glob(f"{kind}-*.json"))
    assert files
    return [pytest.param(json.loads(file.read_bytes()), id=file.stem) for file in files]


def read(asked: Any, parameters: str = "drop") -> Read:
    body = asked if isinstance(asked, str) else json.dumps(asked)
    return reading.read(CREATE, {}, body.encode(), parameters)


def kept(rows: dict[str, Any]) -> dict[str, Signature]:
    return {name: Signature(**row) for name, row in rows.items()}


def rendering(pivot: Pivot, model: str = "gemini-3.1-pro-preview") -> Rendering:
    return pivot.rendering(CALL, model, CREATED)


def framed(events: list[Any]) -> bytes:
    """Google's stream of these events: those of an interaction have names and an end."""
    rows = [f"data: {json.dumps(event)}\r\n\r\n" for event in events]
    if "event_type" in events[0]:
        rows = [f"event: {event['event_type']}\r\n{row}" for event, row in zip(events, rows, strict=True)]
        rows.append("event: done\r\ndata: [DONE]\r\n\r\n")
    return "".join(rows).encode()


def unpacked(stream: bytes) -> list[Any]:
    """The events of a stream of responses; each is named as its data say."""
    *rows, rest = stream.decode().split("\n\n")
    assert not rest
    events = []
    for row in rows:
        name, data = row.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


@pytest.mark.parametrize("case", cases("request"))
def test_a_request_becomes_googles(case: Any) -> None:
    asked = read(case["asked"])
    pivot = asked.pivot(kept(case.get("kept", {})))
    assert pivot.verb == "POST"
    assert {
        "path": pivot.path,
        "query": pivot.query,
        "body": json.loads(pivot.body),
    } == case["google"]
    assert list(asked.dropped) == case["dropped"]
    assert asked.tags == ()


@pytest.mark.parametrize("case", cases("refused"))
def test_what_cannot_be_understood_is_refused_by_name(case: Any) -> None:
    with pytest.raises(Refused) as refused:
        read(case["asked"], case["parameters"]).pivot({})
    found = refused.value
    assert [found.status, found.code, found.message, found.hint] == [
        case[name] for name in ("status", "code", "message", "hint")
    ]


@pytest.mark.parametrize("case", cases("answer"))
def test_an_answer_becomes_openais(case: Any) -> None:
    way = rendering(read(case["asked"]).pivot({}))
    assert way.media == JSON
    answer = json.loads(way.whole(json.dumps(case["google"]).encode()))
    assert answer == case["answer"]
    assert dict(way.kept) == kept(case["kept"])
    Response.model_validate(answer, strict=True)


@pytest.mark.parametrize("case", cases("stream"))
def test_a_stream_becomes_openais(case: Any) -> None:
    way = rendering(read(case["asked"]).pivot({}))
    assert way.media == STREAM
    before = unpacked(way.feed(framed(case["google"])))
    events = before + unpacked(way.close())
    assert events == case["events"]
    assert len(before) == case["before_close"]
    assert dict(way.kept) == kept(case["kept"])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert not TERMINAL & {event["type"] for event in before}
    assert [event["type"] in TERMINAL for event in events[-2:]] == [False, True]
    for event in events:
        _event.validate_python(event)


STREAMS = [case.values[0] for case in cases("stream")]


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 4000), max_size=8))
def test_the_events_do_not_depend_on_the_cuts(case: Any, cuts: list[int]) -> None:
    pivot = read(case["asked"]).pivot({})
    stream = framed(case["google"])
    whole = rendering(pivot)
    expected = whole.feed(stream) + whole.close()
    bounds = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    way = rendering(pivot)
    assert b"".join(way.feed(stream[a:b]) for a, b in itertools.pairwise(bounds)) + way.close() == expected


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
parts = st.one_of(
    words.map(lambda text: {"text": text}),
    words.map(lambda text: {"text": text, "thought": True}),
    words.map(lambda text: {"text": text, "thoughtSignature": "c2ln"}),
    st.builds(
        lambda name, signed: {
            "functionCall": {"name": name, "id": "g", "args": {"a": name}},
            **({"thoughtSignature": "c2ln"} if signed else {}),
        },
        words,
        st.booleans(),
    ),
    st.just({"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}),
    st.just({"executableCode": {"code": "1"}}),
)


@given(
    st.lists(parts, max_size=6),
    st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER"]),
    st.booleans(),
)
def test_a_stream_ends_with_what_a_whole_answer_says(said: list[Any], finish: str, encrypted: bool) -> None:
    asked = {"model": "m", "input": "x", "store": False}
    if encrypted:
        asked["include"] = ["reasoning.encrypted_content"]
    chunks = [{"candidates": [{"content": {"parts": [part]}}]} for part in said]
    chunks.append({"candidates": [{"finishReason": finish}]})
    whole = rendering(read(asked).pivot({}))
    body = {"candidates": [{"content": {"parts": said}, "finishReason": finish}]}
    answer = json.loads(whole.whole(json.dumps(body).encode()))
    way = rendering(read({**asked, "stream": True}).pivot({}))
    events = unpacked(way.feed(framed(chunks)) + way.close())
    assert events[-1]["response"] == answer
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == answer[
        "output"
    ]
    assert way.kept == whole.kept
    assert len({item["id"] for item in answer["output"]}) == len(answer["output"])


def test_a_later_read_says_what_the_first_said() -> None:
    case = json.loads((FOLDER / "answer-interaction-tools.json").read_bytes())
    get = reading.read(Door("responses", "resp_v1_abc", "get"), {}, b"", "drop").pivot({})
    assert (get.verb, get.path, get.query, get.body) == ("GET", "/v1beta/interactions/v1_abc", "", b"")
    answer = json.loads(get.rendering(b"another call of.", "", 5).whole(json.dumps(case["google"]).encode()))
    calls = [item for item in case["answer"]["output"] if item["type"] == "function_call"]
    assert answer["output"] == calls
    assert answer["created_at"] == 1_764_000_000
    assert answer["previous_response_id"] == "resp_v1_aaa"
    Response.model_validate(answer, strict=True)


def test_a_later_stream_begins_after_what_was_seen() -> None:
    case = json.loads((FOLDER / "stream-interaction-plain.json").read_bytes())
    door = Door("responses", "resp_v1_abc", "get")
    seen = reading.read(door, {"stream": "true", "starting_after": "9"}, b"", "drop").pivot({})
    assert (seen.path, seen.query) == ("/v1beta/interactions/v1_abc", "stream=true")
    way = rendering(seen)
    events = unpacked(way.feed(framed(case["google"])) + way.close())
    assert [event["sequence_number"] for event in events] == list(range(10, len(case["events"])))
    assert events[:-1] == case["events"][10:-1]
    with pytest.raises(Refused, match="starting_after"):
        reading.read(door, {"stream": "true", "starting_after": "x"}, b"", "drop")


def test_a_kept_answer_is_deleted_and_cancelled() -> None:
    gone = reading.read(Door("responses", "resp_v1/a", "delete"), {}, b"", "drop").pivot({})
    assert (gone.verb, gone.path, gone.body) == ("DELETE", "/v1beta/interactions/v1%2Fa", b"")
    assert json.loads(rendering(gone).whole(b"{}")) == {
        "id": "resp_v1/a",
        "object": "response",
        "deleted": True,
    }
    halted = reading.read(Door("responses", "resp_v1_a", "cancel"), {}, b"", "drop").pivot({})
    assert (halted.verb, halted.path) == ("POST", "/v1beta/interactions/v1_a/cancel")
    answer = json.loads(rendering(halted).whole(b'{"id": "v1_a", "status": "cancelled", "model": null}'))
    assert answer["status"] == "cancelled"


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("resp_v1_a", "input_items"),
        ("resp_unstored_01", "get"),
        ("resp_", "get"),
        ("msg_1", "delete"),
    ],
)
def test_what_nobody_keeps_is_not_found(name: str, action: str) -> None:
    with pytest.raises(Refused) as refused:
        reading.read(Door("responses", name, action), {}, b"", "drop")
    assert (refused.value.status, refused.value.code) == (404, "NOT_KEPT")
    assert refused.value.hint


def test_an_answer_of_another_form_is_the_upstreams_fault() -> None:
    for asked in ({"model": "m", "input": "x"}, {"model": "m", "input": "x", "store": False}):
        for body in (b"[]", b'{"usage": 5, "usageMetadata": 5}', b"<html>"):
            with pytest.raises(Refused) as refused:
                rendering(read(asked).pivot({})).whole(body)
            assert (refused.value.status, refused.value.code) == (502, "UNREADABLE_ANSWER")


CALLED = json.loads((FOLDER / "answer-tools.json").read_bytes())


@pytest.mark.parametrize("manner", ["echoes all", "drops what it does not know", "has lost its call ids"])
def test_signatures_survive_what_clients_do_with_items(manner: str) -> None:
    """The whole answer goes back in, with outputs: by the items, by the reasoning, by what was kept."""
    way = rendering(read(CALLED["asked"]).pivot({}))
    output = json.loads(way.whole(json.dumps(CALLED["google"]).encode()))["output"]
    put_back = dict(way.kept)
    if manner == "drops what it does not know":
        output = [
            {name: value for name, value in item.items() if name != "extra_content"}
            for item in output
            if item["type"] != "reasoning"
        ]
    elif manner == "has lost its call ids":
        put_back = {}
    calls = [item for item in output if item["type"] == "function_call"]
    history = [
        {"role": "user", "content": "Rain?"},
        *output,
        *({"type": "function_call_output", "call_id": call["call_id"], "output": "dry"} for call in calls),
    ]
    again = read({**CALLED["asked"], "input": history})
    assert again.call_ids == tuple(call["call_id"] for call in calls)
    model, answers = json.loads(again.pivot(put_back).body)["contents"][1:]
    given = CALLED["google"]["candidates"][0]["content"]["parts"][1:]
    signed = [part.get("thoughtSignature") for part in model["parts"]]
    assert signed == [part.get("thoughtSignature") for part in given]
    if put_back:
        assert model["parts"] == given
        assert [part["functionResponse"]["id"] for part in answers["parts"]] == ["g1", "g2"]


def test_ids_of_a_kept_conversations_calls_lead_back_without_our_help() -> None:
    case = json.loads((FOLDER / "answer-interaction-tools.json").read_bytes())
    outputs = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "dry"}
        for item in case["answer"]["output"]
        if item["type"] == "function_call"
    ]
    again = read({"model": "m", "previous_response_id": case["answer"]["id"], "input": outputs})
    body = json.loads(again.pivot({}).body)
    assert body["previous_interaction_id"] == "v1_abc"
    assert [step["call_id"] for step in body["input"]] == ["g1", "g2"]


def client(answer: bytes, media: str) -> OpenAI:
    """OpenAI's own client, for whom every request is answered with these bytes."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=answer, headers={"content-type": media})

    return OpenAI(api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(handle)))


@pytest.mark.parametrize("case", cases("stream"))
def test_openais_sdk_follows_the_stream(case: Any) -> None:
    way = rendering(read(case["asked"]).pivot({}))
    stream = way.feed(framed(case["google"])) + way.close()
    final = case["events"][-1]["response"]
    with client(stream, STREAM).responses.stream(model="m", input="x") as events:
        seen = list(events)
        assert seen[-1].type == case["events"][-1]["type"]
        if final["status"] == "completed":
            assert events.get_final_response().output_text == "".join(
                content["text"]
                for item in final["output"]
                if item["type"] == "message"
                for content in item["content"]
            )
    assert [event.type for event in seen] == [event["type"] for event in case["events"]]


@pytest.mark.parametrize("case", cases("answer"))
def test_openais_sdk_reads_the_answer(case: Any) -> None:
    answer = client(json.dumps(case["answer"]).encode(), JSON).responses.create(model="m", input="x")
    assert answer.to_dict()["output"] == case["answer"]["output"]
    assert answer.status == case["answer"]["status"]
