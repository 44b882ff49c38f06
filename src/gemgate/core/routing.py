"""Where a call may go: the routes, and the plan that each call gets of them.

Laws:

- a plan holds every target that may serve the call, each once, in the order in which they may be tried; what is left
  out is left out with its reason;
- without a route of its own a model comes first on all projects, then each model of its chain on all projects;
- a call that forbids fallback, or whose method cannot change its model, keeps the one model that comes first;
- where the input fits into no model, the one that was asked for stays: only Google can judge a rough estimate.

What stands now (room, health) is no matter of the plan: the pursuit asks that of each target when its turn comes. So
plans are made once for each kind of call and remembered.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import msgspec

from gemgate.core import eligibility, pins
from gemgate.core.catalog import Catalog
from gemgate.core.errors import Refused
from gemgate.core.explain import Row, explain
from gemgate.core.routes import (
    BALANCES,
    CALLS,
    MEDIA,
    SIGNATURES,
    Conditions,
    LeftOut,
    Pin,
    Plan,
    ProjectLike,
    Route,
    RouteTarget,
    Target,
    Wants,
)

__all__ = [
    "BALANCES",
    "CALLS",
    "MEDIA",
    "SIGNATURES",
    "Conditions",
    "LeftOut",
    "Pin",
    "Plan",
    "Route",
    "RouteTarget",
    "Routes",
    "Row",
    "Target",
    "Wants",
    "explain",
    "plan_of_one",
]

_REMEMBERED = 4096
_MANY = 5
_FORBIDDEN = "the call forbids another model"
_FIXED = "a call of this method keeps its model"
_SETTING = "fallback is switched off"


class _Choice(msgspec.Struct, frozen=True):
    """One model with its projects, before they are known to fit. ``named``: somebody chose it."""

    model: str
    why: str
    projects: tuple[str, ...] = ()
    weight: int = 1
    when: Conditions = Conditions()
    named: bool = True


class _Group(msgspec.Struct, frozen=True):
    """The targets of one choice."""

    model: str
    weight: int
    targets: tuple[Target, ...]


class _Draft:
    """All that is fixed about the plans of one kind of call; ``plan`` adds the draw of a weighted route."""

    __slots__ = ("_bare", "_groups", "_keep", "_plans", "_weights", "replace")

    def __init__(
        self, bare: Plan, groups: Sequence[_Group], weighted: bool, keep: str, replace: bool
    ) -> None:
        self._bare = bare
        self._groups = groups
        self._keep = keep
        self._weights = [group.weight for group in groups] if weighted else []
        self._plans: dict[tuple[int, ...], Plan] = {}
        self.replace = replace

    def plan(self, chance: float) -> Plan:
        """The plan for a chance in [0, 1)."""
        order = draw(self._weights, chance) if self._weights else ()
        known = self._plans.get(order)
        if known is None:
            known = self._made([self._groups[place] for place in order] if order else self._groups)
            if len(self._plans) < _REMEMBERED:
                self._plans[order] = known
        return known

    def _made(self, groups: Sequence[_Group]) -> Plan:
        left = list(self._bare.left_out)
        if self._keep:
            first = groups[0].model
            left += [LeftOut(group.model, "", self._keep) for group in groups if group.model != first]
            groups = [group for group in groups if group.model == first]
        targets: dict[tuple[str, str], Target] = {}
        for group in groups:
            for target in group.targets:
                targets.setdefault((target.model, target.project), target)
        return msgspec.structs.replace(self._bare, targets=tuple(targets.values()), left_out=tuple(left))


class Routes:
    """The routes of a configuration with the default routes of all models.

    ``fallback`` is the setting for models without a route, ``signatures`` (``replace`` or ``refuse``) the one for
    conversations that must leave where their thought signatures were made.
    """

    def __init__(
        self,
        catalog: Catalog,
        routes: Sequence[Route],
        projects: Sequence[ProjectLike],
        fallback: bool = True,
        signatures: str = "replace",
    ) -> None:
        self.catalog = catalog
        self.names = tuple(dict.fromkeys(route.name for route in routes))
        self._routes: dict[str, list[Route]] = {}
        for route in routes:
            self._routes.setdefault(route.name, []).append(route)
        self._projects = tuple(project.name for project in projects)
        self._fallback = fallback
        self._signatures = signatures
        contexts = {card.context for card in catalog.cards if card.context is not None}
        # ``at least n`` turns at n, ``more than n`` behind it.
        asked = {when.context - 1 for when in _conditions(routes) if when.context is not None}
        self._steps = sorted(contexts | asked)
        self._drafts: dict[tuple[object, ...], _Draft] = {}

    def plan(self, wants: Wants, chance: float) -> Plan:
        """The targets for a call, in order. ``chance`` in [0, 1) draws where a route is weighted.

        Raises Refused 400: UNKNOWN_PROJECT, NO_ROUTE, NO_ELIGIBLE_TARGET, PINNED_TWICE, PINNED_GONE,
        PINNED_ELSEWHERE, SIGNATURES_ELSEWHERE; each with a hint.
        """
        key = (
            wants.model,
            wants.method,
            wants.reading,
            bisect.bisect_left(self._steps, wants.tokens),
            wants.tools,
            wants.media,
            wants.thinking,
            wants.penalties,
            wants.forbids,
            wants.project,
            wants.names_model,
        )
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._draft(wants)
            if len(self._drafts) >= _REMEMBERED:
                self._drafts.clear()
            self._drafts[key] = draft
        plan = draft.plan(chance)
        if wants.pins or wants.foreign:

            def changes(model: str) -> tuple[str, ...]:
                return eligibility.changes(self.catalog.card(model), wants, model)

            plan = pins.hold(plan, wants, self._projects, draft.replace, changes)
        return plan

    def _draft(self, wants: Wants) -> _Draft:
        if wants.project and wants.project not in self._projects:
            raise _unknown_project(wants.project, self._projects)
        route = self._route(wants)
        choices = self._choices(route, wants)
        groups, left = self._fitting(choices, wants)
        if not groups:
            raise _none_eligible(wants, left)
        settings = route if route is not None else Route("")
        weighted = settings.balance == "weighted" and bool(settings.targets)
        keep = ""
        if not eligibility.movable(wants):
            keep, weighted = _FIXED, False
        elif wants.forbids:
            keep = _FORBIDDEN
        elif not (settings.fallback if route is not None else self._fallback):
            keep = _SETTING
        bare = Plan(
            targets=(),
            route=settings.name,
            patience=settings.patience,
            first_byte_timeout=settings.first_byte_timeout,
            stall_timeout=settings.stall_timeout,
            total_timeout=settings.total_timeout,
            hedge=settings.hedge,
            hold_back=settings.hold_back,
            limits=settings.limits,
            left_out=tuple(left),
        )
        replace = (settings.signatures or self._signatures) != "refuse"
        return _Draft(bare, groups, weighted, keep, replace)

    def _route(self, wants: Wants) -> Route | None:
        """The first route of the call's name whose conditions it meets; None for the default targets."""
        named = self._routes.get(wants.model, ()) if wants.names_model else ()
        reasons = []
        for route in named:
            reason = eligibility.unmet(route.when, wants)
            if not reason:
                return route
            reasons.append(reason)
        if reasons and self.catalog.card(wants.model) is None:
            raise Refused(
                400,
                "NO_ROUTE",
                f"The route {wants.model[:100]!r} is not for this call: {'; '.join(reasons)}.",
                hint="Use another model or route for such calls, or widen the route's `when`.",
            )
        return None

    def _choices(self, route: Route | None, wants: Wants) -> list[_Choice]:
        if not (wants.names_model and wants.model):
            return [_Choice("", "the call names no model")]
        if route is not None and route.targets:
            return [
                _Choice(one.model, _of_route(route, one), one.projects, one.weight, one.when)
                for one in route.targets
            ]
        first = _Choice(wants.model, "the model that was asked for")
        stand_ins = self.catalog.chain(wants.model) if eligibility.movable(wants) else ()
        return [first, *(_Choice(model, why, named=False) for model, why in stand_ins)]

    def _fitting(self, choices: list[_Choice], wants: Wants) -> tuple[list[_Group], list[LeftOut]]:
        """The choices that may serve the call with their targets, and the others with their reasons."""
        groups, left = [], []
        last: _Choice | None = None
        for choice in choices:
            card = self.catalog.card(choice.model)
            asked = choice.named and choice.model == wants.model
            reason = eligibility.unmet(choice.when, wants)
            if not reason:
                judge = eligibility.too_long if asked else eligibility.barred
                reason = (judge if choice.named else eligibility.unfit)(card, wants)
            if reason and asked:
                last = choice
            targets = self._targets(choice, wants)
            if not reason and not targets:
                reason = "it is on none of the projects that the call may use"
            if reason:
                left.append(LeftOut(choice.model, "", reason))
            else:
                groups.append(_Group(choice.model, choice.weight, targets))
        if not groups and last is not None and not eligibility.unmet(last.when, wants):
            targets = self._targets(last, wants)
            if targets:
                return [_Group(last.model, last.weight, targets)], [
                    one for one in left if one.model != last.model
                ]
        return groups, left

    def _targets(self, choice: _Choice, wants: Wants) -> tuple[Target, ...]:
        changes = eligibility.changes(self.catalog.card(choice.model), wants, choice.model)
        own = choice.projects or self._projects
        made: list[Target] = []
        for project in own:
            if project not in self._projects or (wants.project and project != wants.project):
                continue
            why = choice.why
            if wants.project:
                why += "; the client named the project"
            elif made:
                why += "; another project"
            made.append(Target(choice.model, project, why, changes))
        return tuple(made)


