"""`gemgate performance`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from gemgate.cli.charts import Sheet, change, count, curve, named
from gemgate.cli.screen import Column
from gemgate.cli.shown import span
from gemgate.cli.spanned import answered, spanned
from gemgate.store.reports import performance
from gemgate.store.reports.performance import Performance, PerformanceAnswer, PerformanceGroup

_METRICS = {
    "duration": "Duration",
    "first_byte": "Time to first byte",
    "rate": "Output tokens",
    "overhead": "gemgate's own part",
}
_QUANTILES = ("p50", "p90", "p95", "p99")


@click.command("performance")
@spanned
def command(as_json: bool, **words: Any) -> None:
    """Show how quick answers were: quantiles of calls that ended well.

    Duration and time to first byte are from the request's arrival on; output tokens are those and thinking tokens
    over the time of the try that answered; gemgate's own part is what no try and no waiting accounts for. p95 means
    that 95 of 100 calls had at most this. Each number is right to 0.8 percent of itself.
    """
    answer = answered(performance.report, words)
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
        return
    sheet = Sheet("Performance", answer.span)
    _metrics(sheet, answer)
    if words["step"] not in ("auto", "none"):
        _steps(sheet, answer)
    if words["group"]:
        _groups(sheet, answer, words["group"])
    sheet.line()
    sheet.line(
        f"Of {answer.total.calls:,} calls, {answer.total.ok:,} ended well. Each number is right to "
        f"{answer.error:.1%} of itself.",
        "dim",
    )
    sheet.end()


def _say(metric: str, value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}/s" if metric == "rate" else span(int(value))


def _metrics(sheet: Sheet, answer: PerformanceAnswer) -> None:
    columns = [
        Column(""),
        Column("CALLS", right=True, leaves=2),
        *(Column(name, right=True) for name in _QUANTILES),
    ]
    if answer.before is not None:
        columns += [Column("p95 BEFORE", right=True), Column("CHANGE", right=True)]
    columns.append(Column("COURSE OF p95", leaves=1))
    rows = []
    for metric, label in _METRICS.items():
        now = getattr(answer.total, metric)
        row = [label, count(now.count), *(_say(metric, getattr(now, one)) for one in _QUANTILES)]
        if answer.before is not None:
            then = getattr(answer.before, metric)
            row += [_say(metric, then.p95), change(now.p95, then.p95)]
        rows.append([*row, curve([getattr(point, metric).p95 for point in answer.series])])
    sheet.table(columns, rows)


_COLUMNS = (
    Column("OK", right=True),
    Column("p50", right=True),
    Column("p95", right=True),
    Column("p99", right=True, leaves=4),
    Column("FIRST BYTE p50", right=True, leaves=5),
    Column("FIRST BYTE p95", right=True, leaves=2),
    Column("TOKENS p50", right=True, leaves=3),
    Column("OWN PART p95", right=True, leaves=6),
)


def _cells(one: Performance) -> list[str]:
    return [
        count(one.ok),
        *(_say("duration", value) for value in (one.duration.p50, one.duration.p95, one.duration.p99)),
        *(_say("first_byte", value) for value in (one.first_byte.p50, one.first_byte.p95)),
        _say("rate", one.rate.p50),
        _say("overhead", one.overhead.p95),
    ]


def _steps(sheet: Sheet, answer: PerformanceAnswer) -> None:
    rows = [_cells(one) for one in answer.series]
    sheet.steps(_COLUMNS, [one.start for one in answer.series], rows)


def _groups(sheet: Sheet, answer: PerformanceAnswer, group: tuple[str, ...]) -> None:
    def row(names: list[str], one: PerformanceGroup) -> list[str]:
        return [*names, *_cells(one.total), curve([point.duration.p95 for point in one.series])]

    columns = [*(Column(name.upper()) for name in group), *_COLUMNS, Column("COURSE OF p95", leaves=1)]
    rows = [row(named(one.names), one) for one in answer.groups]
    if answer.others is not None:
        rows.append(row(["others", *[""] * (len(group) - 1)], answer.others))
    sheet.table(columns, rows)
    sheet.groups(answer.groups_total, len(answer.groups), answer.overlapping)
