"""Whatever is wrong in a request, the answer is a refusal or makes sense; it is never a fault of the simulator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.client import ask
from tests.simulator.launch import Simulator

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}},
    "required": ["a"],
}
FULL: dict[str, Any] = {
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
        },
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "f", "args": {"a": [1]}}, "thoughtSignature": "x"}],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"ok": True}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "brief"}]},
    "tools": [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "generationConfig": {
        "candidateCount": 1,
        "stopSequences": ["x"],
        "maxOutputTokens": 4000,
        "temperature": 1,
        "seed": 1,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "responseModalities": ["TEXT"],
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
    },
    "cachedContent": "",
    "serviceTier": "standard",
    "labels": {"a": "b"},
}
FULL["contents"][1]["parts"][0]["thoughtSignature"] = "skip_thought_signature_validator"
PLAIN = {name: FULL[name] for name in ("generationConfig", "systemInstruction")} | {
    "contents": FULL["contents"][:1]
}
STRANGE: list[Any] = [
    None,
    -1,
    1e99,
    "x",
    True,
    [],
    [None],
    [[]],
    {},
    {"x": 1},
    "\ud83d\ude00",
    {"type": ["x"]},
]
EMBED = {
    "content": {"parts": [{"text": "a"}]},
    "taskType": "x",
    "outputDimensionality": 8,
    "embedContentConfig": {},
}
BODIES = [
    ("gemini-3.8-flash:generateContent", FULL),
    ("gemini-3.8-flash:generateContent", PLAIN),
    ("gemini-3.8-flash:streamGenerateContent?alt=sse", PLAIN),
    ("gemini-3.8-flash:countTokens", {"generateContentRequest": PLAIN}),
    ("gemini-embedding-001:embedContent", EMBED),
    (
        "gemini-embedding-001:batchEmbedContents",
        {"requests": [{"model": "models/gemini-embedding-001", **EMBED}]},
    ),
    ("gemini-nano-banana-2.1:predict", {"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 1}}),
    ("text-bison-001:generateText", {"prompt": {"text": "x"}, "candidateCount": 1}),
    ("embedding-gecko-001:embedText", {"text": "x"}),
    ("embedding-gecko-001:batchEmbedText", {"texts": ["x"], "requests": [{"text": "x"}]}),
    ("chat-bison-001:generateMessage", {"prompt": {"messages": [{"author": "0", "content": "x"}]}}),
    ("chat-bison-001:countMessageTokens", {"prompt": {"messages": [{"author": "0", "content": "x"}]}}),
    ("aqa:generateAnswer", {"contents": [{"parts": [{"text": "x"}]}], "answerStyle": "VERBOSE"}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value inside of ``value``."""
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, item in items:
        yield (*path, name)
        yield from places(item, (*path, name))


def changed(value: Any, path: tuple[Any, ...], strange: Any) -> Any:
    """A copy of ``value`` with something strange at ``path``."""
    made = copy.deepcopy(value)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = strange
    return made


@pytest.mark.parametrize(("method", "body"), BODIES)
def test_a_mistyped_body(upstream: Simulator, method: str, body: dict[str, Any]) -> None:
    path = f"/v1beta/models/{method}"
    assert ask(upstream.url, path, body).status == 200
    for place in places(body):
        for strange in STRANGE:
            answer = ask(upstream.url, path, changed(body, place, strange))
            assert answer.status in (200, 400, 403, 404), (place, strange, answer.body)
            if answer.status != 200:
                assert answer.error()["code"] == answer.status
