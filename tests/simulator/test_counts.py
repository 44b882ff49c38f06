"""Sums and the bounded log: what a long run can be asked about without reading everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.simulator.client import KEY, ask, generate, prompt, stream
from tests.simulator.launch import Simulator

MODEL = "gemini-3.8-flash"
LITE = "gemini-2.5-flash-lite"
SCRIPT = {
    "projects": [
        {"name": "one", "tier": "tier1", "keys": [KEY], "limits": {LITE: {"rpm": 2}}},
        {"name": "two", "tier": "free", "keys": ["AIzaTwo"]},
    ],
    "faults": [{"simulate": "overloaded", "model": MODEL, "first": 1}],
}


def test_sums_by_project_model_and_status(tmp_path: Path) -> None:
    with Simulator("--instant", "--log-limit", "2", script=SCRIPT, folder=tmp_path) as simulator:
        statuses = [generate(simulator.url, prompt(), LITE).status for _ in range(3)]
        statuses += [generate(simulator.url, prompt(), MODEL).status for _ in range(2)]
        assert statuses == [200, 200, 429, 503, 200]
        with pytest.raises(OSError, match=r"Remote end closed|reset by peer"):
            generate(simulator.url, prompt(), MODEL, "reset")
        assert ask(simulator.url, "/v1/models", key="AIzaTwo").status == 200
        assert ask(simulator.url, "/v1/models", key="AIzaNobody").status == 400
        counts = simulator.counts()
        while counts["in_progress"]:
            counts = simulator.counts()
        assert counts["requests"] == 8
        assert counts["answers"] == {
            "one": {LITE: {"200": 2, "429": 1}, MODEL: {"503": 1, "200": 1, "0": 1}},
            "two": {"": {"200": 1}},
            "": {"": {"400": 1}},
        }
        lite = counts["models"]["one"][LITE]
        assert (lite["accepted"], lite["refused"]) == (2, 1)
        assert lite["tokens"] > 0
        assert [line["number"] for line in simulator.log()] == [7, 8]


def test_the_log_can_be_off() -> None:
    with Simulator("--instant", "--log-limit", "0") as simulator:
        assert generate(simulator.url, prompt()).status == 200
        assert simulator.log() == []
        assert simulator.counts()["requests"] == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_input_and_output_are_as_told_in_quota_usage_and_money(tmp_path: Path, streamed: bool) -> None:
    script = {"projects": [{"name": "one", "tier": "tier1", "keys": [KEY], "limits": {"*": {"tpm": 5_000}}}]}
    tools = [{"functionDeclarations": [{"name": "rivers"}]}]
    with Simulator("--instant", "--now", "2026-11-23T20:00:00Z", script=script, folder=tmp_path) as simulator:
        told = "input=3000,output=400"
        body = prompt("Rivers?", tools=tools)
        if streamed:
            usage = stream(simulator.url, body, simulate=told).events()[-1]["usageMetadata"]
        else:
            usage = generate(simulator.url, body, simulate=told).json()["usageMetadata"]
        assert (usage["promptTokenCount"], usage["candidatesTokenCount"]) == (3000, 400)
        assert usage["totalTokenCount"] == 3400
        assert generate(simulator.url, prompt(), simulate=told).status == 429
        sums = simulator.counts()["models"]["one"][MODEL]
        assert (sums["tokens"], sums["output_tokens"], sums["refused"]) == (3000, 400, 1)
        assert sums["dollars"] == pytest.approx(3000 * 0.75e-6 + 400 * 3.75e-6)
        spend = simulator.state()["projects"][0]["spend"]
        assert spend["limit"] == 10.0
        assert spend["ten_minutes"] == spend["total"] == pytest.approx(sums["dollars"])


def test_told_input_counts_in_every_door(upstream: Simulator) -> None:
    headers = {"x-simulate": "input=777,output=5"}
    chat: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    bearer = {"authorization": f"Bearer {KEY}", **headers}
    answer = ask(upstream.url, "/v1beta/openai/chat/completions", chat, headers=bearer, key="").json()
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (777, 5)
    turn = ask(upstream.url, "/v1/interactions", {"model": MODEL, "input": "Hello"}, headers=headers).json()
    assert turn["usage"]["total_input_tokens"] == 777
    count = ask(upstream.url, f"/v1/models/{MODEL}:countTokens", prompt(), headers=headers).json()
    assert count["totalTokens"] == 777
    embedding = "/v1/models/gemini-embedding-2:embedContent"
    body = {"content": {"parts": [{"text": "river"}]}}
    usage = ask(upstream.url, embedding, body, headers=headers).json()["usageMetadata"]
    assert usage["promptTokenCount"] == 777


def test_a_client_that_leaves_pays_for_what_was_said() -> None:
    with Simulator("--instant") as simulator:
        answer = stream(simulator.url, prompt(), simulate="input=100,output=90,events=9,cut-after=3")
        assert len(answer.events()) == 3
        counts = simulator.counts()
        while counts["in_progress"]:
            counts = simulator.counts()
        (sums,) = next(iter(counts["models"].values())).values()
        assert 0 < sums["output_tokens"] < 90
