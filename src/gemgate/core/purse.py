"""One budget: what it is, what was spent of it and what is held, and what keeps one more call from passing.

The rule of room stands here (``Purse.bars``); ``core.budget`` has the laws, and applies it to all budgets of a call.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gemgate.core import periods
from gemgate.core.windows import NEVER

SCOPES: Final = ("all", "key", "tag", "route", "project")
SHORTEST: Final = 60
LONGEST: Final = 366 * 86_400


class BadBudget(ValueError):
    """A budget that cannot be meant; the message says why."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One budget. ``of`` is the key's name, the tag, the route or the project, empty for the scope ``all``.

    ``amount`` is nano-dollars or tokens, as ``unit`` says. ``period`` is hour, day, week or month in ``zone``, or
    ``rolling`` over the last ``seconds``. From the share ``soft`` on calls are warned (1.0: never). ``unpriced``
    lets models without a known price pass a budget of money. ``disabled_at`` (UTC µs) is 0 while it is in force.
    """

    id: int
    name: str
    scope: Literal["all", "key", "tag", "route", "project"]
    of: str = ""
    unit: Literal["money", "tokens"]
    amount: int
    period: Literal["hour", "day", "week", "month", "rolling"]
    seconds: int = 0
    zone: str = "UTC"
    soft: float = 0.8
    unpriced: bool = False
    disabled_at: int = 0


def check(budget: Budget) -> None:
    """Raise BadBudget for one that cannot be meant."""
    if budget.amount <= 0:
        raise BadBudget(f"the amount of the budget {budget.name!r} is not above zero")
    if bool(budget.of) == (budget.scope == "all"):
        raise BadBudget(f"the budget {budget.name!r} must say of which {budget.scope} it is, or be of all")
    if not 0 < budget.soft <= 1:
        raise BadBudget(f"the soft line of the budget {budget.name!r} is not within 0 % and 100 %")
    if budget.period == periods.ROLLING and not SHORTEST <= budget.seconds <= LONGEST:
        raise BadBudget(f"the rolling span of the budget {budget.name!r} is not within 1 minute and 366 days")
    try:
        periods.zone(budget.zone)
    except ValueError as fault:
        raise BadBudget(f"the zone of the budget {budget.name!r}: {fault}") from None


def slot(budget: Budget, now: int) -> int:
    """Where a call of this moment is charged: the start of the period, or of the grain of a rolling span (UTC µs)."""
    return _window(budget, now)[0]


def since(budget: Budget, now: int) -> int:
    """The first slot that still counts at this moment (UTC µs)."""
    return _window(budget, now)[2]


def resets_at(budget: Budget, now: int) -> int:
    """When the period ends (UTC µs); of a rolling span, when the present grain leaves it and all is gone."""
    end = _window(budget, now)[1]
    return end + periods.rolling(budget.seconds) if budget.period == periods.ROLLING else end


def _window(budget: Budget, now: int) -> tuple[int, int, int]:
    """The slot, when it ends, and the first slot that counts."""
    if budget.period == periods.ROLLING:
        width = periods.grain(budget.seconds)
        start = now // width * width
        # A use may be as late as the end of its grain, and counts for the whole span from then.
        return start, start + width, start - periods.rolling(budget.seconds)
    start, end = periods.span(budget.period, budget.zone, now)
    return start, end, start


class Estimate(msgspec.Struct, frozen=True):
    """What a call may take, at least and at most: nano-dollars (None: without a known price) and tokens (not
    ``counted``: in units that nobody can know before).

    0 <= least <= most: what is held must never make room. Raises ValueError for any other.
    """

    nano_least: int | None = 0
    nano_most: int | None = 0
    tokens_least: int = 0
    tokens_most: int = 0
    counted: bool = True

    def __post_init__(self) -> None:
        """Hold the bounds to what they are for."""
        least, most = self.nano_least, self.nano_most
        if not 0 <= self.tokens_least <= self.tokens_most or (
            least is not None and most is not None and not 0 <= least <= most
        ):
            raise ValueError(f"no bounds of what a call may take: {self}")

    @property
    def tokens(self) -> tuple[int, int] | None:
        """Least and most of a budget of tokens; None where nobody can say."""
        return (self.tokens_least, self.tokens_most) if self.counted else None

    @property
    def money(self) -> tuple[int, int] | None:
        """Least and most of a budget of money; None where the price is not known."""
        if self.nano_least is None or self.nano_most is None:
            return None
        return self.nano_least, self.nano_most


class Bar(msgspec.Struct, frozen=True):
    """A budget that lets a call not pass. ``final``: waiting for others does not help before ``resets_at``.

    ``resets_at`` (UTC µs) is when enough comes back, NEVER where the call is larger than the whole budget or
    has no known price (``unpriced``).
    """

    budget: Budget
    final: bool
    resets_at: int
    spent: int
    held: int
    unpriced: bool = False


class Standing(msgspec.Struct, frozen=True):
    """How a budget stands: what is spent and held of it in the slot of this moment, or in the rolling span."""

    budget: Budget
    slot: int
    spent: int
    held: int
    resets_at: int


class Purse:
    """One budget with what was spent of it and what is held. ``spent`` and ``held`` are those of its window."""

    __slots__ = (
        "_first",
        "budget",
        "counts_tokens",
        "end",
        "held",
        "holds",
        "line",
        "soft",
        "spends",
        "spent",
        "start",
    )

    def __init__(self, budget: Budget) -> None:
        self.spends: dict[int, int] = {}
        self.holds: dict[bytes, tuple[int, int]] = {}
        self.take(budget)

    def take(self, budget: Budget) -> None:
        """Be this budget from now on. What was spent and is held stays."""
        self.budget = budget
        self.line = budget.amount
        self.counts_tokens = budget.unit == "tokens"
        self.soft = int(budget.amount * budget.soft) if budget.soft < 1 else NEVER
        self.start = self.end = self._first = 0
        self.spent = self.held = 0

    def roll(self, now: int) -> None:
        """Go to the slot of this moment."""
        if self.start <= now < self.end:
            return
        self.start, self.end, self._first = _window(self.budget, now)
        oldest = min((of for of, _ in self.holds.values()), default=self._first)
        if len(self.spends) > 1 and min(self.spends) < min(oldest, self._first):
            keep = min(oldest, self._first)
            self.spends = {of: sum_ for of, sum_ in self.spends.items() if of >= keep}
        self.spent, self.held = self.figures(self._first)

    def figures(self, first: int) -> tuple[int, int]:
        """What is spent and held from a slot on."""
        rolling = self.budget.period == periods.ROLLING
        return (
            sum(sum_ for of, sum_ in self.spends.items() if of >= first),
            sum(sum_ for of, sum_ in self.holds.values() if rolling or of >= first),
        )

    def counts(self, of: int) -> bool:
        """Whether what is held in a slot counts now."""
        return of >= self._first or self.budget.period == periods.ROLLING

    def bars(self, least: int, most: int, call: bytes, before: int) -> Bar | None:
        """What keeps the call from taking so much more, ``before`` being what its earlier tries have taken.

        After ``roll``.
        """
        own = self.holds.get(call, (self.start, 0)) if self.holds else (self.start, 0)
        spent, held = self.spent, self.held
        if own[1] and not self.counts(own[0]):
            spent, held = self._then(own[0])
        others = held - own[1]
        if spent + others + before + most <= self.line:
            return None
        alone = spent + before + least <= self.line
        if alone and not others:
            return None
        comes = 0 if alone else self._comes(before + least)
        return Bar(self.budget, not alone, comes, spent, others)

    def _then(self, of: int) -> tuple[int, int]:
        """Spent and held of one calendar slot that is over, for a call that was held in it."""
        held = sum(sum_ for slot_, sum_ in self.holds.values() if slot_ == of)
        return self.spends.get(of, 0), held

    def _comes(self, need: int) -> int:
        """When so much has room again, once all that is held now has been charged to nobody."""
        if need > self.line:
            return NEVER
        if self.budget.period != periods.ROLLING:
            return self.end
        excess = self.spent + need - self.line
        for of in sorted(one for one in self.spends if one >= self._first):
            excess -= self.spends[of]
            if excess <= 0:
                return of + periods.grain(self.budget.seconds) + periods.rolling(self.budget.seconds)
        return self.end

    def hold(self, call: bytes, amount: int) -> int:
        """Hold so much for a call in all, instead of what was held for it. Returns its slot. After ``roll``."""
        old = self.holds.get(call)
        if old is None:
            self.holds[call] = self.start, amount
            self.held += amount
            return self.start
        self.holds[call] = old[0], amount
        if self.counts(old[0]):
            self.held += amount - old[1]
        return old[0]

    def drop(self, call: bytes) -> int:
        """Hold nothing for a call any more. Returns the slot that it was held in."""
        of, amount = self.holds.pop(call)
        if self.counts(of):
            self.held -= amount
        return of

    def know(self, of: int, amount: int) -> None:
        """At least so much was spent in a slot, whoever charged it."""
        known = self.spends.get(of, 0)
        if amount > known:
            self.charge(of, amount - known)

    def charge(self, of: int, amount: int) -> None:
        """So much was spent in a slot."""
        self.spends[of] = self.spends.get(of, 0) + amount
        if of >= self._first:
            self.spent += amount


def alike(one: Budget, other: Budget) -> bool:
    """Whether what was spent of one budget counts for the other."""
    return (one.scope, one.of, one.unit, one.period, one.seconds, one.zone) == (
        other.scope,
        other.of,
        other.unit,
        other.period,
        other.seconds,
        other.zone,
    )
