"""Cutting Google's other stream form, one JSON array that grows element by element, while its bytes pass by.

``[{...}`` then ``,\\r\\n{...}`` then ``]``: each element is a chunk of the answer. As in ``dialects.sse`` the
elements and their offsets do not depend on how the network cut the stream, and every byte is looked at once.
"""

from __future__ import annotations

import re

from gemgate.dialects.sse import BARE, MAX_BUFFER, Event, TooLong

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_CONTENT = re.compile(rb"[^ \t\r\n]")


class ArrayFeed:
    """An incremental splitter of a JSON array of objects, with the interface of ``sse.Feed``.

    A body that is no array, and what follows the closing bracket, comes from ``close`` as an event ``bare``.
    """

    __slots__ = (
        "_bare",
        "_base",
        "_cap",
        "_count",
        "_depth",
        "_escaped",
        "_quoted",
        "_size",
        "_state",
        "_top",
    )

    def __init__(self, cap: int = MAX_BUFFER) -> None:
        self._cap = cap
        self._base = 0
        self._state = "before"  # before, within, after the array
        self._depth = 0  # open brackets of the element at hand
        self._quoted = False
        self._escaped = False
        self._top: list[bytes] = []  # pieces of the element at hand
        self._size = 0
        self._bare: list[bytes] = []
        self._count = 0

    @property
    def closed(self) -> bool:
        """Whether the closing bracket of the array was seen."""
        return self._state == "after"

    @property
    def first(self) -> bool:
        """Whether no element has been completed yet."""
        return self._count == 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The elements that this chunk completes. Raises ``TooLong``."""
        out: list[Event] = []
        pos = 0
        if self._state == "before":
            pos = self._enter(chunk)
        while pos < len(chunk) and self._state == "within":
            pos = self._inside(chunk, pos, out) if self._depth else self._between(chunk, pos)
        if pos < len(chunk):
            self._size += len(chunk) - pos
            self._bare.append(chunk[pos:])
        self._base += len(chunk)
        if self._size > self._cap:
            raise TooLong(f"an element of the stream is longer than {self._cap} bytes")
        return out

    def close(self) -> list[Event]:
        """What stood outside the array, as one event ``bare``; an unfinished element is not returned."""
        rest = b"".join(self._bare).strip()
        self._bare = []
        return [Event(BARE, rest, self._base)] if rest else []

    def error_suffix(self, body: bytes) -> bytes:
        """The bytes that end the array with ``body`` as its last element.

        They are right when exactly the whole elements up to the last ``end`` were forwarded.
        """
        return b"[" + body + b"]\n" if self.first else b",\r\n" + body + b"]\n"

    def _enter(self, chunk: bytes) -> int:
        """Find the opening bracket; a body that starts otherwise is bare."""
        found = _CONTENT.search(chunk)
        if found is None:
            return len(chunk)
        if found.group() == b"[":
            self._state = "within"
            return found.end()
        self._state = "bare"
        return found.start()

    def _between(self, chunk: bytes, pos: int) -> int:
        """Skip to the next element or to the end of the array; bare numbers and words are passed over."""
        if self._quoted:
            return self._string(chunk, pos)
        found = _OUTSIDE.search(chunk, pos)
        if found is None:
            return len(chunk)
        sign = found.group()
        if sign == b'"':
            self._quoted = True
        elif sign in b"{[":
            self._depth = 1
            self._top = [sign]
            self._size = 1
        elif sign == b"]":
            self._state = "after"
        return found.end()

    def _inside(self, chunk: bytes, pos: int, out: list[Event]) -> int:
        """Follow the element at hand to its closing bracket or to the end of the chunk."""
        start, size = pos, len(chunk)
        while pos < size:
            if self._quoted:
                pos = self._string(chunk, pos)
                continue
            found = _OUTSIDE.search(chunk, pos)
            if found is None:
                break
            pos = found.end()
            sign = found.group()
            if sign == b'"':
                self._quoted = True
            elif sign in b"{[":
                self._depth += 1
            else:
                self._depth -= 1
                if not self._depth:
                    self._top.append(chunk[start:pos])
                    out.append(Event("", b"".join(self._top), self._base + pos))
                    self._top, self._size = [], 0
                    self._count += 1
                    return pos
        self._top.append(chunk[start:])
        self._size += size - start
        return size

    def _string(self, chunk: bytes, pos: int) -> int:
        """Skip within a string up to its closing quote or to the end of the chunk."""
        if self._escaped:
            self._escaped = False
            pos += 1
        while found := _INSIDE.search(chunk, pos):
            pos = found.end()
            if found.group() == b'"':
                self._quoted = False
                return pos
            if pos == len(chunk):
                self._escaped = True
                return pos
            pos += 1
        return len(chunk)
