"""Stores bodies of calls: ``python -m gemgate.gateway.storing --data FILE --keep SECONDS --room BYTES --patience
SECONDS``, a process that the gateway starts when the first one comes.

Laws:

- it reads batches (8 bytes of length, then msgpack) on stdin and says a line for each on stdout: ``stored`` and of
  how many calls, or what was wrong;
- it redacts, compresses and writes, in slices of at most 20 ms with pauses as long, and gives way to the calls;
- a call whose bodies cannot be redacted is left out, whatever is wrong with them; the others are stored;
- it ends when its stdin closes, and by the system's alarm when a batch takes longer than ``--patience``: a pattern
  that never ends holds Python, and must not outlive a gateway that was killed;
- now and then it deletes what is too old or too much, since there may be no console that does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import logging
import os
import select
import signal
import sqlite3
import sys
import time
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from gemgate.core.redaction import Redactor, Rules, removed
from gemgate.gateway.capture import Side, Taken
from gemgate.gateway.steady import Steady
from gemgate.store import payloads
from gemgate.store.connection import Connection, sliced, visitor
from gemgate.store.payloads import Body

_NICE: Final = 10
_REDACTING: Final = Steady("bodies of a call cannot be redacted")
_TIDY: Final = 30.0  # seconds between two looks at what is too old
_TIDIES: Final = 1.0  # seconds that a look may take: batches wait for it


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


def store(conn: Connection, batch: list[Taken]) -> int:
    """Redact and write a batch. Returns the number of calls that could be redacted. Raises sqlite3.Error."""
    waiting: list[Body] = []
    done = 0
    for taken in batch:
        # Bodies are what clients and Google send: a fault that one of them finds must cost that one alone.
        with _REDACTING.turn():
            waiting += bodies(taken)
        done += _REDACTING.well
    if not waiting:
        return done

    def step(inside: Connection) -> bool:
        """One body."""
        if waiting:
            payloads.keep(inside, waiting.pop(0))
        return bool(waiting)

    sliced(conn, step)
    return done


def _frame(length: int) -> bytes:
    parts = sys.stdin.buffer.read(length)
    return parts if len(parts) == length else b""


def _tidy(path: Path, keep: float, room: int) -> None:
    """Delete what is too old or too much, for a time; the rest at the next look."""
    end = time.monotonic() + _TIDIES
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(visitor(path)) as conn:
        payloads.tidy(conn, keep, room, lambda: time.monotonic() > end)


def main(arguments: list[str]) -> int:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(prog="gemgate.gateway.storing")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--keep", type=float, required=True)
    parser.add_argument("--room", type=int, required=True)
    parser.add_argument("--patience", type=float, required=True)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the gateway, which ends us
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # The text of a fault may carry what is in a body. The gateway says how many were left out.
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    decoder = msgspec.msgpack.Decoder(list[Taken])
    coming = select.poll()
    coming.register(sys.stdin.buffer, select.POLLIN)
    tidied = -_TIDY
    while True:
        # The gateway sends a batch only after our word on the one before, so that nothing stands in the buffer here.
        if time.monotonic() - tidied >= _TIDY:
            _tidy(given.data, given.keep, given.room)
            tidied = time.monotonic()
        if not coming.poll(_TIDY * 1000):
            continue
        frame = _frame(int.from_bytes(_frame(8), "big"))
        if not frame:
            return 0
        signal.setitimer(signal.ITIMER_REAL, given.patience)
        try:
            with contextlib.closing(visitor(given.data)) as conn:
                said = f"stored {store(conn, decoder.decode(frame))}"
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            said = f"{type(error).__name__}: {error}".replace("\n", " ")
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(said, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
