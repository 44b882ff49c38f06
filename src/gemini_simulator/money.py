"""What a request costs, by the catalogue's dated prices; and what each billing account spent in ten minutes.

Google limits the money that an account may spend in ten rolling minutes, by its tier. No body of such a refusal is
documented: here it is the bare 429 without details, as capacity refusals are. Money is in whole nano-dollars.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gemini_simulator.catalog import Model
from gemini_simulator.http import ApiError
from gemini_simulator.world import Project, World

SPAN_SECONDS = 600.0
NANO = 1_000_000_000
LONG_PROMPT_TOKENS = 200_000
# Dollars per ten minutes (Google's page on rate limits, 2026-08-18); a free project spends nothing.
TIER_LIMITS = {"tier1": 10.0, "tier2": 50.0, "tier3": 200.0}
# Flex is half price, priority 1.8 times.
FACTORS = {"flex": 0.5, "priority": 1.8}


@dataclass(slots=True)
class Account:
    """What one billing account spent: the last ten minutes by second, their sum, and all of it."""

    recent: deque[tuple[int, int]] = field(default_factory=deque)
    rolling: int = 0
    total: int = 0

    def forget(self, now: float) -> None:
        """Drop what is older than ten minutes."""
        while self.recent and self.recent[0][0] + 1 <= now - SPAN_SECONDS:
            self.rolling -= self.recent.popleft()[1]

    def add(self, nano: int, now: float) -> None:
        """Count ``nano`` (less than nothing where an estimate was too high)."""
        self.rolling += nano
        self.total += nano
        second = int(now)
        if self.recent and self.recent[-1][0] == second:
            nano += self.recent.pop()[1]
        self.recent.append((second, nano))


def account_of(world: World, project: Project) -> Account:
    """The account that pays for ``project``."""
    found: Account = world.accounts.setdefault(project.account or project.name, Account())
    return found


def limit(world: World, project: Project) -> float | None:
    """Dollars that the project's account may spend in ten minutes, by script or tier; None is no limit."""
    scripted = world.script.get("spend", {}).get(project.account or project.name)
    if scripted is not None:
        return float(scripted)
    return project.spend if project.spend is not None else TIER_LIMITS.get(project.tier)


def cost(model: Model, day: str, prompt: dict[str, int], cached: int = 0, output: int = 0) -> int:
    """Nano-dollars on ``day`` (YYYY-MM-DD in California) for tokens of prompt by modality, ``cached`` of them, and
    output with thoughts; 0 for a model whose price is not known."""
    row = next((row for row in model.prices if row.get("from", "") <= day < row.get("until", "9")), None)
    if row is None:
        return 0
    total = sum(prompt.values())
    rates = {**row, **row["over"]} if total > LONG_PROMPT_TOKENS and "over" in row else row
    audio = prompt.get("AUDIO", 0)
    plain = max(0, total - audio - cached)
    dollars: float = (
        plain * rates["input"]
        + audio * rates.get("audio", rates["input"])
        + cached * rates.get("cached", rates["input"])
        + output * rates.get("output", 0.0)
    )
    return round(dollars * 1000)


def admit(world: World, project: Project, nano: int) -> None:
    """Charge ``nano`` to the project's account. Raises ApiError 429, without details, when that is too much."""
    account, now = account_of(world, project), world.clock.now()
    account.forget(now)
    most = limit(world, project)
    if most is not None and account.rolling + nano > most * NANO:
        raise ApiError(429, "Resource has been exhausted (e.g. check quota).")
    account.add(nano, now)
