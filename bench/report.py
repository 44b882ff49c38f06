"""Figures, the bars they are held to, and the two forms of a report: a table and a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    ``value`` is what is judged; ``gateway`` and ``nginx`` are the two sides of it where there are two. ``most``
    and ``least`` are the bars, None where there is none.
    """

    name: str
    unit: str
    value: float
    gateway: float | None = None
    nginx: float | None = None
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the bar holds, None where there is no bar."""
        if self.most is None and self.least is None:
            return None
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)


def compared(
    name: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    *,
    ratio: bool = False,
    most: float | None = None,
) -> Figure:
    """A figure from pairs (gateway, nginx): the median of their differences, or of their ratios."""
    each = [g / n if ratio else g - n for g, n in pairs]
    spread = f"{min(each):.3g} to {max(each):.3g} in {len(pairs)} pairs"
    return Figure(
        name,
        unit,
        median(each),
        gateway=median(g for g, _ in pairs),
        nginx=median(n for _, n in pairs),
        most=most,
        note=spread,
    )


def failed(figures: Sequence[Figure]) -> list[str]:
    """The names of the figures whose bar does not hold."""
    return [figure.name for figure in figures if figure.held is False]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"


def _bar(figure: Figure) -> str:
    if figure.most is not None and figure.least is not None:
        return f"= {_number(figure.most)}"
    if figure.most is not None:
        return f"≤ {_number(figure.most)}"
    return "" if figure.least is None else f"≥ {_number(figure.least)}"


def show(figures: Sequence[Figure], heading: str, against: str) -> None:
    """Print the table."""
    console = Console(width=None if Console().is_terminal else 160)
    table = Table(title=heading, title_justify="left")
    table.add_column("figure")
    for name in ("gateway", against, "result"):
        table.add_column(name, justify="right")
    for name in ("unit", "bar", "", "note"):
        table.add_column(name)
    for figure in figures:
        word = {None: "", True: "[green]pass[/]", False: "[bold red]FAIL[/]"}[figure.held]
        sides = (_number(figure.gateway), _number(figure.nginx), _number(figure.value))
        table.add_row(figure.name, *sides, figure.unit, _bar(figure), word, figure.note)
    console.print(table)


def content(figures: Sequence[Figure], facts: Mapping[str, Any], legs: Mapping[str, Any]) -> dict[str, Any]:
    """The file of results: who was measured where, each figure with its bar, and every leg it came from."""
    rows = [{**asdict(figure), "held": figure.held} for figure in figures]
    return {**facts, "passed": not failed(figures), "figures": rows, "legs": dict(legs)}


def write(folder: Path, name: str, value: Mapping[str, Any]) -> Path:
    """Put the results into the folder, beside those of other commits."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path
