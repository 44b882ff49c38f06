"""`gemgate usage`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from gemgate.cli.charts import (
    Line,
    Sheet,
    bar,
    clock,
    count,
    curve,
    named,
    priced,
    share,
    tokens,
    week,
)
from gemgate.cli.screen import Column
from gemgate.cli.shown import size
from gemgate.cli.spanned import answered, spanned
from gemgate.store.reports import usage
from gemgate.store.reports.usage import Usage, UsageAnswer, UsageGroup

_COUNTS = ("calls", "ok", "refused", "failed", "cut", "cancelled", "interrupted", "streamed", "tries")
_TOKENS = ("tokens", "input", "cached", "output", "thoughts", "tool", "estimated")
_LABELS = {
    "ok": "  answered",
    "refused": "  refused",
    "failed": "  failed",
    "cut": "  cut",
    "cancelled": "  cancelled",
    "interrupted": "  interrupted",
    "streamed": "  streamed",
    "input": "  input",
    "cached": "    of it cached",
    "output": "  output",
    "thoughts": "  thoughts",
    "tool": "  tool prompts",
    "estimated": "  of them estimated",
}
_ALWAYS = {"calls", "ok", "tries", "tokens", "input", "output"}
_TWO_DAYS = 2 * 86_400 * 1_000_000


@click.command("usage")
@spanned
def command(as_json: bool, **words: Any) -> None:
    """Show how much is used: calls, tries, tokens and money over any span.

    Calls count at their final target, tries with their tokens and money at their own. Tokens are input, output,
    thoughts and tool prompts; cached ones are a part of the input.
    """
    answer = answered(usage.report, words)
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
        return
    sheet = Sheet("Usage", answer.span)
    sheet.totals(_lines(answer), answer.before is not None)
    _once(sheet, answer)
    if words["step"] not in ("auto", "none"):
        _steps(sheet, answer)
    if words["group"]:
        _groups(sheet, answer, words["group"])
    elif answer.heatmap and answer.span.until - answer.span.start >= _TWO_DAYS:
        sheet.line()
        sheet.line(f"Calls by the hour of the week ({answer.span.zone})", "bold")
        for text in week(answer.heatmap):
            sheet.line(text)
    sheet.end()


def _lines(answer: UsageAnswer) -> list[Line]:
    """What is more than nothing, now or before, and what people always ask for."""
    total, before = answer.total, answer.before

    def line(field: str, label: str, say: Any) -> Line:
        then = None if before is None else getattr(before, field)
        return Line(label, say, getattr(total, field), then, [getattr(one, field) for one in answer.series])

    lines = [
        line(field, _LABELS.get(field, field.capitalize()), say)
        for fields, say in ((_COUNTS, count), (_TOKENS, tokens))
        for field in fields
        if field in _ALWAYS or getattr(total, field) or (before is not None and getattr(before, field))
    ]

    def known(nano: int | None) -> str:
        return priced(nano, total.unpriced)

    lines.append(line("list_nano", "List price", known))
    lines.append(line("billed_nano", "Billed", known))
    if total.unpriced or (before is not None and before.unpriced):
        lines.append(line("unpriced", "Tries without a known price", count))
    lines.append(line("request_bytes", "Sent by clients", _size))
    lines.append(line("response_bytes", "Sent to clients", _size))
    return lines


def _size(number: int | None) -> str:
    return "–" if number is None else size(number)


def _once(sheet: Sheet, answer: UsageAnswer) -> None:
    """How much at once."""
    if answer.concurrency is None:
        return
    busiest = answer.busiest_minute
    most = ""
    if busiest is not None:
        when = clock(busiest.start, answer.span.zone)
        most = f"; the busiest minute, {when} {answer.span.zone}, had {busiest.calls:,.2f}"
    sheet.line()
    sheet.line(f"At once: {answer.concurrency:,.2f} calls in the mean{most}.")


def _steps(sheet: Sheet, answer: UsageAnswer) -> None:
    columns = [
        Column("CALLS", right=True),
        Column("NOT OK", right=True),
        Column("TRIES", right=True, leaves=2),
        Column("TOKENS", right=True),
        Column("LIST", right=True),
        Column("BILLED", right=True, leaves=1),
        Column("", leaves=3),
    ]
    most = max(one.calls for one in answer.series)
    rows = [[*_cells(one), bar(one.calls, most)] for one in answer.series]
    sheet.steps(columns, [one.start for one in answer.series], rows)


def _groups(sheet: Sheet, answer: UsageAnswer, group: tuple[str, ...]) -> None:
    columns = [
        *(Column(name.upper()) for name in group),
        Column("CALLS", right=True),
        Column("NOT OK", right=True, leaves=4),
        Column("TRIES", right=True, leaves=5),
        Column("TOKENS", right=True),
        Column("LIST", right=True),
        Column("BILLED", right=True, leaves=3),
        Column("SHARE OF CALLS", right=True, leaves=2),
        Column("COURSE", leaves=1),
    ]

    def row(names: list[str], one: UsageGroup) -> list[str]:
        part = share(one.total.calls, answer.total.calls)
        return [*names, *_cells(one.total), part, curve([point.calls for point in one.series])]

    rows = [row(named(one.names), one) for one in answer.groups]
    if answer.others is not None:
        rows.append(row(["others", *[""] * (len(group) - 1)], answer.others))
    sheet.table(columns, rows)
    sheet.groups(answer.groups_total, len(answer.groups), answer.overlapping)


def _cells(one: Usage) -> list[str]:
    return [
        count(one.calls),
        count(one.calls - one.ok),
        count(one.tries),
        tokens(one.tokens),
        priced(one.list_nano, one.unpriced),
        priced(one.billed_nano, one.unpriced),
    ]
