"""A span priced anew: each try by the book of now, all sums with it, whatever came in between; the rest untouched."""

from __future__ import annotations

import contextlib
import datetime
import json
import random
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from keyed import key
from sampled import BOOK, MODEL, PLAIN, RICH, attempt, identity, intent, record
from summed import BASE, DAY, MIXED, check

from gemgate.config import Settings
from gemgate.config.settings import PricesSettings, Project
from gemgate.core import pacific
from gemgate.core.call import Cost, Outcome, Record
from gemgate.core.pricing import PriceBook, cost
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.jobs import reprice as job
from gemgate.jobs.context import Context
from gemgate.store import (
    audit,
    connection,
    folding,
    jobs,
    ledger,
    prices,
    reprice_sums,
    rollups,
    stored_prices,
    uses,
    verify,
)
from gemgate.store.connection import Connection
from gemgate.store.database import FILE

NOW = BASE + 3 * DAY
OTHER = "gemini-other"
FREE = "gratis"
_TURN = pacific.day_of(BASE + DAY)


def _row(name: str, rate: int, **more: Any) -> dict[str, Any]:
    # Cached tokens are cheaper by as much as in the tests' own book: ``summed`` counts on it.
    return {
        "id": name,
        "tier": "standard",
        "input": rate + 270_000_000,
        "input_audio": rate + 970_000_000,
        "cached": rate,
        "output": rate * 9,
        **more,
    }


NEW = {
    "models": [
        {
            "id": MODEL,
            "grounding": {"search": 15_000_000, "per": "query"},
            "rows": [
                _row("early", 50_000_000, until=_TURN.isoformat()),
                _row("late", 70_000_000, **{"from": _TURN.isoformat()}),
                _row("late-batch", 10_000_000, tier="batch"),
            ],
        },
        {"id": OTHER, "rows": [_row("other", 90_000_000)]},
    ]
}


def calls(chance: random.Random, count: int) -> list[Record]:
    """Calls with true money by the tests' book: paid, free, unknown, estimated, raced, of no generating method."""
    return [_call(chance, BASE + chance.randrange(3 * DAY)) for _ in range(count)]


def _call(chance: random.Random, at: int) -> Record:
    pick = chance.choice
    one = intent(identity(), received_at=at, method=pick(("models.generateContent", "models.countTokens")))
    tries = []
    for number in range(1, pick((0, 1, 1, 2, 3)) + 1):
        usage = None
        if one.method == "models.generateContent":
            usage = pick((None, PLAIN, RICH, MIXED, Usage(input=400_000, output=3)))
        model, project = pick((MODEL, MODEL, OTHER)), pick(("paid", FREE))
        sent = at + number * 1_000_000
        there = msgspec.structs.replace(one, attempt=number, sent_at=sent, model=model, project=project)
        tries.append(
            attempt(
                there,
                usage=usage,
                cost=cost(BOOK.price(model, "standard", at), usage, free=project == FREE)
                if usage is not None
                else Cost(),
                verdict=pick((Kind.OK, Kind.CUT)),
                estimated=pick((False, True)),
                hedge=number == 2 and pick((False, True)),
            )
        )
    made = record(
        one, outcome=pick((Outcome.OK, Outcome.FAILED)), tags=tuple(chance.sample("xyz", pick((0, 2))))
    )
    return msgspec.structs.replace(made, attempts=tries)


@pytest.fixture
def settings(data: Path) -> Settings:
    file = data / "prices.json"
    file.write_text(json.dumps(NEW), encoding="utf-8")
    projects = (Project(FREE, "free", ()), Project("paid", "tier1", ()))
    return Settings(data=data, projects=projects, prices=PricesSettings(file))


@contextlib.contextmanager
def opened(settings: Settings) -> Any:
    with contextlib.closing(connection.visitor(settings.data / FILE)) as conn:
        yield conn


def written(conn: Connection, work: Any) -> Any:
    conn.execute("BEGIN IMMEDIATE")
    found = work(conn)
    conn.keep()
    return found


def ask(conn: Connection, **more: Any) -> int:
    """Queue a re-pricing of everything; returns its number."""
    asked = job.Asked(**{"since": BASE, "until": NOW, **more})
    found = written(conn, lambda inside: jobs.create(inside, job.KIND, "me", msgspec.to_builtins(asked), NOW))
    return int(found)


def proven(conn: Connection) -> None:
    """The record proves itself, and all that is summed is the sum of its rows."""
    assert verify.verify(conn, None, NOW) == []
    check(conn, rollups.marks(conn))


