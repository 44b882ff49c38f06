"""Function calls with OpenAI's own client, by programs that keep nothing but what OpenAI's API has.

The models here refuse a call that comes back without its thought signature, and the simulator's log tells whether a
true signature came or the literal that stands for none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.gateway.launch import Gateway
from tests.sdk.openai.asking import CLOCK_OF, FLASH, OLDER, WEATHER, Stage, plainly, results, user
from tests.sdk.sides import CLIENT_KEY, CLOCK
from tests.simulator.launch import Simulator

TOOLS: Any = [WEATHER, CLOCK_OF]


@pytest.fixture(autouse=True)
def thinking(stage: Stage) -> Iterator[None]:
    """Every model thinks, so that every call of a model that signs is signed."""
    with stage.struck("thoughts=9"):
        yield


def complete(client: OpenAI, messages: list[Any], **more: Any) -> Any:
    """One whole choice."""
    body = {"model": FLASH, "messages": messages, "tools": TOOLS, **more}
    return client.chat.completions.create(**body).choices[0]


def last_signatures(stage: Stage) -> Any:
    """What the simulator's log tells of the signatures in the newest request."""
    return stage.simulator.log()[-1].get("signatures")


def test_three_turns_of_tools_by_a_plain_client(client: OpenAI, stage: Stage) -> None:
    stage.simulator.set_faults({"simulate": "tool-turns=3,thoughts=9"})
    messages: list[Any] = [user("How is the weather in Paris?")]
    for turn in range(3):
        choice = complete(client, messages)
        assert choice.finish_reason == "tool_calls"
        # Asked by name the model calls that function; with its answer in hand it calls both.
        names = [call.function.name for call in choice.message.tool_calls]
        assert names == ["get_weather", "get_time"][: 2 if turn else 1]
        assert "city" in json.loads(choice.message.tool_calls[0].function.arguments)
        messages += [plainly(choice.message), *results(choice.message)]
        if turn:
            assert last_signatures(stage) == {"signed": turn, "skipped": 0}
    choice = complete(client, messages)
    assert choice.finish_reason == "stop"
    assert choice.message.content
    assert last_signatures(stage) == {"signed": 3, "skipped": 0}
    assert len({call["id"] for one in messages for call in one.get("tool_calls", [])}) == 5


def test_three_turns_of_a_user_with_a_tool_each(client: OpenAI, stage: Stage) -> None:
    messages: list[Any] = []
    for city in ("Paris", "Rome", "Oslo"):
        messages.append(user(f"How is the weather in {city}?"))
        choice = complete(client, messages)
        assert choice.finish_reason == "tool_calls"
        messages += [plainly(choice.message), *results(choice.message)]
        choice = complete(client, messages)
        assert choice.finish_reason == "stop"
        messages.append(plainly(choice.message))
    assert last_signatures(stage) is not None
    assert last_signatures(stage)["skipped"] == 0


def test_parallel_calls_in_a_stream(client: OpenAI, stage: Stage) -> None:
    messages: list[Any] = [user("The weather and the time in Paris, please.")]
    chunks = list(client.chat.completions.create(model=FLASH, messages=messages, tools=TOOLS, stream=True))
    deltas = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert sorted({delta.index for delta in deltas}) == [0, 1]
    for index in (0, 1):
        own = [delta for delta in deltas if delta.index == index]
        assert own[0].id
        assert own[0].function is not None
        assert own[0].function.name
        assert [delta.id for delta in own[1:]] == [None] * (len(own) - 1)
    finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert finishes == ["tool_calls"]

    with client.chat.completions.stream(model=FLASH, messages=messages, tools=TOOLS) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert kinds.count("tool_calls.function.arguments.done") == 2
    calls = message.tool_calls or []
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert [set(json.loads(call.function.arguments)) for call in calls] == [{"city"}, {"zone"}]

    messages += [plainly(message), *reversed(results(message))]
    done = complete(client, messages)
    assert done.finish_reason == "stop"
    assert last_signatures(stage) == {"signed": 1, "skipped": 0}


def test_signatures_outlive_the_gateway(tmp_path: Path) -> None:
    messages: list[Any] = [user("How is the weather in Paris?")]
    with Simulator(*CLOCK) as simulator, Gateway(tmp_path, simulator.url) as gateway:
        simulator.set_faults({"simulate": "thoughts=9"})
        for _ in range(2):
            with OpenAI(base_url=gateway.url + "/openai/v1", api_key=CLIENT_KEY) as client:
                message = complete(client, messages).message
            messages.append(plainly(message))
            if message.tool_calls:
                messages += results(message)
                gateway.stop()
                gateway.start()
        assert messages[-1]["content"]
        assert simulator.log()[-1]["signatures"] == {"signed": 1, "skipped": 0}


def test_a_client_that_echoes_everything(client: OpenAI, stage: Stage) -> None:
    messages: list[Any] = [user("How is the weather in Paris?")]
    message = complete(client, messages).message
    assert message.tool_calls[0].extra_content["google"]["thought_signature"]
    messages += [message, *results(message)]
    assert complete(client, messages).finish_reason == "stop"
    assert last_signatures(stage) == {"signed": 1, "skipped": 0}


def test_a_history_that_nobody_here_made(client: OpenAI, stage: Stage) -> None:
    call = {"id": "call_foreign", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: list[Any] = [
        user("How is the weather in Paris?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_foreign", "content": "fine"},
    ]
    assert complete(client, messages).finish_reason == "stop"
    assert last_signatures(stage) == {"signed": 0, "skipped": 1}


def test_an_older_model_needs_no_signature(client: OpenAI) -> None:
    messages: list[Any] = [user("How is the weather in Paris?")]
    message = complete(client, messages, model=OLDER).message
    messages += [plainly(message), *results(message)]
    assert complete(client, messages, model=OLDER).finish_reason == "stop"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", ["get_weather"]),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
def test_the_choice_of_tools(client: OpenAI, choice: Any, names: list[str]) -> None:
    found = complete(client, [user("How is the weather in Paris?")], tool_choice=choice)
    assert [call.function.name for call in found.message.tool_calls or []] == names
    assert found.finish_reason == ("tool_calls" if names else "stop")


def test_a_tool_that_is_no_function_is_refused(client: OpenAI) -> None:
    tool: Any = {"type": "custom", "custom": {"name": "shell"}}
    with pytest.raises(Exception, match="tools") as caught:
        complete(client, [user("Go.")], tools=[tool])
    assert getattr(caught.value, "status_code", 0) == 400
