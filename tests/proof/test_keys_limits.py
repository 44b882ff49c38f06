"""Promise P6, limits of keys: never more than a key may, who has patience waits, who has none is told how long.

Judged by the log of the simulator, which sees a call a moment after the gateway counted it, some calls later than
others: a minute is judged less by what its calls were late, and by ``SLACK`` for the turn between counting a call and
noting when it was sent. Gateway and simulator share one fast clock.
"""

from __future__ import annotations

import time
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from tests.gateway.launch import Gateway, until
from tests.proof import braked, stage
from tests.proof.braked import INPUT, Call, all_at_once, code, key, named, put
from tests.proof.caller import Answer
from tests.proof.windows import MINUTE, Sent, Use

PROJECT = stage.Project("one")
SPEED = 40.0  # seconds of the play in one of ours
SLACK = 0.1  # seconds of ours
OUTPUT = 60
TOKENS = INPUT + OUTPUT
RPM, MANY = 10, 20
PATIENT = ("x-gemgate-patience", "400")
BATCHES = count()
HASTY = ("x-gemgate-patience", "0")
TOML = """
[routing]
patience = "10s"
max_patience = "600s"
"""


def calls(who: str, number: int, *headers: tuple[str, str], slow: float = 0.0) -> list[Call]:
    """So many calls of a key, in all forms, each with a mark of its own."""
    mark = next(BATCHES)
    forms = [braked.FORMS[at % len(braked.FORMS)] for at in range(number)]
    return [
        Call(
            f"{who} {at}",
            OUTPUT,
            form=form,
            headers=(*named(who), ("user-agent", f"{who}/{mark}.{at}"), *headers),
            slow=slow,
        )
        for at, form in enumerate(forms)
    ]


def never_more(gateway: Gateway, folder: Path, speed: float, requests: int, most: int = 10**9) -> None:
    """Assert that no minute of the simulator's log has more calls, or more tokens, than a key may use."""
    rows = gateway.rows(
        "SELECT clients.name AS client, a.sent_at FROM calls AS c JOIN attempts AS a ON a.call_seq = c.seq"
        " JOIN clients ON clients.id = c.client_id"
    )
    counted = {row["client"]: row["sent_at"] / 1e6 for row in rows}
    lines = stage.lines(folder)
    assert {line["user_agent"] for line in lines} <= counted.keys(), "a call went out that has no row"
    late = max(line["time"] - counted[line["user_agent"]] for line in lines)
    use = Use(Sent(line["time"], TOKENS) for line in lines)
    for line in lines:
        found = use.at(line["time"], MINUTE - SLACK * speed - max(0.0, late))
        assert found[0] <= requests, f"{found[0]} calls in a minute"
        assert found[1] <= most, f"{found[1]} tokens in a minute"


def refused(answers: list[Answer], word: str) -> list[Answer]:
    """The answers that are no 200: each is a 429 with this code and a delay."""
    found = [answer for answer in answers if answer.status != 200]
    for answer in found:
        assert (answer.status, code(answer)) == (429, word), answer.body
        assert answer.retry_after > 0
        assert int(answer.headers["retry-after"]) >= 1
    return found


def test_calls_a_minute(tmp_path: Path) -> None:
    put(tmp_path / "data", [key("ann", rpm=RPM)])
    clock = stage.Clock(SPEED)
    with (
        stage.simulator(tmp_path, [PROJECT], "--instant") as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT], TOML, clock) as gateway,
    ):
        clock.set(upstream)
        start = clock.at(time.time())
        answers = all_at_once(gateway, calls("ann", MANY, HASTY))
        assert braked.statuses(answers) == {200: RPM, 429: MANY - RPM}
        told = [clock.at(answer.ended) + answer.retry_after for answer in refused(answers, "KEY_RATE")]
        # The delay is exact: who comes then has room, who comes before has none.
        due = min(told)
        assert start + MINUTE <= due <= clock.at(time.time()) + MINUTE + 1
        *early, last = until_refused_no_more(gateway)
        # What is asked at one moment is looked at a little later, and what is answered was a little before.
        assert all(clock.at(answer.asked) < due + 1 for answer in early)
        assert clock.at(last.ended) >= due
        # Those who wait get through, ten a minute.
        waited = all_at_once(gateway, calls("ann", MANY, PATIENT))
        assert braked.statuses(waited) == {200: MANY}
        never_more(gateway, tmp_path, SPEED, RPM)


def until_refused_no_more(gateway: Gateway) -> list[Answer]:
    """Ask without patience until there is room: all answers."""
    answers: list[Answer] = []

    def let_in() -> bool:
        answers.extend(all_at_once(gateway, calls("ann", 1, HASTY)))
        return answers[-1].status == 200

    until(let_in, "room in the minute")
    return answers


