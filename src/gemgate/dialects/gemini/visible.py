"""How much text of an answer a reader sees: what is counted before a held-back stream is committed."""

from __future__ import annotations

import msgspec


class _Part(msgspec.Struct, gc=False):
    text: str = ""
    thought: bool = False


class _Content(msgspec.Struct, gc=False):
    parts: tuple[_Part, ...] = ()


class _Candidate(msgspec.Struct, gc=False):
    content: _Content | None = None


class _Delta(msgspec.Struct, gc=False):
    """A delta of an interaction (``type`` and ``text``) or of a chat (``content``)."""

    type: str = "text"
    text: str | None = None
    content: msgspec.Raw = msgspec.Raw(b"")
    extra_content: msgspec.Raw = msgspec.Raw(b"")


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None


class _Event(msgspec.Struct, gc=False):
    candidates: tuple[_Candidate, ...] = ()
    choices: tuple[_Choice, ...] = ()
    delta: _Delta | None = None


_event = msgspec.json.Decoder(_Event)
_string = msgspec.json.Decoder(str)


def visible(data: bytes) -> int:
    """Characters of text in one event of any dialect, thoughts left out; 0 for what cannot be read."""
    try:
        seen = _event.decode(data)
        count = 0
        for candidate in seen.candidates:
            if candidate.content is not None:
                count += sum(len(part.text) for part in candidate.content.parts if not part.thought)
        for choice in seen.choices:
            if choice.delta is not None:
                count += _chat(choice.delta)
        if seen.delta is not None and seen.delta.type == "text":
            count += len(seen.delta.text or "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    return count


def _chat(delta: _Delta) -> int:
    content = bytes(delta.content)
    # Google marks the deltas of a chat that carry thoughts.
    if content[:1] != b'"' or b'"thought":true' in bytes(delta.extra_content).replace(b" ", b""):
        return 0
    return len(_string.decode(content))
