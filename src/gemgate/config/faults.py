"""What is wrong with a configuration, all of it at once.

A fault never shows a value: it may be a secret in the wrong place. It shows the kind of the value instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

# Google's two forms of keys and our own; wherever a name comes from a user's file it may be one, pasted by mistake.
_KEY = re.compile(r"AIza[\w-]*|AQ\.[\w.-]*|(?:sk-gemgate|gg-admin)-\w*")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where (``gateway.port``), what is expected there, the kind that was found, the remedy."""

    key: str
    expected: str
    got_kind: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.key}: expected {self.expected}, found {self.got_kind}. {self.remedy}"


class ConfigError(Exception):
    """A configuration that cannot be used, with every fault in it."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = "".join(f"\n  {fault}" for fault in faults)
        super().__init__(f"{count} in the configuration:{lines}")


def masked(name: str) -> str:
    """A name from a user's file, fit for printing: no control characters, no Google keys, not too long."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in _KEY.sub("(a key)", name))
    return plain if len(plain) <= 60 else plain[:57] + "..."


def kind_of(value: object) -> str:
    """The kind of a value in words, never the value."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text" if value.strip() else "empty text"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return "a table" if isinstance(value, dict) else "a date or time"


def unknown(key: str, known: Iterable[str]) -> Fault:
    """The fault of a key that does not exist, with the nearest one that does."""
    names = list(known)
    # A key that lost its section is found by its last word.
    near = [name for name in names if name.rpartition(".")[2] == key]
    near = near or difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Remove it; known here: {', '.join(names)}."
    return Fault(masked(key), "a setting that gemgate knows", "an unknown name", remedy)
