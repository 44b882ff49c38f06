"""What the doors of plain answers share: answers in one piece, without tools, streams or signatures."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gemgate.core.errors import Refused
from gemgate.dialects.openai.pivot import JSON, Pivot, Signature


class Unary:
    """A rendering of answers in one piece: there is no stream, and nothing to keep.

    ``routes`` are the names of the configured routes, which the gateway sets; the list of models shows them.
    """

    media = JSON
    kept: tuple[tuple[str, Signature], ...] = ()
    routes: tuple[str, ...] = ()

    def feed(self, data: bytes) -> bytes:
        """Nothing: Google does not stream these answers."""
        return b""

    def close(self) -> bytes:
        """Nothing, as ``feed``."""
        return b""


class Plain(msgspec.Struct, frozen=True):
    """A request that was understood and needs no signatures: its call of Google's is known at once."""

    model: str
    asked: Pivot
    user: str = ""
    dropped: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def pivot(self, signatures: Mapping[str, Signature]) -> Pivot:
        """Google's call; signatures are not looked at."""
        return self.asked


def unreadable(what: str) -> Refused:
    """The refusal of an answer whose JSON is not what Google documents; ``what`` names the answer."""
    return Refused(502, "UNREADABLE_ANSWER", f"The upstream's {what} cannot be read.")
