"""Rows as Parquet. Imported by name where it is asked for: pyarrow is an extra, and takes 100 MB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, Final

import pyarrow
from pyarrow import parquet

from gemgate.store.exports import Column, Row

_GROUP: Final = 20_000
"""Rows of one row group: what is in memory at once."""
_TYPES: Final[dict[str, Any]] = {
    "int": pyarrow.int64(),
    "text": pyarrow.string(),
    "flag": pyarrow.bool_(),
    "texts": pyarrow.list_(pyarrow.string()),
    "time": pyarrow.timestamp("us", tz="UTC"),
}


class Parquet:
    """Typed columns: 64-bit integers, texts, truth values, lists of texts, and moments in UTC."""

    def __init__(self, sink: IO[bytes], columns: Sequence[Column]) -> None:
        self._schema = pyarrow.schema([(column.name, _TYPES[column.kind]) for column in columns])
        self._writer = parquet.ParquetWriter(sink, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        """Take rows."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def close(self) -> None:
        """Write the rows that are left, and the foot of the file."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        values = list(zip(*self._rows, strict=True))
        arrays = [
            pyarrow.array(column, type=field.type) for column, field in zip(values, self._schema, strict=True)
        ]
        self._rows = []
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))