def fold(conn: Connection, chance: random.Random) -> None:
    """Bring some of the sums forward, each as far as it happens."""
    folder = rollups.Folder(conn, quick=True)
    for name in ("thin", "cells", "pairs.0", "pairs.5"):
        if chance.random() < 0.7:
            folder._size[name] = chance.randint(1, 40)
            folder.advance(name, BASE)


def money(conn: Connection) -> dict[tuple[bytes, int], tuple[Any, ...]]:
    """What every try costs, by its call and number."""
    sql = (
        "SELECT c.call_id, a.number, a.list_nano, a.billed_nano, a.estimated FROM attempts AS a"
        " JOIN calls AS c ON c.seq = a.call_seq"
    )
    return {(call, number): rest for call, number, *rest in conn.execute(sql)}


def expected(records: list[Record], book: PriceBook) -> dict[tuple[bytes, int], list[Any]]:
    """The same, as the book has it."""
    found = {}
    for one in records:
        for each in one.attempts:
            made = each.cost or Cost()
            if each.usage is not None:
                price = book.price(each.model, "standard", each.sent_at)
                made = cost(price, each.usage, free=each.project == FREE)
            found[one.call_id, each.number] = [made.total, made.billed, int(each.estimated)]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_each_try_costs_what_the_book_of_now_says_and_all_sums_follow(settings: Settings, seed: int) -> None:
    chance = random.Random(seed)
    records = calls(chance, 60)
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, records))
        fold(conn, chance)
        proven(conn)
        before = money(conn)
        assert before == expected(records, BOOK)

        dry = ask(conn, dry_run=True)
        told = job.run(Context(settings))
        assert "would get" in told
        assert money(conn) == before
        proven(conn)

        wet = ask(conn)
        assert "got another price" in job.run(Context(settings))
        book = stored_prices.in_force(conn, settings.prices.file)
        assert money(conn) == expected(records, book) != before
        proven(conn)
        first, second = jobs.find(conn, job.KIND, dry), jobs.find(conn, job.KIND, wet)
        assert first is not None
        assert second is not None
        assert first.result["models"] == second.result["models"]
        assert (first.state, second.state, second.done, second.total) == ("done", "done", 60, 60)
        totals = msgspec.convert(second.result, job.Result).sums()
        for sums, of in zip(totals, (before, money(conn)), strict=True):
            assert sums.billed_nano == sum(row[1] or 0 for row in of.values())
        (entry,) = audit.listing(conn)
        assert (entry.actor, entry.after) == ("me", msgspec.to_builtins(totals[1]))

        ask(conn)
        assert job.run(Context(settings)).startswith("Re-pricing 3: 0 of ")


def test_a_death_in_any_slice_leaves_a_whole_record_and_the_next_run_finishes(settings: Settings) -> None:
    records = sorted(calls(random.Random(9), 20), key=lambda one: one.received_at)
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, records))
        fold(conn, random.Random(9))
        number = ask(conn)
        old, new = (
            expected(records, BOOK),
            expected(records, stored_prices.in_force(conn, settings.prices.file)),
        )
        # ``records`` are in the order of their coming, and their seq.
        changing = [
            seq
            for seq, one in enumerate(records, 1)
            if any(old[one.call_id, each.number] != new[one.call_id, each.number] for each in one.attempts)
        ]
        assert len(changing) > 6
        for seq in changing[1::2]:
            # The last thing that is written of a call's money takes its whole slice back.
            conn.execute(
                f"CREATE TRIGGER death AFTER UPDATE OF list_nano ON calls WHEN NEW.seq = {seq}"
                " BEGIN SELECT RAISE(ROLLBACK, 'dead'); END"
            )
            with pytest.raises(sqlite3.IntegrityError, match="dead"):
                job.run(Context(settings))
            conn.execute("DROP TRIGGER death")
            proven(conn)
        job.run(Context(settings))
        found = jobs.find(conn, job.KIND, number)
        assert found is not None
        assert (found.state, found.done) == ("done", 20)
        proven(conn)
        assert money(conn) == new
        sums = msgspec.convert(found.result, job.Result).sums()
        assert sums[1].billed_nano == sum(row[1] or 0 for row in money(conn).values())


def test_a_stopping_console_leaves_it_to_the_next(settings: Settings) -> None:
    stopping = threading.Event()
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, calls(random.Random(3), 5)))
        number = ask(conn)
        stopping.set()
        assert "goes on" in job.run(Context(settings, stopping))
        found = jobs.find(conn, job.KIND, number)
        assert found is not None
        assert (found.state, found.done) == ("running", 0)
        job.run(Context(settings))
        proven(conn)