def test_tokens_a_minute_and_a_kill(tmp_path: Path) -> None:
    """A restart forgets no call: neither those that were answered nor those that were under way."""
    most = 10
    put(tmp_path / "data", [key("ann", tpm=most * TOKENS)])
    clock = stage.Clock(1.0)  # a minute does not pass
    with (
        stage.simulator(tmp_path, [PROJECT], "--speed", "20") as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT], TOML, clock) as gateway,
    ):
        first = all_at_once(gateway, calls("ann", 4, HASTY))
        assert braked.statuses(first) == {200: 4}

        def kill() -> None:
            until(lambda: upstream.state()["in_progress"] > 0, "calls under way")
            gateway.kill()

        all_at_once(gateway, calls("ann", MANY, HASTY, slow=60.0), kill)
        under_way = len(stage.lines(tmp_path)) - 4
        assert under_way > 0
        gateway.start()
        after = all_at_once(gateway, calls("ann", MANY, HASTY))
        refused(after, "KEY_RATE")
        let_in = sum(answer.status == 200 for answer in after)
        assert 4 + under_way + let_in <= most
        never_more(gateway, tmp_path, 1.0, most, most * TOKENS)


def test_tokens_a_minute_are_those_that_were_used(tmp_path: Path) -> None:
    """What a call held beyond what it took comes back, so that the whole minute is used, and no more."""
    most = 12
    put(tmp_path / "data", [key("ann", tpm=most * TOKENS)])
    clock = stage.Clock(SPEED)
    with (
        stage.simulator(tmp_path, [PROJECT], "--instant") as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT], TOML, clock) as gateway,
    ):
        clock.set(upstream)
        answers = all_at_once(gateway, calls("ann", 2 * most, PATIENT))
        assert braked.statuses(answers) == {200: 2 * most}
        never_more(gateway, tmp_path, SPEED, most, most * TOKENS)
        moments = [line["time"] for line in stage.lines(tmp_path)]
        assert moments[-1] - moments[0] < 2 * MINUTE, "two minutes' worth took three"


def test_calls_at_once(tmp_path: Path) -> None:
    most = 4
    put(tmp_path / "data", [key("ann", concurrency=most), key("ben", concurrency=0), key("cat")])
    clock = stage.Clock(SPEED)
    with (
        stage.simulator(tmp_path, [PROJECT]) as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT], TOML, clock) as gateway,
    ):
        clock.set(upstream)
        waited = all_at_once(gateway, calls("ann", MANY, PATIENT, slow=10.0))
        assert braked.statuses(waited) == {200: MANY}
        assert most_at_once(stage.lines(tmp_path)) == most
        hasty = all_at_once(gateway, calls("ann", MANY, HASTY, slow=30.0) + calls("cat", MANY, HASTY))
        assert braked.statuses(hasty[MANY:]) == {200: MANY}, "another key is not held back"
        assert len(refused(hasty[:MANY], "KEY_BUSY")) == MANY - most
        none = all_at_once(gateway, calls("ben", 2, HASTY))
        assert {answer.status for answer in none} == {429}

        def kill() -> None:
            until(lambda: upstream.state()["in_progress"] > 0, "calls under way")
            gateway.kill()

        all_at_once(gateway, calls("ann", most, HASTY, slow=90.0), kill)
        gateway.start()
        again = all_at_once(gateway, calls("ann", most, HASTY))
        assert braked.statuses(again) == {200: most}, "the dead hold no places"


def most_at_once(lines: list[dict[str, Any]]) -> int:
    """The most calls that the simulator worked on at the same time, but for the moment of their ends."""
    starts = [(line["time"], 1) for line in lines]
    ends = [(max(line["time"], line["time"] + line["seconds"] - SLACK * SPEED), -1) for line in lines]
    found = under_way = 0
    for _, step in sorted(starts + ends, key=lambda one: (one[0], one[1])):
        under_way += step
        found = max(found, under_way)
    return found


def test_who_came_first_goes_first(tmp_path: Path) -> None:
    """In the line of a key nobody overtakes."""
    put(tmp_path / "data", [key("ann", concurrency=1)])
    with (
        stage.simulator(tmp_path, [PROJECT], "--speed", "20") as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT], TOML) as gateway,
    ):
        answers = all_at_once(gateway, calls("ann", 8, PATIENT, slow=1.0))
        assert braked.statuses(answers) == {200: 8}
        rows = gateway.rows(
            "SELECT c.received_at, a.sent_at FROM calls AS c JOIN attempts AS a ON a.call_seq = c.seq"
            " ORDER BY c.received_at, c.call_id"
        )
        assert all(one["sent_at"] <= other["sent_at"] for one, other in pairwise(rows))
