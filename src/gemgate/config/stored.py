"""Settings completed by what was stored through the API: routes, and limits of projects.

Laws:

- what the file defines stays as the file has it: what is stored under the same name is left out;
- what is stored is held against the projects, the models and the other routes each time anew, by the readers of the
  file's own tables; what cannot be meant is left out with the reason, and the rest stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gemgate.config.faults import Fault, masked
from gemgate.config.fitness import compare
from gemgate.config.limits import OTHERS
from gemgate.config.routes import read_routes
from gemgate.config.settings import Project, Routing
from gemgate.config.tables import Report
from gemgate.core.catalog import Catalog
from gemgate.core.routes import Route
from gemgate.core.windows import Limits

FROM_FILE = "gemgate.toml defines it, and the file's word holds"

_FIRST = re.compile(r"^route\[0\]\.?")


@dataclass(frozen=True, slots=True)
class Around:
    """What a stored thing is held against: the projects in force, what routing says, and the models."""

    projects: tuple[Project, ...]
    routing: Routing
    catalog: Catalog


def read_stored_route(
    name: str, body: Mapping[str, Any], others: Sequence[Route], around: Around
) -> tuple[Route | None, dict[str, str]]:
    """The route that ``body`` means, in the words of ``[[route]]`` without its name; and what is wrong, by field.

    ``others`` are the routes beside it. The route is None where anything is wrong. Fields are named as in
    ``targets[0]``, ``limits.rpm``; what is wrong with the route as a whole stands under ``targets``.
    """
    route, wrong = _read(name, body, around)
    if route is not None:
        compare((), [*others, route], around.catalog, _reporting(wrong))
    return (route if not wrong else None), wrong


def join_routes(
    routes: Sequence[Route], stored: Iterable[tuple[str, Mapping[str, Any] | None]], around: Around
) -> tuple[tuple[Route, ...], dict[str, str]]:
    """The file's routes with the stored ones behind them; and those that are left out, each with the reason."""
    found: list[Route] = []
    bad: dict[str, str] = {}
    own = {route.name for route in routes}
    for name, body in stored:
        if name in own:
            bad[name] = FROM_FILE
            continue
        if body is None:
            bad[name] = "what is stored of it cannot be read"
            continue
        route, wrong = _read(name, body, around)
        if route is None:
            bad[name] = _told(wrong)
        else:
            found.append(route)
    every = [*routes, *found]
    odd: dict[str, str] = {}
    compare((), every, around.catalog, _reporting(odd))
    if odd:  # seldom, so only now it is asked which of them it is
        every = list(routes)
        for route in found:
            odd = {}
            compare((), [*every, route], around.catalog, _reporting(odd))
            if odd:
                bad[route.name] = _told(odd)
            else:
                every.append(route)
    return tuple(every), bad


def _read(name: str, body: Mapping[str, Any], around: Around) -> tuple[Route | None, dict[str, str]]:
    """The route by the reader of the file's tables, not yet held against others; and what is wrong, by field."""
    wrong: dict[str, str] = {}
    given = {key: value for key, value in body.items() if key != "name"}
    found = read_routes(
        [{**given, "name": name}],
        around.projects,
        around.routing.fallback,
        around.catalog,
        _reporting(wrong),
    )
    return (found[0] if found and not wrong else None), wrong


def _reporting(wrong: dict[str, str]) -> Report:
    """Takes note of faults: one sentence for each field, the first."""

    def report(fault: Fault) -> None:
        """One fault."""
        field = _FIRST.sub("", fault.key) if fault.key.startswith("route[") else "targets"
        wrong.setdefault(field, f"Expected {fault.expected}, found {fault.got_kind}. {_spoken(fault.remedy)}")

    return report


def _told(wrong: Mapping[str, str]) -> str:
    return "; ".join(f"{masked(field)}: {text}" for field, text in wrong.items())


def join_limits(
    projects: Sequence[Project], stored: Iterable[tuple[str, str, Limits]], catalog: Catalog
) -> tuple[tuple[Project, ...], dict[str, str]]:
    """The projects with their stored limits behind the file's; and the limits that are left out, with the reason.

    Google counts a family of models together, so one of the file's for any model of it holds for all.
    """
    known = {project.name: project for project in projects}
    bad: dict[str, str] = {}
    for name, model, limits in stored:
        project = known.get(name)
        label = f"{model} on {name}"
        if project is None:
            bad[label] = "no project of this name is configured"
            continue
        taken = next(
            (one for one, _ in project.limits if _family(one, catalog) == _family(model, catalog)), ""
        )
        if taken:
            same = any(one == taken for one, _ in _of(projects, name))
            bad[label] = FROM_FILE if same else f"those of {taken} hold, which Google counts together with it"
            continue
        known[name] = replace(project, limits=(*project.limits, (model, limits)))
    return tuple(known[project.name] for project in projects), bad


def _of(projects: Sequence[Project], name: str) -> tuple[tuple[str, Limits], ...]:
    return next(project.limits for project in projects if project.name == name)


def _family(model: str, catalog: Catalog) -> str:
    return model if model == OTHERS else catalog.family(model)


def _spoken(remedy: str) -> str:
    """A remedy that is written for TOML, in words that fit JSON too."""
    return remedy.replace("[[route.target]]", "target").replace("targets = [", '"targets": [')
