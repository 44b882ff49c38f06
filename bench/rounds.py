"""The parts of the benchmark against nginx: memory, unary calls, streams, upload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from legs import Field, Leg, errors_of, in_turn, streams, unary, wrk
from machine import forget_peak, memory_of, peak_rss
from report import Figure, compared
from servers import Server
from upload import PIECE, upload

MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. Spans are seconds, ``rate`` is calls per second (0: two thirds of the most)."""

    pairs: int = 9
    leg: float = 3.0
    rate: float = 0.0
    wrk_pairs: int = 3
    stream_pairs: int = 3
    streams: int = 1000
    events: int = 20
    interval_ms: int = 250
    ramp: float = 2.0
    upload: int = 300 * MEGABYTE


QUICK = Extent(
    pairs=3, leg=1.0, wrk_pairs=1, stream_pairs=1, interval_ms=150, ramp=1.0, upload=100 * MEGABYTE
)


@dataclass(slots=True)
class Bench:
    """One run: the two sides, the figures found so far, and the legs behind them.

    ``reference`` is what the gateway is held against: nginx, or a gateway too.
    """

    ground: Field
    gateway: Server
    reference: Server
    extent: Extent
    figures: list[Figure] = field(default_factory=list)
    legs: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, pairs: list[tuple[Leg, Leg]]) -> None:
        """Keep the legs under a name, and hold both servers to answering every call."""
        self.legs[name] = [{"gateway": asdict(g), "nginx": asdict(n)} for g, n in pairs]
        for server, side in ((self.gateway.name, 0), (self.reference.name, 1)):
            count, reason = errors_of([pair[side] for pair in pairs])
            if count:
                self.figures.append(
                    Figure(f"{name}: errors of {server}", "calls", count, most=0, note=reason)
                )

    def turns(self, count: int, leg: Callable[[Server], Leg]) -> list[tuple[Leg, Leg]]:
        """The same leg on both sides in turn, as pairs (gateway, reference)."""
        return in_turn(count, lambda: leg(self.gateway), lambda: leg(self.reference))


def memory(bench: Bench) -> None:
    """Memory at rest and under 64 busy connections. Run first: a fresh process is what "at rest" means."""
    idle = memory_of(bench.gateway.pids)
    forget_peak(bench.gateway.pids)
    leg, busy = unary(bench.ground, bench.gateway, connections=64, seconds=bench.extent.leg)
    top = peak_rss(bench.gateway.pids)
    bench.figures += [
        Figure("memory idle", "MB RSS", idle.rss, gateway=idle.rss, most=100, note=f"PSS {idle.pss:.0f} MB"),
        Figure(
            "memory at 64 connections, peak",
            "MB RSS",
            top,
            gateway=top,
            most=100,
            note=f"PSS {busy.pss:.0f} MB",
        ),
    ]
    bench.legs["memory"] = {"idle": asdict(idle), "busy": asdict(busy), "leg": asdict(leg)}


