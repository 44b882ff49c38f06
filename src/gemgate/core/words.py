"""How keys, budgets and what belongs to them are named: which words do, and what becomes of them.

Each reader gives the word as it is kept, or raises ``Unfit`` with a sentence that shows a right one.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from typing import Final

from gemgate.core.periods import zone as zone_named

MOST_SIGNS: Final = 64
"""Characters of a name, owner, tag or pattern."""
MOST_TAGS: Final = 8
"""Tags of a key, of the 16 that a call has room for."""
MOST_AMOUNT: Final = 2**62
"""Nano-dollars or tokens; far beyond any budget, and within the store's integers."""
_NAME: Final = re.compile(rf"[^\x00-\x20\x7f-\U0010ffff,;/\"]{{1,{MOST_SIGNS}}}")


class Unfit(ValueError):
    """A word that does not do. The message is a sentence."""


def name(text: str) -> str:
    """The name of a key or budget: ASCII without blanks, commas, semicolons, quotes and slashes.

    It stands in headers, and in paths of the API: there ``.`` and ``..`` mean something else.
    """
    found = text.strip()
    if not _NAME.fullmatch(found) or found in (".", ".."):
        raise Unfit(
            f"{found!r} is no name: up to {MOST_SIGNS} signs of ASCII, without blanks, commas, semicolons, quotes and"
            " slashes; not . or .. alone."
        )
    return found


def label(text: str, *, lower: bool = False) -> str:
    """An owner, a tag or a pattern: printable, without commas, blanks inside made one. Tags are lower case."""
    found = " ".join(text.split())
    if not 0 < len(found) <= MOST_SIGNS or not found.isprintable() or "," in found:
        raise Unfit(f"{found!r} does not do: up to {MOST_SIGNS} printable characters without commas.")
    return found.lower() if lower else found


def pattern(text: str) -> str:
    """A pattern of models and routes, without the ``models/`` that Google writes in front."""
    return label(text).removeprefix("models/")


def network(text: str) -> str:
    """An address or a range of addresses, in CIDR form."""
    found = text.strip()
    try:
        return str(ipaddress.ip_network(found, strict=False))
    except ValueError:
        raise Unfit(f"{found!r} is no network; write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32.") from None


def zone(text: str) -> str:
    """A time zone by its IANA name."""
    found = text.strip()
    try:
        zone_named(found)
    except ValueError:
        known = zoneinfo.available_timezones()
        near = [one for one in known if one.rpartition("/")[2].lower() == found.lower()]
        near = near or difflib.get_close_matches(found, known, n=3)
        hint = f" Did you mean {' or '.join(sorted(near)[:3])}?" if near else " Write it as Europe/Berlin."
        raise Unfit(f"{found!r} is no time zone.{hint}") from None
    return found
