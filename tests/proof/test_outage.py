"""A minute in which the first of two models is down, at fifty calls a second, unary and streams.

Gateway and simulator stand on one clock that runs four times as fast as ours, so that sixty seconds with all their
cool-downs take fifteen; the machine then carries 200 calls a second. ``bench/hour.py outage`` plays the real minute.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from tests.proof.outage import OUTAGE, RATE, Outage, perform

SPEED = 4.0
# Cool-downs double from half a second to thirty, give or take their jitter: so often can a dead target be probed
# in a minute, and once more at either end.
PROBES = 10


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Outage:
    """The play that all of these tests look at."""
    played = perform(tmp_path_factory.mktemp("outage"), SPEED)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nthe outage: {played.report()}", file=sys.stderr, flush=True)
    return played


def test_no_call_fails_that_was_not_yet_committed(outage: Outage) -> None:
    assert len(outage.during) == pytest.approx(OUTAGE * RATE, abs=2)
    assert all(answer.good for answer in outage.during)
    failed = [answer for answer in outage.everyone if not answer.good]
    assert all(answer.status == 200 and answer.sse for answer in failed)


def test_streams_that_were_committed_end_in_an_error_event(outage: Outage) -> None:
    assert outage.broken
    for answer in outage.broken:
        assert answer.whole
        events = answer.parts()
        assert [bool(event.get("candidates")) for event in events] == [True] * (len(events) - 1) + [False]
        assert len(events) > 1
        assert answer.error()["code"] == 503


def test_the_dead_target_is_left_alone_but_for_probes(outage: Outage) -> None:
    dead = outage.dead
    assert dead
    back = min(row["sent_at"] + row["duration"] for row in dead)
    flying = [row for row in dead if row["sent_at"] <= back]
    probes = [row for row in dead if row["sent_at"] > back]
    assert len(probes) <= PROBES, [row["sent_at"] for row in probes]
    assert len(flying) + len(probes) == len(outage.struck), "the simulator saw other tries than the record"
    # Probes go one at a time.
    for one, after in pairwise(probes):
        assert one["sent_at"] + one["duration"] <= after["sent_at"]


def test_calls_in_the_outage_are_as_quick_as_the_second_target_itself(outage: Outage) -> None:
    assert outage.p99 <= 2 * outage.own_p99


def test_the_first_target_serves_again_after_the_outage(outage: Outage) -> None:
    assert any(answer.model == outage.first for answer in outage.after)
    assert all(answer.good for answer in outage.after)
