"""The simulator refuses what Google refuses, in Google's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.client import KEY, ask, generate, prompt
from tests.simulator.launch import Simulator

PATH = "/v1beta/models/gemini-3.8-flash:generateContent"


def test_credentials_in_each_place_and_never_two(upstream: Simulator) -> None:
    assert ask(upstream.url, PATH, prompt()).status == 200
    assert ask(upstream.url, f"{PATH}?key={KEY}", prompt(), key="").status == 200
    assert (
        ask(upstream.url, f"{PATH}?key={KEY}", prompt())
        .error()["message"]
        .startswith("Multiple authentication")
    )
    bearer = {"authorization": f"Bearer {KEY}"}
    assert ask(upstream.url, PATH, prompt(), headers=bearer).status == 400
    assert ask(upstream.url, PATH, prompt(), headers=bearer, key="").status == 401
    assert ask(upstream.url, PATH, prompt(), key="").error()["status"] == "PERMISSION_DENIED"
    wrong = ask(upstream.url, PATH, prompt(), key="sk-wrong").error()
    assert (wrong["code"], wrong["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert ask(upstream.url, PATH, prompt(), key="AQ.NewKindOfKey").status == 200


CONFIG = "generationConfig"
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "contents is not specified"),
    (prompt(nonsense=1), 'Unknown name "nonsense": Cannot find field.'),
    (
        {"contents": [{"parts": [{"txt": "x"}]}]},
        "Unknown name \"txt\" at 'contents[0].parts[0]': Cannot find field.",
    ),
    ({"contents": "hello"}, "Invalid value at 'contents[0]'"),
    ({"contents": [{"parts": []}]}, "contents.parts must not be empty"),
    ({"contents": [{"parts": [{}]}]}, "required oneof field 'data' must have one initialized field"),
    ({"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
    (
        prompt(generationConfig={"maxOutputTokens": "many"}),
        "'generation_config.max_output_tokens' (TYPE_INT32)",
    ),
    (prompt(generationConfig={"temperature": 3}), "temperature must be in the range"),
    (prompt(generationConfig={"presencePenalty": 1}), "Penalty is not enabled for this model"),
    (prompt(generationConfig={"candidateCount": 9}), "candidate counts"),
    (
        prompt(generationConfig={"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}),
        "You can only set only one of thinking budget and thinking level.",
    ),
    (prompt(generationConfig={"thinkingConfig": {"thinkingLevel": "MINIMAL"}}), "MINIMAL is not supported"),
    (prompt(generationConfig={"thinkingConfig": {"thinkingLevel": "LOUD"}}), "ThinkingLevel"),
    (prompt(cachedContent="cachedContents/none"), "CachedContent not found (or permission denied)"),
    (
        {
            "contents": [
                {
                    "parts": [
                        {"fileData": {"fileUri": "https://x/v1beta/files/none", "mimeType": "text/plain"}}
                    ]
                }
            ]
        },
        "You do not have permission to access the File none or it may not exist.",
    ),
]


@pytest.mark.parametrize(("body", "words"), BAD)
def test_bad_requests(upstream: Simulator, body: dict[str, Any], words: str) -> None:
    answer = generate(upstream.url, body)
    assert answer.status in (400, 403)
    assert words in answer.error()["message"]


def test_malformed_json(upstream: Simulator) -> None:
    for raw in (b"{", b"[]", b"\xff\xfe"):
        answer = ask(upstream.url, PATH, raw)
        assert answer.status == 400
        assert answer.error()["message"].startswith("Invalid JSON payload received.")


def test_snake_case_is_as_good_as_camel_case(upstream: Simulator) -> None:
    camel = prompt(generationConfig={"maxOutputTokens": 300, "stopSequences": ["x"]})
    snake = prompt(generation_config={"max_output_tokens": 300, "stop_sequences": ["x"]})
    assert generate(upstream.url, camel).body == generate(upstream.url, snake).body


def test_too_long_a_prompt(upstream: Simulator) -> None:
    answer = generate(upstream.url, prompt("word " * 240_000), "gemma-4-31b-it")
    assert answer.error()["message"].startswith(
        "The input token count exceeds the maximum number of tokens allowed (2"
    )


def test_function_responses_must_match_their_calls(upstream: Simulator) -> None:
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"}
    reply = {"functionResponse": {"name": "f", "response": {}}}
    turns = [{"role": "user", "parts": [{"text": "go"}]}, {"role": "model", "parts": [call]}]
    answer = generate(upstream.url, {"contents": [*turns, {"role": "user", "parts": [reply, reply]}]})
    assert "number of function response parts" in answer.error()["message"]


@pytest.mark.parametrize(
    "path",
    ["/v1beta/nothing", "/v2/models", "/v1beta/models/gemini-3.8-flash:sing", "/v1beta/models/a/b/c/d"],
)
def test_a_path_outside_of_the_inventory(upstream: Simulator, path: str) -> None:
    assert ask(upstream.url, path).error()["status"] == "NOT_FOUND"
