"""What is said of an answer that was deleted."""

from __future__ import annotations

import msgspec

from gemgate.dialects.openai.unary import Unary


class Deleted(Unary):
    """The rendering: Google says nothing, OpenAI says what is gone."""

    def __init__(self, name: str, call_id: bytes, model: str, created: int) -> None:
        self._name = name

    def whole(self, body: bytes) -> bytes:
        """The note that the answer is gone."""
        return msgspec.json.encode({"id": self._name, "object": "response", "deleted": True})
