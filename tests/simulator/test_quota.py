"""Quotas: each window fills, refuses in Google's words, and empties with the clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gemini_simulator.quota import spoken
from tests.simulator.client import Answer, ask, prompt
from tests.simulator.launch import Simulator

START = 1_795_464_000.0  # 2026-11-23 20:00 UTC, noon in California
SCRIPT = {
    "projects": [
        {"name": "free", "tier": "free", "keys": ["AIzaFree"]},
        {"name": "paid", "tier": "tier1", "keys": ["AIzaPaid", "AIzaPaidToo"]},
        {"name": "small", "tier": "tier2", "keys": ["AIzaSmall"], "limits": {"*": {"tpm": 100, "rpd": 4}}},
    ]
}


@pytest.fixture
def metered(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(
        "--instant", "--now", "2026-11-23T20:00:00+00:00", script=SCRIPT, folder=tmp_path
    ) as simulator:
        yield simulator


def call(simulator: Simulator, key: str, model: str, text: str = "hi") -> Answer:
    return ask(simulator.url, f"/v1/models/{model}:generateContent", prompt(text), key=key)


def violation(answer: Answer) -> dict[str, Any]:
    details = {item["@type"].rpartition(".")[2]: item for item in answer.error()["details"]}
    assert set(details) == {"Help", "QuotaFailure", "RetryInfo"}
    assert "retry-after" not in answer.headers
    found: dict[str, Any] = details["QuotaFailure"]["violations"][0]
    return found


def test_free_requests_per_minute_then_per_day(metered: Simulator) -> None:
    statuses = [call(metered, "AIzaFree", "gemini-3-flash-preview").status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = violation(call(metered, "AIzaFree", "gemini-3-flash-preview"))
    assert refused["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    assert refused["quotaValue"] == "5"
    assert refused["quotaDimensions"] == {"location": "global", "model": "gemini-3-flash"}
    for minute in range(1, 4):
        metered.set_clock(START + minute * 61)
        assert [call(metered, "AIzaFree", "gemini-3-flash-preview").status for _ in range(5)] == [200] * 5
    metered.set_clock(START + 4 * 61)
    daily = call(metered, "AIzaFree", "gemini-3-flash-preview")
    assert violation(daily)["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    metered.set_clock(START + 12 * 3600 + 1)
    assert call(metered, "AIzaFree", "gemini-3-flash-preview").status == 200


def test_what_the_tier_does_not_have_has_limit_zero(metered: Simulator) -> None:
    answer = call(metered, "AIzaFree", "gemini-3.1-pro-preview")
    assert "limit: 0, model: gemini-3.1-pro" in answer.error()["message"]
    assert "quotaValue" not in violation(answer)


def test_a_paid_day_is_shared_by_a_family_and_its_keys_and_names_the_true_delay(metered: Simulator) -> None:
    for at in range(250):
        key = ("AIzaPaid", "AIzaPaidToo")[at % 2]
        model = ("gemini-3.1-pro-preview", "gemini-3.1-pro-preview-customtools")[at % 2]
        assert call(metered, key, model).status == 200
    answer = call(metered, "AIzaPaid", "gemini-3.1-pro-preview")
    assert violation(answer)["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel"
    delay = answer.error()["details"][2]["retryDelay"]
    assert 11 * 3600 < int(delay.removesuffix("s")) <= 12 * 3600


def test_input_tokens_per_minute(metered: Simulator) -> None:
    assert call(metered, "AIzaSmall", "gemini-3.8-flash", "x" * 300).status == 200
    refused = violation(call(metered, "AIzaSmall", "gemini-3.8-flash", "x" * 300))
    assert refused["quotaId"] == "GenerateContentPaidTierInputTokensPerModelPerMinute-PaidTier2"
    assert refused["quotaMetric"].endswith("/generate_content_paid_tier_2_input_token_count")
    metered.set_clock(START + 61)
    assert call(metered, "AIzaSmall", "gemini-3.8-flash", "x" * 300).status == 200


def test_any_key_of_googles_looks_has_no_limit(upstream: Simulator) -> None:
    found = {
        ask(upstream.url, "/v1/models/gemini-3.1-pro-preview:generateContent", prompt()).status
        for _ in range(300)
    }
    assert found == {200}


def test_delays_are_spoken_as_google_does() -> None:
    assert spoken(38.90923309) == "38.90923309s"
    assert spoken(68933.149597459).startswith("19h8m53.1495974")
