"""JSON as text: read with care, closed where it was cut, its escapes undone."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Final

# A string up to where it ends, is cut, or is none; or a bracket.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*+("?)|[\[\]{}]', re.DOTALL)
_HALF_ESCAPE: Final = re.compile(r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
_WORD: Final = "+-.0123456789Eaeflnrstu"  # the signs of numbers, true, false and null
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def loaded(text: str) -> tuple[Any, bool] | None:
    """A JSON value, and whether an object in it had a name twice; None when the text is none."""
    twice = False

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object, of which the last of two values counts."""
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) < len(pairs)
        return found

    try:
        return json.loads(text, object_pairs_hook=object_of), twice
    except (ValueError, RecursionError):
        return None


def completed(text: str) -> tuple[Any, bool] | None:
    """What ``loaded`` gives for the start of a JSON value: strings, arrays and objects end where the text does.

    A number or word at the end is lost, it may be half a one. None when the text is no such start.
    """
    closing: list[str] = []
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign[0] == '"':
            if not token[1]:
                if not _HALF_ESCAPE.match(text, token.end()):
                    return None
                return _closed(text[: token.end()] + '"', closing)
        elif sign in "[{":
            closing.append("]" if sign == "[" else "}")
        elif not closing or closing.pop() != sign:
            return None
    return _closed(text.rstrip(_WORD) if closing else text, closing)


def dumped(value: Any) -> str:
    """Compact JSON that UTF-8 can carry."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() or _encodable(text) else json.dumps(value, separators=(",", ":"))


def unescaped(text: str) -> tuple[str, Callable[[int], int]] | None:
    """The text with the escapes of JSON undone, and where in it a place of that one is; None without escapes.

    It need be no JSON: what is no escape stays.
    """
    pieces: list[str] = []
    before, after = [0], [0]
    at = length = 0
    for found in _ESCAPE.finditer(text):
        pieces += (text[at : found.start()], chr(int(found[1], 16)) if found[1] else _short(found[2]))
        length += found.start() - at + 1
        at = found.end()
        before.append(length)
        after.append(at)
    if not pieces:
        return None
    pieces.append(text[at:])

    def origin(place: int) -> int:
        """The place in the text as it was given."""
        found = bisect_right(before, place) - 1
        return after[found] + place - before[found]

    return "".join(pieces), origin


def _short(sign: str) -> str:
    return _SHORT.get(sign, sign)


def _closed(text: str, closing: list[str]) -> tuple[Any, bool] | None:
    end = "".join(reversed(closing))
    for filling in ("", "null", ":null", '"":null'):
        if (found := loaded(text + filling + end)) is not None:
            return found
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
