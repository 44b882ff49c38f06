"""Takes out of a call's body what may not be kept, before it is hashed and stored.

Laws:

- credentials (Google's keys, ours, tokens, private keys) are taken out always, whatever the rules say;
- a body in which nothing was found is kept byte for byte; one that was changed is written anew, as compact JSON;
- what a rule cannot be applied to is not kept: JSON paths in a body that is no JSON any more (it was cut), and
  everything in a body that is no text; of these the size and the SHA-256 stay;
- a secret in pieces is found: the texts that stand at one place of successive events are read as one, and so are, for
  credentials, all parts of one message or candidate (by its ``index``), with its thoughts and without them;
- a secret in another form is found: in escapes of JSON, JSON within JSON, and base64 of text;
- of a body that was cut, the start of a credential at its end is taken off, and JSON is read as if it ended there;
- words that take the place of what was taken out are in square brackets, and none of them is found again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from bisect import bisect_right
from typing import Annotated, Any, NamedTuple

import msgspec

from gemgate.core import fingerprint
from gemgate.core.jsonpaths import Paths, States, steps
from gemgate.core.jsontext import completed, dumped, loaded
from gemgate.core.sought import Sought, Span, apart, text_of, without

MEDIA_ABOVE = 16 * 1024
"""Bytes of base64 above which they are media, unless a rule names another size."""
MOST_RULES = 32
MOST_PATTERN = 500

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_DATA_URL = re.compile(r"data:[\w.+/-]{0,100}(?:;[\w=.-]{1,100}){0,4};base64,")
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


Path = tuple[str | int | None, ...]


class _Text(NamedTuple):
    """A text in a document. In ``way`` a member of a list has its ``index``, else its place as a tuple of one."""

    holder: Any
    key: Any
    text: str
    path: Path
    way: tuple[Any, ...]
    thought: bool


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


class Redactor:
    """The rules, made ready. Raises ValueError for rules with ``faults``."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._paths = Paths(rules.paths)
        self._sought = Sought(rules.emails, rules.cards, rules.patterns)
        # Base64 takes four signs for three bytes.
        self._media = rules.media_above * 4 // 3 if rules.media_above else 0

    def redact(self, body: bytes, *, whole: bool = True) -> Redacted:
        """What may be kept of a body in UTF-8; ``whole`` is false for one that was cut.

        A form that is none of JSON, server-sent events and plain text is kept as its size and hash.
        """
        text = text_of(body, whole=whole)
        if text is None:
            return Redacted(removed(body).encode(), 1)
        cut = not whole
        found = loaded(text)
        try:
            if found is None and _is_events(text):
                out, count = self._events(text, cut)
            else:
                if found is None and cut and not self._paths:
                    found = completed(text)
                out, count = self._plain(text, cut) if found is None else self._document(text, *found, cut)
        except RecursionError:
            return Redacted(removed(body).encode(), 1)  # what nests so deep was not made to be read
        if not count:
            return Redacted(body if whole else text.encode(), 0)
        return Redacted(out.encode("utf-8", "backslashreplace"), count)

    def _document(self, text: str, tree: Any, twice: bool, cut: bool) -> tuple[str, int]:
        """One JSON value. ``twice``: a name stood twice in an object, and only the last is known."""
        # The array form of a stream: each member is an event.
        events = isinstance(tree, list) and any(isinstance(one, dict) for one in tree)
        boxes = [[one] for one in tree] if events else [[tree]]
        starts = [self._paths.start] * len(boxes)
        if events:
            starts = [start | self._paths.down(start, at) for at, start in enumerate(starts)]
        count = self._walk(boxes, starts, cut) + twice
        if not count:
            return text, 0
        return dumped([box[0] for box in boxes] if events else boxes[0][0]), count

    def _events(self, text: str, cut: bool) -> tuple[str, int]:
        """A stream of server-sent events, one JSON value a line."""
        lines = _LINE.findall(text)
        boxes: list[list[Any]] = []
        places: list[tuple[int, str]] = []
        count = 0
        for number, line in enumerate(lines):
            data = line.rstrip("\r\n")
            end = line[len(data) :]
            last = cut and number == len(lines) - 1
            field = data.startswith("data:")
            found = loaded(data[5:]) if field else None
            if found is None and field and last and not self._paths:
                found = completed(data[5:])
            if found is not None:
                count += found[1]
                boxes.append([found[0]])
                places.append((number, end))
                continue
            kept, more = self._plain(data[5:], last) if field else self._sought.clean(data, last)
            lines[number] = ("data:" if field else "") + kept + end if more else line
            count += more
        changed = self._walk(boxes, [self._paths.start] * len(boxes), cut)
        if changed or count:
            for box, (number, end) in zip(boxes, places, strict=True):
                lines[number] = "data: " + dumped(box[0]) + end
        return "".join(lines), count + changed

    def _plain(self, text: str, cut: bool) -> tuple[str, int]:
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
        kept, more = self._sought.clean(text, cut)
        return kept, count + more

    def _walk(self, boxes: list[list[Any]], starts: list[States], cut: bool) -> int:
        """Take out of the values in the boxes, in place. Returns the number of things taken out."""
        count = 0
        texts: list[_Text] = []
        paths = self._paths
        for box, start in zip(boxes, starts, strict=True):
            pending: list[tuple[Any, Any, Path, tuple[Any, ...], States]] = [(box, 0, (), (), start)]
            while pending:
                holder, key, path, way, states = pending.pop()
                value = holder[key]
                if states and paths.named(states):
                    holder[key] = fingerprint.REDACTED
                    count += value != fingerprint.REDACTED
                elif isinstance(value, dict):
                    count += self._names(value)
                    pending += [
                        (value, name, (*path, name), (*way, name), paths.down(states, name))
                        for name in reversed(value)
                    ]
                elif isinstance(value, list):
                    pending += [
                        (value, at, (*path, at), (*way, _which(value[at], at)), paths.down(states, at))
                        for at in range(len(value) - 1, -1, -1)
                    ]
                elif isinstance(value, str) and self._is_media(value):
                    holder[key] = _medium(value)
                    count += 1
                elif isinstance(value, str):
                    thought = isinstance(holder, dict) and bool(holder.get("thought"))
                    texts.append(_Text(holder, key, value, path, way, thought))
                elif isinstance(value, int) and self._sought.spans(str(value)):
                    holder[key] = fingerprint.REDACTED
                    count += 1
        return count + self._texts(texts, cut)

    def _texts(self, texts: list[_Text], cut: bool) -> int:
        """Take out of texts what is found in one alone, and in those together that may be pieces of one."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for number, one in enumerate(texts):
            together = _together(one.way)
            for name in ((one.path,), (together, one.thought), (together, None)):
                groups.setdefault(name, []).append(number)
        found: dict[int, list[Span]] = {}
        seen: set[tuple[int, ...]] = set()
        for name, members in groups.items():
            if (same := tuple(members)) in seen:
                continue
            seen.add(same)
            starts = [0]
            for number in members:
                starts.append(starts[-1] + len(texts[number].text))
            # Texts at different places are not surely one, so that only credentials are looked for in them.
            bare = len(name) > 1
            for low, high, word in self._sought.spans("".join(texts[at].text for at in members), cut, bare):
                place = bisect_right(starts, low) - 1
                while place < len(members) and starts[place] < high:
                    begin, end = starts[place], starts[place + 1]
                    if end > begin:
                        span = (max(low - begin, 0), min(high, end) - begin, word)
                        found.setdefault(members[place], []).append(span)
                        word = ""
                    place += 1
        count = 0
        for number, spans in found.items():
            holder, key, text = texts[number][:3]
            spans = apart(spans)
            holder[key] = without(text, spans)
            count += sum(bool(word) for _, _, word in spans)
        return count

    def _names(self, value: dict[str, Any]) -> int:
        """A name in an object is a text too."""
        count = 0
        if any(self._sought.spans(name) for name in value):
            items = list(value.items())
            value.clear()
            for name, inner in items:
                kept, more = self._sought.clean(name)
                value[kept] = inner
                count += more
        return count

    def _is_media(self, text: str) -> bool:
        if not self._media or len(text) <= self._media:
            return False
        begin = _DATA_URL.match(text)
        return _BASE64.fullmatch(text, begin.end() if begin else 0) is not None


def _which(value: Any, at: int) -> int | tuple[int]:
    """Which member of a list it is, by its own word or else by its place."""
    index = value.get("index") if isinstance(value, dict) else None
    return index if isinstance(index, int) else (at,)


def _together(way: tuple[Any, ...]) -> Path:
    """The way to a text, the same for all parts of one message: without the last place that is no index."""
    last = max((at for at, step in enumerate(way) if isinstance(step, tuple)), default=-1)
    return tuple(
        (None if at == last else step[0]) if isinstance(step, tuple) else step for at, step in enumerate(way)
    )


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


def _is_events(text: str) -> bool:
    """Whether a line of the first few is a field of server-sent events."""
    begin = _LINE.findall(text[:65536])[:8]
    return any(line.startswith("data:") for line in begin)
