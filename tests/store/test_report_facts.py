"""Every number over every span is the one that counting the rows gives, however far the sums have come."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
from pathlib import Path

import pytest
import reported
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reported import DAY, END, SECOND

from gemgate.insight import plan, spans
from gemgate.insight.cubes import DIMENSIONS, SETS, Grain
from gemgate.insight.facts import FACTS
from gemgate.insight.sketch import METRICS
from gemgate.store import connection, rollups
from gemgate.store.database import FILE
from gemgate.store.reports import facts, rows
from gemgate.store.reports.facts import Query

COUNT = 300
NOW = END + 20 * SECOND
VALUES = {
    "model": ("gemini-sample", "gemini-other", "", "never seen"),
    "route": ("", "cheap"),
    "key": ("alpha", "", "beta"),
    "project": ("one", "two"),
    "method": ("models.generateContent",),
    "status": ("200", "429", "599"),
    "client": ("python", ""),
    "reason": ("", "quota_minute", "overloaded"),
    "tag": ("red", ""),
}
FOLDED: dict[str, dict[str, int]] = {
    "by the job": {},
    "being emptied": dict.fromkeys(SETS, COUNT // 3),
    "nothing": {},
    "half": dict.fromkeys(SETS, COUNT // 2),
    "everything": dict.fromkeys(SETS, COUNT),
    "thin": {"thin": COUNT - 7},
    "wide": {name: COUNT - 31 for name in SETS if name != "thin"},
    "each elsewhere": {name: 20 + place * 25 for place, name in enumerate(SETS)},
}
Told = tuple[list[reported.Row], list[tuple[int, dict[str, tuple[str, ...]], dict[str, int]]]]


class Stage(tuple[dict[str, sqlite3.Connection], Told]):
    """A record's files by how far their sums are, and what its calls tell. Hypothesis would write it all down."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "stage"


