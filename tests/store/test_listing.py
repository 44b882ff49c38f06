"""Lists of calls against a plain look at every row: any filters, any order, any page, while calls are recorded."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyed import key
from sampled import PLAIN, RICH, START, attempt, identity, intent, record

from gemgate.core.call import Outcome, Record
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.insight.plan import TooMuch
from gemgate.store import connection, ledger
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.reports.calls import AttemptRow, CallRow, Filter, attempts, newest
from gemgate.store.reports.listing import EVERYDAY, ORDERS, Bounds, Page, Place, page
from gemgate.store.reports.listing_terms import AMOUNTS, Range, Wanted

CALLS = 120
SPACE = 1_000_000
MODELS = ("gemini-sample", "gemini-other", "gemini-third")
NAMED = {
    "model_asked": MODELS[:2],
    "model_served": MODELS,
    "model": (*MODELS, ""),
    "route": ("fast", ""),
    "key": ("alpha", "beta", ""),
    "tag": ("x", "team:b", ""),
    "user": ("ann", ""),
    "project": ("default", "second", ""),
    "method": ("generateContent", "embedContent"),
    "client": ("tests", "curl"),
    "door": ("chat", ""),
    "finish": ("STOP", "MAX_TOKENS", ""),
    "outcome": ("ok", "refused", "failed"),
    "reason": ("overloaded", "budget_spent", ""),
}


def made(chance: random.Random) -> Record:
    """One call of any kind. Calls come out of order and at the same moments too."""
    one = intent(
        identity(),
        received_at=START + chance.randrange(CALLS // 2) * SPACE,
        model=chance.choice(MODELS[:2]),
        method=chance.choice(NAMED["method"]),
        client=chance.choice(NAMED["client"]),
    )
    outcome = chance.choice((Outcome.OK, Outcome.OK, Outcome.OK, Outcome.REFUSED, Outcome.FAILED))
    usage = chance.choice((PLAIN, RICH, Usage(input=chance.randrange(3_000))))
    tries = [
        attempt(
            one,
            number=place + 1,
            model=chance.choice(MODELS),
            model_served=chance.choice(MODELS),
            project=chance.choice(("default", "second")),
            usage=usage,
            estimated=chance.random() < 0.2,
            verdict=chance.choice((Kind.OK, Kind.CUT)),
            response=f"r-{chance.randrange(6)}",
        )
        for place in range(chance.choice((0, 1, 1, 1, 2, 3)))
    ]
    row = record(
        one,
        outcome=outcome,
        status={Outcome.OK: 200, Outcome.REFUSED: chance.choice((400, 402, 429)), Outcome.FAILED: 503}[
            outcome
        ],
        reason="" if outcome is Outcome.OK else chance.choice(("overloaded", "budget_spent")),
        finish=chance.choice(("STOP", "MAX_TOKENS", "")),
        duration=chance.randrange(5) * 1_000,
        first_byte=chance.choice((None, 1_000, 2_000)),
        route=chance.choice(("", "", "fast")),
        user=chance.choice(("", "ann")),
        door=chance.choice(("", "", "chat")),
        key=chance.choice((0, 1, 2)),
        tags=chance.choice(((), (), ("x",), ("x", "team:b"))),
    )
    row.attempts = tries
    row.answered = chance.choice((0, 1)) if tries else 0
    return row


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, blank: Path) -> Iterator[Connection]:
    """A record of all kinds of calls."""
    path = tmp_path_factory.mktemp("listed") / FILE
    shutil.copy(blank, path)
    conn = connection.writer(path)
    conn.execute("BEGIN IMMEDIATE")
    key(conn, "alpha")
    key(conn, "beta")
    chance = random.Random(7)
    ledger.settle(conn, [made(chance) for _ in range(CALLS)])
    conn.keep()
    yield conn
    conn.close()


Told = list[tuple[CallRow, list[AttemptRow]]]


def told(conn: Connection) -> Told:
    """Every call with its tries."""
    return [(row, attempts(conn, row.seq)) for row in newest(conn, Filter(), 10_000)]


def final(row: CallRow, tries: list[AttemptRow]) -> AttemptRow | None:
    """The try whose target is the call's."""
    return next((one for one in tries if one.number == row.answered), tries[-1] if tries else None)


def amount(row: CallRow, of: str) -> int | None:
    """An amount of a call."""
    if of == "output":
        return row.output + row.thoughts
    if of == "tokens":
        return row.input + row.output + row.thoughts + row.tool
    column = {"billed": "billed_nano", "list": "list_nano"}.get(of, of)
    found = getattr(row, column)
    assert found is None or isinstance(found, int)
    return found


