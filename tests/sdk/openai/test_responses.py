"""The Responses API with OpenAI's own client: on Google's interactions, and without the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.sdk.openai.asking import FLASH, Stage

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
STORES = pytest.mark.parametrize("store", [True, False], ids=["stored", "stateless"])


@pytest.fixture
def three_turns(stage: Stage) -> Iterator[None]:
    """The model calls functions three times before it speaks."""
    with stage.struck("tool-turns=3,thoughts=9"):
        yield


class Town(BaseModel):
    """A town, as a structured answer."""

    name: str
    people: int


@STORES
def test_a_response(client: OpenAI, stage: Stage, store: bool) -> None:
    raw = client.responses.with_raw_response.create(model=FLASH, input="Tell me about rivers.", store=store)
    answer = raw.parse()
    assert answer.id.startswith("resp_")
    assert (answer.object, answer.status, answer.model) == ("response", "completed", FLASH)
    assert answer.output_text
    assert answer.error is None
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert 0 < answer.usage.output_tokens_details.reasoning_tokens < answer.usage.output_tokens
    (row,) = stage.gateway.rows("SELECT * FROM call_log WHERE call_id = ?", raw.headers["x-gemgate-call"])
    method = "interactions.create" if store else "models.generateContent"
    assert (row["method"], row["door"], row["outcome"]) == (method, "responses", "ok")


@STORES
def test_a_stream_says_what_the_whole_answer_says(client: OpenAI, store: bool) -> None:
    whole = client.responses.create(model=FLASH, input="Tell me about rivers.", store=store)
    events = list(
        client.responses.create(model=FLASH, input="Tell me about rivers.", store=store, stream=True)
    )
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text
    last: Any = events[-1]
    assert last.response.output_text == text
    assert last.response.usage == whole.usage
    with client.responses.stream(model=FLASH, input="Tell me about rivers.", store=store) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == text


def test_a_conversation_goes_on_from_an_id(client: OpenAI) -> None:
    first = client.responses.create(model=FLASH, input="Tell me about rivers.")
    second = client.responses.create(model=FLASH, input="And lakes?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + len(first.output_text) // 4
    again = client.responses.retrieve(second.id)
    assert (again.id, again.output_text) == (second.id, second.output_text)
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)


def called(answer: Any) -> Any:
    """The one function call of an answer."""
    (call,) = [item for item in answer.output if item.type == "function_call"]
    return call


def test_tools_over_three_turns_from_ids(client: OpenAI, three_turns: None) -> None:
    given: Any = "How is the weather in Paris?"
    previous: Any = openai.omit
    for _ in range(3):
        answer = client.responses.create(
            model=FLASH, input=given, tools=[WEATHER], previous_response_id=previous
        )
        call = called(answer)
        assert call.name == "get_weather"
        assert "city" in json.loads(call.arguments)
        given = [{"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "clear"}'}]
        previous = answer.id
    answer = client.responses.create(model=FLASH, input=given, tools=[WEATHER], previous_response_id=previous)
    assert answer.output_text


def test_tools_over_three_turns_without_the_store(client: OpenAI, stage: Stage, three_turns: None) -> None:
    items: list[Any] = [{"role": "user", "content": "How is the weather in Paris?"}]
    for _ in range(3):
        answer = client.responses.create(model=FLASH, input=items, tools=[WEATHER], store=False)
        call = called(answer)
        kept = {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
        }
        output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "clear"}'}
        items += [kept, output]
    answer = client.responses.create(model=FLASH, input=items, tools=[WEATHER], store=False)
    assert answer.output_text
    assert stage.simulator.log()[-1]["signatures"] == {"signed": 3, "skipped": 0}


@STORES
def test_a_function_call_in_a_stream(client: OpenAI, store: bool) -> None:
    events = list(
        client.responses.create(
            model=FLASH, input="How is the weather in Paris?", tools=[WEATHER], store=store, stream=True
        )
    )
    kinds = [event.type for event in events]
    assert "response.function_call_arguments.done" in kinds
    last: Any = events[-1]
    assert last.type == "response.completed"
    arguments = "".join(
        event.delta for event in events if event.type == "response.function_call_arguments.delta"
    )
    assert json.loads(arguments) == json.loads(called(last.response).arguments)


@STORES
def test_a_structured_answer_is_parsed(client: OpenAI, store: bool) -> None:
    answer = client.responses.parse(model=FLASH, input="Name a town.", text_format=Town, store=store)
    assert isinstance(answer.output_parsed, Town)


@STORES
def test_a_limit_makes_it_incomplete(client: OpenAI, store: bool) -> None:
    answer = client.responses.create(
        model=FLASH, input="Write 4000 words.", max_output_tokens=900, store=store
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 900


def test_an_unknown_response(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_none")
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=FLASH, input="Go on.", previous_response_id="resp_none")
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    first = client.responses.create(model=FLASH, input="Tell me about rivers.")
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="gemini-0", input="Go on.", previous_response_id=first.id)
    assert missing.value.code == "model_not_found"


@STORES
def test_a_stream_that_breaks_raises(once: OpenAI, faulty: Stage, store: bool) -> None:
    events: list[Any] = []
    with faulty.struck("cut-after=4,tokens=300"):
        stream = once.responses.create(model=FLASH, input="Tell me about rivers.", store=store, stream=True)
        with pytest.raises(openai.APIError) as caught:
            events.extend(stream)
    kinds = [event.type for event in events]
    assert "response.created" in kinds
    assert "response.completed" not in kinds
    assert caught.value.message
