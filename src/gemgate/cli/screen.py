"""Tables that suit a terminal, and that keep whole values when piped into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2  # blanks between two columns
_WIDE = 240  # a pipe has no width; no value is worth cutting there


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. On a narrow terminal columns leave, the highest ``leaves`` first; 0 stays, and then
    ``folds`` marks the ones whose values go on in a second line.
    """

    name: str
    right: bool = False
    folds: bool = False
    leaves: int = 0


def screen() -> Console:
    """Where tables go."""
    probe = Console(highlight=False)
    return probe if probe.is_terminal else Console(highlight=False, width=_WIDE)


def width_of(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], kept: Sequence[int]) -> int:
    """The cells that these columns take when no value is cut."""
    widest = (
        max(cell_len(columns[at].name), *(cell_len(str(row[at])) for row in rows), 0) + _GAP for at in kept
    )
    return sum(widest) - _GAP


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], width: int) -> list[int]:
    """The columns to show, by position: of those that say something, the ones that stay and what else fits."""
    telling = [at for at in range(len(columns)) if not rows or any(str(row[at]) for row in rows)]
    kept: list[int] = []
    for at in sorted(telling, key=lambda at: columns[at].leaves):
        if columns[at].leaves == 0 or width_of(columns, rows, [*kept, at]) <= width:
            kept.append(at)
    return sorted(kept)


def table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], width: int) -> Table:
    """A table without frame, for a terminal of this width."""
    kept = fitting(columns, rows, width)
    found = Table(box=None, pad_edge=False, header_style="bold")
    for at in kept:
        column = columns[at]
        found.add_column(
            column.name,
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold" if column.folds else "ellipsis",
        )
    for row in rows:
        # Text, not markup: brackets in a model's name are only brackets.
        found.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in (row[at] for at in kept)))
    return found
