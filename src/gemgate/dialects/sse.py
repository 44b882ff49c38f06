"""Cutting a server-sent event stream into events while its bytes pass by.

Laws:

- the events, their data and their offsets do not depend on how the network cut the stream into chunks;
- every byte is looked at once, however large an event grows;
- the tap never alters bytes: ``Event.end`` tells the relay where it may hold back or break off.

Google's streams use CRLF, others LF or CR. A CRLF that ends an event belongs to it whole: a break after the
CR alone would leave strict parsers waiting. So a blank line that ends in CR waits for one more byte, unless
the line before it ended in a lone CR as well (then the stream is of the old kind and no LF will come).
"""

from __future__ import annotations

import msgspec

BARE = "bare"
"""Name of an event that was none: JSON without ``data:``, as Google sends for a fault in mid-stream, or a page."""

MAX_BUFFER = 64 * 1024 * 1024
"""Bytes one unfinished event may hold before the stream is given up."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR = 0x0A, 0x0D


class TooLong(ValueError):
    """An event grew past the cap before it ended."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. ``end`` is the offset in the whole stream just past the blank line that closed it.

    A bare event ends with its closing bracket, an event without a blank line where the stream did.
    """

    name: str
    data: bytes
    end: int


class Feed:
    """An incremental splitter: give it chunks, take the events they complete, ``close`` it at the end."""

    __slots__ = (
        "_after_cr",
        "_bare",
        "_base",
        "_cap",
        "_data",
        "_first",
        "_lone_cr",
        "_mark",
        "_name",
        "_out",
        "_pieces",
        "_start",
        "_waiting",
    )

    def __init__(self, cap: int = MAX_BUFFER) -> None:
        self._cap = cap
        self._base = 0  # offset of the chunk at hand
        self._mark = 0  # offset just past the last event or blank line
        self._start = 0  # offset of the line at hand
        self._pieces: list[bytes] = []  # the unfinished line
        self._data: list[bytes] = []
        self._name = ""
        self._bare: list[bytes] = []
        self._out: list[Event] = []
        self._first = True
        self._after_cr = False  # the last byte seen was a CR that ended a line
        self._lone_cr = False  # the last line ended in a CR without LF
        self._waiting = False  # a blank line ended in CR; its LF may follow

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. Raises ``TooLong``."""
        if not chunk:
            return []
        pos = self._after_break(chunk) if self._after_cr else 0
        size = len(chunk)
        lf, cr = chunk.find(b"\n", pos), chunk.find(b"\r", pos)
        while lf >= 0 or cr >= 0:
            if cr < 0 or 0 <= lf < cr:
                line, pos = chunk[pos:lf], lf + 1
                self._line(line, pos, lone_cr=False)
                lf = chunk.find(b"\n", pos)
                continue
            line, pos = chunk[pos:cr], cr + 1
            if pos == size:
                self._line_to_cr_at_edge(line, pos)
                break
            if chunk[pos] == _LF:
                if line or self._pieces or not self._lone_cr:
                    pos += 1
                    self._line(line, pos, lone_cr=False)
                else:
                    # A lone CR came before this blank line: it ends at the CR however the bytes were cut.
                    self._line(line, pos, lone_cr=True)
                    pos += 1
                    self._start += 1
                lf = chunk.find(b"\n", pos)
            else:
                self._line(line, pos, lone_cr=True)
            cr = chunk.find(b"\r", pos)
        if pos < size:
            self._pieces.append(chunk[pos:] if pos else chunk)
        self._base += size
        if self._base - self._mark > self._cap:
            raise TooLong(f"an event of the stream is longer than {self._cap} bytes")
        out, self._out = self._out, []
        return out

    def close(self) -> list[Event]:
        """What is left at the end of the stream: an event without its blank line, or bare JSON."""
        if self._waiting:
            self._waiting = False
            self._blank(self._base)
        if self._pieces:
            self._line(b"", 0, lone_cr=False)
        self._blank(self._base)
        out, self._out = self._out, []
        return out

    def _after_break(self, chunk: bytes) -> int:
        """Settle a CR that stood at the end of the chunk before; return where the next line starts."""
        self._after_cr = False
        pos = 1 if chunk[0] == _LF else 0
        self._start += pos
        if self._waiting:
            self._waiting = False
            self._lone_cr = not pos
            self._blank(self._base + pos)
        elif pos:
            self._lone_cr = False
        return pos

    def _line_to_cr_at_edge(self, line: bytes, pos: int) -> None:
        """A line whose CR is the last byte of the chunk: an LF may still come."""
        self._after_cr = True
        if line or self._pieces or self._lone_cr:
            self._line(line, pos, lone_cr=True)
        else:
            self._waiting = True
            self._start = self._base + pos

    def _line(self, tail: bytes, pos: int, *, lone_cr: bool) -> None:
        """Take one whole line; ``pos`` is where the next one starts in the chunk."""
        line = tail
        if self._pieces:
            self._pieces.append(tail)
            line = b"".join(self._pieces)
            self._pieces = []
        self._lone_cr = lone_cr
        start, self._start = self._start, self._base + pos
        end = start + len(line)
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            self._blank(self._base + pos)
        elif self._bare:
            self._bare.append(line)
            if line[0:1] == (b"}" if self._bare[0][0] == 0x7B else b"]"):
                self._blank(end)
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ").decode("utf-8", "replace")
        elif line == b"data":
            self._data.append(b"")
        elif line[0] in b"{[<":
            self._open_bare(line, start, end)

    def _open_bare(self, line: bytes, start: int, end: int) -> None:
        """A line of JSON, or of a web page, and no field: all up to its closing bracket is one bare event."""
        if self._data:
            self._blank(start)
        self._bare.append(line)
        if line.rstrip()[-1:] == (b"}" if line[0] == 0x7B else b"]"):
            self._blank(end)

    def _blank(self, end: int) -> None:
        """A blank line ends the event at hand, if there is one."""
        if self._bare:
            self._out.append(Event(BARE, b"\n".join(self._bare), end))
            self._bare = []
        elif self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            self._out.append(Event(self._name, data, end))
            self._data = []
        self._name = ""
        self._mark = end
