"""What the catalog of models has to say about routes and limits: faults, and cautions that stop nothing.

The catalog ages with the package. What it does not know may well exist, so only what cannot be right whatever
Google has released since is a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gemgate.config.faults import Fault, masked
from gemgate.config.limits import OTHERS
from gemgate.config.settings import Project, Settings
from gemgate.config.tables import Report
from gemgate.core.catalog import Catalog
from gemgate.core.routes import Route


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that works, or may work, and is most likely not meant: what, and what to do about it."""

    text: str
    remedy: str


def compare(projects: Sequence[Project], routes: Sequence[Route], catalog: Catalog, report: Report) -> None:
    """Report what the catalog shows to be wrong."""
    names = {route.name for route in routes}
    for route in routes:
        _chains(route, names, catalog, report)
        _kinds(route, catalog, report)
    for project in projects:
        _families(project, catalog, report)


def keyless(settings: Settings) -> Fault | None:
    """What is wrong with these settings while no virtual key exists; None when nothing is.

    Others than this machine reach the port then, and nothing would tell who may use it. Whether a key exists is
    the store's to say.
    """
    if not settings.needs_key:
        return None
    remedy = (
        f'Make one with `gemgate keys create NAME --data {settings.data}`, or set gateway.host = "127.0.0.1".'
    )
    got = "one that others can reach, and no virtual key exists"
    return Fault("gateway.host", "an address of this machine alone, or a virtual key", got, remedy)


def tokenless(settings: Settings) -> Fault | None:
    """What is wrong with these settings while no admin token exists; None when nothing is.

    Others than this machine reach the console then, and nothing would tell who may use it.
    """
    if not settings.needs_token:
        return None
    remedy = (
        f"Make one with `gemgate admin-token create NAME --role admin --data {settings.data}`, or set "
        'console.host = "127.0.0.1".'
    )
    got = "one that others can reach, and no admin token exists"
    return Fault("console.host", "an address of this machine alone, or an admin token", got, remedy)


def cautions(settings: Settings, catalog: Catalog) -> list[Caution]:
    """What a look at the models behind routes and limits brings up."""
    found: dict[str, Caution] = {}
    for route in settings.routes:
        for target in route.targets:
            text = _state(target.model, catalog)
            if text:
                line = f"route {masked(route.name)!r}: {masked(target.model)} {text}"
                found.setdefault(line, Caution(line, "Look at the target, or leave it if it is meant."))
    for project in settings.projects:
        for model, _ in project.limits:
            if model != OTHERS and catalog.card(model) is None and model not in _targets(settings):
                line = f"project {masked(project.name)!r} has limits for {masked(model)}, which is not known here"
                found.setdefault(line, Caution(line, "Look at the spelling, or leave it if it is new."))
    return list(found.values())


def _targets(settings: Settings) -> set[str]:
    return {target.model for route in settings.routes for target in route.targets}


def _chains(route: Route, names: set[str], catalog: Catalog, report: Report) -> None:
    """A target is a model: routes do not lead to routes."""
    for target in route.targets:
        if target.model in names - {route.name} and catalog.card(target.model) is None:
            remedy = f"A target is a model: write the targets of route {masked(target.model)!r} here."
            report(Fault(f"route {masked(route.name)!r}", "models as targets", "the name of a route", remedy))


def _kinds(route: Route, catalog: Catalog, report: Report) -> None:
    """Targets that serve the same calls are of one kind: no image model answers what an embedding model does."""
    seen: dict[object, set[str]] = {}
    for target in route.targets:
        card = catalog.card(target.model)
        if card is not None and card.kind:
            seen.setdefault(target.when, set()).add(card.kind)
    mixed = next((kinds for kinds in seen.values() if len(kinds) > 1), None)
    if mixed is not None:
        got = "kinds of models that stand in for none of the others: " + ", ".join(sorted(mixed))
        remedy = "Give each kind a route of its own, or targets with a `when`."
        if "embedding" in mixed:
            remedy = "Give embedding models a route of their own: vectors of two models cannot be compared."
        report(Fault(f"route {masked(route.name)!r}", "targets of one kind", got, remedy))


def _families(project: Project, catalog: Catalog, report: Report) -> None:
    """Google counts a family together, so it has one set of limits."""
    owners: dict[str, str] = {}
    for model, _ in project.limits:
        family = model if model == OTHERS else catalog.family(model)
        if family in owners:
            got = f"two, for {masked(owners[family])} and {masked(model)}"
            remedy = "Keep one of them: Google counts both models together."
            report(Fault(f"project {masked(project.name)!r}.limits", "one entry for a quota", got, remedy))
        owners.setdefault(family, model)


def _state(model: str, catalog: Catalog) -> str:
    """What is unusual about a model, in words; empty when nothing is."""
    card = catalog.card(model)
    if card is None:
        return "" if model.startswith("tunedModels/") else "is not known here; it is used as it is written"
    if card.status == "shut_down":
        return "is shut down" + (f" since {card.shutdown}" if card.shutdown else "")
    if card.status == "routed" and card.served is not None:
        return f"is answered by {card.served.by} since {card.served.since}"
    if card.status == "deprecated":
        return "is deprecated" + (f", to be shut down on {card.shutdown}" if card.shutdown else "")
    return ""
