"""The kinds of values that settings have: how each is read from TOML or from text, and how it is shown.

A reader gets a TOML value and returns the setting's value, or raises ``Unfit`` with the remedy. Text from the
environment goes through ``Kind.native`` first, which makes of it what TOML would have given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SPANS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Unfit(ValueError):
    """A value that is not of its kind; the text is the remedy."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: ``expected`` completes the sentence 'expected …'."""

    expected: str
    read: Callable[[object], object]
    native: Callable[[str], object]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unfit("Put it in quotes.")
    if not value.strip():
        raise Unfit("Remove the line to get the default.")
    return value.strip()


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise Unfit("Write it as 8080, without quotes.")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Unfit("Write it as 100, without quotes.")
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Unfit("Write 5 % as 0.05, without quotes.")
    return float(value)


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value <= 10**6:
        raise Unfit("Write it as 10 or 2.5, without quotes.")
    return float(value)


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10**9:
        raise Unfit("Write it as 10 or 2.5, without quotes.")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit("Write true or false, without quotes.")
    return value


def _measure(value: object, units: dict[str, float] | dict[str, int], example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit(f"Write it as {example}.")
    if not isinstance(value, str):
        return float(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", value)
    if match is None or match[2].lower() not in units:
        raise Unfit(f"Write it as {example}; units are {', '.join(unit for unit in units if unit)}.")
    return float(match[1]) * units[match[2].lower()]


def _size(value: object) -> int:
    size = _measure(value, _SIZES, '"100 MiB" or as a number of bytes')
    if not 1 <= size <= 2**50:
        raise Unfit("Name a size of at least one byte.")
    return int(size)


def _span(value: object) -> float:
    span = _measure(value, _SPANS, '"30 s" or as a number of seconds')
    if not 0 < span <= 10**7:
        raise Unfit("Name a time above zero.")
    return span


def _path(value: object) -> Path:
    return Path(_text(value)).expanduser()


def _split(value: object) -> SplitResult:
    text = _text(value)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise Unfit("Write it as https://host or http://host:port.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unfit("Write it as https://host or http://host:port.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise Unfit("Leave user, password, query and fragment out; keys belong into [[project]].")
    return parts


def _url(value: object) -> str:
    return _split(value).geturl().rstrip("/")


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Unfit('Write it as a list: ["a", "b"].')
    return tuple(_text(item) for item in value)


def _origins(value: object) -> tuple[str, ...]:
    found = []
    for item in _names(value):
        if item == "*":
            raise Unfit("Name each origin: * would let every web page use your keys.")
        parts = _split(item)
        if parts.path not in ("", "/"):
            raise Unfit("An origin is scheme, host and port alone: https://app.example.org.")
        found.append(f"{parts.scheme}://{parts.netloc}".lower())
    return tuple(found)


def _number_of(text: str) -> object:
    return int(text) if re.fullmatch(r"\s*-?\d{1,18}\s*", text) else text


def _decimal_of(text: str) -> object:
    return float(text) if re.fullmatch(r"\s*-?\d{1,18}(\.\d{1,18})?\s*", text) else text


def _flag_of(text: str) -> object:
    return _WORDS.get(text.strip().lower(), text)


def _list_of(text: str) -> object:
    return [item.strip() for item in text.split(",") if item.strip()]


TEXT = Kind("text", _text, str)
PORT = Kind("a TCP port from 0 to 65535 (0 picks a free one)", _port, _number_of)
COUNT = Kind("a whole number of at least 0", _count, _number_of)
SHARE = Kind("a share from 0 to 1", _share, _decimal_of)
FACTOR = Kind("a factor above 1", _factor, _decimal_of)
DOLLARS = Kind("an amount in dollars above 0", _amount, _decimal_of)
FLAG = Kind("true or false", _flag, _flag_of)
SIZE = Kind('a size in bytes or like "100 MiB"', _size, str)
SPAN = Kind('a time in seconds or like "30 s"', _span, str)
PATH = Kind("the path of a file or folder", _path, str)
URL = Kind("an http or https URL", _url, str)
NAMES = Kind("a list of texts", _names, _list_of)
ORIGINS = Kind("a list of origins like https://app.example.org", _origins, _list_of)


def choice(*words: str) -> Kind:
    """The kind whose values are these words."""

    def read(value: object) -> str:
        """One of the words."""
        if value not in words:
            raise Unfit(f"Write one of these: {', '.join(words)}.")
        return str(value)

    return Kind("one of " + ", ".join(words), read, str.strip)
