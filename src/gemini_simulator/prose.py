"""Words for answers: the same seed and prompt give the same text; and JSON that fits a schema."""

from __future__ import annotations

import hashlib
import re
from typing import Any

TEXT = """
the a of and to in that it for with as on by at from this each which when where light river stone
signal answer model question small large quiet steady careful measured method result pattern reason
detail number system garden harbour window engine letter paper voice morning evening north south
first second third next last gives takes holds keeps moves turns shows reads writes finds means
follows changes returns carries opens closes near under over between across about because although
therefore often rarely always perhaps clearly simply
"""
WORDS = TEXT.split()
SPACED = [" " + word for word in WORDS]
SENTENCE = 14
LARGEST = 10_000


class Dice:
    """Chance that is the same for the same seed, as a stream of numbers from a hash."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._pool = b""
        self._turn = 0

    def below(self, bound: int) -> int:
        """A whole number in [0, bound)."""
        if len(self._pool) < 4:
            self._pool = hashlib.sha256(f"{self._seed}:{self._turn}".encode()).digest()
            self._turn += 1
        number = int.from_bytes(self._pool[:4], "big")
        self._pool = self._pool[4:]
        return number % max(1, bound)

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + self.below(high - low + 1)


def pieces(seed: str, start: int, count: int) -> list[str]:
    """``count`` tokens of prose from position ``start`` of the endless text that ``seed`` names.

    Each token depends on its own position, so a later request can go on where an earlier one stopped.
    """
    base = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    number = len(SPACED)
    made = [SPACED[((base ^ (at * 0x9E3779B97F4A7C15)) >> 7) % number] for at in range(start, start + count)]
    for at in range(-start % SENTENCE, count, SENTENCE):
        made[at] = " " + made[at][1:].capitalize()
    for at in range((SENTENCE - 1 - start) % SENTENCE, count, SENTENCE):
        made[at] += "."
    if start == 0 and made:
        made[0] = made[0][1:]
    return made


def slices(text: str) -> list[str]:
    """A given text cut into tokens of four characters."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def value_for(schema: dict[str, Any], dice: Dice) -> Any:
    """A JSON value that fits ``schema``: JSON Schema, or Google's OpenAPI subset with upper-case types."""
    return _Shaper(schema, dice).make(schema, 0)


def _bounded(number: Any) -> int:
    """A least size. Raises ValueError for one that no answer could hold."""
    if int(number) > LARGEST:
        raise ValueError(f"{number} is too large")
    return int(number)


class _Shaper:
    def __init__(self, root: dict[str, Any], dice: Dice) -> None:
        self.root = root
        self.dice = dice

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow a ``$ref`` into the root's definitions."""
        for _ in range(8):
            ref = schema.get("$ref") or schema.get("ref")
            if not ref:
                break
            target: Any = self.root
            for step in ref.removeprefix("#/").split("/"):
                target = target.get(step, {}) if isinstance(target, dict) else {}
            schema = target
        return schema

    def make(self, schema: dict[str, Any], depth: int) -> Any:
        """A value for a schema at some depth; deep ones are kept small."""
        schema = self.resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][self.dice.below(len(schema["enum"]))]
        choices = schema.get("anyOf") or schema.get("any_of") or schema.get("oneOf")
        if choices:
            return self.make(choices[0] if depth < 6 else choices[-1], depth + 1)
        if schema.get("allOf"):
            merged: dict[str, Any] = {}
            for item in schema["allOf"]:
                merged |= self.resolve(item)
            return self.make(merged, depth + 1)
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((item for item in kind if str(item).lower() != "null"), "null")
        return self.of_type(str(kind).lower(), schema, depth)

    def of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        """A value of one type."""
        if kind == "object":
            return self.object(schema, depth)
        if kind == "array":
            least = _bounded(schema.get("minItems", 0))
            most = int(schema.get("maxItems", max(least, 3)))
            size = (
                self.dice.between(max(least, min(1, most)), max(least, min(most, least + 2)))
                if depth < 6
                else least
            )
            return [self.make(schema.get("items") or {}, depth + 1) for _ in range(size)]
        if kind in ("integer", "number"):
            return self.number(schema, kind == "integer")
        if kind == "boolean":
            return self.dice.below(2) == 1
        return None if kind == "null" else self.text(schema)

    def object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """An object with its properties in their order."""
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        order = schema.get("propertyOrdering") or list(properties)
        names = [name for name in order if name in properties and (depth < 5 or name in required)]
        return {name: self.make(properties[name], depth + 1) for name in names}

    def number(self, schema: dict[str, Any], whole: bool) -> float | int:
        """A number within its bounds."""
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        floor = (
            float(low) if low is not None else min(0.0, float(high or 0) - 100 if (high or 0) < 0 else 0.0)
        )
        ceiling = floor + 100 if high is None else high
        step = schema.get("multipleOf")
        if whole:
            first = int(floor) + (1 if "exclusiveMinimum" in schema or int(floor) < floor else 0)
            last = int(ceiling) - (1 if "exclusiveMaximum" in schema and int(ceiling) == ceiling else 0)
            number = self.dice.between(first, max(first, last))
            return number - number % int(step) if step and number - number % int(step) >= first else number
        if step:
            return float(-(-floor // step) * step)
        return float(round(floor + (ceiling - floor) * (self.dice.between(1, 99) / 100), 4))

    def text(self, schema: dict[str, Any]) -> str:
        """A text of its format, pattern or length."""
        formats = {
            "date-time": "2026-11-23T12:00:00Z", "date": "2026-11-23", "time": "12:00:00Z", "uri": "https://example.com/a",
            "email": "someone@example.com", "uuid": "3f2b8c1e-7a44-4d0b-9c55-0f6f1e2d3c4b",
        }  # fmt: skip
        if schema.get("format") in formats:
            return formats[schema["format"]]
        if schema.get("pattern"):
            return from_pattern(schema["pattern"])
        text = " ".join(WORDS[self.dice.below(len(WORDS))] for _ in range(self.dice.between(1, 4)))
        least, most = _bounded(schema.get("minLength", 0)), int(schema.get("maxLength", LARGEST))
        return (text + " " + "word " * (least // 5 + 1))[:most] if len(text) < least else text[:most]


SAMPLES = {"\\d": "7", "\\w": "a", "\\s": " ", ".": "a"}


def from_pattern(pattern: str) -> str:
    """A text that matches a plain pattern: literals, classes, ``?*+{n,m}`` counts; others get a likely text."""
    made = []
    for atom, count in re.findall(r"(\\.|\[[^\]]*\]|[^\\\[\]^$])(\{\d+(?:,\d*)?\}|[*+?])?", pattern):
        if atom in "()|":
            continue
        times = (
            int(re.findall(r"\d+", count)[0]) if count.startswith("{") else (0 if count in ("*", "?") else 1)
        )
        times = _bounded(times)
        sample = SAMPLES.get(atom, atom[1:2] if atom[0] in "[\\" else atom)
        if atom.startswith("[\\"):
            sample = SAMPLES.get(atom[1:3], "a")
        made.append(sample * times)
    return "".join(made)
