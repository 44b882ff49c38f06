"""The ledger's operations that may be written in batches and may go through the spill file.

Their order is the order in which one batch applies them. That keeps each call's own order (a call is opened,
moves on, settles) while calls among each other have none, so that a batch is a few long lists, not many short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from gemgate.core.call import Intent, Record
from gemgate.store import ledger
from gemgate.store.connection import Connection

Operation = Callable[[Connection, Sequence[Any]], None]

_TABLE: Final[tuple[tuple[str, Operation, type[msgspec.Struct]], ...]] = (
    ("open", ledger.open_tries, Intent),
    ("next", ledger.next_try, ledger.NextTry),
    ("settle", ledger.settle, Record),
)
NAMES: Final[dict[Operation, str]] = {operation: name for name, operation, _ in _TABLE}
_DECODERS: Final = {name: (op, msgspec.msgpack.Decoder(kind)) for name, op, kind in _TABLE}
_encoder: Final = msgspec.msgpack.Encoder()


def encode(operation: Operation, value: object) -> bytes:
    """One value as the spill file keeps it. Raises KeyError for a foreign operation, TypeError, ValueError."""
    return NAMES[operation].encode().ljust(8) + _encoder.encode(value)


def decode(frame: bytes) -> tuple[Operation, Any]:
    """What ``encode`` made. Raises KeyError or msgspec.DecodeError for what it did not."""
    operation, decoder = _DECODERS[frame[:8].decode("ascii", "replace").rstrip()]
    return operation, decoder.decode(frame[8:])


def apply(conn: Connection, values: Iterable[tuple[Operation, Any]]) -> None:
    """Apply a batch inside the caller's transaction, each operation once with all its values in order."""
    lists: dict[Operation, list[Any]] = {}
    for operation, value in values:
        known = lists.get(operation)
        if known is None:
            lists[operation] = [value]
        else:
            known.append(value)
    for operation in NAMES:
        if operation in lists:
            operation(conn, lists[operation])
