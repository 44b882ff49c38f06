"""The golden cases of chat completions, and the nouns that the tests of this folder share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gemgate.dialects.openai.doors import Door

FOLDER = Path(__file__).parents[2] / "cases" / "openai" / "chat"
CALL = bytes.fromhex("01944d2f8c007000800000000000abcd")
CREATED = 1_764_000_000
CHAT = Door("chat.completions", action="create")


def cases(kind: str) -> list[Any]:
    """The cases whose file begins with ``kind``, by name."""
    files = sorted(FOLDER.glob(f"{kind}-*.json"))
    assert files
    return [json.loads(file.read_bytes()) | {"name": file.stem} for file in files]


def sse(events: list[Any], end: str = "\r\n") -> bytes:
    """Google's stream of these events."""
    return "".join(f"data: {json.dumps(event)}{end}{end}" for event in events).encode()


def unpack(stream: bytes) -> list[Any]:
    """The chunks of one of OpenAI's streams, and the closing marker as it stands."""
    *events, rest = stream.decode().split("\n\n")
    assert not rest
    assert all(event.startswith("data: ") for event in events)
    return [event[6:] if event == "data: [DONE]" else json.loads(event[6:]) for event in events]
