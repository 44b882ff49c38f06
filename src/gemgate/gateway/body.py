"""A request's body that must be read whole, because it is inspected or may be sent more than once.

Small ones stay in memory. From ``spool`` bytes on they go to an unlinked temporary file, so that a hundred
large prompts under way do not fill the memory.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from gemgate.core.errors import Refused
from gemgate.gateway.exchange import Exchange

PIECE = 256 * 1024


class Body:
    """A whole body: ``view`` reads like bytes; ``pieces`` sends it again, as often as needed."""

    __slots__ = ("_file", "size", "view")

    def __init__(self, view: bytes | mmap.mmap, size: int, file: IO[bytes] | None = None) -> None:
        self.view = view
        self.size = size
        self._file = file

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces."""
        for start in range(0, self.size, PIECE):
            yield bytes(self.view[start : start + PIECE])

    @property
    def small(self) -> bytes | None:
        """The body as bytes when it is in memory, else None."""
        return self.view if isinstance(self.view, bytes) else None

    def close(self) -> None:
        """Give the temporary file back."""
        if isinstance(self.view, mmap.mmap):
            self.view.close()
            self.view = b""
        if self._file is not None:
            self._file.close()
            self._file = None


EMPTY = Body(b"", 0)


async def read_whole(exchange: Exchange, cap: int, spool: int) -> Body:
    """Read a request's body to its end. Raises Refused 413 above ``cap`` bytes, ClientGone."""
    chunk, more = await exchange.piece()
    size = len(chunk)
    if not more and size <= spool and size <= cap:
        return Body(chunk, size)
    parts: list[bytes] = []
    size = 0
    file: IO[bytes] | None = None
    try:
        while True:
            size += len(chunk)
            if size > cap:
                raise too_large(cap)
            if file is None and size > spool:
                file = tempfile.TemporaryFile(prefix="gemgate-")  # noqa: SIM115 - Body.close gives it back
                file.writelines(parts)
                parts.clear()
            if file is None:
                parts.append(chunk)
            else:
                file.write(chunk)
            if not more:
                break
            chunk, more = await exchange.piece()
    except BaseException:
        if file is not None:
            file.close()
        raise
    if file is None:
        return Body(b"".join(parts), size)
    file.flush()
    return Body(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), size, file)


def too_large(cap: int) -> Refused:
    """The refusal of a body above the cap."""
    return Refused(
        413,
        "BODY_TOO_LARGE",
        f"The request's body is larger than {cap:,} bytes.",
        hint="Upload large media through the Files API, which streams, or raise gateway.max_body.",
    )
