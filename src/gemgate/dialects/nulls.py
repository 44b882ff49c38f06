"""JSON without its nulls: writers that spell out absent fields mean the same as those that leave them out."""

from __future__ import annotations

import msgspec


def dropped(data: bytes) -> bytes:
    """The same JSON without object members that are null.

    Raises msgspec.DecodeError or RecursionError on what cannot be read. For the rare body only: it is decoded
    and written anew.
    """
    return msgspec.json.encode(_drop(msgspec.json.decode(data)))


def _drop(value: object) -> object:
    if isinstance(value, dict):
        return {key: _drop(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_drop(inner) for inner in value]
    return value
