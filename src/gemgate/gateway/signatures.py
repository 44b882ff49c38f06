"""Thought signatures that clients of OpenAI's API drop: kept by tool-call id, and put back when the call goes on.

Laws:

- they are committed with the row of the answer that had them, so before its end leaves;
- an id leads to a signature only for the virtual key whose call it was;
- they are kept for a day: a tool conversation that rests longer goes on without, as Google documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gemgate.core import fingerprint
from gemgate.core.call import Kept
from gemgate.core.errors import Refused
from gemgate.dialects.openai.reading import Signature
from gemgate.store import signatures
from gemgate.store.database import Database

DAY: Final = 86_400 * 1_000_000
MOST: Final = 20_000  # held in memory
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Signature)


class Signatures:
    """What was kept. Names are keyed hashes of the virtual key and the tool-call id."""

    def __init__(self, db: Database, secret: bytes) -> None:
        self._db = db
        self._secret = secret
        self._known: dict[str, Signature] = {}

    async def find(self, key: int, call_ids: Sequence[str]) -> Mapping[str, Signature]:
        """What is known of these tool calls. While the store cannot be asked, what memory has of them."""
        if not call_ids:
            return {}
        names = {self._name(key, call_id): call_id for call_id in call_ids}
        found = {call_id: self._known[name] for name, call_id in names.items() if name in self._known}
        missing = [name for name, call_id in names.items() if call_id not in found]
        if missing:
            try:
                rows = await self._db.run(lambda conn: signatures.find(conn, missing))
            except Refused:
                return found
            for name, body in rows.items():
                found[names[name]] = self._remember(name, _decoder.decode(body))
        return found

    def keep(self, key: int, fresh: Iterable[tuple[str, Signature]], now: int) -> tuple[Kept, ...]:
        """What the record is to keep of an answer's tool calls."""
        rows = []
        for call_id, signature in fresh:
            name = self._name(key, call_id)
            self._remember(name, signature)
            rows.append(Kept(name, _encoder.encode(signature), now + DAY))
        return tuple(rows)

    def _remember(self, name: str, signature: Signature) -> Signature:
        if len(self._known) >= MOST:
            for old in list(self._known)[: MOST // 10]:
                del self._known[old]
        self._known[name] = signature
        return signature

    def _name(self, key: int, call_id: str) -> str:
        return fingerprint.name(self._secret, f"{key}/{call_id}".encode())
