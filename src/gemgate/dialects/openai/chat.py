"""Chat completions: placeholder head, filled in the next commits."""

from __future__ import annotations

from collections.abc import Mapping

from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.pivot import Read


def read(door: Door, query: Mapping[str, str], body: bytes, unsupported: str) -> Read:
    """What a request for a chat completion asks. Raises ``Refused`` (400)."""
    raise NotImplementedError
