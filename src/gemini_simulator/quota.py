"""Google's quotas: requests and input tokens per minute and per day, per project and quota family; and the money
that a billing account may spend in ten minutes (see ``money``).

A minute is the last 60 seconds, or with ``fixed`` minutes the clock's own; a day ends at midnight in California.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gemini_simulator import money
from gemini_simulator.catalog import Model, served
from gemini_simulator.http import ApiError
from gemini_simulator.world import Project, World

HELP = "https://ai.google.dev/gemini-api/docs/rate-limits"
HEAD = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this "
    f"error, head to: {HELP}. To monitor your current usage, head to: https://ai.dev/rate-limit. "
)
SERVICE = "generativelanguage.googleapis.com/"
FREE = {"rpm": 10, "tpm": 250_000, "rpd": 20}
PAID = {
    "tier1": {"rpm": 1_000, "tpm": 1_000_000, "rpd": 10_000},
    "tier2": {"rpm": 2_000, "tpm": 3_000_000, "rpd": 100_000},
    "tier3": {"rpm": 4_000, "tpm": 8_000_000},
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a 429 says: the tier, the windows that are full with their limits, and the seconds to wait."""

    tier: str
    windows: list[tuple[str, int]]
    retry: float


@dataclass(slots=True)
class Bucket:
    """The use of one family in one project: the minute's (time, tokens), and today's requests and tokens."""

    minute: deque[tuple[float, int]] = field(default_factory=deque)
    tokens: int = 0
    day: str = ""
    today: int = 0
    today_tokens: int = 0

    def forget(self, since: float, day: str) -> None:
        """Drop what came before the minute that began at ``since``, and yesterday."""
        while self.minute and self.minute[0][0] < since:
            self.tokens -= self.minute.popleft()[1]
        if day != self.day:
            self.day, self.today, self.today_tokens = day, 0, 0


@dataclass(slots=True)
class Tally:
    """What one model of one project was asked since the start: requests let in and refused by a quota, input tokens
    of those let in, output tokens with thoughts, and nano-dollars."""

    accepted: int = 0
    refused: int = 0
    tokens: int = 0
    output_tokens: int = 0
    nano: int = 0


def tally(project: Project, model: Model) -> Tally:
    """The sums of ``model``."""
    found: Tally | None = project.tallies.get(model.id)
    if found is None:
        found = project.tallies[model.id] = Tally()
    return found


def limits(project: Project, model: Model) -> dict[str, int]:
    """The windows of ``model`` in ``project``: rpm, tpm, rpd, tpd; one that is absent has no limit."""
    own = project.limits
    for name in (model.id, model.family, "*"):
        if name in own:
            return own[name]
    if project.tier == "free":
        if model.free.get("available") is False:
            return {"rpm": 0, "tpm": 0, "rpd": 0}
        return {name: model.free[name] if model.free.get(name) is not None else FREE[name] for name in FREE}
    table = PAID.get(project.tier)
    if table is None:
        return {}
    known = model.tier1 if project.tier == "tier1" else {}
    return {name: known[name] if known.get(name) is not None else limit for name, limit in table.items()}


