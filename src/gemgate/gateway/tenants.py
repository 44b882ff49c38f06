"""What a tenant's call names, and that it is its own: before anything of it goes upstream.

Laws:

- what cannot be looked through is refused: encoded bodies, foreign forms of lists, ways to say another method than
  the request line's;
- of a thing that is not the tenant's the same is said as of one that never was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from gemgate.core.access import RIGHTS
from gemgate.core.errors import Refused
from gemgate.dialects.gemini import made, pointers, tenancy
from gemgate.dialects.gemini.methods import Match
from gemgate.dialects.gemini.request import Asked
from gemgate.dialects.gemini.tenancy import Sort
from gemgate.gateway.body import read_whole
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.ticket import Ticket

# Google's front ends let a request say another verb, or other headers, than it was sent with.
_OVERRIDES = (b"x-http-method-override", b"x-http-method", b"x-method-override")
_OVERRIDING = ("$http", "$req")
_PLAIN = {"alt": ("json", ""), "$alt": ("json", ""), "callback": ("",), "$callback": ("",)}
_MOST_NAME = 200
_KINDS = {"continuation": "the continuation token", "upload": "the upload"}


class Named(NamedTuple):
    """The things that a call names, as ``made.owner`` spells them; ``maybe`` only if the record knows them;
    ``tokens`` by which earlier answers go on."""

    things: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    tokens: tuple[bytes, ...] = ()


NOTHING = Named()


async def named(ticket: Ticket) -> Named:
    """What a tenant's call names in its path and its body, which is read for that where nobody has yet.

    Raises Refused 400 or 415 for a call that cannot be looked through, 403 for a webhook that its key may not set,
    404 where a name at OpenAI's door leads out of its place.
    """
    match, exchange = ticket.match, ticket.exchange
    if match is None:
        if ticket.door.translates:
            raise _missing("it")  # a name that leads elsewhere once it stands in a path of Google's
        return NOTHING  # behind a right of its own
    sort = tenancy.sort(match)
    _check_form(exchange, sort)
    path = tuple(name for name in made.refers(match, None) if not made.is_provided(name))
    if match.model.startswith("tunedModels/"):
        path += (match.model,)
    ticket.whole = ticket.whole or sort is Sort.MAKER  # its answer says what was made
    if not tenancy.reads(match):
        return Named(tuple(dict.fromkeys(path)))
    await _read(ticket, match)
    found = pointers.find(match, ticket.body.view)
    if found.webhook:
        _check_webhook(ticket)
    return Named(tuple(dict.fromkeys(path + found.things)), found.maybe, found.tokens)


def check(ticket: Ticket, owners: Mapping[str, str]) -> None:
    """That every one of these things is the call's tenant's; an owner is empty for nobody and for unknown things.

    Raises Refused 404 THING_NOT_FOUND.
    """
    for name, owner in owners.items():
        if not ticket.tenant.sees(owner):
            kind, mark, _ = name.partition(":")
            raise _missing(_KINDS.get(kind, "it") if mark else name[:_MOST_NAME])


def _missing(what: str) -> Refused:
    return Refused(
        404,
        "THING_NOT_FOUND",
        f"Requested entity was not found: {what}.",
        hint="A key sees what was made with it. An administrator may let keys of one owner share "
        '(access.share = "owner"), or give a key the right "shared".',
    )


def _check_form(exchange: Exchange, sort: Sort) -> None:
    plain = exchange.query in ("", "alt=sse")  # the calls of every day
    fields = [] if plain else parse_qsl(exchange.query, keep_blank_values=True)
    if any(name in exchange.fields for name in _OVERRIDES) or any(
        name.strip().lower().startswith(_OVERRIDING) for name, _ in fields
    ):
        raise Refused(
            400,
            "METHOD_OVERRIDE",
            "The request names another method than its own, which gemgate does not follow.",
            hint="Send the request with the verb that is meant, and without X-HTTP-Method-Override.",
        )
    if sort is Sort.LIST and any(
        value.lower() not in _PLAIN.get(name, (value.lower(),)) for name, value in fields
    ):
        raise Refused(
            400,
            "LIST_FORM",
            "A list of one key's things can only be given as JSON.",
            hint="Leave alt and callback out.",
        )


async def _read(ticket: Ticket, match: Match) -> None:
    """Have the body in hand, in plain bytes."""
    exchange = ticket.exchange
    if ticket.door.translates:
        return  # it is ours, and was read for that
    if exchange.has_body and exchange.header(b"content-encoding").strip().lower() not in ("", "identity"):
        raise Refused(
            415,
            "ENCODED_BODY",
            "The body is encoded, so gemgate cannot see which files and caches it names.",
            hint="Send it without Content-Encoding.",
        )
    if ticket.asked is None and exchange.has_body:
        limits = ticket.snapshot.settings.gateway
        ticket.body = await read_whole(exchange, limits.max_body, limits.spool_above)
        ticket.vigil.arm()
        ticket.asked = Asked(model=match.model)


def _check_webhook(ticket: Ticket) -> None:
    key = ticket.key
    if key is not None and "webhooks" not in key.rights:
        raise Refused(
            403,
            "RIGHT_MISSING",
            f"The key {key.name!r} has no right to this: {RIGHTS['webhooks']}.",
            hint="Leave the webhook out and ask for the outcome, or have an administrator give the right "
            f"with `gemgate keys change {key.name} --right webhooks`.",
        )
