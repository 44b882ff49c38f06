"""The live feed: every call once, in the order in which calls were recorded, for as long as the client listens.

Laws:

- an event's id is the call's ``seq``; who comes back with the last one goes on after it, with no gap and no double:
  ``seq`` grows in the order of commits, so who has seen one has seen all below it;
- each look at the record is a short read transaction of its own, of so many calls at most;
- a ``seq`` above the newest is of another record (a backup was brought back): the feed says so and begins at the
  newest, for else it would be silent until that number comes round;
- where calls pass that the filters do not want, the beat carries their ``seq`` as id, so that coming back is cheap.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from flask import Response, request
from flask_restx import Resource
from msgspec import Meta

from gemgate.api import context, named, problems, streams
from gemgate.api.calls import namespace
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import Role
from gemgate.api.wanted import Filters, item, wanted
from gemgate.store.connection import reader, reading
from gemgate.store.reports import calls as record
from gemgate.store.reports.listing import matches
from gemgate.store.reports.listing_terms import Wanted

__all__ = ["Anew", "Live", "follow", "namespace"]

PAUSE: Final = 0.25
"""Seconds between looks for new calls."""
BEAT: Final = 2.0
"""Seconds of silence after which a beat is sent: it keeps proxies from closing, and tells whether the client left,
whose place another waits for."""
STRIDE: Final = 1_000
"""Calls that one look takes in, wanted or not."""
_MOST: Final = 2**63 - 1


class LiveQuery(Filters, forbid_unknown_fields=True, kw_only=True):
    """Which calls, and from where on."""

    after: Annotated[
        Annotated[int, Meta(ge=0, le=_MOST)] | None,
        Meta(
            description="Begin after the call of this seq; 0: with the first on record. Left out: with what is "
            "recorded from now on. The header Last-Event-ID, which browsers send when they come back, counts more."
        ),
    ] = None


class Anew(msgspec.Struct):
    """The feed begins anew: after the call of ``newest``, since none of ``asked`` is on record."""

    asked: int
    newest: int


@namespace.route("/live")
class Live(Resource):
    """New calls as they are recorded."""

    @operation(namespace, role=Role.VIEWER, query=LiveQuery, media="text/event-stream", errors=(503,))
    def get(self, query: LiveQuery) -> Response:
        """Follow calls as server-sent events, each once, in the order in which they were recorded.

        An event is named `call`, its id is the call's `seq`, its data the call as the list gives it, in one line of
        JSON. Come back with the last id in `Last-Event-ID` (browsers do) or `after`, and nothing is missed or told
        twice. Comments are sent in silence. An event named `anew` says that the last id is above the newest call's,
        because an older record was brought back: its data has `asked` and `newest`, and the feed goes on after the
        newest. An event named `problem` ends the feed when the record cannot be read.
        """
        which = wanted(query)
        after = _after(query)
        if after is None:
            with context.reading() as conn:
                after = record.latest(conn)
        path, asked = context.settings().database, problems.request_id()
        return streams.stream(_events(path, which, after, asked))


def follow(
    conn: sqlite3.Connection,
    which: Wanted,
    after: int,
    rest: Callable[[float], None] = streams.rest,
    stride: int = STRIDE,
) -> Iterator[bytes]:
    """The events of wanted calls after a ``seq``, without end; ``rest`` waits for so many seconds, and one look takes
    in ``stride`` calls.

    Raises sqlite3.Error when the record cannot be read.
    """
    silent = 0.0
    yield b"retry: 1000\n: the feed begins\n\n"
    with reading(conn):
        newest = record.latest(conn)
    if after > newest:
        yield b"id: %d\nevent: anew\ndata: %b\n\n" % (newest, msgspec.json.encode(Anew(after, newest)))
        after = newest
    while True:
        with reading(conn):
            newest = record.latest(conn)
            top = min(newest, after + stride)
            rows = record.by_seq(conn, matches(conn, which, after, top) or []) if top > after else []
        for row in rows:
            yield b"id: %d\nevent: call\ndata: %b\n\n" % (row.seq, msgspec.json.encode(item(row)))
        after = max(after, top)
        silent = 0.0 if rows else silent
        if after < newest:
            continue
        if silent >= BEAT:
            silent = 0.0
            yield b": still here\nid: %d\n\n" % after
        rest(PAUSE)
        silent += PAUSE


def _events(path: Path, which: Wanted, after: int, asked: str) -> Iterator[bytes]:
    """The feed over a connection of its own, which is closed with it."""
    try:
        with contextlib.closing(reader(path)) as conn:
            yield from follow(conn, which, after)
    except sqlite3.Error:
        gone = Problem(
            503, "STORE_DOWN", "The record cannot be read now.", "`gemgate doctor` looks at it closer."
        )
        body = problems.body_of(gone, asked)
        yield b"event: problem\ndata: %b\n\n" % body.strip()


def _after(query: LiveQuery) -> int | None:
    """Where the client stands, None for now. Raises Problem 400."""
    last = request.headers.get("Last-Event-ID", "").strip()
    if not last:
        return query.after
    if not (last.isascii() and last.isdigit()) or int(last[:20]) > _MOST or len(last) > 20:
        raise named.wrong(
            {"Last-Event-ID": "The id of an event of this feed is a whole number."}, "BAD_QUERY"
        )
    return int(last)
