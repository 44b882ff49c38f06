"""Exact repeats: the same request again, after it was answered, within a day."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gemgate.insight.advice.findings import (
    GENERATE,
    Call,
    Finding,
    Kind,
    Sample,
    World,
    best,
    identity,
    of_key,
)

_KEPT: Final = 86_400_000_000
"""How long, in µs, an answer is taken to stay good."""
_EMBEDDING: Final = frozenset({"models.embedContent", "models.batchEmbedContents", "openai.embeddings"})
_MOST: Final = 50_000
"""Requests that are remembered at a time: repeats further apart than so many others are not seen."""


class Repeats(Kind):
    """One finding for each key."""

    name = "exact_repeats"

    def __init__(self) -> None:
        # What was asked later than the calls still to come: when, by which call, and what it cost. Latest first.
        self._later: OrderedDict[tuple[str, str, str, int], tuple[int, bytes, int]] = OrderedDict()
        self._repeated: dict[str, Sample] = {}

    def add(self, call: Call, world: World) -> None:
        """The newest come first: this one may have answered the later one of the same hash."""
        if not call.ok or not call.request_hash or call.method not in GENERATE | _EMBEDDING:
            return
        place = call.key, call.model, call.method, call.request_hash
        later = self._later.pop(place, None)
        if later is not None:
            received_at, call_id, nano = later
            if call.received_at + call.duration <= received_at <= call.received_at + _KEPT and nano:
                self._repeated.setdefault(call.key, Sample()).add(call_id, nano)
        nano = (world.worth(call) or 0) if call.paid else 0
        self._later[place] = call.received_at, call.call_id, nano
        while len(self._later) > _MOST or next(iter(self._later.values()))[0] > call.received_at + _KEPT:
            self._later.popitem(last=False)

    def found(self, world: World) -> list[Finding]:
        """Keys that ask the same again and again."""
        return best(
            [
                Finding(
                    id=identity(self.name, key),
                    kind=self.name,
                    title="The same requests are asked and paid for again",
                    sentence=f"{of_key(key)} sent {world.all(sample.calls):,} requests that had been answered, "
                    "word for word, "
                    "within the day before. A cache would have answered them.",
                    nano_per_month=world.month(sample.nano),
                    evidence=sample.evidence(
                        world,
                        "What the repeats would cost at today's prices: same key, model, method and "
                        "hash of the body, "
                        "received after an earlier one was answered and at most 24 hours after that came."
                        + (" Repeats of what came in another stretch are not seen." if world.scaled else ""),
                    ),
                    risk="Repeats get the first one's answer: wrong where variety is wanted or the "
                    "world has changed.",
                    try_it=f"Look at one: GET /api/v1/calls/{sample.first}. Then keep answers in your "
                    "program by the "
                    "request's hash for as long as they stay good.",
                    key=key,
                )
                for key, sample in self._repeated.items()
                if world.enough(sample.calls, sample.nano)
            ]
        )
