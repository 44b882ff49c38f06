"""On whose account a call is made: tags and a user's name, by headers of ours or by what its dialect has for it.

A virtual key that stands in one of them by mistake is made unreadable here, before anything is kept of the call. One
that stands where a model or a thing is named cannot be: such a call goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from gemgate.core import fingerprint
from gemgate.core.access import PREFIX
from gemgate.core.errors import Refused
from gemgate.gateway.ticket import Ticket

MOST_TAGS = 16
MOST_NAME = 64
MOST_USER = 200


def attribute(ticket: Ticket, user: str = "") -> None:
    """Put the tags and the user on the ticket. ``user`` is what the dialect's body names. Raises Refused 400."""
    fields, asked = ticket.exchange.fields, ticket.asked
    path = ticket.exchange.raw_path
    if PREFIX in (unquote(path) if "%" in path else path) or (asked is not None and PREFIX in asked.model):
        raise _misplaced()
    labels = asked.labels if asked is not None else ()
    if labels or b"x-gemgate-tags" in fields:
        # The header may come in several lines, each with its own.
        lines = (value for name, value in ticket.exchange.headers if name == b"x-gemgate-tags")
        own = b",".join(lines).decode("utf-8", "replace").split(",")
        ticket.tags = tags((*ticket.tags, *own, *labels))
    given = fields.get(b"x-gemgate-user")
    name = given.decode("utf-8", "replace") if given else user or (asked.user if asked is not None else "")
    ticket.user = fingerprint.redact_name(" ".join(name.split()))[:MOST_USER] if name else ""


def tags(names: Iterable[str]) -> tuple[str, ...]:
    """Tags as the record knows them: lower case, without blanks around, each once. Raises Refused 400."""
    # Redacted as it came: in lower case a key is hard to tell.
    found = dict.fromkeys(" ".join(fingerprint.redact_name(name).lower().split()) for name in names)
    found.pop("", None)
    if len(found) > MOST_TAGS:
        raise Refused(
            400,
            "TOO_MANY_TAGS",
            f"A call takes {MOST_TAGS} tags, this one has {len(found)}.",
            hint="Send fewer in x-gemgate-tags, or fewer labels.",
        )
    if any(len(name) > MOST_NAME or not name.isprintable() for name in found):
        raise Refused(
            400,
            "BAD_TAG",
            f"A tag has up to {MOST_NAME} printable characters.",
            hint="Shorten it, and separate tags by commas.",
        )
    return tuple(found)


def _misplaced() -> Refused:
    return Refused(
        400,
        "KEY_MISPLACED",
        "The call has a key of this gateway where a model or another name belongs.",
        hint="Send it as x-goog-api-key, `Authorization: Bearer`, `?key=` or x-gemgate-key, and nowhere else.",
    )
