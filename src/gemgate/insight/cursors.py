"""Where a reader of a list stands: an opaque word that the next page is asked for with.

Laws:

- a cursor holds the key of the last row that was looked at, so a page begins after it whatever came meanwhile;
- it belongs to one question: with other filters it is refused, for its place means nothing there;
- it is no secret and not signed: whoever changes it only moves within what the filters let them read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Final

import msgspec

_VERSION: Final = 1
_LONGEST: Final = 400

_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Place = tuple[_Whole | str | None, ...]
"""The values that say where a page ended, as the list that made them knows them."""


class BadCursor(ValueError):
    """A cursor that cannot be used; the message is a sentence for people."""


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    version: int
    question: str
    place: Place


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Cursor)


def question(*parts: object) -> str:
    """What a cursor is bound to: a short hash of the filters and the order, in JSON."""
    return hashlib.blake2s(msgspec.json.encode(parts, order="sorted"), digest_size=6).hexdigest()


def encode(asked: str, place: Place) -> str:
    """The cursor for the page after ``place``. ``asked`` is ``question`` of what was asked."""
    body = _encoder.encode(_Cursor(_VERSION, asked, place))
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode(cursor: str, asked: str, length: int) -> Place:
    """The ``length`` values of a cursor's place. Raises BadCursor where it is none, or another question's."""
    if len(cursor) > _LONGEST:
        raise BadCursor("This is no cursor of this list.")
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = _decoder.decode(raw)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise BadCursor("This is no cursor of this list.") from None
    if found.version != _VERSION:
        raise BadCursor("This cursor was made by another version; begin again without it.")
    if found.question != asked:
        raise BadCursor("This cursor belongs to other filters or another order; begin again without it.")
    if len(found.place) != length:
        raise BadCursor("This is no cursor of this list.")
    return found.place