def draw(weights: Sequence[int], chance: float) -> tuple[int, ...]:
    """An order of all places in which each next one is drawn by weight, from one ``chance`` in [0, 1).

    Weights of 0 come last, in their own order.
    """
    left = [place for place, weight in enumerate(weights) if weight > 0]
    order = []
    while len(left) > 1:
        point = chance * sum(weights[place] for place in left)
        for place in left[:-1]:
            if point < weights[place]:
                break
            point -= weights[place]
        else:
            place = left[-1]
        order.append(place)
        left.remove(place)
        # What is left of the chance within the part that was hit is as even as the chance was.
        chance = min(max(point / weights[place], 0.0), 1.0 - 2.0**-53)
    order += left
    return (*order, *(place for place, weight in enumerate(weights) if weight <= 0))


def _conditions(routes: Iterable[Route]) -> list[Conditions]:
    return [when for route in routes for when in (route.when, *(one.when for one in route.targets))]


def _of_route(route: Route, target: RouteTarget) -> str:
    if len(route.targets) == 1:
        return f"the target of route {route.name}"
    if route.balance == "weighted":
        return f"of route {route.name}, drawn by weight {target.weight}"
    return f"target {route.targets.index(target) + 1} of route {route.name}"


def _unknown_project(wanted: str, projects: tuple[str, ...]) -> Refused:
    return Refused(
        400,
        "UNKNOWN_PROJECT",
        f"No project {wanted[:64]!r} is configured.",
        hint=f"Configured are: {', '.join(projects)}. Leave the header x-gemgate-project out for the default.",
    )


def _none_eligible(wants: Wants, left: list[LeftOut]) -> Refused:
    reasons = "; ".join(f"{one.model}: {one.why}" for one in left[:_MANY])
    more = f"; and {len(left) - _MANY} more" if len(left) > _MANY else ""
    return Refused(
        400,
        "NO_ELIGIBLE_TARGET",
        f"No target of {wants.model[:100]!r} may serve this call ({reasons or 'no project'}{more}).",
        hint="Use another model or route for such calls, or add a target that fits to the route.",
    )


def plan_of_one(model: str, projects: tuple[str, ...], wanted: str = "") -> Plan:
    """The plan of one target, where routing is switched off. ``wanted`` is a project that the client named.

    Raises Refused 400 when that project is not configured.
    """
    if wanted and wanted not in projects:
        raise _unknown_project(wanted, projects)
    if wanted:
        return Plan((Target(model, wanted, "the client named the project"),))
    return Plan((Target(model, projects[0], "the first configured project"),))
