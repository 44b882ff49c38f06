"""The gateway against itself: what routing, OpenAI's door and virtual keys cost, as two sides of one run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from clients import OPENAI
from legs import Leg, streams, unary
from proof import at_the_door, same_words, under_the_key
from report import Figure, compared
from rounds import Bench
from servers import Cores, Server, gateway

# Calls per second that both sides are offered; fewer where they do not carry half as many again.
RATE = 1500.0

Stage = Callable[[Path, Cores, int], AbstractContextManager[tuple[Server, Server]]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides of one build. ``most`` is the bar: CPU for a call of the first over that of the second.

    ``against`` names the second side, ``stage`` starts both (folder, cores, the upstream's port), ``proofs`` show
    that what is compared was on. ``streams``: streams are compared too, without a bar.
    """

    against: str
    most: float
    stage: Stage
    proofs: tuple[Callable[[Bench], None], ...] = ()
    streams: bool = False


@contextlib.contextmanager
def _routing(folder: Path, cores: Cores, port: int) -> Iterator[tuple[Server, Server]]:
    with (
        gateway(folder / "off", cores, port, routing=False) as off,
        gateway(folder / "on", cores, port) as on,
    ):
        yield on, replace(off, name="unrouted")


@contextlib.contextmanager
def _door(folder: Path, cores: Cores, port: int) -> Iterator[tuple[Server, Server]]:
    with gateway(folder / "gateway", cores, port) as one:
        yield replace(one, name="OpenAI's door", client=OPENAI), replace(one, name="Google's door")


@contextlib.contextmanager
def _keys(folder: Path, cores: Cores, port: int) -> Iterator[tuple[Server, Server]]:
    with (
        gateway(folder / "off", cores, port) as off,
        gateway(folder / "on", cores, port, keyed=True) as on,
    ):
        yield on, replace(off, name="keyless")


COMPARISONS: dict[str, Comparison] = {
    "routing": Comparison("routing off", 1.15, _routing),
    "door": Comparison("Google's door", 1.60, _door, (same_words, at_the_door), streams=True),
    "keys": Comparison("no key", 1.20, _keys, (under_the_key,)),
}


def paired(bench: Bench, comparison: Comparison) -> None:
    """Both sides at full speed and at one offered load, in turn; then streams, where they are compared."""
    _calls(bench, comparison)
    if comparison.streams:
        _streams(bench, comparison)


def proven(bench: Bench, comparison: Comparison) -> None:
    """Show that what was compared was on, for every call so far."""
    for proof in comparison.proofs:
        proof(bench)


def _calls(bench: Bench, comparison: Comparison) -> None:
    extent = bench.extent
    for side in (bench.gateway, bench.reference):
        # The first calls of a process pay for what is made once.
        unary(bench.ground, side, connections=64, seconds=extent.leg / 2)

    def legs(rate: float) -> list[tuple[Leg, Leg]]:
        return bench.turns(
            extent.pairs, lambda s: unary(bench.ground, s, connections=64, seconds=extent.leg, rate=rate)[0]
        )

    full = legs(0)
    most_of_each = [median(pair[side].calls / pair[side].span for pair in full) for side in (0, 1)]
    rate = extent.rate or max(100.0, min(RATE, *(most * 2 / 3 for most in most_of_each)) // 100 * 100)
    for name, pairs, most in (
        (f"at {rate:,.0f} calls/s", legs(rate), comparison.most),
        # As against nginx, the bar is on equal load; full speed stands beside it.
        ("at full speed", full, None),
    ):
        bench.keep(f"calls {name}", pairs)
        cpu = [(one.cpu_per_call, other.cpu_per_call) for one, other in pairs]
        unit = f"× {comparison.against}, of µs"
        bench.figures.append(compared(f"CPU for a call {name}", unit, cpu, ratio=True, most=most))


def _streams(bench: Bench, comparison: Comparison) -> None:
    extent = bench.extent

    def leg(side: Server) -> Leg:
        return streams(bench.ground, side, count=extent.streams, ramp=extent.ramp, events=extent.events)[0]

    pairs = bench.turns(extent.stream_pairs, leg)
    bench.keep("streams", pairs)
    odd = sum(one.bodies_that_differ + other.bodies_that_differ for one, other in pairs)
    odd += sum(one.words != other.words for one, other in pairs)
    cpu = [(one.cpu_per_thousand, other.cpu_per_thousand) for one, other in pairs]
    waits = [(one.first["p50"] / 1000, other.first["p50"] / 1000) for one, other in pairs]
    count = f"{extent.streams:,} streams"
    whole = min(leg.answered for pair in pairs for leg in pair)
    bench.figures += [
        Figure(f"{count} of {extent.events} events, whole", "streams", whole, least=extent.streams),
        Figure(f"{count}, with other words", "streams", odd, most=0),
        compared(f"{count}, p50 of first event, added", "ms", waits),
        compared(f"{count}, CPU for 1,000 events", f"× {comparison.against}, of ms", cpu, ratio=True),
    ]
