"""What a client is told that a budget or a limit of its key keeps out."""

from __future__ import annotations

import datetime

from gemgate.core import periods
from gemgate.core.access import Key
from gemgate.core.budget import Bar, Budget
from gemgate.core.errors import Refused
from gemgate.core.windows import NEVER, SECOND

SOONEST = 0.001  # seconds: a delay of none would look like no delay known
_NANO = 1_000_000_000
_SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_WINDOWS = {"rpm": "calls", "tpm": "tokens"}


def spent(bar: Bar, model: str) -> Refused:
    """402, final: the budget has no room before it resets, or this call never fits. 403: its price is not known."""
    budget = bar.budget
    if bar.unpriced and budget.unit == "tokens":
        return Refused(
            403,
            "UNCOUNTED_CALL",
            f"Nobody can say before how many tokens a call of this kind takes, and the budget {budget.name!r} takes "
            "counted calls only.",
            hint="Let the budget pass what cannot be counted: "
            f"`gemgate budgets change {budget.name} --allow-unpriced`.",
            retryable=False,
        )
    if bar.unpriced:
        return Refused(
            403,
            "UNPRICED_MODEL",
            f"A call of this kind to {model or 'Google'} has no known price, and the budget {budget.name!r} takes "
            "priced calls only.",
            hint="Add its price, or let the budget pass unpriced calls: "
            f"`gemgate budgets change {budget.name} --allow-unpriced`.",
            retryable=False,
        )
    stands = f"{amount(budget, bar.spent)} of {amount(budget, budget.amount)} {span(budget)}"
    if bar.resets_at >= NEVER:
        message = (
            f"The call alone may take more than the whole budget {budget.name!r} allows; spent: {stands}."
        )
    else:
        message = (
            f"The budget {budget.name!r} is spent: {stands}. It resets on {moment(budget, bar.resets_at)}."
        )
    return Refused(
        402,
        "BUDGET_SPENT",
        message,
        hint=f"No repeat helps before. An administrator raises it with `gemgate budgets change {budget.name}`.",
        retryable=False,
    )


def held(bar: Bar, wait: float) -> Refused:
    """429: what is left of the budget is held for calls under way, and some of it may come back."""
    budget = bar.budget
    return Refused(
        429,
        "BUDGET_HELD",
        f"What is left of the budget {budget.name!r} is held for calls under way: {amount(budget, bar.spent)} spent "
        f"and {amount(budget, bar.held)} held of {amount(budget, budget.amount)}.",
        hint="Send it again when some of them are through, or limit its output tokens, so that less is held.",
        retry_after=max(wait, SOONEST),
    )


def freed(project: str) -> Refused:
    """429: a budget of the project barred the call, and has just got room again."""
    return Refused(
        429,
        "BUDGET_HELD",
        f"A budget of project {project} was held for other calls until now.",
        hint="Send it again at once.",
        retry_after=SOONEST,
    )


def busy(key: Key, wait: float) -> Refused:
    """429: the key has as many calls under way as it may have."""
    return Refused(
        429,
        "KEY_BUSY",
        f"The key {key.name!r} has {key.concurrency} call{'' if key.concurrency == 1 else 's'} under way, as many "
        "as it may.",
        hint="Send it again when one of them is through; or let calls wait longer with x-gemgate-patience.",
        retry_after=max(wait, SOONEST) if key.concurrency else 0.0,
        retryable=bool(key.concurrency),
    )


def rate(key: Key, window: str, at: int, now: int) -> Refused:
    """429: the key's calls or tokens of this minute are used up, until ``at``; or (NEVER) the call is too large."""
    limit = key.rpm if window == "rpm" else key.tpm
    what = _WINDOWS.get(window, "calls")
    if at >= NEVER:
        return Refused(
            429,
            "KEY_RATE",
            f"The key {key.name!r} may use {limit} {what} a minute, and this call alone needs more.",
            hint="Waiting does not help: make the call smaller, or ask for a higher limit.",
            retryable=False,
        )
    return Refused(
        429,
        "KEY_RATE",
        f"The key {key.name!r} has used its {limit} {what} of this minute.",
        hint="Wait as long as Retry-After says; or let calls wait for it with x-gemgate-patience.",
        retry_after=max((at - now) / SECOND, SOONEST),
    )


def amount(budget: Budget, sum_: int) -> str:
    """A sum in the budget's unit, for people: ``$1.50``, ``1,200 tokens``."""
    if budget.unit == "tokens":
        return f"{sum_:,} tokens"
    whole, part = divmod(sum_, _NANO)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{digits}"


def span(budget: Budget) -> str:
    """The budget's period for people: ``this month``, ``in 30 days``."""
    if budget.period != periods.ROLLING:
        return "today" if budget.period == "day" else f"this {budget.period}"
    seconds, name = next(row for row in _SPANS if budget.seconds % row[0] == 0)
    count = budget.seconds // seconds
    return f"in {count} {name}{'s' if count != 1 else ''}"


def moment(budget: Budget, at: int) -> str:
    """A moment with its day, in the budget's zone."""
    where = periods.zone(budget.zone)
    here = datetime.datetime.fromtimestamp(-(-at // SECOND), where)
    return f"{here:%A}, {here.day} {here:%B %Y at %H:%M:%S} ({budget.zone})"
