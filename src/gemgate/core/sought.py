"""What is looked for in a text that is to be kept: credentials always, addresses, cards and patterns where asked for.

A text is looked at as it stands, with the escapes of JSON undone (as often as JSON stands in JSON), and where it is
base64 of a text, in that too.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator, Sequence

from gemgate.core import fingerprint
from gemgate.core.jsontext import unescaped

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]*\d)")
_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_DEEPEST = 5  # JSON in JSON, base64 in base64: so often a text is looked into

Span = tuple[int, int, str]
"""From, to, and what stands there instead."""


class Sought:
    """What is looked for. Raises re.error for a pattern that is none."""

    def __init__(self, emails: bool, cards: bool, patterns: Sequence[str]) -> None:
        self._emails = emails
        self._cards = cards
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def clean(self, text: str, cut: bool = False) -> tuple[str, int]:
        """A text without what was found in it, and how much that was."""
        spans = self.spans(text, cut)
        return without(text, spans), len(spans)

    def spans(self, text: str, cut: bool = False, bare: bool = False, depth: int = 0) -> list[Span]:
        """What must be taken out of a text, as it stands and with its escapes undone: apart, in order.

        ``cut``: it may go on behind its end. ``bare``: only credentials are looked for.
        """
        found: list[Span] = []
        origins: list[Callable[[int], int]] = []
        for _ in range(_DEEPEST):
            for low, high, word in self._found(text, cut, bare, depth):
                for origin in reversed(origins):
                    low, high = origin(low), origin(high)
                found.append((low, high, word))
            plainer = unescaped(text) if "\\" in text else None
            if plainer is None:
                break
            text, origin = plainer
            origins.append(origin)
        return apart(found)

    def _found(self, text: str, cut: bool, bare: bool, depth: int) -> Iterator[Span]:
        """What is found in a text as it stands."""
        if not text:
            return
        for low, high in fingerprint.secrets(text):
            yield low, high, fingerprint.REDACTED
        if cut and (start := fingerprint.cut_secret(text)) is not None:
            yield start, len(text), fingerprint.REDACTED
        if depth < _DEEPEST:
            yield from self._encoded(text, cut, bare, depth + 1)
        if bare:
            return
        yield from self._asked(text)

    def _encoded(self, text: str, cut: bool, bare: bool, depth: int) -> Iterator[Span]:
        """What is found in base64."""
        for run in _RUN.finditer(text):
            inner = _decoded(run[0])
            if inner and (spans := self.spans(inner, cut and run.end() == len(text), bare, depth)):
                yield *run.span(), base64.b64encode(without(inner, spans).encode()).decode()

    def _asked(self, text: str) -> Iterator[Span]:
        """What is found because a rule says so."""
        if self._emails and "@" in text:
            for one in _EMAIL.finditer(text):
                yield *one.span(), "[redacted e-mail]"
        if self._cards:
            for one in _CARD.finditer(text):
                if luhn(one[0]):
                    yield *one.span(), "[redacted card]"
        for pattern in self._patterns:
            for one in pattern.finditer(text):
                if one.end() > one.start() and one[0] != fingerprint.REDACTED:
                    yield *one.span(), fingerprint.REDACTED


def apart(found: list[Span]) -> list[Span]:
    """The spans in order, those that overlap as one."""
    found.sort()
    out = found[:1]
    for low, high, word in found[1:]:
        if low < out[-1][1]:
            out[-1] = (out[-1][0], max(high, out[-1][1]), out[-1][2] or word)
        else:
            out.append((low, high, word))
    return out


def without(text: str, spans: Sequence[Span]) -> str:
    """The text with each span's word in its place."""
    kept: list[str] = []
    at = 0
    for low, high, word in spans:
        kept += (text[at:low], word)
        at = high
    return "".join((*kept, text[at:]))


def luhn(text: str) -> bool:
    """Whether the digits of a text carry the check digit of payment cards (ISO/IEC 7812)."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    if len(set(digits)) < 2:
        return False
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def text_of(body: bytes, *, whole: bool) -> str | None:
    """The body as text; None when it is none. Of one that was cut half a sign is left out."""
    try:
        text = codecs.getincrementaldecoder("utf-8")("strict").decode(body, whole)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _decoded(run: str) -> str | None:
    """The text that stands in a run of base64, as far as it goes; None when it is none."""
    signs = run.rstrip("=").replace("-", "+").replace("_", "/")
    signs = signs[: len(signs) - (len(signs) % 4 == 1)]
    try:
        plain = base64.b64decode(signs + "=" * (-len(signs) % 4))
    except binascii.Error:
        return None
    return text_of(plain, whole=False)
