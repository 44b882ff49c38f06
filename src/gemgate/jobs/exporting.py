"""Makes one export: ``python -m gemgate.jobs.exporting --data DIR --job N --keep SECONDS``, a process of its own, so
that the console keeps its memory and its lock.

Laws:

- memory stays flat: a chunk of rows is read, written and forgotten;
- each chunk is one short read, followed by a pause, and the process gives way to others;
- a file has its name only when it is whole; what was begun is taken away, whatever ends it;
- it ends when its stdin closes: then the job has failed, and says so.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import importlib.util
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from gemgate.insight.plan import TooMuch
from gemgate.jobs.formats import Csv, JsonLines, Sheet
from gemgate.store import exports, jobs
from gemgate.store.connection import Connection, reader, slice_, visitor
from gemgate.store.database import FILE
from gemgate.store.exports import Chunk, Column, Sums
from gemgate.store.reports.listing_terms import Wanted

KIND: Final = "export"
"""How exports are called among the jobs."""
FOLDER: Final = "exports"
ENDINGS: Final = {"csv": "csv", "jsonl": "jsonl", "parquet": "parquet"}
NEEDS: Final = "Parquet needs a package that is not installed: pip install 'gemgate[parquet]'."

_TOLD: Final = 0.5  # seconds between two words on how far it is
_NICE: Final = 10
_LEAST: Final = 0.001  # seconds of a pause
_STOPPED: Final = "gemgate was stopped while the export was made. Ask for it again."


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be exported, in which ``format`` (of ``ENDINGS``); ``columns`` empty: all. Single calls are
    ``wanted``; of sums ``sums`` is asked."""

    what: str
    format: str
    columns: tuple[str, ...] = ()
    wanted: Wanted = Wanted()
    sums: Sums | None = None


class Stopped(Exception):
    """The process is to end, or nobody wants the export any more."""


Told = Callable[[int, int], None]
"""Hears how many calls (of sums: buckets) were looked at, and of how many; may raise Stopped."""


def has_parquet() -> bool:
    """Whether Parquet can be written."""
    return importlib.util.find_spec("pyarrow") is not None


def chosen(asked: Asked) -> tuple[Column, ...]:
    """The columns of an export. Raises ValueError for a name that is none."""
    known = {column.name: column for column in columns_of(asked)}
    for name in asked.columns:
        if name not in known:
            raise ValueError(f"There is no column {name!r}; there are {', '.join(known)}.")
    return tuple(known[name] for name in asked.columns) if asked.columns else tuple(known.values())


def columns_of(asked: Asked) -> tuple[Column, ...]:
    """All columns that it could have."""
    return exports.columns(asked.what, asked.sums.dimensions if asked.sums is not None else ())


def write(conn: Connection, asked: Asked, sink: IO[bytes], told: Told) -> int:
    """Write an export; ``conn`` is a reader. Returns the number of rows.

    Raises ValueError for a bad column, TooMuch, sqlite3.Error, OSError, and what ``told`` raises.
    """
    columns = chosen(asked)
    places = {column.name: place for place, column in enumerate(columns_of(asked))}
    picked = [places[column.name] for column in columns]
    everything = picked == list(range(len(places)))
    found, total = _source(conn, asked)
    told(0, total)
    sheet = _sheet(asked.format, sink, columns)
    rows = looked = 0
    begun = time.monotonic()
    for chunk in found:
        sheet.write(chunk.rows if everything else [tuple(row[at] for at in picked) for row in chunk.rows])
        rows += len(chunk.rows)
        looked += chunk.looked
        told(looked, max(total, looked))
        time.sleep(max(_LEAST, (time.monotonic() - begun) / 4))
        begun = time.monotonic()
    sheet.close()
    told(looked, looked)
    return rows


def _source(conn: Connection, asked: Asked) -> tuple[Iterator[Chunk], int]:
    if asked.sums is not None:
        return exports.sums(conn, asked.what, asked.sums), len(asked.sums.bounds) - 1
    top = exports.latest(conn)
    return exports.chunks(conn, asked.what, asked.wanted, top), exports.count(conn, asked.wanted)


