"""Where values stand in the bytes of a JSON text, so that one can be changed and all others stay as they are.

Bodies come here after they were found to be JSON; what is none raises ``Broken``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec


class Broken(ValueError):
    """The text is no JSON object."""


class Member(NamedTuple):
    """A member of an object: its key, where the key begins and ends, where the value begins and ends."""

    key: str
    begin: int
    colon: int
    start: int
    end: int


Edit = tuple[int, int, bytes]
"""Bytes from, to, and what stands there instead."""

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^ \t\r\n,\]}\[{\":]++")
# What matters on the way to the end of an object or a list: brackets outside of strings.
_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_string = msgspec.json.Decoder(str)


def find(body: bytes, *path: str) -> Iterator[Member]:
    """The members that ``path`` leads to from the top; a word of it may be several spellings, ``a|b``.

    Lists on the way are entered by themselves. Raises Broken.
    """
    yield from _walk(body, _skip(body, 0), [frozenset(word.split("|")) for word in path])


def members(body: bytes, at: int) -> list[Member]:
    """The members of the object that begins at ``at``. Raises Broken."""
    found = []
    at = _skip(body, at + 1)
    while body[at : at + 1] != b"}":
        begin, colon = at, _match(_STRING, body, at)
        at = _skip(body, colon)
        if body[at : at + 1] != b":":
            raise Broken("a colon is missing")
        start = _skip(body, at + 1)
        end = _end(body, start)
        found.append(Member(text(body, begin, colon), begin, colon, start, end))
        at = _next(body, end, b"}")
    return found


def text(body: bytes, start: int, end: int) -> str:
    """The string between two places, empty when no string stands there."""
    try:
        return _string.decode(body[start:end])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def changed(body: bytes, edits: Iterable[Edit]) -> bytes:
    """The body with the edits made, which must not overlap."""
    pieces = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += [body[at:start], new]
        at = end
    return b"".join(pieces) + body[at:]


def without(body: bytes, member: Member) -> bytes:
    """The body without one member and the comma that goes with it."""
    after = _skip(body, member.end)
    if body[after : after + 1] == b",":
        return body[: member.begin] + body[_skip(body, after + 1) :]
    before = body[: member.begin].rstrip(b" \t\r\n")
    if before.endswith(b","):
        return before[:-1] + body[member.end :]
    return body[: member.begin] + body[member.end :]


def _walk(body: bytes, at: int, path: list[frozenset[str]]) -> Iterator[Member]:
    if body[at : at + 1] == b"[":
        places = [start for start in _elements(body, at) if body[start : start + 1] == b"{"]
    else:
        places = [at] if body[at : at + 1] == b"{" else []
    for place in places:
        for member in members(body, place):
            if member.key in path[0]:
                if len(path) == 1:
                    yield member
                else:
                    yield from _walk(body, member.start, path[1:])


def _elements(body: bytes, at: int) -> list[int]:
    """Where the elements of a list begin."""
    found = []
    at = _skip(body, at + 1)
    while body[at : at + 1] != b"]":
        found.append(at)
        at = _next(body, _end(body, at), b"]")
    return found


def _next(body: bytes, at: int, closing: bytes) -> int:
    """The place after a comma, or that of the closing bracket."""
    at = _skip(body, at)
    sign = body[at : at + 1]
    if sign == b",":
        return _skip(body, at + 1)
    if sign != closing:
        raise Broken("a comma is missing")
    return at


def _end(body: bytes, at: int) -> int:
    """Where the value that begins at ``at`` ends."""
    sign = body[at : at + 1]
    if sign == b'"':
        return _match(_STRING, body, at)
    if sign not in (b"{", b"["):
        return _match(_SCALAR, body, at)
    depth = 0
    for mark in _MARK.finditer(body, at):
        kind = mark[0]
        if kind in (b"{", b"["):
            depth += 1
        elif kind in (b"}", b"]"):
            depth -= 1
            if not depth:
                return mark.end()
    raise Broken("a bracket is not closed")


def _skip(body: bytes, at: int) -> int:
    return _match(_SPACE, body, at)


def _match(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    found = pattern.match(body, at)
    if found is None:
        raise Broken("a value is missing")
    return found.end()
