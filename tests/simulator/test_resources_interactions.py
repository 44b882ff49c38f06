"""Interactions through Google's own SDK: whole, streamed, in the background, and with functions."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.genai._gaos.types.interactions.interaction import Interaction
from google.genai._gaos.types.interactions.interactionsseevent import (
    _INTERACTION_SSE_EVENT_VARIANTS as EVENT_TYPES,
)
from pydantic import BaseModel, TypeAdapter

from tests.simulator.client import KEY, Answer, ask
from tests.simulator.launch import Simulator

MODEL = "gemini-3.8-flash"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator("--instant") as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=simulator.url))


def known_fields(kind: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in kind.model_fields.items()}


def named_events(answer: Answer) -> list[tuple[str, str]]:
    """Event name and data of each block of a stream, [DONE] included."""
    blocks = [block for block in answer.body.decode().split("\r\n\r\n") if block]
    pairs = []
    for block in blocks:
        name, data = block.split("\r\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        pairs.append((name[7:], data[6:]))
    return pairs


def told(answer: Answer) -> list[dict[str, Any]]:
    """The events of a stream, each held against the SDK's own type, unknown fields refused."""
    pairs = named_events(answer)
    assert pairs[-1][1] == "[DONE]"
    found = [json.loads(data) for _, data in pairs[:-1]]
    for (name, _), event in zip(pairs, found, strict=False):
        assert name == event["event_type"]
        kind = EVENT_TYPES[name]
        assert set(event) <= known_fields(kind)
        parsed = TypeAdapter(kind).validate_python(event)
        for held in (getattr(parsed, "step", None), getattr(parsed, "delta", None)):
            assert held is None or not getattr(held, "is_unknown", False)
    return found


def create(simulator: Simulator, **body: Any) -> Answer:
    return ask(simulator.url, "/v1/interactions", {"model": MODEL, "input": "Tell me about rivers.", **body})


def whole(answer: Answer) -> dict[str, Any]:
    """The interaction of an answer, held against the SDK's own type."""
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    assert set(found) <= known_fields(Interaction)
    Interaction.model_validate(found)
    return found


def text_of(interaction: dict[str, Any]) -> str:
    return "".join(
        content["text"]
        for step in interaction["steps"]
        if step["type"] == "model_output"
        for content in step["content"]
    )


def test_the_sdk_gets_an_answer_and_goes_on_from_it(client: genai.Client) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = client.interactions.create(model=MODEL, input="Tell me about rivers.")
        second = client.interactions.create(model=MODEL, input="And lakes?", previous_interaction_id=first.id)
    assert first.status == "completed"
    assert first.output_text
    assert first.usage
    assert second.usage
    assert second.previous_interaction_id == first.id
    # The second turn carries the first one, question and answer.
    assert second.usage.total_input_tokens > first.usage.total_input_tokens + first.usage.total_output_tokens


def test_the_sdk_reads_a_stream(client: genai.Client) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        events = list(client.interactions.create(model=MODEL, input="Tell me about rivers.", stream=True))
    kinds = [event.event_type for event in events]
    assert kinds[:2] == ["interaction.created", "interaction.status_update"]
    assert kinds[-1] == "interaction.completed"
    assert {"step.start", "step.delta", "step.stop"} <= set(kinds)


def test_a_stream_tells_what_a_whole_answer_says(simulator: Simulator) -> None:
    interaction = whole(create(simulator))
    events = told(create(simulator, stream=True))
    deltas = [event["delta"]["text"] for event in events if event.get("delta", {}).get("type") == "text"]
    assert "".join(deltas) == text_of(interaction) != ""
    completed = events[-1]["interaction"]
    assert completed["usage"] == interaction["usage"]
    assert completed["status"] == "completed"
    usage = interaction["usage"]
    assert usage["total_tokens"] == (
        usage["total_input_tokens"] + usage["total_output_tokens"] + usage["total_thought_tokens"]
    )


def test_steps_open_and_close_in_order(simulator: Simulator) -> None:
    events = told(create(simulator, stream=True, generation_config={"thinking_summaries": "auto"}))
    open_step: int | None = None
    started = []
    for event in events:
        if event["event_type"] == "step.start":
            assert open_step is None
            open_step = event["index"]
            started.append(event["step"]["type"])
        if event["event_type"] == "step.delta":
            assert event["index"] == open_step
        if event["event_type"] == "step.stop":
            assert event["index"] == open_step
            open_step = None
    assert open_step is None
    assert started[0] == "thought"
    assert "model_output" in started


def test_a_function_is_asked_for_and_answered(simulator: Simulator) -> None:
    asked = whole(create(simulator, tools=[WEATHER], input="What is the weather in Paris?"))
    assert asked["status"] == "requires_action"
    call = next(step for step in asked["steps"] if step["type"] == "function_call")
    assert call["name"] == "get_weather"
    assert "city" in call["arguments"]
    result = {
        "type": "function_result",
        "call_id": call["id"],
        "name": call["name"],
        "result": {"sky": "clear"},
    }
    done = whole(create(simulator, tools=[WEATHER], input=[result], previous_interaction_id=asked["id"]))
    assert done["status"] == "completed"
    assert text_of(done)


def test_a_function_over_two_turns_without_the_store(simulator: Simulator) -> None:
    question = {"type": "user_input", "content": [{"type": "text", "text": "What is the weather in Paris?"}]}
    asked = whole(create(simulator, tools=[WEATHER], input=[question], store=False))
    call = next(step for step in asked["steps"] if step["type"] == "function_call")
    result = {"type": "function_result", "call_id": call["id"], "result": "clear"}
    history = [question, *asked["steps"], result]
    assert text_of(whole(create(simulator, tools=[WEATHER], input=history, store=False)))
    unsigned = [question, *(step for step in asked["steps"] if step["type"] != "thought"), result]
    refused = create(simulator, tools=[WEATHER], input=unsigned, store=False)
    assert refused.status == 400
    assert "thought_signature" in refused.error()["message"]
    assert ask(simulator.url, f"/v1/interactions/{asked['id']}").status == 404


