"""A minute in which the first of two models is down, at fifty calls a second, unary and streams.

Gateway and simulator stand on one clock that runs three times as fast as ours, so that sixty seconds with all their
cool-downs take twenty; the machine then carries 180 calls a second. ``bench/hour.py outage`` plays the real minute.
"""

from __future__ import annotations

import sys

import pytest

from tests.proof.outage import OUTAGE, RATE, Outage, perform

SPEED = 3.0
# Cool-downs double from half a second to thirty, give or take a quarter: a dead target can be probed nine times in a
# minute. A probe that is out for much longer than a failure took gives its place to another, which on a busy machine
# happens now and then.
PROBES = 12


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Outage:
    """The play that all of these tests look at."""
    played = perform(tmp_path_factory.mktemp("outage"), SPEED)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\nthe outage: {played.report()}", file=sys.stderr, flush=True)
    return played


def test_no_call_fails_that_was_not_yet_committed(outage: Outage) -> None:
    assert len(outage.during) == OUTAGE * RATE
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
    flying = [row for row in outage.dead if row["sent_at"] <= outage.back]
    probes = [row for row in outage.dead if row["sent_at"] > outage.back]
    assert flying
    assert 0 < len(probes) <= PROBES, [row["sent_at"] for row in probes]
    assert len(outage.dead) == len(outage.struck), "the simulator saw other tries than the record"


def test_calls_in_the_outage_are_as_quick_as_the_second_target_itself(outage: Outage) -> None:
    assert outage.p99 <= 2 * outage.own_p99


def test_the_first_target_serves_again_after_the_outage(outage: Outage) -> None:
    assert any(answer.model == outage.first for answer in outage.after)
    assert all(answer.good for answer in outage.after)
