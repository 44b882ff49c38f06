"""JSON paths: which places of a document rules name.

All rules are followed at once, by the set of places in them that a place of the document has reached: time grows with
the document, however many ``..`` a rule has. Names are the same in both spellings of Google's JSON
(``inlineData``, ``inline_data``; protobuf reads either).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MOST_PATH: Final = 500
"""Signs that a path has at most."""
_MOST_KNOWN: Final = 4_096

_STEP: Final = re.compile(r"(\.\.|\.)(\*|[^.\[\]'\"\s]+)|(\.\.)?\[(\*|\d{1,9}|'[^']*'|\"[^\"]*\")\]")
_SNAKE: Final = re.compile(r"(?<=[A-Za-z0-9])_([a-z0-9])")

Step = tuple[bool, str | int | None]  # at any depth; a name, a place, or None for all
States = frozenset[tuple[int, int]]
"""What has been reached: rule, and how many of its steps."""


def steps(path: str) -> tuple[Step, ...]:
    """A JSON path in steps. Raises ValueError with a sentence."""
    text = path.strip()
    if len(text) > MOST_PATH:
        raise ValueError(f"A JSON path has at most {MOST_PATH} signs.")
    rest = text[1:] if text.startswith("$") else "." + text
    out: list[Step] = []
    place = 0
    while place < len(rest):
        found = _STEP.match(rest, place)
        if found is None:
            raise ValueError("Write a JSON path as $.name, $..name, $.list[*].name or $.list[0].")
        deep = found[1] == ".." or found[3] == ".."
        word = found[2] or found[4]
        if word == "*":
            out.append((deep, None))
        elif found[4] and word.isdigit():
            out.append((deep, int(word)))
        else:
            out.append((deep, _spelt(word[1:-1] if found[4] else word)))
        place = found.end()
    if not out:
        raise ValueError("The path names everything; leave the rule out instead.")
    return tuple(out)


class Paths:
    """Some rules. ``start`` is what the root of a document has reached. Raises ValueError for a path that is none."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._rules = [steps(path) for path in paths]
        self.start: States = frozenset((rule, 0) for rule in range(len(self._rules)))
        self._known: dict[tuple[States, str | int], States] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def down(self, states: States, key: str | int) -> States:
        """What the member ``key`` has reached of a value that has reached ``states``."""
        if not states:
            return states
        known = self._known.get((states, key))
        if known is None:
            name = _spelt(key) if isinstance(key, str) else key
            reached = set()
            for rule, place in states:
                wanted = self._rules[rule]
                if place == len(wanted):
                    continue
                deep, step = wanted[place]
                if deep:
                    reached.add((rule, place))
                if step is None or step == name:
                    reached.add((rule, place + 1))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[states, key] = frozenset(reached)
        return known

    def named(self, states: States) -> bool:
        """Whether a rule names the place that has reached this."""
        return any(place == len(self._rules[rule]) for rule, place in states)


def _spelt(name: str) -> str:
    """A name in the spelling with humps."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name
