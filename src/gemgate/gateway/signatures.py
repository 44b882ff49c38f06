"""Thought signatures that clients of OpenAI's API drop: kept by tool-call id, and put back when the call goes on.

Laws:

- they are committed with the row of the answer that had them, so before its end leaves;
- an id leads to a signature only for the virtual key whose call it was;
- memory holds so many bytes at most, whatever clients send; the oldest go first, and are found in the store;
- they are kept for a day, in memory as in the store: a tool conversation that rests longer goes on without, as
  Google documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gemgate.core import fingerprint
from gemgate.core.call import Kept
from gemgate.core.errors import Refused
from gemgate.dialects.openai.reading import Signature
from gemgate.gateway.clock import Clock
from gemgate.store import signatures
from gemgate.store.database import Database

DAY: Final = 86_400 * 1_000_000
MOST: Final = 32 * 1024 * 1024  # bytes held in memory
EACH: Final = 512  # bytes that one takes beside its text
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Signature)


class Signatures:
    """What was kept. Names are keyed hashes of the virtual key and the tool-call id."""

    def __init__(self, db: Database, secret: bytes, clock: Clock, most: int = MOST) -> None:
        self._db = db
        self._secret = secret
        self._clock = clock
        self._most = most
        self._known: dict[str, tuple[Signature, int]] = {}  # each with when it expires
        self.size = 0
        """The bytes held in memory, about."""

    async def find(self, key: int, call_ids: Sequence[str]) -> Mapping[str, Signature]:
        """What is known of these tool calls. While the store cannot be asked, what memory has of them."""
        if not call_ids:
            return {}
        now = self._clock.now()
        names = {self._name(key, call_id): call_id for call_id in call_ids}
        known = {call_id: self._known.get(name) for name, call_id in names.items()}
        found = {call_id: one[0] for call_id, one in known.items() if one is not None and one[1] > now}
        missing = [name for name, call_id in names.items() if call_id not in found]
        if missing:
            try:
                rows = await self._db.run(lambda conn: signatures.find(conn, missing, now))
            except Refused:
                return found
            for name, row in rows.items():
                found[names[name]] = one = _decoder.decode(row.body)
                self._remember(name, one, row.expires_at)
        return found

    def keep(self, key: int, fresh: Iterable[tuple[str, Signature]], now: int) -> tuple[Kept, ...]:
        """What the record is to keep of an answer's tool calls."""
        rows = []
        for call_id, signature in fresh:
            name = self._name(key, call_id)
            self._remember(name, signature, now + DAY)
            rows.append(Kept(name, _encoder.encode(signature), now + DAY))
        return tuple(rows)

    def _remember(self, name: str, signature: Signature, expires_at: int) -> None:
        self._forget(name)
        size = _size(signature)
        if size > self._most:
            return
        while self.size + size > self._most:
            self._forget(next(iter(self._known)))
        self._known[name] = signature, expires_at
        self.size += size

    def _forget(self, name: str) -> None:
        old = self._known.pop(name, None)
        if old is not None:
            self.size -= _size(old[0])

    def _name(self, key: int, call_id: str) -> str:
        return fingerprint.name(self._secret, f"{key}/{call_id}".encode())


def _size(signature: Signature) -> int:
    return EACH + len(signature.text) + len(signature.google_id) + len(signature.name)
