"""Who may call: the virtual keys in force, and where a request carries one.

Laws:

- a key is asked for before a byte of the body is read, and nothing goes upstream without one where one is due;
- it is due as soon as one exists, and where others than this machine reach the port;
- what the administrators change is in force within a second, without a restart; a store that cannot be read
  leaves in force what was known.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from gemgate.core import access
from gemgate.core.access import Key, Keys
from gemgate.core.budget import Budget
from gemgate.core.call import Charged
from gemgate.core.errors import Refused
from gemgate.core.routing import Plan
from gemgate.dialects.gemini.tenancy import Tenant
from gemgate.gateway.desk import Desk
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.ticket import Ticket
from gemgate.gateway.wiring import client_credential
from gemgate.store import budgets, interrupted, keys, revisions, spends, uses
from gemgate.store.connection import Connection, reader, reading

log = logging.getLogger("gemgate.gateway")

PERIOD = 0.5  # seconds of real time between two looks for changes
MINUTE = 61 * 1_000_000  # µs
PAST = 14 * 86_400 * 1_000_000  # µs of spending by which a key's usual rate is known


class Kept(NamedTuple):
    """What the store holds of access, as of one revision."""

    number: int
    keys: Keys
    budgets: list[Budget]
    spent: list[Charged]
    used: list[tuple[int, int, int, int]]  # the last minute's calls of keys, as ``uses.of_keys`` has them
    hours: list[tuple[int, int, int]]  # what keys spent by the hour, as ``uses.rates`` has it


def enter(ticket: Ticket, desk: Desk) -> None:
    """Find the call's key. Raises Refused 401 or 403."""
    snapshot = ticket.snapshot
    if desk.keys is None:
        raise _unread()
    if not desk.keys.any and not snapshot.settings.needs_key:
        return
    token = token_of(ticket.exchange, passthrough=snapshot.passthrough)
    if not token:
        raise access.missing()
    key = desk.keys.find(token, desk.clock.now())
    desk.keys.admit(key, ticket.exchange.client)
    ticket.key = key
    ticket.tenant = tenant_of(key, desk.keys, shared=snapshot.settings.access.share == "owner")
    ticket.tags = key.tags


def allow(ticket: Ticket) -> None:
    """The right that the call's method needs. Raises Refused 403."""
    key = ticket.key
    if key is None:
        return
    method = ticket.match.method if ticket.match is not None else "unknown"
    right = access.needed(method)
    if right and right not in key.rights:
        raise Refused(
            403,
            "RIGHT_MISSING",
            f"The key {key.name!r} has no right to this: {access.RIGHTS[right]}.",
            hint=f"An administrator gives it with `gemgate keys change {key.name} --right {right}`.",
        )


def _unread() -> Refused:
    return Refused(
        503,
        "KEYS_UNREAD",
        "The virtual keys cannot be read from the store, so nobody can be let in.",
        hint="`gemgate doctor` says what is wrong with the store.",
        retry_after=PERIOD,
    )


def within(plan: Plan, ticket: Ticket) -> Plan:
    """The plan without targets that the key may not use. Raises Refused 403 where none is left."""
    key = ticket.key
    model = ticket.asked.model if ticket.asked is not None else ""
    if key is None or not key.routes or (not model and not plan.route):
        return plan
    targets = tuple(one for one in plan.targets if access.may_use(key, one.model, plan.route))
    if not targets or not access.may_use(key, model, plan.route):
        raise Refused(
            403,
            "MODEL_NOT_ALLOWED",
            f"The key {key.name!r} may not use {model}.",
            hint=f"It may use {', '.join(key.routes)}; an administrator gives it more with `gemgate keys change`.",
        )
    return plan if len(targets) == len(plan.targets) else msgspec.structs.replace(plan, targets=targets)


def routes(ticket: Ticket) -> tuple[str, ...]:
    """The configured routes that the call's key may use, by name."""
    names = (route.name for route in ticket.snapshot.settings.routes)
    return tuple(name for name in names if ticket.key is None or access.may_use(ticket.key, name, name))


def token_of(exchange: Exchange, *, passthrough: bool) -> str:
    """The virtual key that a request carries, wherever it stands; empty for none.

    Where the client's own Google key is passed through, that stands in the usual places.
    """
    token = exchange.header(b"x-gemgate-key").strip()
    return token if token or passthrough else client_credential(exchange)


def tenant_of(key: Key, keys: Keys, *, shared: bool) -> Tenant:
    """For whom the key's call acts: it sees the key's own things, those of all keys of its owner where they share,
    or everything. What it makes is the key's in any case."""
    own = key.tenant
    if "shared" in key.rights:
        return Tenant(own)
    return Tenant(own, keys.family(key) if shared else frozenset((own,)))


async def follow(desk: Desk) -> None:
    """Take over what the administrators change, for as long as the gateway runs."""
    while True:
        await asyncio.sleep(PERIOD)
        await look(desk)
        if desk.brakes.stops:
            await stop(desk)


async def look(desk: Desk) -> None:
    """Read what is in force, if it is another than what is known."""
    path = desk.snapshot.settings.database
    try:
        known = desk.revision if desk.keys is not None else None
        found = await asyncio.to_thread(_read, path, known, desk.clock.now())
    except (sqlite3.Error, OSError) as error:
        if desk.keys is None:
            log.warning("the virtual keys cannot be read yet, calls are refused: %s", error)
        return
    if found is not None:
        first = desk.keys is None
        desk.revision = found.number
        desk.keys = found.keys
        desk.brakes.reload(found.keys, found.budgets, found.spent, desk.snapshot.settings)
        desk.board.budget_bar = desk.brakes.barred if desk.brakes.budgets.any else None
        if first:
            desk.brakes.restore(found.used, found.hours)


async def stop(desk: Desk) -> None:
    """Put on record which keys the brakes have stopped: until then they are stopped in this gateway alone."""
    stops, desk.brakes.stops = desk.brakes.stops, []

    def write(conn: Connection) -> None:
        """One transaction."""
        for key, at, why in stops:
            keys.stop(conn, key, at, why)

    try:
        await desk.db.run(write)
    except Refused:
        desk.brakes.stops = stops + desk.brakes.stops


def _read(path: Path, known: int | None, now: int) -> Kept | None:
    """What is in force; None when that is ``known``. Reading does not wait for whoever writes.

    What was used so far is read at the first time only, when nothing is known. What is still open then was left by
    the dead, or belongs to a gateway that drains: both are counted as what they hold.
    """
    with contextlib.closing(reader(path)) as conn, reading(conn):
        number = revisions.number(conn, revisions.ACCESS)
        if number == known:
            return None
        spent = spends.since(conn)
        if known is not None:
            return Kept(number, Keys(*keys.every(conn)), budgets.every(conn), spent, [], [])
        return Kept(
            number,
            Keys(*keys.every(conn)),
            budgets.every(conn),
            spent + interrupted.holds(conn),
            uses.of_keys(conn, now - MINUTE),
            uses.rates(conn, now - PAST),
        )
