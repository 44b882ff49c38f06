"""Lists that belong to projects: of several projects' pages one page is made, each item as its bytes came.

Laws:

- models are the same for everybody, so their lists are not merged; what lives inside a thing is listed where the
  thing lives;
- older lists write ``nextPageToken``, those of the newer resources ``next_page_token``;
- what several projects list alike, to the byte (voices that Google provides), is listed once;
- our own page tokens say whose list is next and where in it, so that no page needs to be remembered; one that we
  did not write names nobody.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gemgate.dialects.gemini.methods import Match

# Lists of things that belong to projects: method -> the field that holds them.
_FIELDS = {
    "batches.list": "operations",
    "cachedContents.list": "cachedContents",
    "corpora.list": "corpora",
    "fileSearchStores.list": "fileSearchStores",
    "files.list": "files",
    "generatedFiles.list": "generatedFiles",
    "models.operations.list": "operations",
    "tunedModels.list": "tunedModels",
    "agents.list": "agents",
    "credentials.list": "credentials",
    "environments.list": "environments",
    "triggers.list": "triggers",
    "voices.list": "voices",
    "webhooks.list": "webhooks",
}
# The newer resources write their fields in snake case.
_SNAKE = frozenset(["agents", "credentials", "environments", "triggers", "voices", "webhooks"])
_WIDEST = {"files": 100, "cachedContents": 1000, "tunedModels": 1000, "operations": 100}
_MARK = "gemgate2"
_PLACE = re.compile(r"[0-9]{1,6}")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)


def of(match: Match) -> str:
    """The field that holds the items of this list, when the list belongs to projects; empty for other calls."""
    return _FIELDS.get(match.method, "")


def items(field: str, body: bytes) -> list[msgspec.Raw]:
    """The items of one page, as they came. Raises msgspec.DecodeError for what is no list's answer."""
    held = _object.decode(body).get(field)
    return [] if held is None or bytes(held) == b"null" else _array.decode(held)


def count(field: str, body: bytes) -> int:
    """How many items one page has. Raises as ``items`` does."""
    return len(items(field, body))


def token(body: bytes) -> str:
    """Google's token of the next page, empty at the end. Raises msgspec.DecodeError as ``items`` does."""
    fields = _object.decode(body)
    held = fields.get("nextPageToken", fields.get("next_page_token"))
    return "" if held is None or bytes(held) == b"null" else _text.decode(held)


def frame(field: str, items: Sequence[msgspec.Raw]) -> bytes:
    """A page of these items and nothing else."""
    return b"{" + _quoted(field) + b":[" + b",".join(map(bytes, items)) + b"]}"


def merge(field: str, pages: Sequence[bytes], token: str) -> bytes:
    """One page of all items of ``pages``, in order, with ``token`` for the next page (empty: the end).

    Other fields are those of the first page that has them. As at Google, a list without items has no field.
    Raises msgspec.DecodeError for a page that is no list's answer.
    """
    held: dict[bytes, None] = {}
    others: dict[str, msgspec.Raw] = {}
    for page in pages:
        held.update((bytes(item), None) for item in items(field, page))
        for name, value in _object.decode(page).items():
            if name not in (field, "nextPageToken", "next_page_token"):
                others.setdefault(name, value)
    members = []
    if held:
        members.append(_quoted(field) + b":[" + b",".join(held) + b"]")
    members += [_quoted(name) + b":" + bytes(value) for name, value in others.items()]
    if token:
        name = "next_page_token" if field in _SNAKE else "nextPageToken"
        members.append(_quoted(name) + b":" + _quoted(token))
    return b"{" + b",".join(members) + b"}"


def wide(field: str) -> int:
    """The most items that Google gives on one page of such a list. [google-ai-generativelanguage 0.12.1]

    Where many are looked through for the few of one tenant, that saves turns.
    """
    return _WIDEST.get(field, 20)


def _quoted(text: str) -> bytes:
    return msgspec.json.encode(text)


class Cursor(NamedTuple):
    """Where a list goes on: in the list of ``project``, at Google's ``token`` (empty: at its beginning), after
    ``place`` items of that page."""

    project: str
    token: str
    place: int = 0


NOWHERE = Cursor("", "")


def spell(project: str, token: str, place: int = 0) -> str:
    """Our own page token, as ``Cursor`` has it."""
    text = "\n".join((_MARK, str(place), project, token))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(text: str) -> Cursor:
    """What a page token of ours says; ``NOWHERE`` for any other text."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return NOWHERE
    mark, *rest = plain.split("\n", 3)
    if mark != _MARK or len(rest) != 3 or not _PLACE.fullmatch(rest[0]):
        return NOWHERE
    return Cursor(rest[1], rest[2], int(rest[0]))
