"""Thought signatures and continuation tokens as names: opaque, but bound to the project and model that made them.

Laws:

- Google writes them in one base64 alphabet, its Python SDK sends them back in the other, and JSON may escape
  some of their characters: they are compared in one form, that of ``plain``;
- the words that Google documents for history of other origin are no signatures;
- of many only the first and the last are kept: a conversation carries all of them, so a few are enough to
  recognise it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

SKIP = "skip_thought_signature_validator"
"""What Google takes in place of a signature for history that another model or project made."""
MOST = 8
_WORDS = frozenset({SKIP, "context_engineering_is_the_way_to_go"})
_ALPHABET = bytes.maketrans(b"-_", b"+/")
_string = msgspec.json.Decoder(str)
# In bodies of loose form: Google's OpenAI layer, and the steps of interactions.
_CHAT = re.compile(rb'"thought_signature"\s*:\s*("(?:[^"\\]++|\\.)*+")', re.DOTALL)
_STEP = re.compile(rb'"signature"\s*:\s*("(?:[^"\\]++|\\.)*+")', re.DOTALL)


def plain(text: str) -> bytes:
    """One form of a base64 text, whichever alphabet and padding it came in; empty for a documented word."""
    if text in _WORDS:
        return b""
    return text.encode("utf-8", "replace").translate(_ALPHABET, b"=\r\n ")


def kept(texts: Sequence[str], most: int = MOST) -> tuple[bytes, ...]:
    """The plain forms, each once, of at most ``most`` texts: the first and the last of them."""
    if len(texts) == 1:
        one = plain(texts[0])
        return (one,) if one else ()
    found = tuple(dict.fromkeys(one for one in map(plain, texts) if one))
    return found if len(found) <= most else found[: most // 2] + found[-(most - most // 2) :]


def in_chat(data: bytes | memoryview) -> list[str]:
    """The signatures in a message, or an answer, of Google's OpenAI layer."""
    return _strings(_CHAT.findall(data))


def in_steps(data: bytes | memoryview) -> list[str]:
    """The signatures in the steps of an interaction."""
    return _strings(_STEP.findall(data))


def _strings(found: list[bytes]) -> list[str]:
    texts = []
    for raw in found:
        try:
            texts.append(_string.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return texts