def fits(wanted: Wanted, row: CallRow, tries: list[AttemptRow]) -> bool:
    """Whether a call is wanted, in plain words."""
    last = final(row, tries)
    values = {
        **{name: (getattr(row, name, ""),) for name in NAMED},
        "model_asked": (row.model,),
        "model": (last.model if last else "",),
        "tag": row.tags or ("",),
    }
    checks = [bool(set(names) & set(values[name])) for name, names in wanted.names.items()]
    if wanted.start is not None:
        checks.append(row.received_at >= wanted.start)
    if wanted.until is not None:
        checks.append(row.received_at < wanted.until)
    if wanted.status:
        checks.append(any(low <= row.status <= high for low, high in wanted.status))
    for one in wanted.ranges:
        found = amount(row, one.of)
        if one.low is not None:
            checks.append(found is not None and found >= one.low)
        if one.high is not None:
            checks.append(found is not None and found <= one.high)
    if wanted.call or wanted.response:
        by_id = bool(wanted.call) and row.call_id.replace("-", "").startswith(wanted.call)
        checks.append(by_id or any(t.response == wanted.response for t in tries if wanted.response))
    switched = last is not None and (last.model, last.project) != (tries[0].model, tries[0].project)
    for flag, holds in (
        (wanted.unpriced, row.list_nano is None),
        (wanted.estimated, row.estimated > 0),
        (wanted.switched, switched),
    ):
        if flag is not None:
            checks.append(flag is holds)
    return all(checks)


def value(order: str, row: CallRow) -> tuple[int, int]:
    """What a list is ordered by."""
    by = {
        "time": lambda: row.received_at,
        "oldest": lambda: row.received_at,
        "cost": lambda: row.billed_nano,
        "list_cost": lambda: row.list_nano,
        "duration": lambda: row.duration,
        "tokens": lambda: amount(row, "tokens"),
        "first_byte": lambda: row.first_byte,
    }[order]()
    return (-1 if by is None else by, row.seq)


def brute(everything: Told, wanted: Wanted, order: str) -> list[int]:
    """The list as it should be."""
    rows = [row for row, tries in everything if fits(wanted, row, tries)]
    return [row.seq for row in sorted(rows, key=lambda row: value(order, row), reverse=order != "oldest")]


def pages(
    conn: Connection,
    wanted: Wanted,
    order: str,
    limit: int,
    between: Callable[[], None] = lambda: None,
    bounds: Bounds = EVERYDAY,
) -> list[Page]:
    """All pages of a list."""
    found: list[Page] = []
    place: Place | None = None
    while not found or place is not None:
        found.append(page(conn, wanted, order, limit, place, bounds))
        place = found[-1].after
        between()
    return found


def seqs(found: list[Page]) -> list[int]:
    """The calls of all pages."""
    return [row.seq for one in found for row in one.calls]


moments = st.none() | st.integers(-2, CALLS // 2 + 2).map(lambda place: START + place * SPACE)
bounds = st.none() | st.integers(0, 2_500)
wanteds = st.builds(
    Wanted,
    start=moments,
    until=moments,
    names=st.dictionaries(st.sampled_from(sorted(NAMED)), st.just(()), max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries(
            {
                name: st.lists(st.sampled_from((*NAMED[name], "nobody's")), min_size=1, max_size=2).map(tuple)
                for name in chosen
            }
        )
    ),
    status=st.sampled_from(((), (), ((200, 200),), ((400, 499),), ((402, 402), (503, 503)))),
    ranges=st.lists(st.builds(Range, st.sampled_from(sorted(AMOUNTS)), bounds, bounds), max_size=2).map(
        tuple
    ),
    response=st.sampled_from(("", "", "", "r-1")),
    unpriced=st.sampled_from((None, None, True, False)),
    estimated=st.sampled_from((None, None, True, False)),
    switched=st.sampled_from((None, None, True, False)),
)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=wanteds,
    order=st.sampled_from(sorted(ORDERS)),
    limit=st.integers(1, 40),
    gathered=st.sampled_from((0, 20, 10_000)),
    scanned=st.sampled_from((7, 10_000)),
)
def test_a_list_is_what_a_look_at_every_row_gives(
    store: Connection,
    wanted: Wanted,
    order: str,
    limit: int,
    gathered: int,
    scanned: int,
) -> None:
    found = pages(store, wanted, order, limit, bounds=Bounds(gathered=gathered, scanned=scanned))
    assert seqs(found) == brute(told(store), wanted, order)
    for one in found[:-1]:
        assert len(one.calls) == limit or one.scanned_until is not None
    assert found[-1].scanned_until is None


