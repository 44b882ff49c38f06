"""Takes out of a call's body what may not be kept, before it is hashed and stored.

Laws:

- credentials (Google's keys, ours, tokens, private keys) are taken out always, whatever the rules say;
- a body in which nothing was found is kept byte for byte; one that was changed is written anew, as compact JSON;
- what a rule cannot be applied to is not kept: JSON paths in a body that is no JSON any more (it was cut), and
  everything in a body that is no text; of these the size and the SHA-256 stay;
- a secret that a stream gives piece by piece is found: the texts that stand at one place of successive events are
  read as one;
- words that take the place of what was taken out are in square brackets, and none of them is found again.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from gemgate.core import fingerprint

MEDIA_ABOVE = 16 * 1024
"""Bytes of base64 above which they are media, unless a rule names another size."""
MOST_RULES = 32
MOST_PATTERN = 500

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]*\d)")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_DATA_URL = re.compile(r"data:[\w.+/-]{0,100}(?:;[\w=.-]{1,100}){0,4};base64,")
_STEP = re.compile(r"(\.\.|\.)(\*|[^.\[\]'\"\s]+)|(\.\.)?\[(\*|\d{1,9}|'[^']*'|\"[^\"]*\")\]")
# The line ends of server-sent events: JSON may hold other signs that Python takes for ends.
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_DONE = "[DONE]"


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken out of a body, beside credentials.

    ``media_above`` is in bytes; inline media above it are replaced by their size and SHA-256 (0: kept).
    """

    emails: Annotated[bool, msgspec.Meta(description="Take out e-mail addresses.")] = True
    cards: Annotated[bool, msgspec.Meta(description="Take out numbers of payment cards.")] = True
    media_above: Annotated[
        int,
        msgspec.Meta(
            ge=0, le=2**40, description="Bytes above which inline media become size and hash; 0 keeps them."
        ),
    ] = MEDIA_ABOVE
    paths: Annotated[
        list[str],
        msgspec.Meta(
            max_length=MOST_RULES,
            description="JSON paths whose values are taken out: $.contents[*].parts[*].text, $..name.",
            examples=[["$..userName"]],
        ),
    ] = []
    patterns: Annotated[
        list[str],
        msgspec.Meta(
            max_length=MOST_RULES,
            description="Regular expressions (Python's) whose matches are taken out of every text.",
            examples=[["PATIENT-[0-9]+"]],
        ),
    ] = []


class Redacted(NamedTuple):
    """A body as it may be kept, and how many things were taken out of it."""

    body: bytes
    taken: int


Step = tuple[bool, str | int | None]  # at any depth; a name, a place, or None for all
Path = tuple[str | int, ...]
Span = tuple[int, int, str]


def faults(rules: Rules) -> dict[str, str]:
    """What cannot be meant, as a sentence by field: ``paths[0]``, ``patterns[2]``."""
    found: dict[str, str] = {}
    for place, path in enumerate(rules.paths):
        try:
            steps(path)
        except ValueError as error:
            found[f"paths[{place}]"] = str(error)
    for place, pattern in enumerate(rules.patterns):
        if len(pattern) > MOST_PATTERN:
            found[f"patterns[{place}]"] = f"A pattern has at most {MOST_PATTERN} signs."
            continue
        try:
            if re.compile(pattern).match(""):
                found[f"patterns[{place}]"] = (
                    "The pattern matches the empty text, so it would match everywhere."
                )
        except (re.error, OverflowError, RecursionError) as error:
            found[f"patterns[{place}]"] = f"This is no regular expression: {error}."
    return found


def steps(path: str) -> tuple[Step, ...]:
    """A JSON path in steps. Raises ValueError with a sentence."""
    text = path.strip()
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
            out.append((deep, word[1:-1] if found[4] else word))
        place = found.end()
    if not out:
        raise ValueError("The path names everything; leave the rule out instead.")
    return tuple(out)


def matches(wanted: Sequence[Step], path: Path) -> bool:
    """Whether a place in a document is one that the steps name."""
    if not wanted:
        return not path
    deep, name = wanted[0]
    for begin in range(len(path) if deep else min(1, len(path))):
        if (name is None or path[begin] == name) and matches(wanted[1:], path[begin + 1 :]):
            return True
    return False


