"""What the tests of OpenAI's SDK ask, and how a plain client goes on with what it got."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.gateway.launch import Gateway
from tests.simulator.launch import Simulator

FLASH = "gemini-3.8-flash"
OLDER = "gemini-2.5-flash"
EMBEDDER = "gemini-embedding-001"


@dataclass
class Stage:
    """A simulator and the gateway in front of it."""

    simulator: Simulator
    gateway: Gateway

    @contextlib.contextmanager
    def struck(self, faults: str) -> Iterator[None]:
        """For a while the simulator answers every request as ``faults`` say: no header of ours goes up this way."""
        self.simulator.set_faults({"simulate": faults})
        try:
            yield
        finally:
            self.simulator.set_faults()


def user(text: str) -> dict[str, Any]:
    """One message of a user."""
    return {"role": "user", "content": text}


def function(name: str, **properties: Any) -> dict[str, Any]:
    """The declaration of a function with these properties."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": f"To {name}.", "parameters": parameters},
    }


WEATHER = function("get_weather", city={"type": "string"})
CLOCK_OF = function("get_time", zone={"type": "string"})


def plainly(message: Any) -> dict[str, Any]:
    """An assistant's message as plain clients keep it: only the fields that OpenAI's API has."""
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in message.tool_calls or []
    ]
    kept: dict[str, Any] = {"role": "assistant", "content": message.content}
    return {**kept, "tool_calls": calls} if calls else kept


def results(message: Any) -> list[dict[str, Any]]:
    """A tool's message for each call of an assistant's message."""
    return [
        {"role": "tool", "tool_call_id": call.id, "content": '{"weather": "fine"}'}
        for call in message.tool_calls
    ]
