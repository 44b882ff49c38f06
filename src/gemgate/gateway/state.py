"""The gateway's state of quota, health and waiting: kept once a second for others to read, restored at the start.

Laws:

- what is read from the record at the start makes the windows as full as they were: tries whose rows are settled
  with the tokens they had, tries still open with their estimate;
- a restart that cannot read the record starts with empty windows and says so; the first refusals then teach;
- keeping is one short transaction, seldom made while nothing changes;
- no fault ends the keeping: it is said once, and ``/healthz`` says how long ago it went well.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from gemgate.core.errors import Refused
from gemgate.core.health import Change, State
from gemgate.core.quota import Bucket, Used, Window
from gemgate.gateway.desk import Desk
from gemgate.gateway.recall import SECOND, recall
from gemgate.gateway.steady import Steady
from gemgate.store import quotas, uses
from gemgate.store.connection import Connection

log = logging.getLogger("gemgate.gateway")

PERIOD = 1.0  # seconds of real time
UNSUMMED = 200_000  # tries that the start sums up at most
QUIET = 5  # periods without a change after which the state is kept all the same, so that it does not look old
OVERDUE = 5.0  # seconds of real time after which a look that did not do well is shown
MINUTE = 61 * SECOND  # a minute window, without its margin


async def restore(desk: Desk) -> None:
    """Fill windows and breakers from the record."""
    if not desk.snapshot.routed:
        return
    now = desk.clock.now()
    board, family = desk.board, desk.snapshot.catalog.family
    margin = desk.snapshot.settings.routing.margin
    try:
        # After a long time without, what was not summed up yet is cheaper to sum than to read.
        await desk.db.run(lambda conn: uses.advance(conn, now, UNSUMMED))
        found, routed = await desk.db.run(
            lambda conn: (
                recall(conn, now, margin),
                uses.of_routes(conn, now - MINUTE - round(margin * SECOND)),
            )
        )
    except Refused as refused:
        log.warning("quota windows start empty, the record cannot be read: %s", refused.message)
        return
    used = found.used(family)
    limited = desk.snapshot.limited_routes
    used += [
        Used(Bucket("", name), at, requests, tokens)
        for name, at, requests, tokens in routed
        if name in limited
    ]
    board.quota.restore(found.windows, used, now)
    # A key's breaker is named by its place, where another key may stand by now: keys are asked again.
    board.health.restore([state for state in found.states if state.scope != "key"], now)


async def keep(desk: Desk, period: float = PERIOD) -> None:
    """Keep the state once a second, for as long as the gateway runs."""
    keeper, steady = Keeper(desk), Steady("the state cannot be kept")
    while True:
        await asyncio.sleep(period)
        with steady.turn():
            await keeper.turn()


async def keep_now(desk: Desk) -> None:
    """Keep the state once more, at the end."""
    await Keeper(desk).turn()


class Keeper:
    """Writes what changed since the last turn."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._windows: dict[tuple[str, str, str], Window] = {}
        self._states: list[State] = []
        self._body = b""
        self._quiet = 0

    async def turn(self) -> None:
        """One snapshot. A store that is down keeps the last one, whose ``as_of`` says how old it is."""
        desk, board = self._desk, self._desk.board
        if not desk.snapshot.routed:
            return
        now = desk.clock.now()
        windows = {(row.project, row.family, row.window): row for row in board.quota.windows(now)}
        fresh = [row for key, row in windows.items() if self._windows.get(key) != row]
        states = board.health.states(now)
        body = self._queue()
        changes: list[Change] = board.changes
        if not fresh and not changes and states == self._states and body == self._body:
            self._quiet += 1
            if self._quiet < QUIET:
                desk.good["state"] = now
                return
        self._quiet = 0
        board.changes = []

        def write(conn: Connection) -> None:
            """One transaction."""
            quotas.changed(conn, changes)
            quotas.keep(conn, fresh, states, body, desk.boot, now)

        try:
            await desk.db.run(write)
        except Refused:
            board.changes = changes + board.changes
            return
        desk.good["state"] = now
        self._windows, self._states, self._body = windows, states, body

    def _queue(self) -> bytes:
        """Who waits, for what, at which place, and how long it may take."""
        waiting, since = self._desk.waiting, self._desk.good.get("access", 0)
        return msgspec.json.encode(
            {
                "waiting": len(waiting.waiters),
                "line": waiting.shown(),
                "under_way": self._desk.under_way,
                "may_hedge": self._desk.board.allowance.enough,
                "brakes": self._desk.brakes.shown(),
                "paused": sorted(self._desk.snapshot.paused),
                "left_out": sorted(self._desk.snapshot.left_out),
                # Since when keys and budgets could not be read; what moves by itself is no change to keep.
                "unread_since": since if self._overdue(since) else 0,
            }
        )

    def _overdue(self, since: int) -> bool:
        clock = self._desk.clock
        return clock.real((clock.now() - since) / 1_000_000) > OVERDUE
