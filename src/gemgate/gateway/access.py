"""Who may call: the virtual keys in force, and where a request carries one.

Laws:

- a key is asked for before a byte of the body is read, and nothing goes upstream without one where one is due;
- it is due as soon as one exists, and where others than this machine reach the port; the console, which proves
  itself by the secret of the data folder and comes from this machine, needs none;
- the console's proof counts once, for calls whose body is read before anything goes upstream: ``still`` looks whether
  it is the body that was proven;
- where the keys cannot be read nobody is let in, for a key may exist (``gateway.inforce`` reads them).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import msgspec

from gemgate.config.settings import loopback
from gemgate.core import access, console
from gemgate.core.access import Key, Keys
from gemgate.core.errors import Refused
from gemgate.core.routing import Plan
from gemgate.core.spending import UNMETERED
from gemgate.dialects.gemini.tenancy import Tenant
from gemgate.gateway.desk import Desk
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.ticket import Ticket
from gemgate.gateway.wiring import client_credential

_ELSEWHERE = frozenset({"openai.batches.create"})  # the models stand in a file that it names
_PROOF = console.HEADER.encode()
_USED = console.Used()
AGAIN = 0.5  # seconds after which the keys are looked for anew


async def enter(ticket: Ticket, desk: Desk) -> None:
    """Find the call's key. Raises Refused 401 or 403, and 503 while keys cannot be read.

    A call that is refused for the state of its key is still on that key's account.
    """
    snapshot = ticket.snapshot
    if desk.keys is None:
        raise _unread()
    read = ticket.match is not None and ticket.match.inspected
    if read and by_console(ticket.exchange, desk.secret, desk.clock.now()):
        ticket.client = console.CLIENT
        return
    if not desk.keys.any and not snapshot.settings.needs_key:
        return
    now = desk.clock.now()
    token = token_of(ticket.exchange, passthrough=snapshot.passthrough)
    if token:
        ticket.key = desk.keys.holder(token)
        key = desk.keys.find(token, now)
    else:
        ticket.key = key = await _uploader(ticket, desk, desk.keys)
        access.fit(key, now)
    desk.keys.admit(key, ticket.exchange.client)
    ticket.tenant = tenant_of(key, desk.keys, shared=snapshot.settings.access.share == "owner")
    ticket.tags = key.tags


def by_console(exchange: Exchange, secret: bytes, now: int) -> bool:
    """Whether the console of this data folder asks, for an operator of its own: such a call needs no key.

    A proof counts once, so this is asked once for each call.
    """
    word = exchange.header(_PROOF)
    if not word or not loopback(exchange.client):
        return False
    head = console.Head(exchange.verb, exchange.raw_path, exchange.query)
    return console.proven(secret, word, now, head) and _USED.first(word, now)


async def _uploader(ticket: Ticket, desk: Desk, keys: Keys) -> Key:
    """The key that began the upload of which this call carries the bytes: Google's Python SDK sends these legs with
    nothing but the upload's id, which is a secret of its own. Raises Refused 401 for any other call."""
    if ticket.match is not None and ticket.match.upload and not ticket.snapshot.passthrough:
        tenant = await desk.affinity.uploader(ticket.exchange.query, desk.clock.now())
        key = keys.of_tenant(tenant) if tenant else None
        if key is not None:
            return key
    raise access.missing()


def still(ticket: Ticket, desk: Desk) -> None:
    """Whether the call's key is still good, for a call that was long on its way since ``enter``.

    Raises Refused: 401 KEY_UNKNOWN, KEY_EXPIRED; 403 KEY_DISABLED, KEY_STOPPED; 401 KEY_MISSING for another body
    than the console proved.
    """
    # No User-Agent makes this name of a client: what has it came in by a proof.
    if ticket.client == console.CLIENT:
        if not console.holds(ticket.exchange.header(_PROOF), cast(bytes, ticket.body.view)):
            ticket.client = ""
            raise access.missing()
        return
    key = ticket.key
    if key is None or desk.keys is None:
        return
    known = desk.keys.key(key.id)
    if known is None:
        raise access.unknown()
    if known is not key or key.expires_at or key.disabled_at:
        access.fit(known, desk.clock.now())


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
        retry_after=AGAIN,
    )


def within(plan: Plan, ticket: Ticket) -> Plan:
    """The plan without targets that the key may not use.

    Raises Refused 403 where none is left, and where a call uses a model that cannot be read; 415 for an encoded body.
    """
    key, match = ticket.key, ticket.match
    if key is None or not key.routes:
        return plan
    model = _model(ticket)
    if not model:
        uses = match is not None and (match.inspected or match.method in UNMETERED)
        if uses and not access.may_use(key, ""):
            raise _unreadable(key)
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


def _model(ticket: Ticket) -> str:
    """The model that the call asks for, as far as anybody can say. Raises Refused 415 for an encoded body."""
    match, exchange = ticket.match, ticket.exchange
    if match is None or ticket.asked is None or match.method in _ELSEWHERE:
        return ""
    coding = exchange.header(b"content-encoding").strip().lower()
    if match.inspected and coding not in ("", "identity") and not ticket.door.translates:
        raise Refused(
            415,
            "ENCODED_BODY",
            "The body is encoded, so gemgate cannot see which model it names, and the key is for some models only.",
            hint="Send it without Content-Encoding.",
        )
    return ticket.asked.model


def _unreadable(key: Key) -> Refused:
    return Refused(
        403,
        "MODEL_NOT_ALLOWED",
        f"The key {key.name!r} is for some models only, and the call does not say which one it uses.",
        hint="Name the model in the path or in a JSON body. What names none (OpenAI's batches, files for a search "
        f"store) needs a key for every model: `gemgate keys change {key.name} --route '*'`.",
    )


def shown(ticket: Ticket) -> Callable[[str], bool] | None:
    """Whether a model of Google's is one that the call's key may use, by its name; None: all are."""
    key = ticket.key
    return partial(access.may_use, key) if key is not None and key.routes else None


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
