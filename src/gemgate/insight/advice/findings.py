"""What a finding is, what a kind of finding gets to see, and when there is enough evidence to speak.

Laws:

- money is what the calls of the sample would cost less at the prices in force when the advice is given, scaled
  from the sample to all calls of its span, and from that to 30 days; calls that cost nothing (a free tier, no
  known price) save nothing;
- no finding on fewer than ``LEAST_CALLS`` calls, none on less than ``LEAST_NANO`` a month, and no money at all out
  of a span under ``LEAST_SPAN``: a busy hour is not a month;
- every finding names calls that it rests on.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from gemgate.core.access import Key
from gemgate.core.call import spell
from gemgate.core.catalog import Catalog
from gemgate.core.pricing import Price, PriceBook, cost
from gemgate.core.usage import Usage

LEAST_CALLS: Final = 50
LEAST_NANO: Final = 1_000_000_000
"""A dollar a month."""
LEAST_SPAN: Final = 86_400_000_000
"""A day, in µs."""
_HOUR: Final = 3_600_000_000
MONTH: Final = 30 * 86_400_000_000
MOST_IDS: Final = 10
MOST_FINDINGS: Final = 10
"""Of one kind, those with the most money."""
GENERATE: Final = frozenset(
    {
        "models.generateContent",
        "models.streamGenerateContent",
        "dynamic.generateContent",
        "dynamic.streamGenerateContent",
        "openai.chat.completions",
        "interactions.create",
    }
)
"""Methods that write text."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A try that did not answer: ``lost`` is the µs that it took, with the wait after it; ``nano`` "
    "what it cost."""

    model: str
    project: str
    verdict: str
    reason: str
    lost: int
    nano: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as advice sees it. Names as text, "" for none; ``model``, ``project``, ``usage`` and ``tier`` are
    those of the try that answered (else the last). ``paid``: it was billed, at a known price.

    ``prefixes`` are (bytes, hash) from the shortest on; ``failed`` are the tries before.
    """

    call_id: bytes
    received_at: int
    duration: int
    key: str = ""
    route: str = ""
    method: str = ""
    model: str = ""
    project: str = ""
    tier: str = ""
    outcome: str = "ok"
    streaming: str = ""
    finish: str = ""
    request_bytes: int = 0
    usage: Usage = Usage()
    paid: bool = True
    nano: int = 0
    tools: int = 0
    turns: int = 0
    media: int = 0
    thinking: str = ""
    json_output: bool = False
    cached_content: bool = False
    request_hash: int = 0
    prefixes: tuple[tuple[int, int], ...] = ()
    failed: tuple[Failed, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it was answered, whole."""
        return self.outcome == "ok"

    @property
    def text(self) -> bool:
        """Whether it asked for text and got it, and was paid for."""
        return self.ok and self.paid and self.method in GENERATE


class Budgeted(msgspec.Struct, frozen=True):
    """The keys, and the names of those that have a budget of their own in force."""

    keys: tuple[Key, ...] = ()
    budgeted: frozenset[str] = frozenset()


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a finding rests on: so many calls of the sample, received in [``since``, ``until``) (UTC µs), ids of up
    to ten of them, and a sentence on how its number was made."""

    calls: int
    since: int
    until: int
    ids: tuple[str, ...]
    computed: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of advice. ``nano_per_month`` is nano-dollars, None where no money can be named.

    ``key`` and ``model`` say whom and what it is about, "" for more than one. ``id`` stays as long as the finding
    is about the same.
    """

    id: str
    kind: str
    title: str
    sentence: str
    nano_per_month: int | None
    evidence: Evidence
    risk: str
    try_it: str
    key: str = ""
    model: str = ""


class Sampled(msgspec.Struct, frozen=True):
    """Which of the calls of a span are looked at: ``taken`` of ``total``.

    They are all calls of stretches of ``length`` µs that are spread over the span; 0: all calls are.
    """

    total: int = 1
    taken: int = 1
    length: int = 0
    chosen: tuple[tuple[int, int], ...] = ()
    """Start and end of each stretch (UTC µs), the latest first."""


_ALL: Final = Sampled()