def _sheet(form: str, sink: IO[bytes], columns: tuple[Column, ...]) -> Sheet:
    if form == "parquet":
        made: Sheet = importlib.import_module("gemgate.jobs.parquet").Parquet(sink, columns)
        return made
    return Csv(sink, columns) if form == "csv" else JsonLines(sink, columns)


def path_of(data: Path, number: int, form: str) -> Path:
    """Where the file of an export is."""
    return data / FOLDER / f"{number}.{ENDINGS.get(form, 'bin')}"


class _Work:
    """One export as a job."""

    def __init__(self, data: Path, number: int, keep: float) -> None:
        self._data = data
        self._number = number
        self._keep = keep
        self._stopping = threading.Event()
        self._next = 0.0
        self._far = (0, 0)

    def stop(self) -> None:
        """Wait for the end of stdin: whoever started us is gone."""
        while os.read(0, 4096):
            pass
        self._stopping.set()

    def run(self) -> None:
        """Make it, and say what came of it."""
        with contextlib.closing(visitor(self._data / FILE)) as conn:
            job = jobs.find(conn, KIND, self._number)
            if job is None or not _written(conn, lambda inside: jobs.start(inside, self._number, _now())):
                return
            asked = msgspec.convert(job.body, Asked)
            path = path_of(self._data, self._number, asked.format)
            part = path.with_name(path.name + ".part")
            try:
                state, message, result = self._made(conn, asked, path, part)
            finally:
                # Where it cannot be taken away (its folder is none any more) the job still has to be told its end.
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)

            def end(inside: Connection) -> bool:
                """The end, if nobody else has ended it."""
                if state == "done":
                    jobs.progress(inside, self._number, *self._far)
                    jobs.keep_until(inside, self._number, _now() + round(self._keep * 1_000_000))
                return jobs.end(inside, self._number, state, _now(), message, result)

            if not _written(conn, end):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def _made(
        self, conn: Connection, asked: Asked, path: Path, part: Path
    ) -> tuple[str, str, dict[str, Any]]:
        """State, message and result."""
        try:
            part.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(handle, "wb") as sink, contextlib.closing(reader(self._data / FILE)) as source:
                rows = write(source, asked, sink, lambda done, total: self._told(conn, done, total))
            os.replace(part, path)
        except Stopped:
            return "failed", _STOPPED, {}
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            said = "The disk is full." if full else f"The file cannot be written: {error.strerror or error}."
            return "failed", said, {}
        except sqlite3.Error as error:
            return "failed", f"The record could not be read: {error}.", {}
        except TooMuch as error:
            return "failed", f"{error}.".capitalize(), {}
        except (ImportError, ValueError) as error:
            return "failed", NEEDS if isinstance(error, ImportError) else str(error), {}
        return "done", "", {"rows": rows, "bytes": path.stat().st_size}

    def _told(self, conn: Connection, done: int, total: int) -> None:
        """Say how far it is, now and then. Raises Stopped when nobody wants it any more."""
        self._far = (done, total)
        if self._stopping.is_set():
            raise Stopped
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _TOLD
        if not _written(conn, lambda inside: jobs.progress(inside, self._number, done, total)):
            raise Stopped


def _written(conn: Connection, work: Callable[[Connection], bool]) -> bool:
    """What ``work`` gives, in a short write transaction."""
    with slice_(conn):
        return work(conn)


def _now() -> int:
    return time.time_ns() // 1000


def main(arguments: list[str]) -> int:
    """Make the export. 1 when the job could not even be told what came of it."""
    parser = argparse.ArgumentParser(prog="gemgate.jobs.exporting")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--job", type=int, required=True)
    parser.add_argument("--keep", type=float, required=True)
    given = parser.parse_args(arguments)
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    work = _Work(given.data, given.job, given.keep)
    threading.Thread(target=work.stop, name="parent", daemon=True).start()
    try:
        work.run()
    except sqlite3.Error as error:
        print(f"export {given.job}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
