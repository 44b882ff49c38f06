"""`gemgate costs`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from gemgate.cli.charts import Line, Sheet, bar, count, curve, money, named, priced, share, tokens
from gemgate.cli.screen import Column
from gemgate.cli.spanned import answered, spanned
from gemgate.store.reports import costs
from gemgate.store.reports.costs import CostAnswer, CostGroup, Costs

_TOKENS = {
    "input": "input (not cached)",
    "cached": "cached input",
    "output": "output",
    "thoughts": "thoughts",
    "tool": "tool prompts",
}
_UNITS = {"search": "searches", "maps": "map queries"}
_WASTES = {"failed": "failed", "cancelled": "clients left", "hedged": "lost races"}


@click.command("costs")
@spanned
def command(as_json: bool, **words: Any) -> None:
    """Show what calls cost: by kind, at list price and billed, saved and burnt.

    Billed is what Google charges, 0 on a free tier: proven from Google's own counts, estimated where an answer was
    not seen whole. Tries without a known price are in no sum and are counted apart. Money is US dollars, and counts
    at the target of each try.
    """
    answer = answered(costs.report, words)
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
        return
    sheet = Sheet("Costs", answer.span)
    sheet.totals(_lines(answer), answer.before is not None)
    _kinds(sheet, answer.total)
    _burnt(sheet, answer.total)
    if words["step"] not in ("auto", "none"):
        _steps(sheet, answer)
    if words["group"]:
        _groups(sheet, answer, words["group"])
    _unpriced(sheet, answer.total)
    sheet.end()


def _unpriced(sheet: Sheet, total: Costs) -> None:
    """What no sum holds, and that it is not nothing."""
    if not total.unpriced:
        return
    known = f" What is known of them, {money(total.partial_nano)}, stands among the kinds alone."
    sheet.line()
    sheet.line(
        f"{total.unpriced:,} tries with {tokens(total.unpriced_tokens)} tokens have no known price and are in no sum."
        f"{known if total.partial_nano else ''} `gemgate prices` shows the price book.",
        "yellow",
    )


def _lines(answer: CostAnswer) -> list[Line]:
    total, before, series = answer.total, answer.before, answer.series

    def then(field: str) -> int | None:
        return None if before is None else int(getattr(before, field))

    def known(nano: int | None) -> str:
        return priced(nano, total.unpriced)

    estimated = [one.estimated_billed_nano for one in series]
    proven = [one.billed_nano - one.estimated_billed_nano for one in series]
    lines = [
        Line("List price", known, total.list_nano, then("list_nano"), [one.list_nano for one in series]),
        Line("Billed", known, total.billed_nano, then("billed_nano"), [one.billed_nano for one in series]),
        Line("  proven", known, total.proven_nano, then("proven_nano"), proven),
        Line("  estimated", money, total.estimated_billed_nano, then("estimated_billed_nano"), estimated),
        Line(
            "Saved by caching",
            money,
            total.saved_nano,
            then("saved_nano"),
            [one.saved_nano for one in series],
        ),
        Line(
            "Burnt (list)",
            money,
            _wasted(total),
            None if before is None else _wasted(before),
            [one.burnt_nano for one in series],
        ),
        Line("Calls", count, total.calls, then("calls"), [one.calls for one in series]),
        Line("Tries", count, total.tries, then("tries")),
    ]
    if total.unpriced or then("unpriced"):
        lines.append(
            Line("  unpriced", count, total.unpriced, then("unpriced"), [one.unpriced for one in series])
        )
    return lines


def _wasted(one: Costs, price: str = "list") -> int:
    return sum(getattr(one.burnt, f"{waste}_{price}_nano") for waste in _WASTES)


def _kinds(sheet: Sheet, total: Costs) -> None:
    columns = [
        Column("KIND"),
        Column("QUANTITY", right=True),
        Column("LIST", right=True),
        Column("SHARE", right=True),
        Column("", leaves=1),
        Column("UNPRICED", right=True),
    ]
    known_in_all = total.list_nano + total.partial_nano
    rows = []
    for one in total.kinds:
        if not (one.quantity or one.nano or one.unpriced):
            continue
        unit = _UNITS.get(one.kind, "tokens")  # the others are modalities, such as audio_input
        quantity = f"{tokens(one.quantity)} {unit}"
        known = one.nano or not one.unpriced
        rows.append(
            [
                _TOKENS.get(one.kind, one.kind.replace("_", " ")),
                quantity,
                money(one.nano) if known else "unpriced",
                share(one.nano, known_in_all),
                bar(one.nano, known_in_all),
                count(one.unpriced) if one.unpriced else "",
            ]
        )
    sheet.table(columns, rows)


def _burnt(sheet: Sheet, total: Costs) -> None:
    columns = [Column("BURNT BY"), Column("LIST", right=True), Column("BILLED", right=True)]
    rows = [
        [label, money(listed), money(getattr(total.burnt, f"{waste}_billed_nano"))]
        for waste, label in _WASTES.items()
        if (listed := getattr(total.burnt, f"{waste}_list_nano"))
    ]
    sheet.table(columns, rows)


def _steps(sheet: Sheet, answer: CostAnswer) -> None:
    columns = [
        Column("LIST", right=True),
        Column("BILLED", right=True),
        Column("ESTIMATED", right=True, leaves=2),
        Column("SAVED", right=True, leaves=3),
        Column("BURNT", right=True, leaves=4),
        Column("UNPRICED TRIES", right=True, leaves=1),
        Column("", leaves=5),
    ]
    most = max(one.list_nano for one in answer.series)
    rows = [
        [
            *(money(one) for one in (point.list_nano, point.billed_nano, point.estimated_billed_nano)),
            *(money(one) for one in (point.saved_nano, point.burnt_nano)),
            count(point.unpriced) if point.unpriced else "",
            bar(point.list_nano, most),
        ]
        for point in answer.series
    ]
    sheet.steps(columns, [one.start for one in answer.series], rows)


def _groups(sheet: Sheet, answer: CostAnswer, group: tuple[str, ...]) -> None:
    columns = [
        *(Column(name.upper()) for name in group),
        Column("LIST", right=True),
        Column("BILLED", right=True),
        Column("ESTIMATED", right=True, leaves=4),
        Column("SAVED", right=True, leaves=5),
        Column("BURNT", right=True, leaves=6),
        Column("TRIES", right=True, leaves=3),
        Column("UNPRICED", right=True),
        Column("SHARE OF LIST", right=True, leaves=2),
        Column("COURSE", leaves=1),
    ]

    def row(names: list[str], one: CostGroup) -> list[str]:
        total = one.total
        return [
            *names,
            priced(total.list_nano, total.unpriced),
            priced(total.billed_nano, total.unpriced),
            money(total.estimated_billed_nano),
            money(total.saved_nano),
            money(_wasted(total)),
            count(total.tries),
            count(total.unpriced) if total.unpriced else "",
            share(total.list_nano, answer.total.list_nano),
            curve([point.list_nano for point in one.series]),
        ]

    rows = [row(named(one.names), one) for one in answer.groups]
    if answer.others is not None:
        rows.append(row(["others", *[""] * (len(group) - 1)], answer.others))
    sheet.table(columns, rows)
    sheet.groups(answer.groups_total, len(answer.groups), answer.overlapping)
