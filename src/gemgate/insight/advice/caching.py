"""Prompts with a common beginning that is long enough for a context cache.

The record has keyed hashes of each body's beginning at 8 KiB, 16 KiB … bounds. Calls that share one form a node of
a tree; a node's worth is what its beginning would have cost less as cached tokens, minus what the cache costs:
writing it once for each run of hours in which it is used, and keeping it through these hours. Where several bounds
of one beginning pay, the best ones are named, and never two for the same calls.

A beginning of so many bytes is taken to be that share of the call's input tokens. Google's least length of a cached
beginning is 4,096 tokens for most models (other pages say 1,024 or 2,048 for some: the highest counts here).
Gemini 4 takes no explicit caches, and a model whose storage has no known price is left out.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, cast

import msgspec

from gemgate.core.usage import Usage
from gemgate.insight.advice.findings import Call, Finding, Kind, Sample, World, best, identity

LEAST_TOKENS: Final = 4_096
_HOUR: Final = 3_600_000_000
_MILLION: Final = 1_000_000
_MOST_ALONE: Final = 2_000
"""Beginnings of one call alone that are remembered in one place: the oldest make room."""


class _Item(msgspec.Struct, frozen=True, gc=False):
    """What a call adds to the nodes of its beginning."""

    call: Call
    chain: tuple[tuple[int, int], ...]


class _Node:
    """The calls that share one beginning."""

    __slots__ = ("below", "hours", "keys", "sample", "size", "tokens")

    def __init__(self, size: int) -> None:
        self.size = size
        self.sample = Sample()
        self.tokens = 0
        self.hours: set[int] = set()
        self.keys: set[str] = set()
        self.below = _Branches()

    def add(self, item: _Item, depth: int, world: World) -> None:
        """Count a call here and at its longer beginnings."""
        call = item.call
        usage = call.usage
        tokens = min(usage.input, usage.input * self.size // max(1, call.request_bytes))
        # What Google has found in its own cache is saved already.
        cached = max(usage.cached, tokens)
        saved = 0
        if cached > usage.cached:
            now = world.cost(call.model, call.tier, usage)
            then = world.cost(call.model, call.tier, msgspec.structs.replace(usage, cached=cached))
            saved = 0 if now is None or then is None else now - then
        self.sample.add(call.call_id, saved)
        self.tokens += tokens
        self.hours.add(call.received_at // _HOUR)
        if len(self.keys) < 2:
            self.keys.add(call.key)
        if depth + 1 < len(item.chain):
            self.below.add(item.chain[depth + 1][1], item, depth + 1, world)

    @property
    def mean(self) -> int:
        """Tokens of the beginning."""
        return self.tokens // max(1, self.sample.calls)


class _Branches:
    """Beginnings side by side. One becomes a node with its second call: most are of one call alone."""

    __slots__ = ("_alone", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[Hashable, _Node] = {}
        self._alone: dict[Hashable, _Item] = {}

    def add(self, place: Hashable, item: _Item, depth: int, world: World) -> None:
        """Put a call under the beginning at ``place``, which is that of its chain at ``depth``."""
        node = self.nodes.get(place)
        if node is None:
            first = self._alone.pop(place, None)
            if first is None:
                self._alone[place] = item
                if len(self._alone) > _MOST_ALONE:
                    del self._alone[next(iter(self._alone))]
                return
            node = self.nodes[place] = _Node(item.chain[depth][0])
            node.add(first, depth, world)
        node.add(item, depth, world)


class Caching(Kind):
    """One finding for each beginning, on the model and project that a cache of it would belong to."""

    name = "prompt_caching"

    def __init__(self) -> None:
        self._roots = _Branches()

    def add(self, call: Call, world: World) -> None:
        """Put the call under its beginning."""
        if call.prefixes and call.text and not call.cached_content and _offered(call.model, world):
            place = call.model, call.project, call.prefixes[0][1]
            self._roots.add(place, _Item(call, call.prefixes), 0, world)

    def found(self, world: World) -> list[Finding]:
        """The beginnings that are worth a cache."""
        found = []
        for place, root in self._roots.nodes.items():
            model, project, value = cast(tuple[str, str, int], place)
            _, nodes = _worth(root, model, world)
            found += [self._finding((model, project, value), node, world) for node in nodes]
        return best(found)

    def _finding(self, place: tuple[str, str, int], node: _Node, world: World) -> Finding:
        model, project, value = place
        key = next(iter(node.keys)) if len(node.keys) == 1 else ""
        runs = _runs(node.hours)
        return Finding(
            id=identity(self.name, model, project, value, node.size),
            kind=self.name,
            title=f"{world.all(node.sample.calls):,} calls for {model} begin alike: cache the beginning",
            sentence=f"{world.all(node.sample.calls):,} calls on {project or 'one project'} share their first "
            f"{node.size // 1024} KiB, "
            f"about {node.mean:,} tokens, and pay for them anew. As a cached content they cost a tenth.",
            nano_per_month=world.month(_net(node, model, world)),
            evidence=node.sample.evidence(
                world,
                "Each call's tokens at today's price, less the same with its beginning at the price "
                "of cached tokens "
                f"(tokens by the beginning's share of the body); less writing the cache {runs:,} "
                "times and keeping it "
                f"for the {len(node.hours):,} hours in which it was used.",
            ),
            risk="The beginning must stay the same to the byte, and a cache belongs to one project "
            "and one model: "
            "calls that fall back elsewhere cannot use it.",
            try_it='POST /v1beta/cachedContents {"model": "models/'
            + model
            + '", "systemInstruction": …, "contents": …, "ttl": "3600s"} through this gateway, then send the rest of '
            'the prompt with "cachedContent": "cachedContents/…".',
            key=key,
            model=model,
        )


def _offered(model: str, world: World) -> bool:
    """Whether the model takes explicit caches whose storage has a price."""
    card = world.catalog.card(model)
    return card is not None and card.size != "top" and world.book.storage(model, world.now) is not None


def _worth(node: _Node, model: str, world: World) -> tuple[int, list[_Node]]:
    """The most that caches of this beginning, or else of longer ones, save in the sample; and which."""
    below, nodes = 0, []
    for child in node.below.nodes.values():
        nano, some = _worth(child, model, world)
        below += nano
        nodes += some
    own = _net(node, model, world)
    if node.mean >= LEAST_TOKENS and own >= below and world.enough(node.sample.calls, own):
        return own, [node]
    return below, nodes


def _net(node: _Node, model: str, world: World) -> int:
    """What a cache would have saved, less what it costs."""
    storage = world.book.storage(model, world.now) or 0
    kept = node.mean * storage * len(node.hours) // _MILLION
    written = (world.cost(model, "standard", Usage(input=node.mean)) or 0) * _runs(node.hours)
    # Of an hour of which the sample has a part the cache's cost is counted in part as well.
    return node.sample.nano - round((kept + written) * world.part)


def _runs(hours: set[int]) -> int:
    """How many runs of neighbouring hours these are."""
    return sum(hour - 1 not in hours for hour in hours)
