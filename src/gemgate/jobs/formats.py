"""Rows as CSV and JSON Lines, chunk by chunk.

CSV is UTF-8 with a head line and CRLF (RFC 4180). No cell of it is taken for a formula: a text that begins with a
sign at which spreadsheets begin to compute (``= + - @``, their full-width forms, tab, line ends) gets an apostrophe
before it. Lists are JSON in one cell, nothing and the empty text an empty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import IO, Any, Final, Protocol

import msgspec

from gemgate.store.exports import Column, Row, moment

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Signs that no text in a CSV cell begins with, but behind an apostrophe."""


class Sheet(Protocol):
    """What takes rows and writes them in one format."""

    def write(self, rows: Sequence[Row]) -> None:
        """Take rows, in the order of the columns. Raises OSError."""

    def close(self) -> None:
        """Write what is left; what was written to stays open. Raises OSError."""


def _text(value: str) -> str:
    """A text that no spreadsheet takes for a formula. One that begins with an apostrophe gets another, so that the
    value can be had back."""
    return "'" + value if value.startswith((*FORMULA, "'")) else value


def _list(value: Sequence[str]) -> str:
    return msgspec.json.encode(value).decode() if value else ""


def _flag(value: object) -> str:
    return "true" if value else "false"


def _same(value: object) -> object:
    return value


_CELLS: Final[dict[str, Callable[[Any], object]]] = {
    "int": _same,
    "text": _text,
    "texts": _list,
    "flag": _flag,
    "time": moment,
}


class Csv:
    """Comma-separated values."""

    def __init__(self, sink: IO[bytes], columns: Sequence[Column]) -> None:
        self._sink = sink
        self._cells = [_CELLS[column.kind] for column in columns]
        self._put([[column.name for column in columns]])

    def write(self, rows: Sequence[Row]) -> None:
        """Take rows."""
        self._put(
            [
                ["" if value is None else cell(value) for cell, value in zip(self._cells, row, strict=True)]
                for row in rows
            ]
        )

    def close(self) -> None:
        """Nothing is left."""

    def _put(self, rows: Sequence[Sequence[object]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._sink.write(text.getvalue().encode())


class JsonLines:
    """One JSON object a line; integers stay integers, a time is ISO 8601."""

    def __init__(self, sink: IO[bytes], columns: Sequence[Column]) -> None:
        self._sink = sink
        self._names = [column.name for column in columns]
        self._times = [place for place, column in enumerate(columns) if column.kind == "time"]

    def write(self, rows: Sequence[Row]) -> None:
        """Take rows."""
        lines = []
        for row in rows:
            value = dict(zip(self._names, row, strict=True))
            for place in self._times:
                value[self._names[place]] = moment(row[place])
            lines.append(value)
        self._sink.write(msgspec.json.Encoder().encode_lines(lines))

    def close(self) -> None:
        """Nothing is left."""
