"""Money, errors and other ways equal plain SQL over the rows, and counting by hand, for questions of every shape."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reported
import staged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reported import DAY, END, SECOND
from staged import NOW, Stage, asks

from gemgate.core.call import Attempt, Outcome, Record
from gemgate.core.remedies import remedy
from gemgate.core.verdict import Kind
from gemgate.insight.facts import FACTS, INDEX
from gemgate.store.reports import costs, errors, fallbacks
from gemgate.store.reports.asked import Ask
from gemgate.store.reports.costs import Costs
from gemgate.store.reports.errors import Errors
from gemgate.store.reports.failed import failures

COUNT = 200
HOUR = 3_600 * SECOND
TOKENS = ("input", "cached", "output", "thoughts", "tool")
MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Tries with the names that they count under: model and project their own, the rest their calls'.
NAMED = """
FROM calls c JOIN attempts a ON a.call_seq = c.seq
LEFT JOIN models model ON model.id = a.model_id LEFT JOIN projects project ON project.id = a.project_id
LEFT JOIN routes route ON route.id = c.route_id LEFT JOIN virtual_keys key ON key.id = c.key_id
LEFT JOIN methods method ON method.id = c.method_id LEFT JOIN clients client ON client.id = c.client_id
LEFT JOIN reasons reason ON reason.id = c.reason_id
"""
TAGGED = "LEFT JOIN call_tags t ON t.call_seq = c.seq LEFT JOIN tags tag ON tag.id = t.tag_id"
MONEY = """
count(*), ifnull(sum(a.list_nano), 0), ifnull(sum(a.billed_nano), 0),
ifnull(sum(a.billed_nano) FILTER (WHERE NOT a.estimated), 0),
ifnull(sum(a.billed_nano) FILTER (WHERE a.estimated), 0), ifnull(sum(a.list_nano) FILTER (WHERE a.estimated), 0),
count(*) FILTER (WHERE a.list_nano IS NULL),
ifnull(sum(a.input + a.output + a.thoughts + a.tool) FILTER (WHERE a.list_nano IS NULL), 0),
ifnull(sum(a.input_nano + a.cached_nano + a.output_nano + a.thoughts_nano + a.tool_nano + ifnull(
    (SELECT sum(h.nano) FROM charges h WHERE h.attempt_seq = a.seq), 0)) FILTER (WHERE a.list_nano IS NULL), 0)
"""
FIELDS = (
    *("tries", "list_nano", "billed_nano", "proven_nano", "estimated_billed_nano", "estimated_list_nano"),
    *("unpriced", "unpriced_tokens", "partial_nano"),
)
Money = dict[tuple[str, ...], dict[str, int]]
Kinds = dict[tuple[str, ...], dict[str, tuple[int, int, int]]]


@pytest.fixture(scope="module")
def stage(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return staged.build(blank, tmp_path_factory.mktemp("costs"), COUNT)


def names(dimension: str) -> str:
    return "CAST(c.status AS TEXT)" if dimension == "status" else f"ifnull({dimension}.name, '')"


def rows_of(ask: Ask, group: tuple[str, ...]) -> tuple[str, list[Any]]:
    """FROM and WHERE of a question's tries."""
    terms, values = ["c.received_at >= ?", "c.received_at < ?"], [ask.start, ask.until]
    for dimension, some in ask.filters.items():
        terms.append(f"{names(dimension)} IN ({','.join('?' * len(some))})")
        values += some
    tagged = TAGGED if "tag" in {*group, *ask.filters} else ""
    return f"{NAMED} {tagged} WHERE {' AND '.join(terms)}", values


def money(conn: sqlite3.Connection, ask: Ask, group: tuple[str, ...]) -> Money:
    rows, values = rows_of(ask, group)
    found: Money = {}
    by = "".join(f"{names(one)}, " for one in group)
    places = ",".join(str(place + 1) for place in range(len(group)))
    for row in conn.execute(f"SELECT {by}{MONEY} {rows} {f'GROUP BY {places}' if group else ''}", values):
        found[row[: len(group)]] = dict(zip(FIELDS, row[len(group) :], strict=True))
    return found