def test_a_streamed_function_call_ends_in_requires_action(simulator: Simulator) -> None:
    events = told(create(simulator, tools=[WEATHER], input="What is the weather in Paris?", stream=True))
    arguments = [
        event["delta"]["arguments"]
        for event in events
        if event.get("delta", {}).get("type") == "arguments_delta"
    ]
    assert "city" in json.loads("".join(arguments))
    assert events[-1]["event_type"] == "interaction.completed"
    assert events[-1]["interaction"]["status"] == "requires_action"
    updates = [event["status"] for event in events if event["event_type"] == "interaction.status_update"]
    assert updates == ["in_progress", "requires_action"]


def test_a_stream_is_resumed_after_an_event(simulator: Simulator) -> None:
    events = told(create(simulator, stream=True))
    name = events[0]["interaction"]["id"]
    middle = events[len(events) // 2]["event_id"]
    path = f"/v1/interactions/{name}?stream=true"
    assert told(ask(simulator.url, path)) == events
    assert told(ask(simulator.url, f"{path}&last_event_id={middle}")) == events[len(events) // 2 + 1 :]
    assert ask(simulator.url, f"{path}&last_event_id=nonsense").status == 400


def test_a_stream_that_breaks_leaves_a_cancelled_interaction(simulator: Simulator) -> None:
    path = "/v1/interactions"
    body = {"model": MODEL, "input": "Tell me about rivers.", "stream": True}
    broken = ask(simulator.url, path, body, headers={"x-simulate": "cut-after=3"})
    assert broken.broken
    first = json.loads(broken.body.decode().split("\r\n")[1].removeprefix("data: "))
    own = f"{path}/{first['interaction']['id']}"
    # The stream of a reader ends when the interaction has ended, so the state below is the last one.
    ask(simulator.url, f"{own}?stream=true")
    assert whole(ask(simulator.url, own))["status"] == "cancelled"


def test_a_long_answer_goes_on_where_it_stopped(simulator: Simulator) -> None:
    path = "/v1/interactions"
    simulate = {"x-simulate": "tokens=90,continue-after=40,thoughts=0"}
    body = {"model": "gemini-4-argon", "input": "Tell me about rivers."}
    uncut = whole(ask(simulator.url, path, body, headers={"x-simulate": "tokens=90,thoughts=0"}))
    text, hops = "", 0
    answer = whole(ask(simulator.url, path, body, headers=simulate))
    while answer["status"] == "requires_continuation":
        text, hops = text + text_of(answer), hops + 1
        assert hops < 5
        again = {
            "model": "gemini-4-argon",
            "previous_interaction_id": answer["id"],
            "continuation_token": answer["continuation_token"],
        }
        answer = whole(ask(simulator.url, path, again, headers=simulate))
    assert hops > 0
    assert answer["status"] == "completed"
    assert text + text_of(answer) == text_of(uncut)


def test_background_work_is_read_later(simulator: Simulator) -> None:
    begun = create(simulator, background=True)
    assert begun.json()["status"] == "in_progress"
    path = f"/v1/interactions/{begun.json()['id']}"
    assert told(ask(simulator.url, f"{path}?stream=true"))[-1]["interaction"]["status"] == "completed"
    later = whole(ask(simulator.url, f"{path}?include_input=true"))
    assert later["status"] == "completed"
    assert later["input"] == "Tell me about rivers."
    assert ask(simulator.url, f"{path}/cancel", {}).status == 400
    assert ask(simulator.url, path, verb="DELETE").status == 200
    assert ask(simulator.url, path).status == 404


def test_background_work_is_cancelled() -> None:
    # A clock that hardly moves: the answer can not be finished by the time it is cancelled.
    with Simulator("--speed", "0.000001") as slow:
        begun = create(slow, background=True).json()
        path = f"/v1/interactions/{begun['id']}"
        assert ask(slow.url, path).json()["status"] == "in_progress"
        assert ask(slow.url, f"{path}/cancel", {}).json()["status"] == "cancelled"
        assert ask(slow.url, path).json()["status"] == "cancelled"


def test_an_agent_works_in_the_background(simulator: Simulator) -> None:
    body = {"agent": "deep-research-pro-preview-12-2025", "input": "Rivers"}
    assert ask(simulator.url, "/v1/interactions", body).status == 400
    begun = ask(simulator.url, "/v1/interactions", {**body, "background": True}).json()
    path = f"/v1/interactions/{begun['id']}"
    told(ask(simulator.url, f"{path}?stream=true"))
    assert text_of(whole(ask(simulator.url, path)))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"previous_interaction_id": "v1_unknown"}, 404),
        ({"model": "gemini-0"}, 404),
        ({"model": None}, 400),
        ({"agent": "deep-research-pro-preview-12-2025"}, 400),
        ({"agent": "nobody", "model": None}, 404),
        ({"input": []}, 400),
        ({"input": [{"type": "turn"}]}, 400),
        ({"nonsense": 1}, 400),
        ({"background": True, "store": False}, 400),
    ],
)
def test_what_is_refused(simulator: Simulator, body: dict[str, Any], status: int) -> None:
    answer = create(simulator, **body)
    assert answer.status == status
    assert answer.error()["code"] == status