class Pauses(threading.Event):
    """Calls ``work`` in one of the pauses between two writes."""

    def __init__(self, place: int, work: Any) -> None:
        super().__init__()
        self._left = place
        self._work = work

    def wait(self, timeout: float | None = None) -> bool:
        """Count, and pause not at all."""
        self._left -= 1
        if self._left == 0:
            self._work()
        return False


def test_a_cancelled_one_stops_where_it_is(settings: Settings) -> None:
    records = calls(random.Random(4), 40)
    with opened(settings) as conn, opened(settings) as other:
        written(conn, lambda inside: ledger.settle(inside, records))
        number = ask(conn)
        then: list[Any] = []

        def cancel() -> None:
            """Somebody cancels it while it pauses."""
            written(other, lambda inside: jobs.end(inside, number, "cancelled", NOW))
            then.append(money(other))

        assert job.run(Context(settings, Pauses(4, cancel))) == f"Re-pricing {number} was cancelled."
        assert [money(conn)] == then
        assert money(conn) != expected(records, BOOK)
        assert money(conn) != expected(records, stored_prices.in_force(conn, settings.prices.file))
        proven(conn)


def test_only_tries_that_are_priced_as_the_model_are_looked_at(settings: Settings) -> None:
    records = calls(random.Random(5), 40)
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, records))
        number = ask(conn, model=f"models/{OTHER}")
        job.run(Context(settings))
        found = jobs.find(conn, job.KIND, number)
        assert found is not None
        assert set(found.result["models"]) == {OTHER}
        old, new = (
            expected(records, BOOK),
            expected(records, stored_prices.in_force(conn, settings.prices.file)),
        )
        models = {(one.call_id, each.number): each.model for one in records for each in one.attempts}
        assert money(conn) == {place: (new if models[place] == OTHER else old)[place] for place in old}
        proven(conn)


def test_only_calls_of_the_span_are_looked_at(settings: Settings) -> None:
    records = calls(random.Random(6), 40)
    since, until = BASE + DAY // 2, BASE + 2 * DAY
    inside_ = {one.call_id for one in records if since <= one.received_at < until}
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, records))
        number = ask(conn, since=since, until=until)
        job.run(Context(settings))
        old, new = (
            expected(records, BOOK),
            expected(records, stored_prices.in_force(conn, settings.prices.file)),
        )
        assert money(conn) == {place: (new if place[0] in inside_ else old)[place] for place in old}
        found = jobs.find(conn, job.KIND, number)
        assert found is not None
        assert found.done == found.total == len(inside_)


def test_a_stored_price_counts_and_the_book_in_force_stays_the_gateways(settings: Settings) -> None:
    one = intent(identity(), received_at=NOW - DAY, sent_at=NOW - DAY, method="models.generateContent")
    settled = record(one, attempt(one, project="paid"))
    first = (datetime.date.fromtimestamp(BASE / 1e6) - datetime.timedelta(days=30)).isoformat()
    row = {"model": MODEL, "tier": "standard", "from": first, "until": None, "input": 10**9, "output": 10**9}
    row["cached"] = 10**8
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, [settled]))
        stored = written(conn, lambda inside: stored_prices.add(inside, row, NOW))
        in_force = [price.id for price in prices.at(conn, NOW)]
        ask(conn)
        job.run(Context(settings))
        assert [row[:2] for row in money(conn).values()] == [[1_437_000, 1_437_000]]
        assert [price.id for price in prices.at(conn, NOW)] == in_force
        assert stored["id"] == "stored/1"
        proven(conn)


def test_a_lost_try_is_priced_by_the_tier_that_its_call_asked_for(settings: Settings) -> None:
    one = intent(identity(), received_at=NOW - DAY, sent_at=NOW - DAY, method="models.generateContent")
    lost = attempt(
        one,
        verdict=Kind.CUT,
        reason="interrupted",
        model_served="",
        tier_served="",
        estimated=True,
        usage=Usage(input=1_000_000),
        cost=Cost(total=None, billed=None),
        project="paid",
    )
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, [record(one, lost, tier="batch")]))
        ask(conn)
        job.run(Context(settings))
        assert list(money(conn).values()) == [[280_000_000, 280_000_000, 1]]
        sums = conn.execute(
            "SELECT list_nano, estimated_list_nano, estimated_billed_nano FROM calls"
        ).fetchone()
        assert sums == (280_000_000,) * 3
        proven(conn)


