"""Hedging against four slow calls in a hundred: what it gains at the slow end, and what it costs.

Two routes, alike but for hedging, are asked in turn in the same run, so that both meet the same machine. The
simulator's clock runs ten times as fast as ours: a first byte takes 0.12 s, a slow one 3 s. The
allowance is a little below the tenth that hedging may cost.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.proof import stage
from tests.proof.caller import Answer, Question, play, quantile, run

CALLS = 2_400  # half of them hedged
RATE = 120.0  # calls per second
SPEED = 10
SLOW = {"simulate": "slow-first-byte=30", "rate": 0.04}
# Each route has models of its own, so that what one learns of their pace is not the other's.
ROUTES = {
    "plain": ("gemini-3.6-flash", "gemini-3.1-flash-lite"),
    "hedged": ("gemini-3.8-flash", "gemini-3.5-flash-lite"),
}
WARM = 200  # of each route: a pace must be known before a call can be slow


@dataclass(frozen=True)
class Run:
    """What came back on each route, the simulator's lines of its models, and the record's tries."""

    answers: Mapping[str, Sequence[Answer]]
    lines: Mapping[str, Sequence[Mapping[str, Any]]]
    tries: Sequence[Mapping[str, Any]]
    calls: Mapping[str, Mapping[str, Any]]

    def wait(self, route: str) -> float:
        """p99 of the time to the first byte."""
        return quantile((answer.wait for answer in self.answers[route]), 0.99)

    def hedges(self) -> list[Mapping[str, Any]]:
        """Second tries."""
        return [row for row in self.tries if row["hedge"]]


@pytest.fixture(scope="module")
def hedging(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Run:
    """One run that all of these tests look at."""
    folder = tmp_path_factory.mktemp("hedge")
    project = stage.Project("pair")
    toml = "[routing]\nhedge_allowance = 0.095\n" + "".join(
        stage.route(name, [f"{model}@pair" for model in models], hedge=name == "hedged")
        for name, models in ROUTES.items()
    )
    names = list(ROUTES)
    asked = [
        Question(
            number / RATE,
            f"/v1beta/models/{names[number % 2]}:streamGenerateContent?alt=sse",
            partial(stage.prompt, 40, f"Question {number}"),
        )
        for number in range(CALLS)
    ]
    with stage.simulator(folder, [project], "--speed", str(SPEED)) as upstream:
        upstream.set_faults({"simulate": "tokens=20,thoughts=0,events=2"}, SLOW)
        with stage.gateway(folder, upstream, [project], toml) as gateway:
            answers = run(gateway.url, lambda caller: play(caller, asked, time.time(), 1.0))
            gateway.stop()
            tries = stage.tries(gateway)
            calls = {row["call_id"]: row for row in gateway.calls()}
    lines = [line for line in stage.lines(folder) if "enerateContent" in line["path"]]
    found = Run(
        {name: answers[2 * WARM + at :: 2] for at, name in enumerate(names)},
        {name: [line for line in lines if _of(line, models)] for name, models in ROUTES.items()},
        tries,
        calls,
    )
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(
            f"\nhedging: p99 to the first byte {found.wait('hedged'):.3f} s, without {found.wait('plain'):.3f} s; "
            f"tries {len(found.lines['hedged'])} for {CALLS // 2} calls, hedges {len(found.hedges())}",
            file=sys.stderr,
            flush=True,
        )
    return found


def _of(line: Mapping[str, Any], models: Sequence[str]) -> bool:
    return any(f"/{model}:" in line["path"] for model in models)


def test_every_call_is_answered_hedged_or_not(hedging: Run) -> None:
    for answers in hedging.answers.values():
        assert all(answer.good for answer in answers)


def test_the_slowest_first_bytes_come_in_less_than_half_the_time(hedging: Run) -> None:
    assert hedging.wait("hedged") < 0.5 * hedging.wait("plain")


def test_hedging_makes_at_most_a_tenth_more_tries(hedging: Run) -> None:
    assert CALLS // 2 < len(hedging.lines["hedged"]) <= 1.1 * CALLS // 2
    assert len(hedging.lines["plain"]) == CALLS // 2
    # A second try that was cancelled before its request was written is on record, and Google has not seen it.
    unseen = len(hedging.tries) - sum(map(len, hedging.lines.values()))
    assert 0 <= unseen <= 0.1 * len(hedging.hedges())


def test_the_loser_is_cancelled_and_its_cost_stands_in_the_call(hedging: Run) -> None:
    """The record has proven by the end of the run that every call is the sum of its tries."""
    hedges = hedging.hedges()
    assert hedges
    by_call: dict[int, list[Mapping[str, Any]]] = {}
    for row in hedging.tries:
        by_call.setdefault(row["seq"], []).append(row)
    for hedge in hedges:
        rows = by_call[hedge["seq"]]
        assert len(rows) == hedge["attempts"] == 2
        assert sorted(row["verdict"] for row in rows) == ["cancelled", "ok"]
        (loser,) = (row for row in rows if row["verdict"] == "cancelled")
        assert loser["estimated"]
        assert loser["tokens"] > 0
        assert loser["list_nano"] > 0
        call = hedging.calls[_spelled(hedge["call_id"])]
        assert call["outcome"] == "ok"
        assert call["estimated_tokens"] == loser["tokens"]
        assert round(call["list_dollars"] * 1e9) == sum(row["list_nano"] for row in rows)
    aborted = [line for line in hedging.lines["hedged"] if line["aborted"]]
    assert 0 < len(aborted) <= len(hedges)


def _spelled(call: bytes) -> str:
    text = call.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def test_a_hedged_answer_says_how_many_tries_it_took(hedging: Run) -> None:
    twice = [answer for answer in hedging.answers["hedged"] if answer.tries == 2]
    assert twice
    assert all(answer.tries == 1 for answer in hedging.answers["plain"]), json.dumps(
        [answer.headers for answer in hedging.answers["plain"] if answer.tries != 1][:1]
    )