def admit(world: World, project: Project, model: Model, tokens: int) -> int:
    """Count one request of ``tokens`` input tokens, and charge their price: nano-dollars.

    Raises ApiError 429 when a window is full or the money is spent. What is refused counts as a request only where
    the script's ``refused_count`` says so: of Google one observer says that it does.
    """
    sums = tally(project, model)
    bucket: Bucket = project.counters.setdefault(model.family, Bucket())
    now, day = world.clock.now(), world.clock.pacific_date()
    bucket.forget(now // 60 * 60 if world.minutes == "fixed" else now - 60, day)
    full = _full(limits(project, model), bucket, tokens)
    try:
        if full:
            wait = _wait(world, project, bucket, dict(full), tokens)
            raise refusal(Refusal(project.tier, full, wait), model.family)
        nano = money.cost(served(world, model), day, {"TEXT": tokens})
        money.admit(world, project, nano)
    except ApiError:
        sums.refused += 1
        if world.script.get("refused_count"):
            bucket.minute.append((now, 0))
            bucket.today += 1
        raise
    bucket.minute.append((now, tokens))
    bucket.tokens += tokens
    bucket.today += 1
    bucket.today_tokens += tokens
    sums.accepted += 1
    sums.tokens += tokens
    sums.nano += nano
    return nano


def _full(allowed: dict[str, int], bucket: Bucket, tokens: int) -> list[tuple[str, int]]:
    """The windows that have no room for one more request, with their limits."""
    if not allowed:
        return []
    used = {
        "tpm": bucket.tokens + tokens,
        "rpm": len(bucket.minute) + 1,
        "rpd": bucket.today + 1,
        "tpd": bucket.today_tokens + tokens,
    }
    return [(name, allowed[name]) for name, use in used.items() if name in allowed and use > allowed[name]]


def _wait(world: World, project: Project, bucket: Bucket, full: dict[str, int], tokens: int) -> float:
    """The delay that Google would name: honest for minutes and for paid days, wrong for free days."""
    if {"rpd", "tpd"} & full.keys() and project.tier != "free":
        return world.clock.seconds_to_pacific_midnight()
    now = world.clock.now()
    if not bucket.minute:
        return 47.3
    if world.minutes == "fixed":
        return max(1.0, 60 - now % 60)
    # As many of the oldest must leave the minute as make room for this one; what never fits waits for the oldest.
    least = len(bucket.minute) + 1 - full["rpm"] if "rpm" in full else 0
    surplus = bucket.tokens + tokens - full["tpm"] if "tpm" in full else 0
    last = bucket.minute[0][0]
    for number, (when, size) in enumerate(bucket.minute):
        if number >= least and surplus <= 0:
            break
        last = when
        surplus -= size
    return max(1.0, last + 60 - now)


def settle(world: World, project: Project, model: Model, nano: int, output: int) -> None:
    """The end of an answer: ``output`` tokens more, thoughts among them, and ``nano`` more than was charged."""
    sums = tally(project, model)
    sums.output_tokens += output
    sums.nano += nano
    money.account_of(world, project).add(nano, world.clock.now())


def names(tier: str, window: str) -> tuple[str, str]:
    """quotaMetric (without the service) and quotaId of a window."""
    free = tier == "free"
    span = "Minute" if window in ("rpm", "tpm") else "Day"
    if window in ("tpm", "tpd"):
        if free:
            return (
                "generate_content_free_tier_input_token_count",
                f"GenerateContentInputTokensPerModelPer{span}-FreeTier",
            )
        # The paid name of a day of tokens was seen nowhere: it follows the minute's.
        number = tier.removeprefix("tier") if tier in ("tier2", "tier3") else ""
        metric = f"generate_content_paid_tier{'_' + number if number else ''}_input_token_count"
        return metric, f"GenerateContentPaidTierInputTokensPerModelPer{span}" + (
            f"-PaidTier{number}" if number else ""
        )
    quota = f"GenerateRequestsPer{span}PerProjectPerModel" + ("-FreeTier" if free else "")
    if free:
        return "generate_content_free_tier_requests", quota
    return "generate_requests_per_model" + ("_per_day" if window == "rpd" else ""), quota


def spoken(seconds: float) -> str:
    """19h8m53.149597459s, or 38.90923309s."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    text = f"{left:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{int(hours)}h{int(minutes)}m{text}"
    return f"{int(minutes)}m{text}" if minutes else text


def refusal(found: Refusal, family: str) -> ApiError:
    """The 429 with its Help, QuotaFailure and RetryInfo."""
    lines, violations = [], []
    for window, limit in found.windows:
        metric, quota = names(found.tier, window)
        lines.append(f"* Quota exceeded for metric: {SERVICE}{metric}, limit: {limit}, model: {family}")
        violation: dict[str, Any] = {
            "quotaMetric": SERVICE + metric, "quotaId": quota,
            "quotaDimensions": {"location": "global", "model": family},
        }  # fmt: skip
        if limit:
            violation["quotaValue"] = str(limit)
        violations.append(violation)
    message = HEAD + "\n" + "\n".join(lines) + f"\nPlease retry in {spoken(found.retry)}."
    rpc = "type.googleapis.com/google.rpc."
    return ApiError(
        429,
        message,
        details=[
            {
                "@type": rpc + "Help",
                "links": [{"description": "Learn more about Gemini API quotas", "url": HELP}],
            },
            {"@type": rpc + "QuotaFailure", "violations": violations},
            {"@type": rpc + "RetryInfo", "retryDelay": f"{int(found.retry)}s"},
        ],
    )
