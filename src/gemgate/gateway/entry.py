"""What the brakes know of one call: what it was let in with, what its tries hold, and what they took in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gemgate.core import spending
from gemgate.core.access import Key
from gemgate.core.budget import Bar, Budget, Estimate
from gemgate.core.call import Attempt, Charged, Event
from gemgate.core.quota import Hold
from gemgate.core.routing import Target
from gemgate.core.spending import Share
from gemgate.core.verdict import Verdict
from gemgate.gateway.appraisal import Priced

NOTHING = Estimate()


class Tried(Protocol):
    """One try of a call, as ``gateway.ticket.Trial`` has it."""

    number: int
    target: Target
    verdict: Verdict | None
    output_estimate: int


class Braked(Priced, Protocol):
    """What the brakes need of a call: the ticket has it.

    ``share`` is the part of it that goes out now, None where it goes out as a whole.
    """

    call_id: bytes
    key: Key | None
    tags: tuple[str, ...]
    route: str
    waited: int
    marks: list[tuple[bytes, bytes]]
    events: tuple[Event, ...]
    entry: Entry | None
    share: Share | None

    @property
    def trials(self) -> Sequence[Tried]:
        """The tries so far."""


class Entry:
    """What one call was let in with: ``held`` for its first try, and in ``tries`` what each try holds.

    ``output`` are the most output tokens that it may take, ``window`` its charge in the minute of its key, ``began``
    is when it was let in (UTC µs), ``over`` that it has been settled. ``let`` is what a call in parts has been given
    of each budget, by the budget's id: its parts may take that without being asked again.
    """

    __slots__ = (
        "began",
        "budgets",
        "call",
        "estimate",
        "held",
        "key",
        "let",
        "output",
        "over",
        "target",
        "tries",
        "window",
    )

    def __init__(
        self, call: bytes, key: Key | None, budgets: tuple[Budget, ...], target: Target | None
    ) -> None:
        self.call = call
        self.key = key
        self.budgets = budgets
        self.target = target
        self.estimate = NOTHING
        self.output = 0
        self.held: tuple[Charged, ...] = ()
        self.tries: dict[int, tuple[Charged, ...]] = {}
        self.let: dict[int, Charged] = {}
        self.window: Hold | None = None
        self.began = 0
        self.over = False

    def before(self, trials: Sequence[Tried], trial: Tried | None = None) -> Callable[[Budget], int]:
        """What tries before this one hold of a budget: all that may be billed, or are still under way."""
        taken: dict[int, int] = {}
        own = trial.number if trial is not None else 0
        for one in trials:
            if one.number != own and (one.verdict is None or one.verdict.billed or one.verdict.ok):
                for row in self.tries.get(one.number, ()):
                    taken[row.budget] = taken.get(row.budget, 0) + row.amount
        return lambda budget: taken.get(budget.id, 0)

    def beyond(
        self, share: Share, budgets: Sequence[Budget], estimate: Estimate, before: Callable[[Budget], int]
    ) -> tuple[list[Budget], Estimate]:
        """The budgets of which a part of the call needs more than the call has been given, and what is due then."""
        if not self.tries:
            self.let = {row.budget: row for row in self.held}
        due, let = spending.due(estimate, share), self.let
        return [
            one for one in budgets if one.id not in let or before(one) + _most(due, one) > let[one.id].amount
        ], due

    def part(
        self,
        share: Share,
        budgets: Sequence[Budget],
        estimate: Estimate,
        before: Callable[[Budget], int],
        ask: Callable[[Sequence[Budget], Estimate], tuple[Charged, ...] | Bar],
    ) -> tuple[Charged, ...] | Bar:
        """What a part of the call holds, where the whole call may take ``estimate``; or what bars it.

        What the call was let in with is for all of its parts: it is not turned away in the middle for want of room
        that it has been given. Only for what goes beyond, as when a part must be paid for twice, ``ask`` asks anew.
        """
        beyond, due = self.beyond(share, budgets, estimate, before)
        let, rows = self.let, ask(beyond, due)
        if isinstance(rows, Bar):
            return rows
        asked = {one.id: one for one in beyond}
        for row in rows:
            let[row.budget] = Charged(row.budget, row.slot, before(asked[row.budget]) + row.amount)
        return tuple(
            Charged(one.id, let[one.id].slot, share.of(_most(estimate, one)))
            for one in budgets
            if one.id in let
        )

    def actual(self, attempts: Sequence[Attempt]) -> Callable[[Budget], int]:
        """What the tries took of a budget; of one whose tokens or price are not known, what it held."""
        nano = used = 0
        for one in attempts:
            if one.cost is None or one.cost.billed is None:
                break
            nano += one.cost.billed
            used += one.usage.total if one.usage is not None else 0
        else:
            return lambda budget: (
                self._taken(attempts, budget)
                if budget.scope == "project"
                else used
                if budget.unit == "tokens"
                else nano
            )
        return lambda budget: self._taken(attempts, budget)

    def _taken(self, attempts: Sequence[Attempt], budget: Budget) -> int:
        """Nano-dollars or tokens, try by try."""
        sum_ = 0
        for one in attempts:
            if budget.scope == "project" and one.project != budget.of:
                continue
            if budget.unit == "tokens" and (one.usage is not None or not _unknown(one)):
                sum_ += one.usage.total if one.usage is not None else 0
            elif budget.unit == "money" and one.cost is not None and one.cost.billed is not None:
                sum_ += one.cost.billed
            else:
                rows = self.tries.get(one.number, ())
                sum_ += sum(row.amount for row in rows if row.budget == budget.id)
        return sum_


def _most(estimate: Estimate, budget: Budget) -> int:
    """The most that the estimate takes of a budget, in its unit."""
    return estimate.tokens_most if budget.unit == "tokens" else estimate.nano_most or 0


def tokens(attempts: Sequence[Attempt]) -> int | None:
    """All tokens that the tries used; None where nobody knows: an answer that comes later, say."""
    if any(one.usage is None and _unknown(one) for one in attempts):
        return None
    return sum(one.usage.total for one in attempts if one.usage is not None)


def _unknown(one: Attempt) -> bool:
    """Whether a try may cost money that its answer did not tell."""
    return one.cost is None or one.cost.billed is None
