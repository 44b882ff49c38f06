"""`gemgate usage`, `costs`, `performance` and `errors`: the reports' own numbers, with units, and faults in words."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
import reported
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from reported import DAY, END

from gemgate.cli import charts, spanned
from gemgate.cli.faults import CommandFault
from gemgate.cli.main import group
from gemgate.insight.plan import TooMuch
from gemgate.store import connection, migrate, prices
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.reports import costs, errors, performance, usage
from gemgate.store.reports.asked import Ask

COUNT = 150
REPORTS = {"usage": usage, "costs": costs, "performance": performance, "errors": errors}
SPAN = ("--from", str(END - 20 * DAY), "--to", str(END + 1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random calls that nobody has summed."""
    folder = tmp_path_factory.mktemp("spans")
    migrate.upgrade(folder / FILE)
    with contextlib.closing(connection.writer(folder / FILE)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        prices.sync(conn, reported.BOOK.in_force(reported.START), "the tests' book", reported.START)
        reported.fill(conn, reported.records(random.Random(5), COUNT, reported.keys(conn)))
        conn.keep()
    return folder


def run(data: Path, name: str, *words: str) -> Result:
    return CliRunner().invoke(group, [name, "--data", str(data), *words])


def plain(data: Path, name: str, *words: str) -> str:
    done = run(data, name, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", list(REPORTS))
def test_json_is_the_report(data: Path, name: str) -> None:
    words = ("--group", "model", "--group", "key", "--top", "2", "--compare", "--zone", "Asia/Kathmandu")
    told = json.loads(plain(data, name, *SPAN, *words, "--step", "day", "--filter", "project=one", "--json"))
    with contextlib.closing(connection.reader(data / FILE)) as conn:
        answer = REPORTS[name].report(
            conn,
            Ask(
                start=END - 20 * DAY,
                until=END + 1,
                now=told["span"]["as_of"],
                zone="Asia/Kathmandu",
                step="day",
                group=("model", "key"),
                filters={"project": ("one",)},
                compare=True,
                top=2,
            ),
        )
    assert told == msgspec.json.decode(msgspec.json.encode(answer))
    assert told["before"] is not None
    assert len(told["groups"]) == 2


@pytest.mark.parametrize("name", list(REPORTS))
def test_a_table_names_its_zone_its_groups_and_their_rest(data: Path, name: str) -> None:
    shown = plain(
        data, name, *SPAN, "--group", "model", "--top", "1", "--zone", "Asia/Kathmandu", "--compare"
    )
    first = shown.splitlines()[0]
    assert first.lower().startswith(name)
    assert "Asia/Kathmandu, by " in first
    assert "MODEL" in shown
    assert "others" in shown
    assert "4 groups are shown; --top shows more." in shown  # three models, and calls without a try
    assert "BEFORE" in shown
    assert "FROM (" not in shown
    steps = plain(data, name, *SPAN, "--step", "week", "--group", "tag")
    assert "FROM (UTC)" in steps
    assert "they sum to more than the total" in steps


def test_usage_says_how_much(data: Path) -> None:
    shown = plain(data, "usage", *SPAN)
    assert shown[shown.index("\nCalls") :].split()[:2] == ["Calls", str(COUNT)]
    assert "At once: " in shown
    assert "Calls by the hour of the week (UTC)" in shown
    assert (
        sum(line[:3] in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun") for line in shown.splitlines()) == 7
    )


def test_costs_never_show_what_is_unknown_as_nothing(data: Path) -> None:
    shown = plain(data, "costs", *SPAN, "--group", "model")
    other = next(line for line in shown.splitlines() if line.startswith("gemini-third"))
    assert "≥ $" in other or "unpriced" in other
    assert "≥ $" in shown[shown.index("List price") :].splitlines()[0]
    assert "have no known price and are in no sum." in shown
    assert "stands among the kinds alone" in shown
    assert " searches " in shown
    assert "BURNT BY" in shown


def test_performance_has_units(data: Path) -> None:
    shown = plain(data, "performance", *SPAN)
    assert "Each number is right to 0.8% of itself." in shown
    rows = {line[:20].strip(): line for line in shown.splitlines()}
    assert " s" in rows["Duration"] or " min" in rows["Duration"]
    assert "/s" in rows["Output tokens"]


def test_errors_come_with_what_to_do(data: Path) -> None:
    shown = plain(data, "errors", *SPAN, "--filter", "reason=overloaded")
    assert "overloaded: The model is overloaded" in shown
    assert "Let another model or project answer" in shown
    assert "CALLS ENDED WITH" in shown
    bare = plain(data, "errors", "--from", str(END - 300 * DAY), "--to", str(END - 299 * DAY))
    assert "What it means" not in bare
    assert "–" in bare  # no share of no calls


def test_a_filter_takes_several_names_and_none(data: Path) -> None:
    both = json.loads(plain(data, "usage", *SPAN, "--filter", "key=alpha", "--filter", "key=", "--json"))
    beta = json.loads(plain(data, "usage", *SPAN, "--filter", "key=beta", "--json"))
    assert both["total"]["calls"] + beta["total"]["calls"] == COUNT
    assert beta["total"]["calls"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--filter", "model"), "--filter: 'model' is no filter; write NAME=VALUE"),
        (("--filter", "colour=red"), "--filter: 'colour' is no dimension"),
        (("--filter", "status=many"), "--filter status: a status is a number"),
        (("--zone", "Mars"), "--zone: "),
        (("--from", "soon"), "--from: "),
        (("--from", "now", "--to", "-1d"), "--to: the span ends before it begins"),
        (("--group", "model", "--group", "model"), "--group: "),
        (("--step", "minute", "--from", "-30d"), "--step: "),
        (("--group", "colour"), "'--group'"),
        (("--top", "0"), "'--top'"),
    ],
)
def test_wrong_usage_names_the_option(data: Path, words: tuple[str, ...], said: str) -> None:
    done = run(data, "usage", *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_what_cannot_be_answered_is_said_with_advice(data: Path) -> None:
    words: dict[str, Any] = {"data": data, "config": None, "since": "-1d", "to": "now", "zone": "UTC"}
    words |= {"step": "auto", "group": (), "filters": (), "compare": False, "top": 10}

    def much(conn: Connection, ask: Ask) -> None:
        raise TooMuch(400_000, "ask for whole hours")

    def slow(conn: Connection, ask: Ask) -> None:
        conn.set_progress_handler(lambda: 1, 1)
        conn.execute("SELECT count(*) FROM calls AS a, calls AS b").fetchone()

    def broken(conn: Connection, ask: Ask) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    for report, said in (
        (much, "This reads 400,000 calls or more one by one.*ask for whole hours.*gemgate rollup status"),
        (slow, "takes longer than reports may read"),
        (broken, "gemgate doctor"),
    ):
        with pytest.raises(CommandFault, match=said):
            spanned.answered(report, words)
    with pytest.raises(click.UsageError):
        spanned.answered(much, {**words, "zone": "Mars"})


@given(st.integers(1, 10**15))
def test_money_is_never_nothing_and_near(nano: int) -> None:
    shown = float(charts.money(nano).removeprefix("$").replace(",", ""))
    assert abs(shown - nano / 1e9) <= max(0.005 if nano >= 10**9 else 0.0, nano / 1e9 * 0.051)
    assert charts.money(-nano) == f"-{charts.money(nano)}"
    assert charts.priced(nano, 3) == f"≥ {charts.money(nano)}"
    assert (charts.priced(0, 3), charts.priced(0, 0)) == ("unpriced", "$0.00")


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12), st.integers(0, 10**12)), max_size=300))
def test_a_curve_is_short_and_its_top_is_the_most(values: list[float | int | None]) -> None:
    shown = charts.curve(values)
    if len(values) < 2 or all(one is None for one in values):
        assert shown == ""
        return
    assert len(shown) == min(len(values), charts.CURVE)
    if any(values):
        assert "█" in shown
    if len(values) <= charts.CURVE:
        assert [one is None for one in values] == [cell == " " for cell in shown]
        assert all(
            (cell == "▁") == (one == 0) for cell, one in zip(shown, values, strict=True) if one is not None
        )


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_shares_and_bars(one: int, other: int) -> None:
    part, whole = min(one, other), max(one, other)
    assert (charts.share(part, whole) == "0.0%") == (part == 0 < whole)
    assert len(charts.bar(part, whole)) <= 10
    assert (charts.bar(part, whole) == "") == (part == 0)
    assert charts.change(part, part) == "same"
    assert charts.change(whole, 0) == ("new" if whole else "same")


def test_numbers_are_short() -> None:
    assert [charts.tokens(one) for one in (None, 999, 1_500, 2_340_000, 5 * 10**12)] == [
        *("–", "999", "1.5k", "2.34M", "5,000G")
    ]
    assert (charts.change(150, 100), charts.change(101, 100), charts.change(None, 1)) == (
        "+50%",
        "+1.0%",
        "–",
    )
