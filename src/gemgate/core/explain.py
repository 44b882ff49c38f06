"""A plan in words: what would happen to a call now, target by target, as ``gemgate route`` prints it."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from gemgate.core.routes import Plan, StandingLike, Target

BARS = {
    "": "",
    "quota:rpm": "requests per minute",
    "quota:tpm": "input tokens per minute",
    "quota:rpd": "requests per day",
    "quota:tpd": "input tokens per day",
    "quota:spend": "spend per 10 minutes",
    "queue": "others wait before it",
    "breaker": "its breaker is open",
    "probing": "a probe is under way",
    "closed": "Google refused it for long",
    "paused": "an administrator has paused its project",
}
"""What bars a target, in words."""


class Row(msgspec.Struct, frozen=True):
    """One line of an explanation. ``place`` counts from 1; 0 is a target that the plan leaves out."""

    place: int
    target: str
    why: str
    room: str
    verdict: str


def explain(plan: Plan, standing: Callable[[Target], StandingLike]) -> tuple[Row, ...]:
    """The plan's targets in order with what ``standing`` says of each now, then those that were left out."""
    stands = [standing(target) for target in plan.targets]
    ready = [place for place, one in enumerate(stands) if one.at <= 0]
    soonest = min(range(len(stands)), key=lambda place: stands[place].at) if stands else -1
    rows = []
    for place, (target, one) in enumerate(zip(plan.targets, stands, strict=True)):
        if ready:
            verdict = _with_others(place, ready)
        elif place == soonest and one.at < math.inf:
            verdict = "is waited for, if the call's patience lasts"
        else:
            verdict = "is passed over"
        why = target.why + (f" (changes: {', '.join(target.changes)})" if target.changes else "")
        name = target.name if target.model else f"any@{target.project}"
        rows.append(Row(place + 1, name, why, _room(one), verdict))
    for left in plan.left_out:
        name = f"{left.model}@{left.project}" if left.project else left.model
        rows.append(Row(0, name, left.why, "", "is left out"))
    return tuple(rows)


def _with_others(place: int, ready: list[int]) -> str:
    if place == ready[0]:
        return "is tried first"
    return "is tried when those before it fail" if place in ready else "is passed over"


def _room(one: StandingLike) -> str:
    bar = BARS.get(one.why, one.why)
    if one.at <= 0:
        return "now"
    when = "never" if one.at == math.inf else f"in {span(one.at)}"
    return f"{when} ({bar})" if bar else when


def span(seconds: float) -> str:
    """Seconds as people say them, rounded up: ``12 s``, ``3 min``, ``5 h``, ``2 days``."""
    whole = math.ceil(seconds)
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if whole <= most:
            return f"{math.ceil(seconds / unit)} {name}"
    return f"{math.ceil(seconds / 86400)} days"
