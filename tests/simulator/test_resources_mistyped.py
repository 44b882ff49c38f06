"""Mistyped bodies are refused as Google refuses them: with a 4xx of its shape, never with a broken handler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.client import ask, prompt
from tests.simulator.launch import Simulator

WRONG: list[Any] = [None, -1, "x", [], [None], [[]], {"type": 1}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA}
BODIES: dict[str, Any] = {
    "/v1/interactions": {
        "model": "gemini-3.8-flash",
        "input": [{"type": "user_input", "content": [{"type": "text", "text": "a"}]}],
        "tools": [{"type": "function", **FUNCTION}],
        "generation_config": {"tool_choice": {"allowed_tools": {"mode": "auto", "tools": ["f"]}}},
        "response_format": {"type": "text", "mime_type": "application/json", "schema": SCHEMA},
        "response_modalities": ["text"],
        "store": False,
    },
    "/v1beta/openai/chat/completions": {
        "model": "gemini-3.8-flash",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}}],
            }
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        "extra_body": {"google": {"thinking_config": {"include_thoughts": True}}},
    },
    "/v1beta/openai/embeddings": {"model": "gemini-embedding-001", "input": ["a"], "dimensions": 8},
    "/v1beta/cachedContents": {
        "model": "gemini-3.8-flash",
        "contents": [{"role": "user", "parts": [{"text": "a " * 10_000}]}],
        "ttl": "60s",
    },
    "/v1beta/models/gemini-3.8-flash:batchGenerateContent": {
        "batch": {"inputConfig": {"requests": {"requests": [{"request": prompt("a")}]}}}
    },
    "/v1beta/models/veo-3.1-generate-001:predictLongRunning": {
        "instances": [{"prompt": "p"}],
        "parameters": {"sampleCount": 1},
    },
    "/v1beta/tunedModels": {"tuningTask": {"hyperparameters": {"batchSize": 1}}},
    "/v1/webhooks": {"uri": "https://a", "subscribed_events": ["batch.failed"]},
    "/v1/voices": {"voice": {"type": "prompted", "prompted": {"input": "a"}}},
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator("--instant") as running:
        yield running


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside ``value``."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    """A copy of ``value`` with ``wrong`` at ``path``."""
    if not path:
        return wrong
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], wrong)
    return copy


@pytest.mark.parametrize("path", BODIES)
def test_a_mistyped_body_is_refused_or_makes_sense(simulator: Simulator, path: str) -> None:
    good = BODIES[path]
    assert ask(simulator.url, path, good).status == 200
    refused = 0
    for place in places(good):
        for wrong in WRONG:
            answer = ask(simulator.url, path, replaced(good, place, wrong))
            assert answer.status in (200, 400, 404), (place, wrong, answer.body)
            if answer.status != 200:
                value = answer.json()
                error = value[0]["error"] if isinstance(value, list) else value["error"]
                assert error["code"] == answer.status
                refused += 1
    assert refused >= len(WRONG)