class Redactor:
    """The rules, made ready. Raises ValueError for rules with ``faults``."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._paths = [steps(path) for path in rules.paths]
        self._patterns = [re.compile(pattern) for pattern in rules.patterns]
        # Base64 takes four signs for three bytes.
        self._media = rules.media_above * 4 // 3 if rules.media_above else 0

    def redact(self, body: bytes, *, whole: bool = True) -> Redacted:
        """What may be kept of a body in UTF-8; ``whole`` is false for one that was cut.

        A form that is none of JSON, server-sent events and plain text is kept as its size and hash.
        """
        text = _text(body, whole=whole)
        if text is None:
            return Redacted(removed(body).encode(), 1)
        loaded = _loaded(text)
        try:
            if loaded is not None:
                out, count = self._document(text, *loaded)
            elif _is_events(text):
                out, count = self._events(text)
            else:
                out, count = self._plain(text)
        except RecursionError:
            return Redacted(removed(body).encode(), 1)  # what nests so deep was not made to be read
        if not count:
            return Redacted(body if whole else text.encode(), 0)
        return Redacted(out.encode("utf-8", "backslashreplace"), count)

    def _document(self, text: str, tree: Any, twice: bool) -> tuple[str, int]:
        """One JSON value. ``twice``: a name stood twice in an object, and only the last is known."""
        # The array form of a stream: each member is an event.
        events = isinstance(tree, list) and all(isinstance(one, dict) for one in tree)
        boxes = [[one] for one in tree] if events else [[tree]]
        count = self._walk(boxes) + twice
        if not count:
            return text, 0
        return _dumped([box[0] for box in boxes] if events else boxes[0][0]), count

    def _events(self, text: str) -> tuple[str, int]:
        """A stream of server-sent events, one JSON value a line."""
        lines = _LINE.findall(text)
        boxes: list[list[Any]] = []
        places: list[tuple[int, str, str]] = []
        count = 0
        for number, line in enumerate(lines):
            data = line.rstrip("\r\n")
            end = line[len(data) :]
            if not data.startswith("data:"):
                (kept,), more = self._strings([data])
                lines[number] = kept + end
                count += more
                continue
            loaded = _loaded(data[5:])
            if loaded is None:
                kept, more = self._plain(data[5:])
                lines[number] = "data:" + kept + end if more else line
                count += more
                continue
            count += loaded[1]
            boxes.append([loaded[0]])
            places.append((number, "data: ", end))
        changed = self._walk(boxes)
        if changed or count:
            for box, (number, start, end) in zip(boxes, places, strict=True):
                lines[number] = start + _dumped(box[0]) + end
        return "".join(lines), count + changed

    def _plain(self, text: str) -> tuple[str, int]:
        """What cannot be read as JSON."""
        if self._paths and text.strip() not in ("", _DONE):
            return removed(text.encode("utf-8", "backslashreplace")), 1
        count = 0
        if self._media:

            def media(found: re.Match[str]) -> str:
                """A long run of base64."""
                nonlocal count
                if len(found[0]) <= self._media:
                    return found[0]
                count += 1
                return _medium(found[0])

            text = _BASE64.sub(media, text)
        kept, more = self._strings([text])
        return kept[0], count + more

    def _walk(self, boxes: list[list[Any]]) -> int:
        """Take out of the values in the boxes, in place. Returns the number of things taken out."""
        count = 0
        groups: dict[Path, list[tuple[Any, Any, str]]] = {}
        for box in boxes:
            pending: list[tuple[Any, Any, Path]] = [(box, 0, ())]
            while pending:
                holder, key, path = pending.pop()
                value = holder[key]
                if path and self._paths and any(matches(wanted, path) for wanted in self._paths):
                    holder[key] = fingerprint.REDACTED
                    count += value != fingerprint.REDACTED
                elif isinstance(value, dict):
                    count += self._names(value)
                    pending += [(value, name, (*path, name)) for name in reversed(value)]
                elif isinstance(value, list):
                    pending += [(value, at, (*path, at)) for at in range(len(value) - 1, -1, -1)]
                elif isinstance(value, str) and self._is_media(value):
                    holder[key] = _medium(value)
                    count += 1
                elif isinstance(value, str):
                    groups.setdefault(path, []).append((holder, key, value))
                elif isinstance(value, int) and self._strings([str(value)])[1]:
                    holder[key] = fingerprint.REDACTED
                    count += 1
        for members in groups.values():
            kept, more = self._strings([value for _, _, value in members])
            count += more
            if more:
                for (holder, key, _), value in zip(members, kept, strict=True):
                    holder[key] = value
        return count

    def _names(self, value: dict[str, Any]) -> int:
        """A name in an object is a text too."""
        count = 0
        if any(self._spans(name) for name in value):
            items = list(value.items())
            value.clear()
            for name, inner in items:
                (kept,), more = self._strings([name])
                value[kept] = inner
                count += more
        return count

    def _is_media(self, text: str) -> bool:
        if not self._media or len(text) <= self._media:
            return False
        begin = _DATA_URL.match(text)
        return _BASE64.fullmatch(text, begin.end() if begin else 0) is not None

    def _strings(self, pieces: list[str]) -> tuple[list[str], int]:
        """The pieces of one text without what was found in it, and how much that was."""
        spans = self._spans("".join(pieces))
        if not spans:
            return pieces, 0
        out, start = [], 0
        for piece in pieces:
            kept, at, end = "", start, start + len(piece)
            for low, high, word in spans:
                if high <= start or low >= end:
                    continue
                kept += piece[at - start : max(low, start) - start] + (word if low >= start else "")
                at = min(high, end)
            out.append(kept + piece[at - start :])
            start = end
        return out, len(spans)

    def _spans(self, text: str) -> list[Span]:
        """What must be taken out of a text: apart from each other, in order."""
        if not text:
            return []
        found: list[Span] = [(low, high, fingerprint.REDACTED) for low, high in fingerprint.secrets(text)]
        if self._rules.emails and "@" in text:
            found += [(*one.span(), "[redacted e-mail]") for one in _EMAIL.finditer(text)]
        if self._rules.cards:
            found += [(*one.span(), "[redacted card]") for one in _CARD.finditer(text) if luhn(one[0])]
        for pattern in self._patterns:
            found += [
                (*one.span(), fingerprint.REDACTED)
                for one in pattern.finditer(text)
                if one.end() > one.start() and one[0] != fingerprint.REDACTED
            ]
        if len(found) < 2:
            return found
        found.sort()
        apart = [found[0]]
        for low, high, word in found[1:]:
            if low < apart[-1][1]:
                apart[-1] = (apart[-1][0], max(high, apart[-1][1]), apart[-1][2])
            else:
                apart.append((low, high, word))
        return apart


def luhn(text: str) -> bool:
    """Whether the digits of a text carry the check digit of payment cards (ISO/IEC 7812)."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    if len(set(digits)) < 2:
        return False
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def removed(body: bytes) -> str:
    """What stands for bytes that are not kept."""
    return f"[removed: {len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()}]"


def _medium(text: str) -> str:
    """What stands for media in base64: size and hash are those of the bytes themselves."""
    begin = _DATA_URL.match(text)
    signs = text[begin.end() if begin else 0 :].replace("-", "+").replace("_", "/").rstrip("=")
    try:
        media = base64.b64decode(signs + "=" * (-len(signs) % 4))
    except binascii.Error:
        media = text.encode("ascii", "replace")
    return (begin[0] if begin else "") + removed(media)


def _text(body: bytes, *, whole: bool) -> str | None:
    """The body as text; None when it is none. Of one that was cut half a sign is left out."""
    try:
        text = codecs.getincrementaldecoder("utf-8")("strict").decode(body, whole)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _loaded(text: str) -> tuple[Any, bool] | None:
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


def _is_events(text: str) -> bool:
    """Whether a line of the first few is a field of server-sent events."""
    begin = _LINE.findall(text[:65536])[:8]
    return any(line.startswith("data:") for line in begin)


def _dumped(value: Any) -> str:
    """Compact JSON that UTF-8 can carry."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() or _encodable(text) else json.dumps(value, separators=(",", ":"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
