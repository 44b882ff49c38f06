"""Stores bodies of calls: ``python -m gemgate.gateway.storing DATABASE``, a process that the gateway starts when the
first one comes.

It reads batches (8 bytes of length, then msgpack) on stdin and says a line for each on stdout: ``stored``, or what
was wrong. It redacts, compresses and writes, in slices of at most 20 ms with pauses as long, and gives way to the
calls. It ends when its stdin closes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sqlite3
import sys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from gemgate.core.redaction import Redactor, Rules, removed
from gemgate.gateway.capture import Side, Taken
from gemgate.store import payloads
from gemgate.store.connection import Connection, sliced, visitor
from gemgate.store.payloads import Body

_NICE: Final = 10


@lru_cache(maxsize=64)
def _redactor(rules: bytes) -> Redactor:
    return Redactor(msgspec.json.decode(rules, type=Rules))


def bodies(taken: Taken) -> list[Body]:
    """What is stored of a call."""
    redactor = _redactor(msgspec.json.encode(taken.redact))
    out = []
    for side in taken.sides:
        plain, whole = _plain(side, taken.most)
        if plain is None:
            kept, count = (
                f"[removed: {side.size} bytes, {side.coding}, sha256 {_hash(side.body)}]".encode(),
                1,
            )
        elif not whole and not plain:
            kept, count = removed(b"").encode(), 1
        else:
            kept, count = redactor.redact(plain, whole=whole)
        digest, packed = payloads.pack(kept)
        out.append(
            Body(
                call_id=taken.call_id,
                side=side.side,
                digest=digest,
                size=len(kept),
                packed=packed,
                whole=whole,
                redacted=count,
                at=taken.at,
                expires_at=taken.expires_at,
            )
        )
    return out


def _plain(side: Side, most: int) -> tuple[bytes | None, bool]:
    """The body without its coding and whether it is whole; None where the coding is not one that can be undone."""
    if side.coding in ("", "identity"):
        return side.body, side.whole
    if side.coding not in ("gzip", "x-gzip", "deflate"):
        return None, side.whole
    # Bounded: a few kilobytes may unpack to gigabytes.
    undo = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = undo.decompress(side.body, most)
    except zlib.error:
        return None, side.whole
    return plain, side.whole and undo.eof


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def store(conn: Connection, batch: list[Taken]) -> None:
    """Redact and write a batch. Raises sqlite3.Error."""
    waiting = [body for taken in batch for body in bodies(taken)]

    def step(inside: Connection) -> bool:
        """One body."""
        if waiting:
            payloads.keep(inside, waiting.pop(0))
        return bool(waiting)

    sliced(conn, step)


def _frame(length: int) -> bytes:
    parts = sys.stdin.buffer.read(length)
    return parts if len(parts) == length else b""


def main(arguments: list[str]) -> int:
    """Serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the gateway, which ends us
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    decoder = msgspec.msgpack.Decoder(list[Taken])
    while head := _frame(8):
        frame = _frame(int.from_bytes(head, "big"))
        if not frame:
            break
        said = "stored"
        try:
            with contextlib.closing(visitor(Path(arguments[0]))) as conn:
                store(conn, decoder.decode(frame))
        except (sqlite3.Error, OSError) as error:
            said = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(said, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
