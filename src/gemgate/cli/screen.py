"""Tables that suit a terminal, and that keep whole values when piped into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 240  # a pipe has no width; no value is worth cutting there


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. ``folds`` marks the ones that give way on a narrow terminal."""

    name: str
    right: bool = False
    folds: bool = False


def screen() -> Console:
    """Where tables go."""
    probe = Console(highlight=False)
    return probe if probe.is_terminal else Console(highlight=False, width=_WIDE)


def table(columns: Sequence[Column], rows: Sequence[Sequence[str | Text]]) -> Table:
    """A table without frame. Columns in which no row has anything are left out."""
    kept = [at for at in range(len(columns)) if not rows or any(str(row[at]) for row in rows)]
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
