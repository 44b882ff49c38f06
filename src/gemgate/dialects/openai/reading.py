"""One entry for all requests at OpenAI's doors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gemgate.core.errors import Refused
from gemgate.dialects.openai import chat, embeddings, models, responses
from gemgate.dialects.openai.doors import CHAT, EMBEDDINGS, MODELS, RESPONSES, Door
from gemgate.dialects.openai.parameters import Unsupported
from gemgate.dialects.openai.pivot import Read, Signature

__all__ = ["Read", "Signature", "Unsupported", "read"]

_READERS: dict[str, Callable[[Door, Mapping[str, str], bytes, str], Read]] = {
    CHAT: chat.read,
    EMBEDDINGS: embeddings.read,
    MODELS: models.read,
    RESPONSES: responses.read,
}


def read(door: Door, query: Mapping[str, str], body: bytes, unsupported: str) -> Read:
    """What a request asks; ``unsupported`` is the setting ``openai.parameters``.

    Raises ``Refused``: 404 (UNKNOWN_PATH) at a door that is not served, 400 for a request that cannot be
    understood, or that wants what is refused by setting.
    """
    reader = _READERS.get(door.name)
    if reader is None:
        raise Refused(
            404,
            "UNKNOWN_PATH",
            "This path of OpenAI's API is not served here.",
            hint="Served are chat/completions, responses, embeddings and models.",
        )
    return reader(door, query, body, unsupported)