def kinds(conn: sqlite3.Connection, ask: Ask, group: tuple[str, ...]) -> Kinds:
    """Quantity, money and charges without a price, by group and kind."""
    rows, values = rows_of(ask, group)
    by = "".join(f"{names(one)}, " for one in group)
    found: Kinds = {}
    for kind in TOKENS:
        quantity = "a.input - a.cached" if kind == "input" else f"a.{kind}"
        sums = f"sum({quantity}), sum(a.{kind}_nano)"
        by_names = f"GROUP BY {by.removesuffix(', ')}" if group else "HAVING count(*)"
        for row in conn.execute(f"SELECT {by}{sums} {rows} {by_names}", values):
            found.setdefault(row[: len(group)], {})[kind] = (*row[len(group) :], 0)
    charged = "JOIN charges h ON h.attempt_seq = a.seq JOIN charge_kinds k ON k.id = h.kind_id WHERE"
    sums = "k.name, sum(h.quantity), ifnull(sum(h.nano), 0), sum(h.nano IS NULL)"
    sql = f"SELECT {by}{sums} {rows.replace('WHERE', charged, 1)} GROUP BY {by}k.name"
    for row in conn.execute(sql, values):
        cut, kind, charged_for = row[: len(group)], row[len(group)], row[len(group) + 1 :]
        known = found.setdefault(cut, {})
        if kind in TOKENS:  # these tokens are counted already: they have no known rate
            known[kind] = (*known[kind][:2], charged_for[2])
            continue
        known[kind] = charged_for
        side = kind.split("_")[-1]
        if side in TOKENS:
            quantity, nano, unpriced = known[side]
            known[side] = (quantity - charged_for[0], nano, unpriced)
    return found


def told(one: Costs) -> dict[str, int]:
    return {name: getattr(one, name) for name in FIELDS}


def told_kinds(one: Costs) -> dict[str, tuple[int, int, int]]:
    found = {kind.kind: (kind.quantity, kind.nano, kind.unpriced) for kind in one.kinds}
    return {kind: values for kind, values in found.items() if any(values)}


def counted(rows: list[reported.Row], ask: Ask, group: tuple[str, ...]) -> dict[tuple[str, ...], list[int]]:
    found = reported.counted(rows, group, ask.filters, (ask.start, ask.until))
    return {names: facts for (_, names), facts in found.items()}


@MANY
@given(ask=asks(), which=st.integers(0, 1))
def test_what_it_cost(stage: Stage, ask: Ask, which: int) -> None:
    conns, _, rows = stage
    conn = conns[which]
    answer = costs.report(conn, ask)
    by_hand = counted(rows, ask, ask.group)
    groups = [((), answer.total), *((one.names, one.total) for one in answer.groups)]
    none = dict.fromkeys(FIELDS, 0)
    for group in {(), ask.group}:
        paid, kinded, facts = money(conn, ask, group), kinds(conn, ask, group), counted(rows, ask, group)
        for cut, total in groups:
            if len(cut) != len(group):
                continue
            assert told(total) == paid.get(cut, none)
            known = {kind: values for kind, values in kinded.get(cut, {}).items() if any(values)}
            assert told_kinds(total) == known
            own = facts.get(cut, [0] * len(FACTS))
            assert (total.calls, total.saved_nano) == (own[INDEX["calls"]], own[INDEX["saved_nano"]])
            for field in costs.Burnt.__struct_fields__:
                assert getattr(total.burnt, field) == own[INDEX[field]]
    assert answer.groups_total == (len(by_hand) if ask.group else 0)