def test_what_a_key_has_spent_by_the_hour_follows(settings: Settings) -> None:
    with opened(settings) as conn:
        owner = written(conn, lambda inside: key(inside, "spender"))
        records = [msgspec.structs.replace(one, key=owner.id) for one in calls(random.Random(8), 30)]
        written(conn, lambda inside: ledger.settle(inside, records))
        written(conn, lambda inside: uses.advance_keys(inside, NOW, 17))
        ask(conn)
        job.run(Context(settings))
        should = dict(
            conn.execute(
                "SELECT received_at / 3600000000 * 3600000000, ifnull(sum(billed_nano), 0) FROM calls GROUP BY 1"
            )
        )
        assert {hour: nano for _, hour, nano in uses.rates(conn, BASE)} == should


def test_a_price_file_that_cannot_be_read_fails_the_job_in_words(settings: Settings) -> None:
    assert settings.prices.file is not None
    settings.prices.file.write_text("{", encoding="utf-8")
    with opened(settings) as conn:
        number = ask(conn)
        assert "failed" in job.run(Context(settings))
        found = jobs.find(conn, job.KIND, number)
        assert found is not None
        assert found.state == "failed"
        assert job.run(Context(settings)) == ""


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_price_file_lost_half_way_leaves_what_was_changed_and_its_trace(
    settings: Settings, dry_run: bool
) -> None:
    assert settings.prices.file is not None
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, calls(random.Random(4), 40)))
        number = ask(conn, dry_run=dry_run)
        stopping = Pauses(4, lambda: stopping.set())
        assert "goes on" in job.run(Context(settings, stopping)) or dry_run
        half = jobs.find(conn, job.KIND, number)
        assert half is not None
        settings.prices.file.write_text("{", encoding="utf-8")
        if dry_run:
            written(conn, lambda inside: inside.execute("UPDATE jobs SET state = 'running'"))
        assert "failed" in job.run(Context(settings))
        found = jobs.find(conn, job.KIND, number)
        assert found is not None
        assert (found.state, found.done, found.result) == ("failed", half.done, half.result)
        assert found.result["models"]
        trace = [entry.after for entry in audit.listing(conn)]
        assert trace == (
            [] if dry_run else [msgspec.to_builtins(msgspec.convert(half.result, job.Result).sums()[1])]
        )
        proven(conn)


def test_nothing_is_worked_out_under_the_lock_where_a_mark_lies_within_a_slice(settings: Settings) -> None:
    with opened(settings) as conn:
        written(conn, lambda inside: ledger.settle(inside, calls(random.Random(7), 30)))
        folder = rollups.Folder(conn, quick=True)
        folder.advance("thin", BASE, 11)
        folder.advance("cells", BASE, 19)
        before = folding.of(conn, list(range(5, 30)))
        after = [
            call._replace(tries=tuple(one._replace(billed_nano=7) for one in call.tries)) for call in before
        ]
        moves = reprice_sums.prepare(conn, before, after)
        assert (moves.held["thin"], moves.held["cells"], moves.held["pairs.0"]) == (7, 15, 0)
        said: list[str] = []
        conn.set_trace_callback(said.append)
        written(conn, lambda inside: reprice_sums.apply(inside, moves))
        conn.set_trace_callback(None)
        assert len(said) > 100
        assert [sql for sql in said if sql.lstrip().startswith("SELECT") and "marks" not in sql] == []
        folder.advance("thin", BASE, 12)
        with pytest.raises(reprice_sums.Moved):
            written(conn, lambda inside: reprice_sums.apply(inside, moves))
        conn.forget()


def test_sums_that_go_on_before_a_slice_is_written_are_moved_all_the_same(settings: Settings) -> None:
    records = calls(random.Random(12), 40)
    with opened(settings) as conn, opened(settings) as other:
        written(conn, lambda inside: ledger.settle(inside, records))
        folder = rollups.Folder(other, quick=True)
        number, left, undone, writes = ask(conn), list(rollups.marks(other)), 0, False

        def fold_more(sql: str) -> None:
            """Somebody folds each time when a slice is about to take the lock."""
            nonlocal undone, writes
            if sql == "BEGIN IMMEDIATE" and left:
                folder.advance(left.pop(), BASE)
            undone += writes and sql == "ROLLBACK"
            writes = sql == "BEGIN IMMEDIATE" or (writes and sql not in ("COMMIT", "ROLLBACK"))

        conn.set_trace_callback(fold_more)
        job._Work(Context(settings), conn, number).work()
        conn.set_trace_callback(None)
        assert undone >= 3
        assert money(conn) == expected(records, stored_prices.in_force(conn, settings.prices.file))
        assert any(rollups.marks(conn).values())
        proven(conn)
