"""Function calls over several turns: signatures, ids, and a model that goes on calling; and answers of fixed cost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.client import generate, prompt, stream
from tests.simulator.launch import Simulator

WORD = {"type": "object", "properties": {"word": {"type": "string"}}}
NUMBER = {"type": "object", "properties": {"to": {"type": "integer"}}}
DECLARED = [
    {"name": "look_up", "parametersJsonSchema": WORD},
    {"name": "count_up", "parametersJsonSchema": NUMBER},
]
TOOLS = [{"functionDeclarations": DECLARED}]


def answered(turn: dict[str, Any]) -> dict[str, Any]:
    """The user's turn that answers the calls of ``turn``, by name and id."""
    calls = [part["functionCall"] for part in turn["parts"] if "functionCall" in part]
    parts = [
        {"functionResponse": {"id": call["id"], "name": call["name"], "response": {"ok": 1}}}
        for call in calls
    ]
    return {"role": "user", "parts": parts}


def turn_of(upstream: Simulator, contents: list[Any], simulate: str) -> dict[str, Any]:
    answer = generate(upstream.url, {"contents": contents, "tools": TOOLS}, simulate=simulate)
    assert answer.status == 200, answer.body
    content: dict[str, Any] = answer.json()["candidates"][0]["content"]
    return content


def test_calls_follow_one_another_and_each_turn_needs_its_signature(upstream: Simulator) -> None:
    simulate = "tool-turns=3,thoughts=9"
    contents: list[dict[str, Any]] = prompt("Please go.")["contents"]
    for _ in range(3):
        turn = turn_of(upstream, contents, simulate)
        first, second = turn["parts"]
        assert "thoughtSignature" in first
        assert "thoughtSignature" not in second
        contents += [turn, answered(turn)]
    assert "text" in turn_of(upstream, contents, simulate)["parts"][0]
    for at in (1, 3, 5):
        signature = contents[at]["parts"][0].pop("thoughtSignature")
        refused = generate(upstream.url, {"contents": contents, "tools": TOOLS})
        assert refused.status == 400
        assert f"position {at + 1}" in refused.error()["message"]
        contents[at]["parts"][0]["thoughtSignature"] = signature
    # Turns before the user last spoke need none any more.
    for at in (1, 3, 5):
        del contents[at]["parts"][0]["thoughtSignature"]
    said = {"role": "model", "parts": [{"text": "Done."}]}
    later = [*contents, said, {"role": "user", "parts": [{"text": "Thanks."}]}]
    assert generate(upstream.url, {"contents": later, "tools": TOOLS}).status == 200


def test_a_response_has_the_id_of_its_call(upstream: Simulator) -> None:
    contents = prompt("Please go.")["contents"]
    turn = turn_of(upstream, contents, "thoughts=9")
    reply = answered(turn)
    assert generate(upstream.url, {"contents": [*contents, turn, reply], "tools": TOOLS}).status == 200
    reply["parts"][0]["functionResponse"]["id"] = "another"
    refused = generate(upstream.url, {"contents": [*contents, turn, reply], "tools": TOOLS})
    assert "'another' matches no function call" in refused.error()["message"]
    for part in reply["parts"]:
        del part["functionResponse"]["id"]
    assert generate(upstream.url, {"contents": [*contents, turn, reply], "tools": TOOLS}).status == 200


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "gemini-2.5-flash", "gemini-2.5-flash-lite"])
@pytest.mark.parametrize("most", [1, 40, 700])
def test_a_limit_that_is_reached_fixes_the_output(upstream: Simulator, model: str, most: int) -> None:
    body = prompt("Write 5000 words.", generationConfig={"maxOutputTokens": most})
    events = stream(upstream.url, body, model).events()
    whole = generate(upstream.url, body, model).json()
    for answer in (events[-1], whole):
        usage = answer["usageMetadata"]
        assert usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0) == most
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + most
        assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_the_log_tells_signatures_from_literals(upstream: Simulator) -> None:
    contents = prompt("Please go.")["contents"]
    turn = turn_of(upstream, contents, "thoughts=9")
    asked = {"contents": [*contents, turn, answered(turn)], "tools": TOOLS}
    for text, told in (
        (turn["parts"][0]["thoughtSignature"], {"signed": 1, "skipped": 0}),
        ("skip_thought_signature_validator", {"signed": 0, "skipped": 1}),
    ):
        turn["parts"][0]["thoughtSignature"] = text
        assert generate(upstream.url, asked).status == 200
        assert upstream.log()[-1]["signatures"] == told
    assert generate(upstream.url, prompt()).status == 200
    assert "signatures" not in upstream.log()[-1]
