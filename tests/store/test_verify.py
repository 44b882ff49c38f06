"""``verify`` is silent about a true record and finds each kind of change by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from sampled import (
    BOOK,
    RICH,
    START,
    attempt,
    change,
    findings,
    identity,
    intent,
    priced,
    record,
)

from gemgate.core.call import Outcome
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import connection, ledger, operations, prices, spill
from gemgate.store.database import FILE


@pytest.fixture
def filled(data: Path) -> Path:
    """A record of every kind of call."""
    conn = connection.writer(data / FILE)
    conn.execute("BEGIN IMMEDIATE")
    boot = identity()
    tries = [intent(boot) for _ in range(6)]
    strange = intent(boot, model="gemini-unknown")
    cut = attempt(tries[1], verdict=Kind.CUT, usage=Usage(input=9), estimated=True)
    free = attempt(tries[2], cost=priced(RICH, free=True), usage=RICH)
    refused = record(tries[5], outcome=Outcome.REFUSED, status=400)
    refused.attempts = []
    race = intent(boot)
    won = attempt(race, project="quick", hedge=True, number=2)
    lost = attempt(race, verdict=Kind.CANCELLED, usage=Usage(input=7), estimated=True)
    ledger.settle(
        conn,
        [
            record(tries[0]),
            record(tries[1], cut, attempt(tries[1], number=2)),
            record(tries[2], free),
            record(tries[3], attempt(tries[3], usage=RICH)),
            record(tries[4], attempt(tries[4], usage=None, verdict=Kind.BROKEN, status=500)),
            refused,
            record(strange),
            record(race, lost, won, answered=2),
        ],
    )
    conn.keep()
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    conn.close()
    return data


def test_a_true_record_is_proven(filled: Path) -> None:
    assert findings(filled) == []


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        ("sum", "UPDATE calls SET input = input + 1 WHERE seq = 1"),
        ("sum", "UPDATE calls SET billed_nano = billed_nano - 1 WHERE seq = 2"),
        ("sum", "UPDATE calls SET list_nano = 0 WHERE seq = 7"),
        ("sum", "UPDATE calls SET estimated_list_nano = 0 WHERE seq = 2"),
        ("sum", "UPDATE calls SET attempts = 2 WHERE seq = 1"),
        ("sum", "DELETE FROM attempts WHERE call_seq = 1"),
        ("sum", "UPDATE attempts SET estimated = 0 WHERE estimated = 1"),
        ("price", "UPDATE attempts SET input = input + 1 WHERE seq = 1"),
        ("price", "UPDATE attempts SET thoughts = 0 WHERE seq = 1"),
        (
            "price",
            "UPDATE attempts SET input_nano = input_nano - 5, output_nano = output_nano + 5 WHERE seq = 1",
        ),
        ("price", "UPDATE attempts SET searches = searches + 1 WHERE searches > 0"),
        ("price", "UPDATE charges SET quantity = quantity - 1 WHERE position = 0"),
        ("price", "UPDATE details SET tokens = tokens - 1"),
        ("price", "UPDATE prices SET body = replace(body, '300000000', '300000001')"),
        ("price", "UPDATE prices SET body = 'nonsense'"),
        ("money", "UPDATE attempts SET list_nano = list_nano + 1 WHERE seq = 1"),
        ("money", "UPDATE attempts SET billed_nano = 1 WHERE seq = 1"),
        ("money", "UPDATE attempts SET price_id = NULL WHERE seq = 1"),
        ("money", "UPDATE attempts SET list_nano = 0, billed_nano = 0 WHERE list_nano IS NULL"),
        ("money", "DELETE FROM charges"),
        ("link", "UPDATE calls SET outcome_id = 99 WHERE seq = 1"),
        ("link", "DELETE FROM prices"),
        ("link", "UPDATE calls SET key_id = 99 WHERE seq = 1"),
        ("link", "INSERT INTO call_tags(call_seq, tag_id) VALUES(99, 1)"),
        ("link", "INSERT INTO budget_spends(budget_id, slot, spent) VALUES(99, 0, 1)"),
        ("link", "DELETE FROM calls WHERE seq = 3"),
        (
            "sum",
            "UPDATE calls SET list_nano = (SELECT list_nano FROM attempts WHERE hedge) WHERE answered = 2",
        ),
        ("sum", "DELETE FROM attempts WHERE hedge"),
        ("try", "DELETE FROM attempts WHERE hedge"),
        ("try", "UPDATE attempts SET number = 0 WHERE number = 1"),
        ("try", "UPDATE attempts SET hedge = 1 - hedge WHERE call_seq = 8"),
        ("try", "UPDATE attempts SET waited = -1 WHERE seq = 1"),
        ("try", "UPDATE calls SET answered = 3 WHERE seq = 8"),
        ("try", "UPDATE calls SET answered = 1 WHERE seq = 8"),
        ("time", "UPDATE calls SET duration = -1 WHERE seq = 1"),
        ("time", "UPDATE calls SET first_byte = duration + 1 WHERE seq = 1"),
        ("time", "UPDATE calls SET received_at = received_at * 2 WHERE seq = 1"),
    ],
)
def test_a_change_by_hand_is_found(filled: Path, kind: str, sql: str) -> None:
    change(filled, sql)
    found = findings(filled)
    assert kind in {one.kind for one in found}, found


def test_a_damaged_page_is_found(filled: Path) -> None:
    with (filled / FILE).open("r+b") as file:
        size = file.seek(0, 2)
        for page in range(4096 * 3, size, 4096):
            file.seek(page)
            file.write(b"\xff" * 64)
    assert "integrity" in {one.kind for one in findings(filled)}


def test_what_is_left_open_is_found(filled: Path) -> None:
    conn = connection.writer(filled / FILE)
    conn.execute("BEGIN IMMEDIATE")
    settled = conn.execute("SELECT call_id FROM calls WHERE seq = 1").fetchone()[0]
    ledger.open_tries(conn, [intent(identity()), intent(identity(), call_id=settled)])
    conn.keep()
    conn.close()
    assert sorted(one.what.split()[0] for one in findings(filled) if one.kind == "open") == ["is", "was"]


def test_a_spill_that_waits_is_found(filled: Path) -> None:
    boot = identity()
    left = spill.Spill(spill.path_of(filled, boot), sync=False)
    left.append([operations.encode(ledger.settle, record(intent(boot)))])
    left.close()
    assert [one.kind for one in findings(filled)] == ["spill"]


def test_an_older_book_still_proves_what_it_priced(filled: Path) -> None:
    conn = connection.writer(filled / FILE)
    conn.execute("BEGIN IMMEDIATE")
    before = prices.at(conn, START)
    assert [one.id for one in before] == ["gemini-sample@standard"]
    row = {"id": "gemini-sample@standard", "tier": "standard", "input": 7}
    book = BOOK.overlay(msgspec.json.encode({"models": [{"id": "gemini-sample", "rows": [row]}]}))
    assert prices.sync(conn, book.in_force(START), "dearer", START + 1) == 1
    assert prices.sync(conn, book.in_force(START), "dearer", START + 2) == 0
    assert prices.at(conn, START)[0].rates.input == 7
    dear = conn.names.prices["gemini-sample@standard"]
    prices.sync(conn, BOOK.in_force(START), "the old one again", START + 3)
    assert conn.names.prices["gemini-sample@standard"] < dear
    assert prices.at(conn, START) == before
    conn.keep()
    conn.close()
    assert findings(filled) == []


def test_a_copy_of_the_file_is_as_good(filled: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy"
    other.mkdir()
    shutil.copy(filled / FILE, other / FILE)
    assert findings(other) == []
