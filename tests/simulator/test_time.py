"""Simulated time: models take as long as their profile says, on a clock that can run fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulator.client import ask, generate, prompt, stream
from tests.simulator.launch import Simulator


@pytest.fixture(scope="module")
def fast() -> Iterator[Simulator]:
    with Simulator("--speed", "400", "--now", "2026-11-23T20:00:00Z") as simulator:
        yield simulator


def test_a_model_takes_its_time(fast: Simulator) -> None:
    fast.clear()
    generate(fast.url, prompt(), "gemini-3.1-pro-preview", "tokens=1220")
    assert fast.wait_for(1)[0]["seconds"] >= 7.6 + 1220 / 122


def test_the_first_byte_can_be_slow(fast: Simulator) -> None:
    fast.clear()
    assert stream(fast.url, prompt(), simulate="slow-first-byte=60").status == 200
    assert fast.wait_for(1)[0]["seconds"] >= 60


def test_the_servers_timeout_is_kept(fast: Simulator) -> None:
    headers = {"x-server-timeout": "30", "x-simulate": "slow-first-byte=600"}
    answer = ask(fast.url, "/v1/models/gemini-3.8-flash:generateContent", prompt(), headers=headers)
    assert answer.error()["status"] == "DEADLINE_EXCEEDED"


def test_a_rule_lasts_for_its_span_of_time(fast: Simulator) -> None:
    fast.set_faults({"simulate": "overloaded,slow-first-byte=1", "until": 3600})
    assert generate(fast.url, prompt()).status == 503
    fast.set_clock("2026-11-23T23:30:00+00:00")
    assert generate(fast.url, prompt()).status == 200
    fast.set_faults()
