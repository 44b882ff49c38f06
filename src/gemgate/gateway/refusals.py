"""What a client is told when no way is left: which targets there were, what bars each, and when room comes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gemgate.core.actions import is_quota
from gemgate.core.errors import Refused
from gemgate.core.health import Standing, State
from gemgate.core.pursuit import End
from gemgate.core.routing import Target
from gemgate.gateway.ticket import Ticket

SOON = 0.05  # seconds: a delay of none would look like no delay known
MOST_NAMED = 6  # targets named in a sentence

_BARS = {
    "queue": "calls wait in line for it",
    "breaker": "it is failing",
    "probing": "it was failing and is being tried",
    "closed": "it is closed to us",
    "budget": "a budget of its project is spent",
    "paused": "an administrator has paused its project",
    "quota:rpm": "its requests per minute are used up",
    "quota:tpm": "its input tokens per minute are used up",
    "quota:rpd": "its requests of the day are used up",
    "quota:tpd": "its input tokens of the day are used up",
    "quota:route:rpm": "the route's own requests per minute are used up",
    "quota:route:tpm": "the route's own input tokens per minute are used up",
    "quota:spend": "the spending limit of its billing account is used up",
}
# The same, where no time brings room: the limit itself is too small.
_NONE = {
    "quota:rpm": "its limit is no requests at all",
    "quota:tpm": "the call has more input tokens than its limit per minute",
    "quota:rpd": "its limit is no requests at all",
    "quota:tpd": "the call has more input tokens than its limit per day",
}


# What Google says for good of a target, and the status under which it says so.
_STATUS = {"model_unknown": 404, "model_closed": 404, "prepaid": 402}


def no_way(end: End, ticket: Ticket, bar: State | None) -> Refused:
    """The refusal for the end of a pursuit without an answer to give.

    ``bar`` is what bars the first target: what Google has said for good is said again, with its status.
    """
    wait = end.retry_after
    never = wait is None or math.isinf(wait)
    asked = ticket.asked.model if ticket.asked is not None else ""
    story = _story(end.standings)
    if end.reason == "no_room" or _came_late(end, ticket):
        hint = "Wait as long as Retry-After says, or add a project or a fallback model to the route."
        if never:
            hint = "Waiting does not help: give the project quota for this model, or use another model or project."
        return Refused(
            429,
            "NO_ROOM",
            f"No allowed target of {asked or 'this call'} has room within the call's patience: {story}.",
            hint=hint,
            retry_after=0.0 if never or wait is None else max(wait, SOON),
            retryable=not never,
        )
    if bar is not None and bar.reason in _STATUS:
        return Refused(
            _STATUS[bar.reason],
            bar.reason.upper(),
            bar.message or f"Google has refused {asked} before.",
            hint="It was refused so a short while ago and is asked again later; `gemgate route` shows when.",
        )
    return Refused(
        # A target that rests after a 429 which named no window is no outage: clients tell the two apart.
        429 if bar is not None and bar.reason == "exhausted" else 503,
        "NO_TARGET",
        f"No allowed target of {asked or 'this call'} can be tried within the call's patience: {story}."
        + (f" Google said: {bar.message}" if bar is not None and bar.message else ""),
        hint="`gemgate route` shows every target and what bars it."
        if not never
        else "Waiting does not help: see `gemgate route` for what bars each target.",
        retry_after=0.0 if never or wait is None else wait,
        retryable=not never,
    )


def _came_late(end: End, ticket: Ticket) -> bool:
    """Whether nothing but room was ever lacking, and it came as the patience ended."""
    lacked = all(one.why.startswith(("quota", "queue")) or not one.why for _, one in end.standings)
    tried = all(trial.verdict is not None and is_quota(trial.verdict) for trial in ticket.trials)
    return end.reason == "out_of_patience" and bool(end.standings) and lacked and tried


def passed_over(passed: Sequence[tuple[Target, str]]) -> str:
    """Why a try did not go to the targets before its own: the first of them with what bars it, and how many more.

    Short, and without figures: the record keeps each such sentence once.
    """
    target, why = passed[0]
    more = f", and {len(passed) - 1} more" if len(passed) > 1 else ""
    return f"{target.name} was passed over, {_BARS.get(why, why)}{more}"


def _story(standings: tuple[tuple[Target, Standing], ...]) -> str:
    parts = [_one(target, standing) for target, standing in standings[:MOST_NAMED]]
    if len(standings) > MOST_NAMED:
        parts.append(f"and {len(standings) - MOST_NAMED} more")
    return "; ".join(parts) or "there is none"


def _one(target: Target, standing: Standing) -> str:
    bar = _BARS.get(standing.why, "it was tried")
    if math.isinf(standing.at) and standing.why in _NONE:
        return f"{target.model or 'any model'} on project {target.project}: {_NONE[standing.why]}"
    when = "" if standing.at <= 0 else f", open again in {_span(standing.at)}"
    return f"{target.model or 'any model'} on project {target.project}: {bar}{when}"


def _span(seconds: float) -> str:
    if math.isinf(seconds):
        return "no foreseeable time"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than a second"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