class World:
    """What is known beside the calls: prices and models, keys, the time of the advice and the "
    "sample's span."""

    def __init__(
        self,
        book: PriceBook,
        catalog: Catalog,
        budgeted: Budgeted,
        span: tuple[int, int, int],
        sampled: Sampled = _ALL,
    ) -> None:
        self.book = book
        self.catalog = catalog
        self.budgeted = budgeted
        self.since, self.until, self.now = span
        self.sampled = sampled
        self._prices: dict[tuple[str, str], Price | None] = {}
        self._call: Call | None = None
        self._worth: int | None = None

    @property
    def span(self) -> int:
        """The sample's span in µs, at least 1."""
        return max(1, self.until - self.since)

    def month(self, amount: int) -> int:
        """What an amount of the sample comes to in 30 days."""
        return amount * self.sampled.total * MONTH // (max(1, self.sampled.taken) * self.span)

    def all(self, calls: int) -> int:
        """How many calls of the span so many of the sample stand for, about."""
        return calls * self.sampled.total // max(1, self.sampled.taken)

    @property
    def hours(self) -> float:
        """How many hours of the span the sample has a part of."""
        chosen = self.sampled.chosen if self.sampled.length else ()
        return len({start // _HOUR for start, _ in chosen}) or self.span / _HOUR

    @property
    def part(self) -> float:
        """How much of such an hour's calls it has, at most 1."""
        return min(1.0, self.sampled.length / _HOUR) if self.sampled.length else 1.0

    @property
    def scaled(self) -> str:
        """A sentence on what was left out, empty where nothing was."""
        one = self.sampled
        if not one.length:
            return ""
        return (
            f" The sample is {one.taken:,} of {one.total:,} calls, those of {len(one.chosen):,} stretches of"
            f" {one.length // 1_000_000:,} s spread over the span: money is scaled by"
            f" {one.total / max(1, one.taken):,.1f}."
        )

    def cost(self, model: str, tier: str, usage: Usage) -> int | None:
        """The list price of so many tokens now, None where it is not known."""
        place = model, tier
        if place not in self._prices:
            self._prices[place] = self.book.price(self.book.routed(model, self.now), tier, self.now)
        return cost(self._prices[place], usage).total

    def worth(self, call: Call) -> int | None:
        """The list price of a call's answer now. Every kind asks it of the same call in turn."""
        if call is not self._call:
            self._call, self._worth = call, self.cost(call.model, call.tier, call.usage)
        return self._worth

    def enough(self, calls: int, nano: int) -> bool:
        """Whether so many calls that would save so much (in the sample) are worth a word."""
        return calls >= LEAST_CALLS and self.span >= LEAST_SPAN and self.month(nano) >= LEAST_NANO


class Sample:
    """Counts calls and money, and keeps ids of calls spread over what it is given, in bounded memory."""

    __slots__ = ("_ids", "_stride", "calls", "nano")

    def __init__(self) -> None:
        self.calls = 0
        self.nano = 0
        self._ids: list[bytes] = []
        self._stride = 1

    def add(self, call_id: bytes, nano: int = 0) -> None:
        """Count one call that would have saved so much."""
        if self.calls % self._stride == 0:
            self._ids.append(call_id)
            if len(self._ids) > 2 * MOST_IDS:
                del self._ids[1::2]
                self._stride *= 2
        self.calls += 1
        self.nano += nano

    @property
    def first(self) -> str:
        """The id of one of the calls."""
        return spell(self._ids[0]) if self._ids else ""

    def evidence(self, world: World, computed: str) -> Evidence:
        """What the finding rests on."""
        ids = tuple(spell(one) for one in self._ids[:MOST_IDS])
        return Evidence(
            calls=self.calls, since=world.since, until=world.until, ids=ids, computed=computed + world.scaled
        )


class Kind:
    """One kind of finding: it is shown every call of the sample, the newest first, and then asked once."""

    name = ""

    def add(self, call: Call, world: World) -> None:
        """Look at one call."""
        raise NotImplementedError

    def found(self, world: World) -> list[Finding]:
        """What it has found."""
        raise NotImplementedError


def identity(*about: object) -> str:
    """The id of a finding: a short name for what it is about."""
    return hashlib.blake2b("\0".join(map(str, about)).encode(), digest_size=6).hexdigest()


def best(found: list[Finding]) -> list[Finding]:
    """The findings with the most money, without money those with the most calls first."""
    order = sorted(found, key=lambda one: (-(one.nano_per_month or 0), -one.evidence.calls, one.id))
    return order[:MOST_FINDINGS]


def of_key(key: str) -> str:
    """Whose calls, in words."""
    return f"The key {key!r}" if key else "Calls without a key"