@MANY
@given(ask=asks(), which=st.integers(0, 1))
def test_its_parts_make_the_whole(stage: Stage, ask: Ask, which: int) -> None:
    answer = costs.report(stage[0][which], ask)
    shown = [(answer.total, answer.series), *((one.total, one.series) for one in answer.groups)]
    if answer.others is not None:
        shown.append((answer.others.total, answer.others.series))
    for total, series in shown:
        assert sum(kind.nano for kind in total.kinds) == total.list_nano + total.partial_nano
        assert total.proven_nano + total.estimated_billed_nano == total.billed_nano
        for field in ("calls", "list_nano", "billed_nano", "estimated_billed_nano", "unpriced", "saved_nano"):
            assert sum(getattr(point, field) for point in series) == getattr(total, field)
        parts = [sum(getattr(point, f"{kind}_nano") for kind in (*TOKENS, "other")) for point in series]
        assert sum(parts) == total.list_nano + total.partial_nano
        assert all(part >= point.list_nano for part, point in zip(parts, series, strict=True))
        burnt = sum(getattr(total.burnt, f"{waste}_list_nano") for waste in ("failed", "cancelled", "hedged"))
        assert sum(point.burnt_nano for point in series) == burnt
    if ask.group and not answer.overlapping:
        parts_of = [one.total for one in (*answer.groups, *([answer.others] if answer.others else []))]
        for field in (*FIELDS, "calls", "saved_nano"):
            assert sum(getattr(one, field) for one in parts_of) == getattr(answer.total, field)
        least = min((one.total.list_nano for one in answer.groups), default=0)
        rest = {
            cut: facts
            for cut, facts in counted(stage[2], ask, ask.group).items()
            if cut not in {one.names for one in answer.groups}
        }
        assert all(facts[INDEX["list_nano"]] <= least for facts in rest.values())
    if ask.compare:
        earlier = msgspec.structs.replace(ask, start=2 * ask.start - ask.until, until=ask.start)
        assert answer.before is not None
        assert told(answer.before) == money(stage[0][which], earlier, ())[()]


def failed(made: list[Record], ask: Ask) -> Iterator[tuple[Attempt, Attempt | None]]:
    """Tries that did not answer, each with the try that came next."""
    for one in made:
        if not ask.start <= one.received_at < ask.until:
            continue
        for place, attempt in enumerate(one.attempts):
            mine = {"model": attempt.model, "project": attempt.project}
            if attempt.verdict is Kind.OK or any(
                mine[name] not in some for name, some in ask.filters.items() if name in mine
            ):
                continue
            yield attempt, one.attempts[place + 1] if place + 1 < len(one.attempts) else None


def spent(attempt: Attempt) -> tuple[int, int]:
    paid = attempt.cost
    return (0, 0) if paid is None else (paid.total or 0, paid.billed or 0)


@MANY
@given(ask=asks(), which=st.integers(0, 1))
def test_what_went_wrong(stage: Stage, ask: Ask, which: int) -> None:
    conns, made, rows = stage
    everything = msgspec.structs.replace(ask, top=100)
    answer = errors.report(conns[which], everything)
    wrong = (Outcome.REFUSED, Outcome.FAILED, Outcome.CUT, Outcome.INTERRUPTED)
    for cut, total in [((), answer.total), *((one.names, one.total) for one in answer.groups)]:
        own = counted(rows, ask, ask.group if cut else ()).get(cut, [0] * len(FACTS))
        for field in Errors.__struct_fields__:
            if field in INDEX:
                assert getattr(total, field) == own[INDEX[field]]
        bad = sum(own[INDEX[outcome.value]] for outcome in wrong)
        assert total.errors == bad
        assert total.share == (bad / total.calls if total.calls else None)
    reasons = {
        cut[0]: facts[INDEX["calls"]]
        for cut, facts in counted(rows, ask, ("reason",)).items()
        if cut[0] and facts[INDEX["calls"]]
    }
    assert answer.kinds is not None
    assert {one.reason: one.calls for one in answer.kinds} == reasons
    assert answer.kinds_total == len(reasons)
    assert all(one.remedy == remedy(one.reason) != "" for one in answer.kinds)
    tries: Counter[tuple[str, str, str, str, int]] = Counter()
    listed: Counter[tuple[str, str, str, str, int]] = Counter()
    for attempt, _ in failed(made, ask):
        way = (attempt.model, attempt.project, attempt.verdict.value, attempt.reason, attempt.status)
        tries[way] += 1
        listed[way] += spent(attempt)[0]
    found = {(one.model, one.project, one.verdict, one.reason, one.status): one for one in answer.tries}
    assert answer.tries_total == len(tries)
    assert {way: one.tries for way, one in found.items()} == dict(tries.most_common(100))
    assert all(one.list_nano == listed[way] for way, one in found.items())


