"""Promise P1, "recorded before released": rounds of load and death, and proof that the judge of them sees."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gemgate.core.call import Attempt, Charged, Cost, Intent, Outcome, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store.ledger import NextTry
from tests.crash.books import ERROR, Left, Paid, faults
from tests.crash.judge import NOTHING, Key, Row, Tally, Told, judge, judge_order, told
from tests.crash.rounds import DECK, Rounds, faults_in, table
from tests.crash.wire import Question, Seen
from tests.proof.braked import budget

ROUNDS = 25
KEY: Key = (3, 14)
CALL = Told("unary", "id-1", 200, 1, True, "ok", (5, 0, 7, 2, 0))
ROW = Row(1, "id-1", "ok", 200, 1, 1, (5, 0, 7, 2, 0), 0)


def test_p1_recorded_before_released(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, seed=25, longest=0.25)
    lines: list[str] = []
    tally = rounds.run(ROUNDS, lines.append)
    found = "\n".join([*lines, table(tally, rounds.ways, rounds.spilled, 0.0), *tally.accusations[:20]])
    assert tally.clean, found
    assert len(lines) == tally.rounds == ROUNDS
    assert rounds.ways == DECK, "every way of dying came up"
    # Rounds in which nothing happened would prove nothing.
    assert rounds.spilled >= 3, found
    assert tally.answered >= 2 * ROUNDS, found
    assert tally.rows > tally.answered, found
    assert tally.tries > tally.answered / 2, found
    assert tally.again >= 1, found
    assert tally.keyed >= ROUNDS, found
    assert tally.unpaid >= 1, found


def judged(call: Told, rows: list[Row], tries: int = 1) -> Tally:
    tally = Tally()
    judge({KEY: call}, {KEY: rows} if rows else {}, Counter({KEY: tries}), tally)
    return tally


def test_the_judge_is_content_with_a_call_and_its_row() -> None:
    tally = judged(CALL, [ROW])
    assert tally.clean
    assert (tally.asked, tally.answered, tally.rows, tally.tries) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("what", "call", "rows", "tries"),
    [
        ("missing", CALL, [], 1),
        ("missing", replace(CALL, whole=False, outcome="", tokens=None), [], 0),
        ("duplicates", CALL, [ROW, replace(ROW, seq=2, call_id="id-2")], 1),
        ("unrecorded", Told("unary", "", 0, 0, False, "", None), [], 1),
        ("missing", CALL, [replace(ROW, outcome="interrupted")], 1),
        ("wrong", CALL, [replace(ROW, outcome="failed")], 1),
        ("wrong", CALL, [replace(ROW, outcome="lost")], 1),
        ("wrong", CALL, [replace(ROW, call_id="id-2")], 1),
        ("wrong", CALL, [replace(ROW, status=502)], 1),
        ("wrong", CALL, [replace(ROW, tokens=NOTHING)], 1),
        ("wrong", CALL, [replace(ROW, estimated=12)], 1),
        ("wrong", CALL, [replace(ROW, attempts=2)], 1),
        ("wrong", CALL, [ROW], 2),
        ("wrong", CALL, [replace(ROW, attempts=0, tries=0)], 0),
    ],
)
def test_the_judge_accuses(what: str, call: Told, rows: list[Row], tries: int) -> None:
    tally = judged(call, rows, tries)
    assert not tally.clean
    assert getattr(tally, what) == len([one for one in tally.accusations if one.startswith(what)]) >= 1


def test_the_judge_accuses_a_row_of_nobody() -> None:
    tally = Tally()
    judge({}, {KEY: [ROW]}, Counter(), tally)
    assert tally.wrong == 1


def test_a_call_that_never_went_up_may_have_no_row() -> None:
    assert judged(Told("unary", "", 0, 0, False, "", None), [], tries=0).clean


def test_a_call_that_died_may_have_any_outcome_but_one_row() -> None:
    call = replace(CALL, whole=False, outcome="", tokens=None)
    assert judged(call, [replace(ROW, outcome="interrupted", status=0, tokens=NOTHING)]).clean
    assert judged(call, [ROW, replace(ROW, seq=2)]).duplicates == 1


def test_the_judge_knows_the_order_of_calls() -> None:
    first, second = replace(CALL, asked=1, ended=2), replace(CALL, asked=3, ended=5)
    beside = replace(CALL, asked=4, ended=6)
    calls = {(3, 1): first, (3, 2): second, (3, 3): beside}
    for seqs, wrong in {(1, 2, 3): 0, (1, 3, 2): 0, (2, 1, 3): 1, (3, 1, 2): 2}.items():
        rows = {(3, at): [replace(ROW, seq=seq)] for at, seq in enumerate(seqs, 1)}
        judge_order(calls, rows, tally := Tally())
        assert tally.wrong == wrong == len(tally.accusations)


def seen(form: str, path: str, body: bytes, status: int = 200, whole: bool = True) -> Seen:
    return Seen(Question(14, form, "POST", path), status, "id-1", 1, whole, False, bytearray(body))


def test_what_a_client_can_swear_to() -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 2}
    event = b"data: " + json.dumps({"usageMetadata": usage}).encode() + b"\r\n\r\n"
    early = b'data: {"usageMetadata": {"promptTokenCount": 5}}\r\n\r\n'
    fault = b'data: {"error": {"code": 503}}\r\n\r\n'
    answers = {
        ("ok", (5, 0, 7, 2, 0)): seen("sse", "/x?alt=sse", early + event),
        ("cut", (5, 0, 0, 0, 0)): seen("cut", "/x?alt=sse", early + fault),
        ("ok", NOTHING): seen("count", "/x", b'{"totalTokens": 9}'),
        ("failed", None): seen("busy", "/x", b'{"error": {}}', 503),
        ("refused", None): seen("malformed", "/x", b'{"error": {}}', 400),
        ("unreadable", None): seen("unary", "/x", b'{"candidates'),
        ("", None): seen("unary", "/x", b'{"candidates', whole=False),
    }
    for (outcome, tokens), answer in answers.items():
        assert (told(answer).outcome, told(answer).tokens) == (outcome, tokens)


def test_a_gateways_own_faults_are_found_in_its_log() -> None:
    head = "Traceback (most recent call last):\n"
    drained = (
        head + '  File "a.py", line 1, in a\nasyncio.exceptions.CancelledError: Task cancelled, timeout\n'
    )
    fault = head + '  File "b.py", line 2, in b\nKeyError: 7\nmore\n'
    assert faults_in("all is well\n" + drained) == []
    assert faults_in(drained + fault + drained) == ['  File "b.py", line 2, in b\nKeyError: 7']


OF: dict[str, Any] = {"model": "m", "project": "one", "credential": "one/1", "sent_at": 1}
CALL_OF: dict[str, Any] = {
    "call_id": b"1",
    "boot": b"b",
    "received_at": 1,
    "method": "m",
    "version": "v1",
    "client": "",
}


def intent(attempt: int, *held: Charged) -> Intent:
    """A try of one call that is about to be sent."""
    return Intent(attempt=attempt, held=held, **(CALL_OF | OF))


LIMITS = [
    structs.replace(budget("money", 10**6), id=1),
    structs.replace(budget("tokens", 100, unit="tokens", scope="key", of="ann"), id=2),
]
ROWS = [Paid(b"2", "ann", 70, 7), Paid(b"3", "ben", 80, 8)]


@pytest.mark.parametrize(
    ("after", "count"),
    [
        ({1: 150, 2: 17}, 0),
        ({1: 220, 2: 17}, 1),  # a call charged twice
        ({1: 150, 2: 10}, 1),  # a call not charged
        ({1: 80, 2: 10}, 2),
        ({1: 150, 2: 25}, 1),  # another key's call charged
        ({1: 150, 2: 100 + ERROR + 1}, 2),  # and overspent
    ],
)
def test_the_books_are_compared(after: dict[int, int], count: int) -> None:
    assert len(faults(LIMITS, {2: 10}, after, ROWS, Left())) == count


def test_the_books_know_what_was_left_open() -> None:
    """A call goes on to a second try and dies in it; its row is there too, at what it held."""
    left = Left()
    first, second = Charged(1, 0, 1_000), Charged(1, 0, 2_000)
    left.apply(intent(1, first))
    ended = Attempt(number=1, first_byte=None, duration=1, verdict=Kind.CUT, status=200, **OF)
    ended.usage, ended.cost = Usage(3), Cost(total=30, billed=30)
    left.apply(NextTry(ended, intent(2, second)))
    rows = [*ROWS, Paid(b"1", "ann", 999, 99)]
    assert faults(LIMITS, {}, {1: 150 + 30 + 2_000, 2: 7}, rows, left) == []
    assert len(faults(LIMITS, {}, {1: 150, 2: 7}, rows, left)) == 1
    assert len(faults(LIMITS, {}, {1: 150 + 30 + 4_000, 2: 7}, rows, left)) == 1
    whole = Record(first_byte=1, duration=1, model="m", outcome=Outcome.OK, status=200, **CALL_OF)
    left.apply(whole)
    assert faults(LIMITS, {}, {1: 150 + 999, 2: 7 + 99}, rows, left) == []
