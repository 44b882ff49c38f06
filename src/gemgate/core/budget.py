"""Budgets that hold: what is spent of each, what is held for calls under way, and whether one more call fits.

A pure state machine: ``now`` (UTC microseconds) comes in. Money is nano-dollars, else the amounts are tokens.

Laws:

- a call that fits with the most it may take, beside all that is spent and held, goes;
- a call that does not may still go alone: when nothing of another call is held and the least it may take fits. So
  what is spent passes the line by the error of one call's estimate (``most - least``) at most, however many come;
- what fits neither way, even if all that is held came back, is final; else it is worth waiting for the holds;
- a call is held on all its budgets or on none;
- the truth is charged in the slot in which the call was held, however late it comes: a call belongs to the period in
  which it began;
- what is held counts in its own period; of a rolling span, as long as it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from gemgate.core.call import Charged
from gemgate.core.purse import (
    SCOPES,
    BadBudget,
    Bar,
    Budget,
    Estimate,
    Purse,
    Standing,
    alike,
    check,
    resets_at,
    since,
    slot,
)
from gemgate.core.windows import NEVER

__all__ = [
    "SCOPES",
    "BadBudget",
    "Bar",
    "Budget",
    "Budgets",
    "Charged",
    "Estimate",
    "Standing",
    "check",
    "resets_at",
    "since",
    "slot",
]

_NOTHING = (0, 0)
_APPLIED = 4096  # combinations of key, tags and route that are remembered


class Budgets:
    """All budgets, and which of them a call has to pass."""

    def __init__(self, budgets: Iterable[Budget], spent: Iterable[Charged] = ()) -> None:
        self._purses: dict[int, Purse] = {}
        self._calls: dict[bytes, list[Purse]] = {}
        self._scoped: dict[tuple[str, str], tuple[Budget, ...]] = {}
        self._applied: dict[tuple[str, tuple[str, ...], str], tuple[Budget, ...]] = {}
        self.reload(budgets, spent)

    @property
    def any(self) -> bool:
        """Whether there is a budget at all."""
        return bool(self._scoped)

    def reload(self, budgets: Iterable[Budget], spent: Iterable[Charged] = ()) -> None:
        """Take these budgets. What was spent and is held stays, and is no less than ``spent`` says.

        So does what other processes have charged count. Of a budget that is new, or counts other things or other
        periods than before, ``spent`` is all that is known.
        """
        purses: dict[int, Purse] = {}
        scoped: dict[tuple[str, str], list[Budget]] = {}
        for budget in budgets:
            purse = self._purses.get(budget.id)
            if purse is None or not alike(purse.budget, budget):
                purse = Purse(budget)
            elif purse.budget != budget:
                purse.take(budget)
            purses[budget.id] = purse
            if not budget.disabled_at:
                scoped.setdefault((budget.scope, budget.of), []).append(budget)
        sums: dict[tuple[int, int], int] = {}
        for row in spent:
            sums[row.budget, row.slot] = sums.get((row.budget, row.slot), 0) + row.amount
        for (number, of), amount in sums.items():
            if number in purses:
                purses[number].know(of, amount)
        self._purses = purses  # calls under way keep the purses that hold for them
        self._scoped = {where: tuple(rows) for where, rows in scoped.items()}
        self._applied.clear()

    def of(
        self, key: str, tags: Collection[str], route: str, projects: Collection[str] = ()
    ) -> tuple[Budget, ...]:
        """The budgets that a call of this key (by name), with these tags, on this route has to pass.

        Those of ``projects`` too, for a try that goes there.
        """
        if not self._scoped:
            return ()
        place = key, tuple(tags), route
        found = self._applied.get(place)
        if found is None:
            wheres = [
                ("all", ""),
                ("key", key),
                *(("tag", tag) for tag in place[1]),
                ("route", route),
            ]
            found = tuple(one for where in dict.fromkeys(wheres) for one in self._scoped.get(where, ()))
            if len(self._applied) >= _APPLIED:
                self._applied.clear()  # tags come from callers
            self._applied[place] = found
        for project in projects:
            found += self._scoped.get(("project", project), ())
        return found

    def of_project(self, project: str) -> tuple[Budget, ...]:
        """The budgets of a project, which a try that goes there has to pass besides those of its call."""
        return self._scoped.get(("project", project), ())

    def bars(
        self, budget: Budget, estimate: Estimate, now: int, call: bytes = b"", before: int = 0
    ) -> Bar | None:
        """What keeps a call from passing one budget now; None: there is room. What it holds itself is no bar.

        ``before`` is what its earlier tries have taken.
        """
        purse = self._purses.get(budget.id)
        if purse is None or purse.budget.disabled_at:
            return None
        purse.roll(now)
        return _bar(purse, estimate.tokens if purse.counts_tokens else estimate.money, call, before)

    def hold(
        self, call: bytes, budgets: Sequence[Budget], estimate: Estimate, now: int
    ) -> tuple[Charged, ...] | Bar:
        """Hold the most that a call may take on all these budgets; or nothing, and say which bars it.

        Of several bars a final one is named, since waiting for the others would be in vain.
        """
        return self.more(call, budgets, estimate, now)

    def more(
        self,
        call: bytes,
        budgets: Sequence[Budget],
        estimate: Estimate,
        now: int,
        before: Callable[[Budget], int] | None = None,
    ) -> tuple[Charged, ...] | Bar:
        """A further try of the same call: hold what it may take, besides ``before``, which earlier tries have taken.

        Returns what this try holds of each budget, in the slot of its call.
        """
        # One that was removed since the call came in bars nothing any more.
        found = (self._purses.get(budget.id) for budget in budgets)
        purses = [one for one in found if one is not None and not one.budget.disabled_at]
        tokens, money = estimate.tokens, estimate.money
        barred: Bar | None = None
        for purse in purses:
            purse.roll(now)
            needs = tokens if purse.counts_tokens else money
            if before is None and needs is not None and purse.spent + purse.held + needs[1] <= purse.line:
                continue  # most calls: nothing is near the line
            bar = _bar(purse, needs, call, before(purse.budget) if before is not None else 0)
            if bar is not None:
                if bar.final:
                    return bar
                barred = barred or bar
        if barred is not None:
            return barred
        if not purses:
            return ()
        mine = self._calls.setdefault(call, [])
        rows = []
        for purse in purses:
            _, most = (tokens if purse.counts_tokens else money) or _NOTHING
            if call not in purse.holds:
                mine.append(purse)
            of = purse.hold(call, most if before is None else before(purse.budget) + most)
            rows.append(Charged(purse.budget.id, of, most))
        return tuple(rows)

    def settle(self, call: bytes, actual: Callable[[Budget], int], now: int) -> tuple[Charged, ...]:
        """The truth of a call: nothing is held for it any more, and what it took is spent.

        ``actual`` says for each budget how much; returned is what the record must charge. Told twice, it charges
        once.
        """
        found = []
        for purse in self._calls.pop(call, ()):
            purse.roll(now)
            of, amount = purse.drop(call), actual(purse.budget)
            if amount > 0:
                purse.charge(of, amount)
                found.append(Charged(purse.budget.id, of, amount))
        return tuple(found)

    def release(self, call: bytes) -> None:
        """The call took nothing."""
        for purse in self._calls.pop(call, ()):
            purse.drop(call)

    def soft(self, budgets: Iterable[Budget], now: int) -> list[tuple[Budget, float]]:
        """Those of the budgets that have reached their soft line, each with the share that is spent."""
        found = []
        for budget in budgets:
            purse = self._purses.get(budget.id)
            if purse is not None:
                purse.roll(now)
                if purse.spent >= purse.soft:
                    found.append((budget, purse.spent / purse.line))
        return found

    def slot(self, budget: Budget, now: int) -> int:
        """As ``slot``, for one of these budgets, from memory."""
        purse = self._purses.get(budget.id)
        if purse is None:
            return slot(budget, now)
        purse.roll(now)
        return purse.start

    def charged(self) -> dict[tuple[int, int], int]:
        """What is known to be spent, by budget and slot, whoever charged it; slots that are over may be left out."""
        return {
            (number, of): amount
            for number, purse in self._purses.items()
            for of, amount in purse.spends.items()
        }

    def standing(self, budget: Budget, now: int) -> Bar:
        """How a budget stands for one who waits for it."""
        purse = self._purses.get(budget.id)
        if purse is None:
            return Bar(budget, False, 0, 0, 0)
        purse.roll(now)
        return Bar(budget, False, 0, purse.spent, purse.held)

    def state(self, now: int) -> list[Standing]:
        """How all budgets in force stand."""
        found = []
        for purse in self._purses.values():
            if not purse.budget.disabled_at:
                purse.roll(now)
                ends = resets_at(purse.budget, now)
                found.append(Standing(purse.budget, purse.start, purse.spent, purse.held, ends))
        return found


def _bar(purse: Purse, needs: tuple[int, int] | None, call: bytes, before: int) -> Bar | None:
    """What keeps a call from taking so much of a purse. After ``roll``."""
    if needs is not None:
        return purse.bars(needs[0], needs[1], call, before)
    if purse.budget.unpriced:
        return None
    return Bar(purse.budget, True, NEVER, purse.spent, purse.held, unpriced=True)
