"""What would happen to a call now: its plan, how each target stands, and which would be tried first.

`gemgate route` and the API's `routes` tell this in the same words. Nothing is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from gemgate.core.explain import Row, explain, span
from gemgate.core.health import Standing, State
from gemgate.core.quota import NEVER, Window
from gemgate.core.routing import LeftOut, Plan, Target, Wants, plan_of_one
from gemgate.gateway.outlook import Outlook
from gemgate.gateway.recall import SECOND

METHODS = {
    "generate": "models.generateContent",
    "embed": "models.embedContent",
    "count": "models.countTokens",
}
"""The sorts of calls that can be asked about, each with Google's name for it."""
Moment = Callable[[int, int], str]
"""How a time (UTC µs) is said at another one."""


class TargetOutlook(msgspec.Struct, frozen=True):
    """One target of a call that would come now.

    ``at`` is the seconds until it may be tried, null for never; ``bar`` what bars it; ``windows`` those that its
    calls count in; ``health`` the breaker that bars it.
    """

    place: int
    model: str
    project: str
    why: str
    changes: list[str]
    at: float | None
    bar: str
    verdict: str
    windows: list[Window]
    health: State | None


class CallOutlook(msgspec.Struct, frozen=True):
    """What would happen to a call now. Times are UTC µs; ``as_of`` is when the gateway kept its state last."""

    model: str
    method: str
    route: str | None
    now: int
    as_of: int | None
    gateway: str | None
    targets: list[TargetOutlook]
    left_out: list[LeftOut]
    sentence: str


class Prospect:
    """A call that would come now. Raises Refused where no plan can be made for it."""

    def __init__(self, outlook: Outlook, wants: Wants, moment: Moment) -> None:
        self.outlook = outlook
        self.wants = wants
        self._moment = moment
        snapshot = outlook.snapshot
        if snapshot.routed:
            self.plan: Plan = snapshot.routes.plan(wants, 0.0)
        else:
            self.plan = plan_of_one(wants.model, snapshot.names, wants.project)
        self.stands = [self.standing(target) for target in self.plan.targets]
        self.rows = self._rows()

    def standing(self, target: Target) -> Standing:
        """How a target stands for this call."""
        return self.outlook.standing(target, self.wants.tokens, self.plan.route)

    @property
    def patience(self) -> float:
        """The seconds that the call may wait."""
        own = self.plan.patience
        return self.outlook.snapshot.settings.routing.patience if own is None else own

    @property
    def weighted(self) -> bool:
        """Whether the order is drawn for each call."""
        routes = self.outlook.snapshot.settings.routes
        return any(route.name == self.plan.route and route.balance == "weighted" for route in routes)

    @property
    def strange(self) -> str:
        """The model that was asked for, where neither a route nor the catalog knows it: a slip, or quite new."""
        plan = self.plan
        first = plan.targets[0].model if plan.targets and not plan.route else ""
        return "" if not first or self.outlook.snapshot.catalog.card(first) is not None else first

    def sentence(self) -> str:
        """What would happen first."""
        if not self.plan.targets:
            return "Now: no target is left, so the call is refused."
        now, rows, stands = self.outlook.now, self.rows, self.stands
        ready = next((row.target for row, one in zip(rows, stands, strict=False) if one.at <= 0), None)
        if ready is not None:
            return f"Now: {ready} is tried first."
        soonest = min(range(len(stands)), key=lambda place: stands[place].at)
        at = stands[soonest].at
        if at == math.inf:
            if all(one.why == "paused" for one in stands):
                return "Now: the call is refused at once, since every project that it may go to is paused."
            return "Now: the call is refused at once, since no target will ever have room for it."
        room = when(now + math.ceil(at * SECOND), now, self._moment)
        if at <= self.patience:
            return f"Now: the call waits for {rows[soonest].target}, which can be tried {room}."
        return (
            f"Now: the call is refused at once, since the first target to be ready, {rows[soonest].target}, "
            f"can be tried {room}."
        )

    def told(self) -> CallOutlook:
        """All of it, for programs."""
        outlook = self.outlook
        return CallOutlook(
            self.wants.model,
            self.wants.method,
            self.plan.route or None,
            outlook.now,
            outlook.as_of or None,
            outlook.gateway or None,
            [
                self._ahead(target, row, stand)
                for target, row, stand in zip(self.plan.targets, self.rows, self.stands, strict=False)
            ],
            list(self.plan.left_out),
            self.sentence(),
        )

    def _ahead(self, target: Target, row: Row, stand: Standing) -> TargetOutlook:
        return TargetOutlook(
            row.place,
            target.model,
            target.project,
            target.why,
            list(target.changes),
            None if stand.at == math.inf else stand.at,
            stand.why,
            row.verdict,
            list(self.outlook.windows_of(target)),
            self.outlook.barring(target),
        )

    def _rows(self) -> tuple[Row, ...]:
        """The plan's lines. Only here it is known what bars a target on the route's account, and how long is too
        long."""
        stands = self.stands
        soonest = min((one.at for one in stands), default=0.0)
        late = self.patience < soonest < math.inf
        found = []
        for row in explain(self.plan, self.standing):
            if row.place and (window := stands[row.place - 1].why.removeprefix("route:")) in ("rpm", "tpm"):
                row = msgspec.structs.replace(
                    row, room=row.room.replace(f"route:{window}", f"the route's own {window}")
                )
            if late and row.place and row.verdict != "is passed over":
                row = msgspec.structs.replace(
                    row, verdict="is ready first, but later than the patience allows"
                )
            found.append(row)
        return tuple(found)


def plain_call(outlook: Outlook, model: str, method: str = "", **more: object) -> Wants:
    """A plain call for a model or route, of a method of ``METHODS``; else an embedding where that is what it makes,
    or generateContent.

    ``more`` are further fields of ``Wants``.
    """
    first = next(
        (
            one.model
            for route in outlook.snapshot.settings.routes
            if route.name == model
            for one in route.targets
        ),
        model,
    )
    card = outlook.snapshot.catalog.card(first)
    usual = "embed" if card is not None and card.kind == "embedding" else "generate"
    wants = Wants(model.removeprefix("models/"), METHODS[method or usual], method or usual)
    return msgspec.structs.replace(wants, **more)


def when(at: int, now: int, moment: Moment) -> str:
    """When room returns: now, in some time with the clock's time, or never."""
    if at >= NEVER:
        return "never"
    if at <= now:
        return "now"
    return f"in {span((at - now) / SECOND)} ({moment(at, now)})"
