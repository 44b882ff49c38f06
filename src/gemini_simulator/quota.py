"""Google's quotas: requests and input tokens per minute, requests per day, per project and quota family."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gemini_simulator.catalog import Model
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
    """The use of one family in one project: the last minute's (time, tokens), and today's requests."""

    minute: deque[tuple[float, int]] = field(default_factory=deque)
    tokens: int = 0
    day: str = ""
    today: int = 0

    def forget(self, now: float, day: str) -> None:
        """Drop what is older than a minute, and yesterday."""
        while self.minute and self.minute[0][0] <= now - 60:
            self.tokens -= self.minute.popleft()[1]
        if day != self.day:
            self.day, self.today = day, 0


def limits(project: Project, model: Model) -> dict[str, int]:
    """The windows of ``model`` in ``project``: rpm, tpm, rpd; one that is absent has no limit."""
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


def admit(world: World, project: Project, model: Model, tokens: int) -> None:
    """Count one request of ``tokens`` input tokens. Raises ApiError 429 when a window is full."""
    allowed = limits(project, model)
    bucket: Bucket = project.counters.setdefault(model.family, Bucket())
    now = world.clock.now()
    bucket.forget(now, world.clock.pacific_date())
    used = {"rpm": len(bucket.minute) + 1, "tpm": bucket.tokens + tokens, "rpd": bucket.today + 1}
    order: tuple[str, ...] = ("tpm", "rpm", "rpd")
    full = [(name, allowed[name]) for name in order if name in allowed and used[name] > allowed[name]]
    if full:
        raise refusal(Refusal(project.tier, full, _wait(world, project, bucket, full)), model.family)
    bucket.minute.append((now, tokens))
    bucket.tokens += tokens
    bucket.today += 1


def _wait(world: World, project: Project, bucket: Bucket, full: list[tuple[str, int]]) -> float:
    """The delay that Google would name: honest for minutes and for paid days, wrong for free days."""
    minute = bucket.minute[0][0] + 60 - world.clock.now() if bucket.minute else 47.3
    if any(name == "rpd" for name, _ in full) and project.tier != "free":
        return world.clock.seconds_to_pacific_midnight()
    return max(1.0, minute)


def names(tier: str, window: str) -> tuple[str, str]:
    """quotaMetric (without the service) and quotaId of a window."""
    free = tier == "free"
    if window == "tpm":
        if free:
            return (
                "generate_content_free_tier_input_token_count",
                "GenerateContentInputTokensPerModelPerMinute-FreeTier",
            )
        number = tier.removeprefix("tier") if tier in ("tier2", "tier3") else ""
        metric = f"generate_content_paid_tier{'_' + number if number else ''}_input_token_count"
        return metric, "GenerateContentPaidTierInputTokensPerModelPerMinute" + (
            f"-PaidTier{number}" if number else ""
        )
    span = "Minute" if window == "rpm" else "Day"
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