def _most_calls(bench: Bench) -> float:
    """wrk's closed loop on both; the rate to offer comes back."""
    wrong: list[str] = []

    def leg(server: Server) -> float:
        rate, fault = wrk(bench.ground, server, connections=64, seconds=bench.extent.leg)
        wrong.extend([f"{server.name}: {fault}"] if fault else [])
        return rate

    pairs = in_turn(bench.extent.wrk_pairs, lambda: leg(bench.gateway), lambda: leg(bench.reference))
    gateway, nginx = (median(pair[side] for pair in pairs) for side in (0, 1))
    bench.legs["most calls"] = pairs
    bench.figures.append(
        Figure(
            "most calls a second (wrk, 64 connections)",
            "calls/s",
            gateway,
            gateway,
            nginx,
            note="closed loop",
        )
    )
    if wrong:
        bench.figures.append(Figure("most calls: errors", "legs", len(wrong), most=0, note=wrong[0]))
    # As high as both carry: at low rates nginx spends most of its time on waking up, which flatters the ratio.
    return bench.extent.rate or max(100.0, min(gateway, nginx) * 2 / 3 // 100 * 100)


def calls(bench: Bench) -> None:
    """CPU for each call at one offered load, and what the gateway adds to a call's time."""
    extent = bench.extent
    rate = _most_calls(bench)
    busy = bench.turns(
        extent.pairs, lambda s: unary(bench.ground, s, connections=64, seconds=extent.leg, rate=rate)[0]
    )
    bench.keep("unary at 64 connections", busy)
    single = bench.turns(
        extent.pairs, lambda s: unary(bench.ground, s, connections=1, seconds=extent.leg / 2)[0]
    )
    bench.keep("unary at 1 connection", single)
    full = bench.turns(
        extent.wrk_pairs, lambda s: unary(bench.ground, s, connections=64, seconds=extent.leg)[0]
    )
    bench.keep("unary at full speed", full)
    cpu = [(g.cpu_per_call, n.cpu_per_call) for g, n in busy]
    bench.figures += [
        compared(
            "CPU for a call, each at full speed",
            "× nginx, of µs",
            [(g.cpu_per_call, n.cpu_per_call) for g, n in full],
            ratio=True,
        ),
        compared(f"CPU for a call at {rate:,.0f} calls/s", "× nginx, of µs", cpu, ratio=True, most=16),
        compared("p50 at 1 connection, added", "ms", _times(single, "p50"), most=0.8),
        compared("p99 at 1 connection, added", "ms", _times(single, "p99")),
        compared(f"p50 at 64 connections, {rate:,.0f} calls/s, added", "ms", _times(busy, "p50")),
        compared(f"p99 at 64 connections, {rate:,.0f} calls/s, added", "ms", _times(busy, "p99")),
    ]


def _times(pairs: list[tuple[Leg, Leg]], quantile: str) -> list[tuple[float, float]]:
    return [(g.last[quantile] / 1000, n.last[quantile] / 1000) for g, n in pairs]


def open_streams(bench: Bench) -> None:
    """Many streams at once: all whole, the same bytes as nginx passes on, soon, and in little memory."""
    extent = bench.extent
    memories = []

    def leg(server: Server) -> Leg:
        found, most = streams(
            bench.ground, server, count=extent.streams, ramp=extent.ramp, events=extent.events
        )
        if server is bench.gateway:
            memories.append(most)
        return found

    forget_peak(bench.gateway.pids)
    pairs = bench.turns(extent.stream_pairs, leg)
    top = peak_rss(bench.gateway.pids)
    bench.keep("streams", pairs)
    whole = min(g.answered for g, _ in pairs)
    odd = sum(g.bodies_that_differ + (g.digest != n.digest) for g, n in pairs)
    together = min(g.peak_open for g, _ in pairs)
    cpu = [(g.cpu_per_thousand, n.cpu_per_thousand) for g, n in pairs]
    waits = [[(g.first[q] / 1000, n.first[q] / 1000) for g, n in pairs] for q in ("p50", "p99")]
    pss = max(most.pss for most in memories)
    count = f"{extent.streams:,} streams"
    bench.figures += [
        Figure(f"{count} of {extent.events} events, whole", "streams", whole, least=extent.streams),
        Figure(f"{count}, open at once", "streams", together, least=extent.streams),
        Figure(f"{count}, other bytes than nginx passed", "streams", odd, most=0),
        compared(f"{count}, p50 of first event, added", "ms", waits[0]),
        compared(f"{count}, p99 of first event, added", "ms", waits[1]),
        compared(f"{count}, CPU for 1,000 events", "× nginx, of ms", cpu, ratio=True),
        Figure(f"{count}, memory, peak", "MB RSS", top, gateway=top, most=120, note=f"PSS {pss:.0f} MB"),
    ]


def big_upload(bench: Bench) -> None:
    """A large file in one request and in pieces; the gateway must not hold it."""
    size = bench.extent.upload
    found = {
        "in one request": upload(bench.gateway, size, size),
        "in pieces of 8 MiB": upload(bench.gateway, size, PIECE),
    }
    for how, one in found.items():
        bench.ground.count(bench.gateway, one.calls)
        note = f"{one.before:.0f} MB before, {one.speed:.0f} MB/s"
        name = f"upload of {size // MEGABYTE} MB {how}, growth"
        bench.figures.append(Figure(name, "MB RSS", one.growth, one.peak, most=20, note=note))
    bench.legs["upload"] = {how: asdict(one) for how, one in found.items()}


def disturbance(bench: Bench) -> None:
    """How much of the machine's time went to others during the legs: none of it is the servers' doing."""
    for place, who in ((0, "the machine's host"), (1, "other processes")):
        shares = [leg[place] for leg in bench.ground.disturbed]
        if shares:
            note = f"up to {max(shares):.1f} in one leg"
            bench.figures.append(Figure(f"time taken by {who}", "%", median(shares), note=note))
    bench.legs["disturbed_percent"] = bench.ground.disturbed