@pytest.fixture(scope="module")
def stage(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """One record with its sums folded to several marks, and what it tells when counted by hand."""
    folder = tmp_path_factory.mktemp("reported")
    chance = random.Random(5)
    conns: dict[str, sqlite3.Connection] = {}
    path = folder / FILE
    path.write_bytes(blank.read_bytes())
    conn = connection.writer(path)
    conn.execute("BEGIN IMMEDIATE")
    numbers = reported.keys(conn)
    made = reported.records(chance, COUNT, numbers)
    reported.fill(conn, made)
    conn.keep()
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    conn.close()
    for name, marks in FOLDED.items():
        copy = folder / f"{name}.db"
        copy.write_bytes(path.read_bytes())
        if name == "by the job":
            with contextlib.closing(connection.visitor(copy)) as visitor:
                folder_of_sums = rollups.Folder(visitor, rest=lambda _: None, quick=True)
                while folder_of_sums.round(tuple(SETS), NOW):
                    pass
        one = sqlite3.connect(copy, isolation_level=None)
        one.execute("BEGIN")
        reported.fold_up(one, marks, NOW)
        if name == "being emptied":
            one.execute("UPDATE marks SET seq = ?", (rollups.EMPTYING,))
        one.execute("COMMIT")
        conns[name] = one
    rows = reported.told(made, numbers)
    measures = []
    for record in made:
        first = next(iter(reported.told([record], numbers)))
        measures.append((record.received_at, first[1], reported.measured(record)))
    return Stage((conns, (rows, measures)))


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Spans that end anywhere, off and on bounds, in any zone and step, with any groups and filters."""
    zone = draw(
        st.sampled_from(("UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Apia", "Europe/Berlin"))
    )
    moments = st.one_of(
        st.integers(END - 13 * DAY, END + DAY),
        st.integers(END - 3 * 3_600 * SECOND, END + 600 * SECOND),
        st.integers(0, 13 * 96).map(lambda quarters: END - END % DAY - quarters * 900 * SECOND),
        st.just(NOW),
    )
    start, until = sorted((draw(moments), draw(moments)))
    until += start == until
    step = draw(st.sampled_from(spans.STEPS))
    span = spans.Span(start, until, zone, step)
    try:
        bounds = tuple(spans.buckets(span))
    except spans.BadAsk:
        bounds = (start, until)
    group = tuple(draw(st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=2)))
    named = draw(st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=2))
    filters = {
        name: tuple(draw(st.lists(st.sampled_from(VALUES[name]), unique=True, min_size=1, max_size=2)))
        for name in named
    }
    return Query(
        start=start,
        until=until,
        now=NOW,
        bounds=bounds,
        dimensions=group,
        filters=filters,
        facts=FACTS,
        sketches=True,
        charges=True,
    )


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries(), folded=st.sampled_from(sorted(FOLDED)))
def test_what_is_found_is_what_the_rows_say(stage: Stage, query: Query, folded: str) -> None:
    conns, (rows, measures) = stage
    found = facts.collect(conns[folded], query)
    should = reported.counted(rows, query.dimensions, query.filters, query.bounds)
    assert found.facts == should
    values: dict[tuple[int, tuple[str, ...]], list[dict[str, int]]] = {}
    for at, names, measured in measures:
        if measured:
            for key in reported.keyed(at, names, query.dimensions, query.filters, query.bounds):
                values.setdefault(key, []).append(measured)
    assert found.sketches == {key: reported.sketched(some) for key, some in values.items()}
    for key, some in values.items():
        for metric in METRICS:
            exact = sorted(value[metric] for value in some if metric in value)
            near = found.sketches[key][metric].quantiles((0.5,))[0]
            if exact:
                middle = exact[-(-len(exact) // 2) - 1]
                assert near is not None
                assert abs(near - middle) <= middle / 128


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries(), folded=st.sampled_from(sorted(FOLDED)))
def test_charges_make_the_other_money(stage: Stage, query: Query, folded: str) -> None:
    conns, _ = stage
    found = facts.collect(conns[folded], query)
    place = FACTS.index("other_nano")
    money = {key: sum(one.nano for one in kinds.values()) for key, kinds in found.charges.items()}
    assert {key: nano for key, nano in money.items() if nano} == {
        key: numbers[place] for key, numbers in found.facts.items() if numbers[place]
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries(), folded=st.sampled_from(sorted(FOLDED)), which=st.integers(0, 5))
def test_some_groups_and_facts_alone_are_those_of_all(
    stage: Stage, query: Query, folded: str, which: int
) -> None:
    conns, _ = stage
    whole = facts.collect(conns[folded], query)
    names = sorted({name for _, name in whole.facts})[which : which + 2]
    if not names:
        return
    wanted = FACTS[which : 3 * which + 2]
    changed = Query(
        **{
            name: getattr(query, name)
            for name in ("start", "until", "now", "bounds", "dimensions", "filters")
        },
        facts=wanted,
        sketches=True,
        only=tuple(names),
    )
    some = facts.collect(conns[folded], changed)
    unasked = [place for place, name in enumerate(FACTS) if name not in wanted]
    should = {}
    for key, numbers in whole.facts.items():
        left = [0 if place in unasked else number for place, number in enumerate(numbers)]
        if key[1] in names and any(left):
            should[key] = left
    assert some.facts == should
    assert some.sketches == {key: one for key, one in whole.sketches.items() if key[1] in names}


def test_a_bucket_never_reads_more_rows_than_its_edges_need(
    stage: Stage,
) -> None:
    conns, _ = stage
    whole = Query(start=END - 10 * DAY, until=NOW, now=NOW, facts=("calls",), dimensions=("model",))
    assert facts.collect(conns["everything"], whole).rows < 5
    # A day's quarter of an hour at most, on either side.
    counts = [
        facts.collect(
            conns["everything"], Query(start=END - day * DAY, until=NOW, now=NOW, facts=("calls",))
        ).rows
        for day in range(1, 9)
    ]
    assert max(counts) < 10


@pytest.mark.parametrize("folded", ["everything", "by the job"])
def test_minutes_that_are_gone_are_not_missed(stage: Stage, folded: str) -> None:
    conns, (rows, _) = stage
    minute = 60 * SECOND
    for at in sorted({at for at, _, counted in rows if "calls" in counted})[::4]:
        for start in (at - at % minute, at, at + 1):
            query = Query(start=start, until=start + 2 * minute, now=NOW, facts=FACTS)
            should = reported.counted(rows, (), {}, (start, start + 2 * minute))
            assert facts.collect(conns[folded], query).facts == should


def test_filters_and_groups_over_tags_by_hand(stage: Stage) -> None:
    conns, (rows, _) = stage
    query = Query(start=END - 20 * DAY, until=NOW, now=NOW, facts=("calls",), dimensions=("tag",))
    found = facts.collect(conns["everything"], query)
    calls = {names: numbers[0] for (_, names), numbers in found.facts.items()}
    by_hand = {
        (tag,): sum(facts.get("calls", 0) for _, names, facts in rows if tag in names["tag"])
        for tag in ("", "red", "green", "blue")
    }
    assert calls == by_hand
    assert sum(calls.values()) > COUNT


def test_too_many_rows_are_refused_before_they_are_read() -> None:
    asked: list[tuple[int, int]] = []

    def count(start: int, until: int, most: int) -> int:
        asked.append((start, until))
        return most

    with pytest.raises(plan.TooMuch, match="shorter span"):
        plan.plan((0, 10), (), count)
    assert asked == [(0, 10)]


def test_rows_above_the_mark_are_bounded_with_those_of_the_edges() -> None:
    layers = [plan.Layer(0, Grain.MINUTE, 1_000)]

    def count(start: int, until: int, most: int) -> int:
        return min(most, 20)

    bounds = (0, 60 * SECOND, 90 * SECOND)
    most = 1_000 + plan.MOST_FOLDED - 20
    assert plan.plan(bounds, layers, count, "", most).rows == plan.MOST_FOLDED
    with pytest.raises(plan.TooMuch):
        plan.plan(bounds, layers, count, "", most + 1)


def test_what_lies_beyond_a_bound_is_counted_no_further_than_the_piece() -> None:
    """A minute of a day would count the whole day otherwise, for each of its minutes."""
    looked = 0

    def count(start: int, until: int, most: int) -> int:
        nonlocal looked
        found = min((until - start) // SECOND, most)
        looked += found
        return found

    minutes = [place * 60 * SECOND for place in range(400, 500)]
    assert plan.plan(minutes, [plan.Layer(0, Grain.DAY, 9)], count).rows == 99 * 60
    assert looked <= 2 * 99 * 60


def test_plans_of_one_answer_count_a_span_once(stage: Stage) -> None:
    conn = stage[0]["nothing"]
    cache = rows.Cache()
    heard: list[str] = []
    conn.set_trace_callback(heard.append)
    counts = [cache.count(conn, END - DAY, END, most) for most in (5, 3, 5, 10_000, 20_000, 7)]
    conn.set_trace_callback(None)
    assert counts[:3] == [5, 3, 5]
    assert counts[3] == counts[4] > counts[5] == 7
    assert len(heard) == 2


def test_an_answer_bounds_what_all_its_plans_read(stage: Stage) -> None:
    conn = stage[0]["nothing"]
    cache = rows.Cache(COUNT)
    whole = Query(start=END - 13 * DAY, until=NOW, now=NOW, facts=("calls",))
    for _ in range(3):  # what is known is not read again
        assert facts.collect(conn, whole, cache).facts[0, ()][0] == COUNT
    with pytest.raises(plan.TooMuch, match="shorter span"):
        facts.collect(conn, Query(start=END - 12 * DAY, until=NOW, now=NOW, facts=("calls",)), cache)


@pytest.mark.parametrize(("folded", "sketches"), [("everything", True), ("nothing", False)])
def test_work_on_rows_ends_with_the_time_of_reading(stage: Stage, folded: str, sketches: bool) -> None:
    name = stage[0][folded].execute("PRAGMA database_list").fetchone()[2]
    query = Query(
        start=END - 2 * DAY,
        until=END + DAY,
        now=NOW,
        facts=("calls",),
        sketches=sketches,
        dimensions=("key",),
    )
    with contextlib.closing(connection.reader(Path(name))) as conn:
        with connection.reading(conn, limit=60):
            assert facts.collect(conn, query).facts
        with connection.reading(conn, limit=0):
            conn.set_progress_handler(None, 0)  # SQLite itself would notice only with many rows
            with pytest.raises(sqlite3.OperationalError) as caught:
                facts.collect(conn, query)
            assert caught.value.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
        connection.in_time(conn)


def test_rows_behind_the_sums_are_refused_with_where_to_look(tmp_path: Path, blank: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(blank.read_bytes())
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("INSERT INTO boots(id, boot, node, pid, version, started) VALUES(1, x'00', '', 0, '', 0)")
    conn.execute("INSERT INTO outcomes(id, name) VALUES(1, 'ok')")
    columns = [row[1] for row in conn.execute("PRAGMA table_info(calls)") if row[3] and row[4] is None]
    fields = [
        name for name in columns if name not in ("seq", "call_id", "received_at", "boot_id", "outcome_id")
    ]
    conn.execute(
        f"INSERT INTO calls(seq, call_id, received_at, boot_id, outcome_id, {', '.join(fields)})"
        f" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {plan.MOST_FOLDED + 1})"
        f" SELECT i, randomblob(16), {END} + i, 1, 1, {', '.join('0' for _ in fields)} FROM n"
    )
    query = Query(start=END, until=END + DAY, now=END + DAY, facts=("calls",))
    with pytest.raises(plan.TooMuch, match="gemgate rollup status"):
        facts.collect(conn, query)
    less = Query(start=END, until=END + 1_000, now=END + DAY, facts=("calls",))
    assert facts.collect(conn, less).facts[0, ()][0] == 999
    conn.close()


@given(
    st.lists(st.integers(0, 400), min_size=2, max_size=6, unique=True).map(sorted),
    st.sampled_from([("day", "hour"), ("hour",), ("day",), ("day", "hour", "quarter", "minute"), ()]),
    st.integers(0, 60),
    st.lists(st.integers(0, 400 * 15), max_size=60),
)
def test_a_plan_counts_each_row_once(
    quarters: list[int], grains: tuple[str, ...], mark: int, ats: list[int]
) -> None:
    """Followed by hand: reaches, tail and edges add up to every row of every bucket."""
    quarter = 900 * SECOND
    bounds = [place * quarter + 7 * SECOND * (place % 3) for place in quarters]
    rows = [(seq, at * 60 * SECOND + seq) for seq, at in enumerate(ats, start=1)]
    layers = [
        plan.Layer(place, Grain[name.upper()], mark, 30 * quarter if name == "minute" else 0)
        for place, name in enumerate(grains)
    ]

    def count(start: int, until: int, most: int) -> int:
        return min(sum(start <= at < until for _, at in rows), most)

    made = plan.plan(bounds, layers, count)
    found: dict[tuple[int, int], int] = {}
    for reach in made.reaches:
        layer = layers[reach.layer]
        assert reach.start % layer.grain.span == 0
        assert reach.until % layer.grain.span == 0
        assert reach.start >= layer.since
        for seq, at in rows:
            if reach.start <= at < reach.until and seq <= layer.mark:
                found[reach.bucket, seq] = found.get((reach.bucket, seq), 0) + 1
    for seq, at in rows:
        bucket = made.tail(at, seq)
        if bucket is not None:
            found[bucket, seq] = found.get((bucket, seq), 0) + 1
        for edge in made.edges:
            if edge.start <= at < edge.until and not (edge.taken_off and seq > edge.mark):
                found[edge.bucket, seq] = found.get((edge.bucket, seq), 0) + (-1 if edge.taken_off else 1)
    should = {
        (bucket, seq): 1
        for bucket, (start, until) in enumerate(itertools.pairwise(bounds))
        for seq, at in rows
        if start <= at < until
    }
    assert {key: times for key, times in found.items() if times} == should
