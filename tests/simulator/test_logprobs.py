"""Log probabilities: one per token, told as Google's messages have them, alike in a stream and in one piece."""

from __future__ import annotations

from typing import Any

import pytest
from google.ai import generativelanguage_v1beta as google
from google.protobuf import json_format

from tests.simulator.client import generate, prompt, stream
from tests.simulator.launch import Simulator

MODEL = "gemini-2.5-flash"


def config(**more: Any) -> dict[str, Any]:
    return prompt(generationConfig={"thinkingConfig": {"thinkingBudget": 0}, **more})


def probabilities(result: dict[str, Any]) -> list[float]:
    return [one["logProbability"] for one in result["chosenCandidates"]]


def test_each_token_has_its_own_and_the_likeliest(upstream: Simulator) -> None:
    body = config(responseLogprobs=True, logprobs=3)
    answer = generate(upstream.url, body, MODEL)
    (candidate,) = answer.json()["candidates"]
    result = candidate["logprobsResult"]
    json_format.ParseDict(result, google.LogprobsResult.pb()(), ignore_unknown_fields=False)
    assert len(result["chosenCandidates"]) == answer.json()["usageMetadata"]["candidatesTokenCount"]
    assert "".join(one["token"] for one in result["chosenCandidates"]) == answer.text()
    for chosen, top in zip(result["chosenCandidates"], result["topCandidates"], strict=True):
        ranked = [one["logProbability"] for one in top["candidates"]]
        assert chosen in top["candidates"]
        assert len({one["token"] for one in top["candidates"]}) == 3
        assert ranked == sorted(ranked, reverse=True)
        assert all(one < 0 for one in ranked)
    found = probabilities(result)
    assert candidate["avgLogprobs"] == pytest.approx(sum(found) / len(found), abs=1e-6)


def test_a_stream_tells_the_same(upstream: Simulator) -> None:
    body = config(responseLogprobs=True, logprobs=2)
    whole = generate(upstream.url, body, MODEL).json()["candidates"][0]["logprobsResult"]
    chosen: list[Any] = []
    for event in stream(upstream.url, body, MODEL).events():
        chosen += event["candidates"][0].get("logprobsResult", {}).get("chosenCandidates", [])
    assert chosen == whole["chosenCandidates"]


def test_without_a_number_only_the_chosen_are_told(upstream: Simulator) -> None:
    (candidate,) = generate(upstream.url, config(responseLogprobs=True), MODEL).json()["candidates"]
    assert "topCandidates" not in candidate["logprobsResult"]
    assert "logprobsResult" not in generate(upstream.url, config(), MODEL).json()["candidates"][0]


@pytest.mark.parametrize("settings", [{"logprobs": 2}, {"responseLogprobs": True, "logprobs": 21}])
def test_what_is_refused(upstream: Simulator, settings: dict[str, Any]) -> None:
    assert "logprobs" in generate(upstream.url, config(**settings), MODEL).error()["message"]
