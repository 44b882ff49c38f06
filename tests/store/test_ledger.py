"""The ledger's laws: one row per call however often it is told, sums made of attempts, nothing from outside fails."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from sampled import (
    MODEL,
    PLAIN,
    RICH,
    START,
    ask,
    assumed,
    attempt,
    findings,
    identity,
    intent,
    priced,
    record,
)

from gemgate.core import access, fingerprint
from gemgate.core.call import Attempt, Charged, Cost, Event, Intent, Kept, Made, Outcome, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import boots, columns, interrupted, ledger, names, reports, schema
from gemgate.store.connection import Connection


def test_an_open_try_is_closed_by_its_record(conn: Connection) -> None:
    one = intent(identity())
    ledger.open_tries(conn, [one])
    assert conn.execute("SELECT call_id, attempt FROM open_calls").fetchall() == [(one.call_id, 1)]
    ledger.settle(conn, [record(one)])
    assert conn.execute("SELECT count(*) FROM open_calls").fetchone() == (0,)
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.model, row.project, row.outcome, row.status, row.finish) == (
        MODEL,
        "default",
        "ok",
        200,
        "STOP",
    )
    assert (row.input, row.cached, row.output, row.thoughts) == (1_200, 200, 340, 77)
    assert row.list_nano == row.billed_nano == priced(PLAIN).total


def test_a_record_told_twice_is_one_row(conn: Connection) -> None:
    tries = [intent(identity()) for _ in range(40)]
    records = [record(one) for one in tries]
    ledger.settle(conn, records[:25])
    ledger.open_tries(conn, tries)
    ledger.settle(conn, records)
    ledger.settle(conn, records[::-1])
    assert conn.execute("SELECT count(*), count(DISTINCT call_id) FROM calls").fetchone() == (40, 40)
    assert conn.execute("SELECT count(*), count(DISTINCT call_seq) FROM attempts").fetchone() == (40, 40)
    assert conn.execute("SELECT count(*) FROM open_calls").fetchone() == (0,)
    order = [call_id for (call_id,) in conn.execute("SELECT call_id FROM calls ORDER BY seq")]
    assert order == [one.call_id for one in records]


def test_a_record_twice_in_one_batch_is_one_row_with_its_own_attempts(conn: Connection) -> None:
    one, other = record(intent(identity())), record(intent(identity()))
    ledger.settle(conn, [one, one, other])
    rows = conn.execute("SELECT c.call_id FROM calls c JOIN attempts a ON a.call_seq = c.seq ORDER BY c.seq")
    assert [call_id for (call_id,) in rows] == [one.call_id, other.call_id]


def test_sums_are_those_of_the_attempts(conn: Connection, data: Path) -> None:
    one = intent(identity())
    cut = attempt(one, verdict=Kind.CUT, usage=Usage(input=10, output=3), estimated=True)
    good = attempt(msgspec.structs.replace(one, attempt=2), usage=RICH, number=2)
    ledger.settle(conn, [record(one, cut, good)])
    conn.keep()
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.attempts, row.input, row.output, row.tool, row.estimated) == (2, 910, 13, 5, 13)
    assert cut.cost is not None
    assert good.cost is not None
    assert row.list_nano == (cut.cost.total or 0) + (good.cost.total or 0)
    assert row.estimated_list_nano == cut.cost.total
    tries = reports.attempts(conn, row.seq)
    assert [charge.kind for charge in tries[1].charges] == ["audio_input", "search"]
    assert tries[1].details == RICH.details
    assert tries[1].price == "gemini-sample@standard"
    assert findings(data) == []


def test_one_unpriced_attempt_makes_the_call_unpriced(conn: Connection) -> None:
    one = intent(identity(), model="gemini-unknown")
    ledger.settle(conn, [record(one, attempt(one), attempt(one, number=2, usage=None))])
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.list_nano, row.billed_nano, row.input) == (None, None, 1_200)
    assert [one.list_nano for one in reports.attempts(conn, row.seq)] == [None, 0]


def test_tokens_without_a_cost_are_unpriced_not_free(conn: Connection) -> None:
    one = intent(identity())
    ledger.settle(conn, [record(one, attempt(one, cost=None))])
    assert reports.newest(conn, reports.Filter())[0].list_nano is None


def test_a_call_refused_before_any_try_has_a_row(conn: Connection, data: Path) -> None:
    one = record(intent(identity()), outcome=Outcome.REFUSED, status=400, reason="malformed")
    one.attempts = []
    ledger.settle(conn, [one])
    conn.keep()
    row = reports.newest(conn, reports.Filter(outcome="refused"))[0]
    assert (row.attempts, row.project, row.list_nano, row.reason) == (0, "", 0, "malformed")
    assert findings(data) == []


def test_a_call_that_moved_on_keeps_what_its_first_try_met(conn: Connection, data: Path) -> None:
    boot = identity()
    first = intent(boot)
    second = msgspec.structs.replace(first, attempt=2, project="other", sent_at=first.sent_at + 500)
    met = attempt(first, verdict=Kind.BUSY, status=503, usage=None, reason="overloaded")
    ledger.open_tries(conn, [first])
    ledger.next_try(conn, [ledger.NextTry(finished=met, opened=second)])
    assert interrupted.close_dead(conn, {boot: first.received_at + 2_000}, assumed) == 1
    conn.keep()
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.outcome, row.attempts, row.duration, row.project) == ("interrupted", 2, 2_000, "other")
    busy, lost = reports.attempts(conn, row.seq)
    assert (busy.verdict, busy.reason, busy.status, busy.estimated) == ("busy", "overloaded", 503, False)
    assert (lost.verdict, lost.reason, lost.estimated, lost.input) == ("cut", "interrupted", True, 321)
    assert row.estimated_list_nano == priced(Usage(input=321)).total
    assert findings(data) == []


def test_a_call_that_died_keeps_its_route_its_reasons_and_its_waiting(conn: Connection, data: Path) -> None:
    first = intent(identity(), route="fast", why="first choice", waited=30)
    second = msgspec.structs.replace(first, attempt=2, why="hedge", waited=4, hedge=True)
    ledger.open_tries(conn, [first])
    ledger.open_tries(conn, [second])
    assert interrupted.close_dead(conn, {first.boot: first.received_at + 90}, assumed) == 1
    conn.keep()
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.route, row.waited, row.attempts) == ("fast", 34, 2)
    assert [(one.why, one.waited, one.hedge) for one in reports.attempts(conn, row.seq)] == [
        ("first choice", 30, False),
        ("hedge", 4, True),
    ]
    assert findings(data) == []


def test_the_call_shows_the_try_that_answered_it(conn: Connection, data: Path) -> None:
    one = intent(identity())
    won = attempt(one, model_served="served", tier_served="flex")
    lost = attempt(one, number=2, project="other", verdict=Kind.CANCELLED, hedge=True, estimated=True)
    for answered, project, served, tier in (
        (1, "default", "served", "flex"),
        (2, "other", MODEL, "standard"),
        (0, "other", MODEL, "standard"),
    ):
        told = record(one, won, lost, answered=answered, call_id=identity())
        ledger.settle(conn, [told])
        row = reports.newest(conn, reports.Filter())[0]
        assert (row.answered, row.project, row.model_served, row.tier_served) == (
            answered,
            project,
            served,
            tier,
        )
        assert row.list_nano == 2 * (priced(PLAIN).total or 0)
        assert row.estimated_list_nano == priced(PLAIN).total
    conn.keep()
    assert findings(data) == []


def test_a_lost_try_of_a_free_method_has_no_tokens(conn: Connection, data: Path) -> None:
    dead = identity()
    ledger.open_tries(conn, [intent(dead, method="countTokens")])
    assert interrupted.close_dead(conn, {dead: 0}, lambda intent, usage: Cost()) == 1
    conn.keep()
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.outcome, row.input, row.estimated, row.list_nano) == ("interrupted", 0, 0, 0)
    assert findings(data) == []


def test_only_the_dead_are_closed_and_only_once(conn: Connection) -> None:
    dead, living = identity(), identity()
    lost = [intent(dead) for _ in range(5)]
    ledger.open_tries(conn, [*lost, intent(living)])
    assert interrupted.close_dead(conn, {dead: 0}, assumed) == 5
    assert interrupted.close_dead(conn, {dead: 0}, assumed) == 0
    assert conn.execute("SELECT count(*) FROM calls").fetchone() == (5,)
    assert conn.execute("SELECT count(*) FROM open_calls").fetchone() == (1,)


def test_a_settled_call_is_never_called_interrupted(conn: Connection) -> None:
    dead = identity()
    one = intent(dead)
    ledger.settle(conn, [record(one)])
    ledger.open_tries(conn, [one])  # a spill file moved a second time
    interrupted.close_dead(conn, {dead: 0}, assumed)
    assert conn.execute("SELECT o.name FROM calls JOIN outcomes o ON o.id = outcome_id").fetchall() == [
        ("ok",)
    ]
    assert conn.execute("SELECT count(*) FROM open_calls").fetchone() == (0,)


def test_absurd_numbers_and_texts_are_held_within_bounds(conn: Connection) -> None:
    one = intent(identity(), model="x" * 5_000, client="\ud800\x1b[2J\n")
    wild = Usage(input=2**70, output=-5, thoughts=2**63)
    cost = Cost(input=2**80, total=2**80, billed=2**80, price="none")
    ledger.settle(conn, [record(one, attempt(one, usage=wild, cost=cost, message="m\x00" * 4_000))])
    row = reports.newest(conn, reports.Filter())[0]
    assert (row.input, row.output, row.list_nano) == (2**63 - 1, 0, None)
    assert len(row.model) == 200
    assert row.client.isprintable()
    assert len(reports.attempts(conn, row.seq)[0].message) == 1_000


def test_a_credential_that_stands_where_a_name_belongs_is_not_kept(conn: Connection) -> None:
    token = access.mint(bytes(range(32)))
    one = intent(identity(), model=f"{'x' * 180}{token}", client=token, user=f"ann {token}")
    row = record(one, attempt(one), user=one.user, tags=(f"a:{token}",))
    ledger.open_tries(conn, [one])
    ledger.settle(conn, [row])
    kept = [
        text
        for table in ("models", "clients", "users", "tags")
        for (text,) in conn.execute(f"SELECT name FROM {table}")
    ]
    assert sum(fingerprint.REDACTED in text for text in kept) == 4
    assert access.PREFIX not in "".join(kept)


def test_a_dimension_takes_so_many_names_and_no_more(conn: Connection) -> None:
    few = names.Dimension(conn, "clients", most=3)
    numbers = {few[f"client-{place}"] for place in range(50)}
    stored = [name for (name,) in conn.execute("SELECT name FROM clients ORDER BY id")]
    assert stored == ["client-0", "client-1", "client-2", names.OTHER]
    assert len(numbers) == 4
    assert len(few) <= 5  # nor do hostile names stay in memory


def test_names_of_a_transaction_that_failed_are_forgotten(conn: Connection) -> None:
    number = conn.names.models["fleeting"]
    conn.forget()
    conn.execute("BEGIN IMMEDIATE")
    assert conn.names.models["other"] == number
    assert conn.names.models["fleeting"] != number


def test_the_ledger_writes_the_columns_of_the_schema() -> None:
    from_ledger = {
        "open_calls": ledger.INSERT_OPEN,
        "calls": ledger.INSERT_CALL,
        "attempts": ledger.INSERT_ATTEMPT,
        "charges": ledger.INSERT_CHARGE,
        "details": ledger.INSERT_DETAIL,
        "prefixes": ledger.INSERT_PREFIX,
        "call_tags": ledger.INSERT_CALL_TAG,
        "budget_spends": columns.ADD_SPENDS,
    }
    for table, insert in from_ledger.items():
        of_schema = ",".join(column.name for column in schema.metadata.tables[table].columns)
        assert insert.one.startswith(f"INSERT INTO {table}({of_schema}) VALUES")


def test_what_is_stored_of_a_call_is_all_that_was_told(conn: Connection) -> None:
    """No field of Record or Attempt is forgotten by the ledger: each one changed changes some row."""

    def rows(value: Record) -> list[object]:
        tables = ("calls", "attempts", "charges", "details", "prefixes", "affinities", "call_tags")
        tables += ("budget_spends", "signatures", "events")
        for table in reversed(tables):
            conn.execute(f"DELETE FROM {table}")
        ledger.settle(conn, [value])
        return [conn.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

    base = intent(identity())
    plain = rows(record(base))
    other: dict[type, object] = {int: 7, str: "finer", bool: True, bytes: b"\x01" * 16}
    for struct, make in (
        (Record, lambda change: record(base, **change)),
        (Attempt, lambda change: record(base, attempt(base, **change))),
    ):
        for field in struct.__struct_fields__:
            value = getattr(record(base) if struct is Record else attempt(base), field)
            if type(value) in other:
                assert rows(make({field: other[type(value)]})) != plain, field
    made = Made("files/a", "one")
    shown = rows(record(base, made=(made,)))
    assert shown != plain
    for field in Made.__struct_fields__:
        change = {field: 7 if field == "expires_at" else MODEL}
        assert rows(record(base, made=(msgspec.structs.replace(made, **change),))) != shown, change
    for field, value in (
        ("tags", ("a",)),
        ("charged", (Charged(1, START, 1),)),
        ("kept", (Kept("a", b"b", 1),)),
        ("events", (Event(1, "a", "b", "c"),)),
    ):
        assert rows(record(base, **{field: value})) != plain, field
    sequences = {"attempts", "made", "tags", "charged", "kept", "events"}
    assert sequences == {
        field for field in Record.__struct_fields__ if isinstance(getattr(record(base), field), tuple | list)
    }
    assert (
        len(set(map(str, (rows(record(base, tags=tags)) for tags in ((), ("a",), ("a", "b"), ("c",)))))) == 4
    )


def test_what_is_stored_of_a_try_under_way_is_all_that_was_told(conn: Connection) -> None:
    def row(of: Intent) -> object:
        conn.execute("DELETE FROM open_calls")
        ledger.open_tries(conn, [of])
        return conn.execute("SELECT * FROM open_calls").fetchall()

    base = intent(identity())
    plain = row(base)
    other: dict[type, object] = {int: 7, str: "finer", bool: True, bytes: b"\x01" * 16}
    for field in Intent.__struct_fields__:
        value = other.get(type(getattr(base, field)))
        if field == "tags":
            value = ("a",)
        if field == "held":
            value = (Charged(1, 2, 3),)
        if field != "streaming":
            assert row(msgspec.structs.replace(base, **{field: value})) != plain, field


@pytest.mark.parametrize("count", [1, 15, 16, 17, 50])
def test_blocks_of_rows_keep_order_and_number(conn: Connection, count: int) -> None:
    tries = [intent(identity()) for _ in range(count)]
    ledger.open_tries(conn, tries)
    ledger.settle(conn, [record(one) for one in tries])
    found = [call_id for (call_id,) in conn.execute("SELECT call_id FROM calls ORDER BY seq")]
    assert found == [one.call_id for one in tries]
    assert conn.execute("SELECT count(*) FROM open_calls").fetchone() == (0,)


def test_boots_tell_the_living_from_the_dead(data: Path, conn: Connection) -> None:
    dead, living = boots.begin(data, identity()), boots.begin(data, identity())
    ended = boots.begin(data, identity())
    for boot in (dead, living, ended):
        boots.register(conn, boot.id, "here", "1", boot.started)
    boots.end(conn, ended.id, 5)
    dead.release()
    ended.release()
    found = boots.find_dead(conn, data)
    assert list(found) == [dead.id]
    assert found[dead.id] > 0
    interrupted.close_dead(conn, found, assumed)
    assert boots.find_dead(conn, data) == {}
    boots.sweep(data, set(found))
    assert {path.stem for path in (data / "boots").glob("*.lock")} == {living.id.hex(), ended.id.hex()}
    living.release()


def test_the_log_for_people_reads_like_one(conn: Connection, data: Path) -> None:
    ledger.settle(conn, [record(intent(identity()))])
    conn.keep()
    rows = ask(data, "SELECT received, model, outcome, list_dollars FROM call_log")
    assert rows == [("2026-11-18T11:06:40.000000Z", MODEL, "ok", (priced(PLAIN).total or 0) / 1e9)]
