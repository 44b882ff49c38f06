"""Budgets as the commands show them."""

from __future__ import annotations

from rich.text import Text

from gemgate.cli.screen import Column
from gemgate.cli.shown import brief, dollars, moment, plain, zoned
from gemgate.core.periods import ROLLING
from gemgate.store.standings import BudgetView, views

__all__ = ["COLUMNS", "BudgetView", "cells", "money", "period", "told", "views", "whose"]

COLUMNS = (
    Column("name", folds=True),
    Column("of", folds=True),
    Column("per", leaves=2),
    Column("amount", right=True),
    Column("spent", right=True),
    Column("", right=True, leaves=1),
    Column("held", right=True, leaves=3),
    Column("left", right=True),
    Column("resets", leaves=4),
)
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def cells(view: BudgetView, now: int) -> list[str | Text]:
    """A budget as a row of the table."""
    share = view.spent / view.amount
    style = "red" if view.left == 0 else "yellow" if share >= view.soft else ""
    return [
        plain(view.name),
        plain(whose(view)),
        period(view),
        money(view, view.amount),
        money(view, view.spent),
        Text(f"{share:.0%}", style=style),
        money(view, view.held) if view.held else "",
        "removed" if view.disabled_at else money(view, view.left),
        brief(view.resets_at, now) if view.period != ROLLING and not view.disabled_at else "",
    ]


def told(view: BudgetView, now: int) -> list[str]:
    """A budget in lines."""
    state = f"removed on {moment(view.disabled_at)}" if view.disabled_at else "in force"
    lines = [
        f"Budget {view.name}: {state}",
        f"  of       {whose(view)}",
        f"  allows   {money(view, view.amount)} per {period(view)}",
        f"  spent    {money(view, view.spent)}, {view.spent / view.amount:.0%}",
        f"  held     {money(view, view.held) if view.held else 'nothing'}, by calls under way",
        f"  left     {money(view, view.left)}",
        f"  resets   {_resets(view)}",
        f"  warns    {f'from {view.soft:.0%} on' if view.soft < 1 else 'never'}",
    ]
    if view.unit == "money":
        lines.append(f"  unpriced models {'pass' if view.unpriced else 'are refused'}")
    return [plain(line) for line in lines]


def whose(view: BudgetView) -> str:
    """Whose budget it is, in words."""
    return f"{view.scope} {view.of}" if view.of else "all calls"


def period(view: BudgetView) -> str:
    """The period in words; a zone beside UTC is named."""
    if view.period != ROLLING:
        return view.period if view.zone == "UTC" else f"{view.period} ({view.zone})"
    size, unit = next(
        (one for one in _SPANS if view.seconds % one[0] == 0 and view.seconds > one[0]), (1, "s")
    )
    return f"{view.seconds // size} {unit}, rolling"


def money(view: BudgetView, amount: int) -> str:
    """A sum of the budget's unit."""
    return dollars(amount) if view.unit == "money" else f"{amount:,} tokens"


def _resets(view: BudgetView) -> str:
    if view.period == ROLLING:
        return f"little by little: what is spent counts for {period(view).removesuffix(', rolling')}"
    return zoned(view.resets_at, view.zone)
