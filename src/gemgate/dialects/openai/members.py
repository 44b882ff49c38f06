"""Members of a request that are not known here: found at every depth, named, and taken out.

Laws:

- a body without any is decoded once, and nothing else is done;
- only objects whose members are known are looked into; what is kept raw passes byte for byte;
- null says nothing: such a member is taken out without a name;
- what has another type than is due stays, for the decoder to complain of.
"""

from __future__ import annotations

import functools
from typing import TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T", bound=msgspec.Struct)
_raw = msgspec.json.Decoder(msgspec.Raw)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> tuple[T, tuple[str, ...]]:
    """The body, and the paths of the members that its type, which forbids unknown ones, does not know, each once:
    ``tools[].function.wild``.

    Raises as the decoder does: msgspec.DecodeError, UnicodeDecodeError, RecursionError.
    """
    try:
        return decoder.decode(body), ()
    except msgspec.ValidationError:
        found: dict[str, None] = {}
        known = _known(_raw.decode(body), _info(decoder.type), "", found)
        return decoder.decode(known), tuple(found)


@functools.cache
def _info(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _known(raw: msgspec.Raw, kind: inspect.Type, where: str, found: dict[str, None]) -> msgspec.Raw:
    """The value without what its type does not know."""
    first = bytes(memoryview(raw)[:1])
    for one in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(one, inspect.StructType) and first == b"{":
            return _members(raw, one, where, found)
        if isinstance(one, inspect.VarTupleType | inspect.ListType) and first == b"[":
            rows = [_known(row, one.item_type, f"{where}[]", found) for row in _array.decode(raw)]
            return msgspec.Raw(_encode(rows))
    return raw


def _members(raw: msgspec.Raw, kind: inspect.StructType, where: str, found: dict[str, None]) -> msgspec.Raw:
    fields = {field.encode_name: field.type for field in kind.fields}
    known: dict[str, msgspec.Raw] = {}
    for name, value in _object.decode(raw).items():
        path = f"{where}.{name}" if where else name
        if name in fields:
            known[name] = _known(value, fields[name], path, found)
        elif bytes(value) != b"null":
            found[path] = None
    return msgspec.Raw(_encode(known))
