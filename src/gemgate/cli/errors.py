"""`gemgate errors`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from gemgate.cli.charts import Line, Sheet, bar, count, curve, money, named, share
from gemgate.cli.screen import Column
from gemgate.cli.shown import plain
from gemgate.cli.spanned import answered, spanned
from gemgate.store.reports import errors
from gemgate.store.reports.errors import ErrorAnswer, ErrorGroup, Errors

_COUNTS = ("errors", "refused", "failed", "cut", "interrupted", "cancelled", "tries", "tries_failed")
_LABELS = {
    "refused": "  refused",
    "failed": "  failed",
    "cut": "  cut off",
    "interrupted": "  interrupted",
    "cancelled": "Clients left (no error)",
    "tries_failed": "  failed tries",
}
_ALWAYS = {"errors", "tries", "tries_failed"}


@click.command("errors")
@spanned
def command(as_json: bool, **words: Any) -> None:
    """Show what went wrong, and what to do about it.

    An error is a call that was refused, failed, was cut off or interrupted; one that its client left is none. A call
    that another target answered is no error either: its failed try stands among the tries, which follow --filter by
    model and project alone.
    """
    answer = answered(errors.report, words)
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
        return
    sheet = Sheet("Errors", answer.span)
    sheet.totals(_lines(answer), answer.before is not None)
    if words["step"] not in ("auto", "none"):
        _steps(sheet, answer)
    if words["group"]:
        _groups(sheet, answer, words["group"])
    _reasons(sheet, answer)
    _tries(sheet, answer)
    _remedies(sheet, answer)
    sheet.end()


def _lines(answer: ErrorAnswer) -> list[Line]:
    total, before, series = answer.total, answer.before, answer.series
    lines = [
        Line(
            "Calls",
            count,
            total.calls,
            None if before is None else before.calls,
            [one.calls for one in series],
        ),
        Line(
            "Share of errors",
            _percent,
            total.share,
            None if before is None else before.share,
            [one.share for one in series],
        ),
    ]
    for field in _COUNTS:
        now, then = getattr(total, field), None if before is None else getattr(before, field)
        if field in _ALWAYS or now or then:
            course = [getattr(one, field) for one in series]
            lines.append(Line(_LABELS.get(field, field.capitalize()), count, now, then, course))
    return lines


def _percent(part: float | None) -> str:
    if part is None:
        return "–"
    return "<0.1%" if 0 < part < 0.0005 else f"{part:.1%}"


def _steps(sheet: Sheet, answer: ErrorAnswer) -> None:
    columns = [
        Column("CALLS", right=True),
        Column("ERRORS", right=True),
        Column("SHARE", right=True),
        Column("FAILED TRIES", right=True, leaves=1),
        Column("", leaves=2),
    ]
    most = max(one.errors for one in answer.series)
    rows = [[*_cells(one), bar(one.errors, most)] for one in answer.series]
    sheet.steps(columns, [one.start for one in answer.series], rows)


def _cells(one: Errors) -> list[str]:
    return [count(one.calls), count(one.errors), _percent(one.share), count(one.tries_failed)]


def _groups(sheet: Sheet, answer: ErrorAnswer, group: tuple[str, ...]) -> None:
    columns = [
        *(Column(name.upper()) for name in group),
        Column("CALLS", right=True),
        Column("ERRORS", right=True),
        Column("SHARE", right=True),
        Column("FAILED TRIES", right=True),
        Column("COURSE OF ERRORS", leaves=1),
    ]

    def row(names: list[str], one: ErrorGroup) -> list[str]:
        return [*names, *_cells(one.total), curve([point.errors for point in one.series])]

    rows = [row(named(one.names), one) for one in answer.groups]
    if answer.others is not None:
        rows.append(row(["others", *[""] * (len(group) - 1)], answer.others))
    sheet.table(columns, rows)
    sheet.groups(answer.groups_total, len(answer.groups), answer.overlapping)


def _reasons(sheet: Sheet, answer: ErrorAnswer) -> None:
    if answer.kinds is None or answer.kinds_total is None:
        sheet.line()
        sheet.line(
            "Too many calls to tell their reasons apart; ask for a shorter span or fewer filters.", "dim"
        )
        return
    columns = [
        Column("CALLS ENDED WITH"),
        Column("CALLS", right=True),
        Column("SHARE OF CALLS", right=True),
        Column("", leaves=1),
    ]
    most = max((one.calls for one in answer.kinds), default=0)
    rows = [
        [plain(one.reason), count(one.calls), share(one.calls, answer.total.calls), bar(one.calls, most)]
        for one in answer.kinds
    ]
    sheet.table(columns, rows)
    if answer.kinds_total > len(answer.kinds):
        sheet.line(f"{len(answer.kinds):,} of {answer.kinds_total:,} reasons are shown.", "dim")


def _tries(sheet: Sheet, answer: ErrorAnswer) -> None:
    columns = [
        Column("TRIES FAILED WITH"),
        Column("STATUS", right=True),
        Column("MODEL"),
        Column("PROJECT", leaves=1),
        Column("TRIES", right=True),
        Column("VERDICT", leaves=2),
        Column("LIST", right=True, leaves=3),
    ]
    rows = [
        [
            plain(one.reason or one.verdict),
            str(one.status or ""),
            *named((one.model, one.project)),
            count(one.tries),
            plain(one.verdict),
            money(one.list_nano) if one.list_nano else "",
        ]
        for one in answer.tries
    ]
    sheet.table(columns, rows)
    if answer.tries_total > len(answer.tries):
        sheet.line(f"{len(answer.tries):,} of {answer.tries_total:,} ways to fail are shown.", "dim")


def _remedies(sheet: Sheet, answer: ErrorAnswer) -> None:
    """What to do about each reason shown, once."""
    said: dict[str, tuple[str, str]] = {}
    told = [(one.reason, one.meaning, one.remedy) for one in answer.kinds or ()]
    told += [(one.reason, one.meaning, one.remedy) for one in answer.tries]
    for reason, meaning, remedy in told:
        if reason and (meaning or remedy):
            said.setdefault(reason, (meaning, remedy))
    if said:
        sheet.line()
        sheet.line("What it means, and what to do", "bold")
    for reason, (meaning, remedy) in said.items():
        sheet.line(f"{reason}: {' '.join(part for part in (meaning, remedy) if part)}")
