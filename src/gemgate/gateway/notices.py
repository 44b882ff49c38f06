"""What people are told of budgets: clients by a header and a refusal, administrators by events on record."""

from __future__ import annotations

from collections.abc import Iterable

from gemgate.core.budget import Bar, Budget, Budgets
from gemgate.core.call import Event
from gemgate.core.errors import Refused
from gemgate.core.periods import ROLLING
from gemgate.core.windows import NEVER, SECOND
from gemgate.gateway import limits
from gemgate.gateway.entry import Braked, Entry

HEADER = b"x-gemgate-budget"


class Notices:
    """Each event is told once in a period of its budget."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets
        self._said: dict[tuple[str, int], int] = {}

    def known(self, budgets: Iterable[Budget], now: int) -> None:
        """Those past their soft line already were told of before a restart, or their maker has seen it."""
        for budget, _ in self._budgets.soft(budgets, now):
            self._first("budget_soft", budget, now)

    def warn(self, ticket: Braked, entry: Entry, now: int) -> None:
        """Tell the client of the budget that is nearest to its end, past the soft line."""
        found = self._budgets.soft(entry.budgets, now)
        if found:
            budget, share = max(found, key=lambda row: row[1])
            text = f"{budget.name}; spent={share:.2f}"
            ticket.marks.append((HEADER, text.encode("ascii", "replace")))

    def soft(self, ticket: Braked, budgets: Iterable[Budget], now: int) -> None:
        """A call was charged: it may have passed a soft line."""
        for budget, share in self._budgets.soft(budgets, now):
            if self._first("budget_soft", budget, now):
                total = limits.amount(budget, budget.amount)
                said = f"{share:.0%} of {total} {limits.span(budget)} is spent."
                ticket.events += (Event(now, "budget_soft", budget.name, said),)

    def spent(self, ticket: Braked, bar: Bar, model: str, now: int) -> Refused:
        """The refusal of a call that a budget bars for good."""
        refused = limits.spent(bar, model)
        if not bar.unpriced and bar.resets_at < NEVER and self._first("budget_spent", bar.budget, now):
            ticket.events += (Event(now, "budget_spent", bar.budget.name, refused.message),)
        return refused

    def _first(self, kind: str, budget: Budget, now: int) -> bool:
        """Whether this is said of a budget for the first time in its period."""
        rolling = budget.period == ROLLING
        period = now // (budget.seconds * SECOND) if rolling else self._budgets.slot(budget, now)
        known = self._said.get((kind, budget.id))
        self._said[kind, budget.id] = period
        return known != period
