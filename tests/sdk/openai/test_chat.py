"""Chat completions with OpenAI's own client: whole and streamed, and each parameter that Google has a like of."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from gemini_simulator.plan import png
from tests.sdk.openai.asking import FLASH, OLDER, Stage, user
from tests.sdk.sides import CLIENT_KEY

PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 1}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


class Town(BaseModel):
    """A town, as a structured answer."""

    name: str
    people: int
    rivers: list[str]


def asked(client: OpenAI, text: str = "Tell me about rivers.", **more: Any) -> ChatCompletion:
    """One whole completion."""
    body = {"model": FLASH, "messages": [user(text)], **more}
    return cast(ChatCompletion, client.chat.completions.create(**body))


def streamed(client: OpenAI, text: str = "Tell me about rivers.", **more: Any) -> list[ChatCompletionChunk]:
    """The chunks of one streamed completion."""
    body = {"model": FLASH, "messages": [user(text)], "stream": True, **more}
    return list(client.chat.completions.create(**body))


def said(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    """The text of one choice of a stream."""
    return "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index
    )


def finishes(chunks: list[ChatCompletionChunk]) -> list[tuple[int, str]]:
    """The finish reasons of a stream, each with its choice."""
    return [
        (choice.index, choice.finish_reason)
        for chunk in chunks
        for choice in chunk.choices
        if choice.finish_reason
    ]


def test_a_completion(client: OpenAI) -> None:
    answer = asked(client)
    (choice,) = answer.choices
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", FLASH)
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert choice.message.content
    assert choice.message.refusal is None
    assert choice.message.tool_calls is None
    usage = answer.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens_details is not None
    reasoning = usage.completion_tokens_details.reasoning_tokens
    assert reasoning is not None
    assert 0 < reasoning < usage.completion_tokens


def test_a_stream_says_what_the_whole_answer_says(client: OpenAI) -> None:
    whole = asked(client)
    chunks = streamed(client, stream_options={"include_usage": True})
    assert said(chunks) == whole.choices[0].message.content
    assert finishes(chunks) == [(0, "stop")]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {FLASH}
    *others, last = chunks
    assert (last.choices, last.usage) == ([], whole.usage)
    assert [chunk.usage for chunk in others] == [None] * len(others)


def test_a_stream_tells_usage_only_where_it_is_asked(client: OpenAI) -> None:
    chunks = streamed(client)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


async def test_the_asynchronous_client(stage: Stage) -> None:
    async with AsyncOpenAI(base_url=stage.gateway.url + "/openai/v1", api_key=CLIENT_KEY) as client:
        messages: Any = [user("Tell me about rivers.")]
        whole = await client.chat.completions.create(model=FLASH, messages=messages)
        stream = await client.chat.completions.create(model=FLASH, messages=messages, stream=True)
        assert said([chunk async for chunk in stream]) == whole.choices[0].message.content


def test_several_choices_have_their_index(client: OpenAI) -> None:
    whole = asked(client, n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in whole.choices]
    assert len(set(texts)) == 3
    chunks = streamed(client, n=3)
    assert [said(chunks, at) for at in range(3)] == texts
    assert sorted(finishes(chunks)) == [(0, "stop"), (1, "stop"), (2, "stop")]


@pytest.mark.parametrize("listed", [True, False])
def test_a_stop_ends_the_text(client: OpenAI, listed: bool) -> None:
    text = asked(client).choices[0].message.content or ""
    stop = text.split()[5]
    cut = asked(client, stop=[stop] if listed else stop).choices[0]
    assert (cut.message.content, cut.finish_reason) == (text[: text.index(stop)], "stop")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_and_says_length(client: OpenAI, name: str) -> None:
    answer = asked(client, "Write 4000 words.", **{name: 900})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 900
    assert finishes(streamed(client, "Write 4000 words.", **{name: 900})) == [(0, "length")]


def test_sampling_and_system_messages_reach_the_model(client: OpenAI) -> None:
    plain = asked(client).usage
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Speak of water alone."}]},
        {"role": "user", "content": [{"type": "text", "text": "Tell me about rivers."}]},
    ]
    answer = client.chat.completions.create(
        model=FLASH, messages=messages, temperature=0.2, top_p=0.9, seed=7, user="ann"
    )
    assert plain is not None
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > plain.prompt_tokens


def test_a_conversation_goes_on(client: OpenAI) -> None:
    first = asked(client).choices[0].message.content
    talk: Any = [user("Tell me about rivers."), {"role": "assistant", "content": first}, user("And lakes?")]
    answer = client.chat.completions.create(model=FLASH, messages=talk)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > len(first or "") // 4


def test_json_of_any_form(client: OpenAI) -> None:
    content = asked(client, response_format={"type": "json_object"}).choices[0].message.content
    assert isinstance(json.loads(content or ""), dict)


def test_json_of_a_schema(client: OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": PLACE}}
    value = json.loads(asked(client, response_format=form).choices[0].message.content or "")
    assert set(value) == {"city", "people"}
    assert value["people"] >= 1
    assert json.loads(said(streamed(client, response_format=form))) == value


def test_a_structured_answer_is_parsed(client: OpenAI) -> None:
    messages: Any = [user("Name a town.")]
    answer = client.chat.completions.parse(model=FLASH, messages=messages, response_format=Town)
    assert isinstance(answer.choices[0].message.parsed, Town)
    with client.chat.completions.stream(model=FLASH, messages=messages, response_format=Town) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == answer.choices[0].message.parsed


def test_pictures_go_in(client: OpenAI) -> None:
    url = "data:image/png;base64," + base64.b64encode(png(0x336699)).decode()
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    messages: Any = [{"role": "user", "content": content}]
    answer = client.chat.completions.create(model=FLASH, messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 258 + 3


def test_sound_goes_in(client: OpenAI) -> None:
    sound = {"data": base64.b64encode(b"\0" * 64_000).decode(), "format": "wav"}
    messages: Any = [{"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}]
    usage = client.chat.completions.create(model=FLASH, messages=messages).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.audio_tokens == usage.prompt_tokens == 64


def reasoning(answer: ChatCompletion) -> int:
    """The tokens that a model thought."""
    assert answer.usage is not None
    details = answer.usage.completion_tokens_details
    return (details.reasoning_tokens or 0) if details is not None else 0


def test_effort_is_how_much_a_model_thinks(client: OpenAI) -> None:
    found = [reasoning(asked(client, reasoning_effort=effort)) for effort in ("low", "medium", "high")]
    assert found == sorted(set(found))
    assert reasoning(asked(client, model=OLDER, reasoning_effort="none")) == 0
    assert 0 < reasoning(asked(client, model=OLDER, reasoning_effort="low")) <= 1024
    # A level that this model does not have becomes the nearest one that it has.
    assert reasoning(asked(client, reasoning_effort="minimal")) <= found[0]
    assert reasoning(asked(client, reasoning_effort="xhigh")) >= found[1]


def test_thoughts_come_apart_from_the_text(client: OpenAI) -> None:
    extra: Any = {"google": {"thinking_config": {"include_thoughts": True, "thinking_level": "low"}}}
    for body in (extra, {"extra_body": extra}):
        message = asked(client, extra_body=body).choices[0].message
        thoughts = (message.model_extra or {})["reasoning_content"]
        assert thoughts
        assert thoughts not in (message.content or "")
        chunks = streamed(client, extra_body=body)
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        told = "".join((delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas)
        assert (told, said(chunks)) == (thoughts, message.content)


def test_log_probabilities(client: OpenAI) -> None:
    whole = asked(client, model=OLDER, logprobs=True, top_logprobs=3).choices[0]
    assert whole.logprobs is not None
    content = whole.logprobs.content or []
    assert "".join(one.token for one in content) == whole.message.content
    assert {len(one.top_logprobs) for one in content} == {3}
    assert all(bytes(one.bytes or []).decode() == one.token for one in content)
    chunks = streamed(client, model=OLDER, logprobs=True, top_logprobs=3)
    found = [
        one
        for chunk in chunks
        for choice in chunk.choices
        if choice.logprobs is not None
        for one in choice.logprobs.content or []
    ]
    assert found == content


def test_the_tier_that_served_is_told(client: OpenAI) -> None:
    assert asked(client, service_tier="flex").service_tier == "flex"
    assert asked(client, service_tier="auto").service_tier in ("default", "standard")


def test_what_google_has_no_like_of_is_dropped_and_named(client: OpenAI) -> None:
    messages: Any = [user("Tell me about rivers.")]
    raw = client.chat.completions.with_raw_response.create(
        model=FLASH,
        messages=messages,
        logit_bias={"50256": -100},
        presence_penalty=0.5,
        metadata={"team": "b"},
        store=False,
        parallel_tool_calls=False,
    )
    dropped = raw.headers["x-gemgate-dropped"]
    assert {"logit_bias", "presence_penalty", "metadata"} <= set(dropped.replace(" ", "").split(","))
    assert raw.parse().choices[0].message.content == asked(client).choices[0].message.content


def test_cached_tokens_are_told(client: OpenAI, stage: Stage) -> None:
    with stage.struck("cached=4"):
        usage = asked(client).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 4


@pytest.mark.parametrize("fault", ["finish=SAFETY", "finish=RECITATION", "blocked"])
def test_what_google_withholds_is_said(client: OpenAI, stage: Stage, fault: str) -> None:
    with stage.struck(fault):
        answer = asked(client)
        chunks = streamed(client)
    assert answer.choices[0].finish_reason == "content_filter"
    assert bool(answer.choices[0].message.refusal) == (fault == "blocked")
    assert finishes(chunks) == [(0, "content_filter")]


def test_each_call_has_its_row_with_its_door(client: OpenAI, stage: Stage) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=FLASH, messages=cast(Any, [user("Tell me about rivers.")]), user="ann"
    )
    (row,) = stage.gateway.rows("SELECT * FROM call_log WHERE call_id = ?", raw.headers["x-gemgate-call"])
    assert (row["method"], row["door"]) == ("models.generateContent", "chat.completions")
    assert (row["model"], row["outcome"], row["user"]) == (FLASH, "ok", "ann")
    usage = raw.parse().usage
    assert usage is not None
    assert row["input_tokens"] == usage.prompt_tokens
    assert row["output_tokens"] + row["thoughts_tokens"] == usage.completion_tokens