@MANY
@given(ask=asks(), which=st.integers(0, 1))
def test_which_other_ways_were_found(stage: Stage, ask: Ask, which: int) -> None:
    conns, made, rows = stage
    answer = fallbacks.report(conns[which], msgspec.structs.replace(ask, top=100))
    for cut, total in [((), answer.total), *((one.names, one.total) for one in answer.groups)]:
        own = counted(rows, ask, ask.group if cut else ()).get(cut, [0] * len(FACTS))
        assert msgspec.structs.asdict(total) == {name: own[INDEX[name]] for name in total.__struct_fields__}
    tries: Counter[tuple[str, ...]] = Counter()
    billed: Counter[tuple[str, ...]] = Counter()
    for attempt, then in failed(made, ask):
        where = (then.model, then.project) if then else ("", "")
        way = (attempt.model, attempt.project, *where, attempt.verdict.value, attempt.reason)
        tries[way] += 1
        billed[way] += spent(attempt)[1]
    found = {
        (one.model, one.project, one.next_model, one.next_project, one.verdict, one.reason): one
        for one in answer.flows
    }
    assert answer.flows_total == len(tries)
    ranked = sorted(tries.items(), key=lambda item: (-item[1], item[0]))
    assert [(way, one.tries) for way, one in found.items()] == ranked[:100]
    assert all(one.billed_nano == billed[way] for way, one in found.items())


@MANY
@given(
    start=st.integers(NOW - 4 * HOUR, NOW - 1),
    length=st.integers(1, 3 * HOUR),
    late=st.integers(0, HOUR),
    which=st.integers(0, 1),
)
def test_hours_that_a_bound_cuts(stage: Stage, start: int, length: int, late: int, which: int) -> None:
    ask = Ask(start=start, until=start + length, now=max(NOW, start + length - late))
    found: Counter[tuple[str, ...]] = Counter()
    for one in failures(stage[0][which], ask):
        assert one.tries > 0
        found[one.model, one.project, one.verdict, one.reason, one.next_model, one.next_project] += one.tries
    by_hand = Counter(
        (
            *(attempt.model, attempt.project, attempt.verdict.value, attempt.reason),
            *((then.model, then.project) if then else ("", "")),
        )
        for attempt, then in failed(stage[1], ask)
    )
    assert found == by_hand


def test_what_is_known_of_tries_without_a_price_is_told_apart(stage: Stage) -> None:
    ask = Ask(start=END - 20 * DAY, until=NOW, now=NOW, group=("model",))
    for conn in stage[0]:
        found = {one.names[0]: one.total for one in costs.report(conn, ask).groups}
        partly = found["gemini-third"]
        assert 0 < partly.partial_nano < sum(kind.nano for kind in partly.kinds)
        assert {kind.kind for kind in partly.kinds if kind.unpriced} == {"cached", "search"}
        assert found["gemini-other"].partial_nano == 0 < found["gemini-other"].unpriced


def test_reasons_of_calls_by_several_filters(stage: Stage) -> None:
    filters = {"model": ("gemini-other",), "key": ("alpha",), "method": ("models.generateContent",)}
    ask = Ask(start=END - 20 * DAY, until=NOW, now=NOW, filters=filters)
    by_hand = counted(stage[2], ask, ("reason",))
    for conn in stage[0]:
        kinds = errors.report(conn, ask).kinds
        assert kinds
        assert {one.reason: one.calls for one in kinds} == {
            cut[0]: facts[INDEX["calls"]]
            for cut, facts in by_hand.items()
            if cut[0] and facts[INDEX["calls"]]
        }