@pytest.mark.parametrize("order", sorted(ORDERS))
@pytest.mark.parametrize("gathered", [0, 10_000])
def test_pages_stay_right_while_calls_are_recorded(conn: Connection, order: str, gathered: int) -> None:
    key(conn, "alpha")
    key(conn, "beta")
    chance = random.Random(order)
    ledger.settle(conn, [made(chance) for _ in range(60)])
    wanted = Wanted(names={"method": ("generateContent",), "client": ("tests", "curl")})
    before = brute(told(conn), wanted, order)
    left = 12

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            ledger.settle(conn, [made(chance) for _ in range(3)])

    found = seqs(pages(conn, wanted, order, 4, arrive, Bounds(gathered=gathered)))
    assert len(found) == len(set(found))
    assert [seq for seq in found if seq in set(before)] == before


def test_a_calls_id_may_be_given_by_its_beginning(store: Connection) -> None:
    everything = told(store)
    digits = everything[5][0].call_id.replace("-", "")
    for length in (4, 13, 18, 32):
        wanted = Wanted(call=digits[:length])
        assert seqs(pages(store, wanted, "time", 7)) == brute(everything, wanted, "time")
    assert seqs(pages(store, Wanted(call=digits, response="r-2"), "time", 7)) == brute(
        everything, Wanted(call=digits, response="r-2"), "time"
    )


def test_what_no_call_can_be_is_an_empty_list(store: Connection) -> None:
    for wanted in (Wanted(names={"key": ("nobody",)}), Wanted(names={"tag": ("nothing",)}), Wanted(until=5)):
        assert page(store, wanted, "time", 5) == Page(calls=[])


def test_an_order_by_an_amount_is_refused_where_too_many_calls_may_be_in_it(store: Connection) -> None:
    few = Bounds(ordered=30)
    with pytest.raises(TooMuch):
        page(store, Wanted(), "cost", 5, bounds=few)
    narrow = Wanted(start=START, until=START + 5 * SPACE)
    assert seqs(pages(store, narrow, "cost", 5, bounds=few)) == brute(told(store), narrow, "cost")
    with pytest.raises(TooMuch):
        page(store, Wanted(names={"method": ("generateContent",)}), "cost", 5, bounds=few)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Wanted(), "ix_calls_received_at"),
        (Wanted(start=START, until=START + 5), "ix_calls_received_at"),
        (Wanted(names={"method": ("embedContent",)}), "ix_calls_received_at"),
        (Wanted(names={"key": ("alpha",)}), "ix_calls_key_id_seq"),
        (Wanted(names={"user": ("ann",)}), "ix_calls_user_id_seq"),
        (Wanted(names={"route": ("fast",)}), "ix_calls_route_id_seq"),
        (Wanted(names={"reason": ("overloaded",)}), "ix_calls_reason_id_seq"),
        (Wanted(names={"outcome": ("failed",)}), "ix_calls_outcome_id_seq"),
        (Wanted(names={"project": ("second",)}), "ix_calls_project_id_seq"),
        (Wanted(names={"model_asked": (MODELS[1],)}), "ix_calls_model_id_seq"),
        (Wanted(names={"tag": ("team:b",)}), "ix_call_tags_tag_id_call_seq"),
        (Wanted(status=((400, 499),)), "ix_calls_status_seq"),
        (Wanted(call="01"), "sqlite_autoindex_calls_1"),
    ],
)
@pytest.mark.parametrize("order", ["time", "duration"])
def test_every_statement_goes_by_an_index(store: Connection, wanted: Wanted, index: str, order: str) -> None:
    if order == "duration" and index == "ix_calls_received_at":
        wanted = msgspec.structs.replace(wanted, start=START, until=START + 50 * SPACE)
    if wanted.call:
        wanted = Wanted(call=told(store)[3][0].call_id.replace("-", ""))
    statements: list[str] = []
    store.set_trace_callback(statements.append)
    page(store, wanted, order, 5)
    store.set_trace_callback(None)
    plans = {
        sql: [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {sql}")]
        for sql in statements
        if sql.startswith("SELECT") and "count(*)" not in sql
    }
    steps = [step for plan in plans.values() for step in plan]
    assert any(index in step for step in steps), steps
    assert not any(step.startswith("SCAN") and "INDEX" not in step and step != "SCAN s" for step in steps), (
        steps
    )
