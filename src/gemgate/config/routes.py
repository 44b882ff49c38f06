"""Routes: names that clients use as a model, and the targets behind them, from ``[[route]]`` tables.

A target is ``"model"`` (on every project), ``"model@project"``, or a ``[[route.target]]`` table. What one table
says wrong is found here; what it takes the catalog of models to find stands in ``gemgate.config.fitness``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gemgate.config.faults import Fault, kind_of, masked
from gemgate.config.kinds import COUNT, FLAG, NAMES, SPAN, TEXT, Kind, Unfit, choice
from gemgate.config.limits import LIMITS, read_limits
from gemgate.config.settings import Project
from gemgate.config.tables import Field, Report, known_only, read_fields, read_tables
from gemgate.core.catalog import Catalog
from gemgate.core.routes import BALANCES, CALLS, MEDIA, SIGNATURES, Conditions, Route, RouteTarget

_METHOD = re.compile(r"[A-Za-z_]+(\.[A-Za-z_]+)+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MODEL = re.compile(r"(tunedModels/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _name(value: object) -> str:
    text = str(TEXT.read(value))
    if not _NAME.fullmatch(text):
        raise Unfit("Write it like a model's name: letters, digits, dots, dashes; no models/ before it.")
    return text


def _model(value: object) -> str:
    text = str(TEXT.read(value)).removeprefix("models/")
    if not _MODEL.fullmatch(text):
        raise Unfit('Write it as "gemini-2.5-flash".')
    return text


def _weight(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 1_000_000:
        raise Unfit("Write it as 3, without quotes; remove the target if it is to get nothing.")
    return value


def _some(words: tuple[str, ...]) -> Kind:
    """The kind whose values are lists of these words."""

    def read(value: object) -> tuple[str, ...]:
        """The words, each once."""
        found = NAMES.read(value)
        assert isinstance(found, tuple)
        if not found or set(found) - set(words):
            raise Unfit(f"Use some of: {', '.join(words)}.")
        return tuple(dict.fromkeys(found))

    return Kind("a list of some of " + ", ".join(words), read, str)


def _methods(value: object) -> tuple[str, ...]:
    found = NAMES.read(value)
    assert isinstance(found, tuple)
    if not found or any(one not in CALLS and not _METHOD.fullmatch(one) for one in found):
        raise Unfit(f"Use some of: {', '.join(CALLS)}; or a method's id, like models.countTokens.")
    return tuple(dict.fromkeys(found))


ROUTE: tuple[Field, ...] = (
    Field(
        "name",
        Kind("a name that a model could have", _name, str),
        "",
        "What clients ask for as a model. Required; routes that share one differ in `when`.",
    ),
    Field(
        "targets",
        NAMES,
        "",
        "Targets in order: `model` or `model@project`. None: those of the model it is named after.",
    ),
    Field(
        "balance",
        choice(*BALANCES),
        "ordered",
        "ordered: the first target that can, goes; weighted: calls are shared out by weight.",
    ),
    Field(
        "fallback",
        FLAG,
        "",
        "false: never another model than the first choice. A route without targets of its own follows [routing].",
    ),
    Field("patience", SPAN, "", "How long a call may look and wait for a target. Else as in [routing]."),
    Field("first_byte_timeout", SPAN, "", "Longest wait for the first byte. Else as in [upstream]."),
    Field("stall_timeout", SPAN, "", "Longest silence inside an answer. Else as in [upstream]."),
    Field("total_timeout", SPAN, "", "Longest time for one try. Else as in [upstream]."),
    Field("hedge", FLAG, "", "Whether a late first byte brings a second try. Else as in [routing]."),
    Field(
        "hold_back",
        COUNT,
        "0",
        "Characters of a stream to hold back: a failure before them goes another way, unseen.",
    ),
    Field(
        "signatures",
        choice(*SIGNATURES),
        "",
        "What becomes of thought signatures that leave their model. Else as in [routing].",
    ),
)
"""The keys of a route that have one plain value; ``limits`` and ``when`` are tables."""

TARGET: tuple[Field, ...] = (
    Field("model", Kind("the name of a model", _model, str), "", "The model, as Google names it. Required."),
    Field("project", TEXT, "", "The one project to use."),
    Field("projects", NAMES, "", "Several projects, in order; without either, every project."),
    Field("weight", Kind("a whole number above 0", _weight, str), "1", "Share of the calls, when weighted."),
)

WHEN: tuple[Field, ...] = (
    Field(
        "methods",
        Kind("a list of some of " + ", ".join(CALLS) + ", or ids of methods", _methods, str),
        "",
        "Only calls of one of these sorts.",
    ),
    Field("tools", FLAG, "", "true: only calls with tools; false: only calls without."),
    Field("context", COUNT, "", "Only calls with at least so many input tokens, by estimate."),
    Field("media", _some(MEDIA), "", "Only calls that carry at least one of these kinds."),
)
"""The keys of ``when``; what it does not name asks nothing."""

_SHORT = 'Write "model" or "model@project", as in ["gemini-2.5-flash", "gemini-2.5-pro@paid"].'
_OWN_LIMITS = tuple(field for field in LIMITS if field.name in ("rpm", "tpm"))
_PLAIN = tuple(field for field in ROUTE if field.name != "targets")


@dataclass(frozen=True, slots=True)
class _Around:
    """What a route is read against: the names of the projects, what one that is silent has, and the models."""

    projects: tuple[str, ...]
    fallback: bool
    catalog: Catalog
    report: Report


def read_routes(
    tables: object, projects: Sequence[Project], fallback: bool, catalog: Catalog, report: Report
) -> tuple[Route, ...]:
    """All routes, in the order of the file. ``fallback`` is what a route without targets of its own has."""
    around = _Around(tuple(one.name for one in projects if one.name), fallback, catalog, report)
    routes = tuple(_route(table, where, around) for where, table in read_tables(tables, "route", report))
    earlier: dict[str, list[Conditions]] = {}
    for route in routes:
        same = earlier.setdefault(route.name, [])
        # The first whose conditions fit serves a call: none comes past one that has none.
        if route.name and (Conditions() in same or route.when in same):
            got = "a route that an earlier one of this name hides"
            remedy = "Rename one, or give the earlier one a `when` of its own."
            report(Fault(f"route {masked(route.name)!r}", "a name of its own", got, remedy))
        same.append(route.when)
    return routes


def _route(table: dict[str, Any], where: str, around: _Around) -> Route:
    report = around.report
    known_only(table, where, {"target", "limits", "when", *(field.name for field in ROUTE)}, report)
    read = read_fields(table, where, _PLAIN, report)
    if "name" not in table:
        report(Fault(f"{where}.name", "a name for the route", "nothing", 'Add name = "…" to this route.'))
    read.setdefault("name", "")
    written = bool({"target", "targets"} & set(table))
    # Targets that somebody wrote down are meant; the setting is about those that nobody chose.
    read.setdefault("fallback", written or around.fallback)
    if "when" in table:
        read["when"] = _conditions(table["when"], f"{where}.when", report)
    if "limits" in table:
        read["limits"] = read_limits(table["limits"], f"{where}.limits", report, _OWN_LIMITS)
    # A route that is named after a model may leave the targets to it, and set the rest.
    if not written and around.catalog.card(read["name"]) is not None:
        return Route(**read)
    return Route(targets=_targets(table, where, around), **read)


def _conditions(value: object, where: str, report: Report) -> Conditions:
    if not isinstance(value, dict):
        remedy = 'Write it as when = { methods = ["generate"], tools = true }.'
        report(Fault(where, "a table of conditions", kind_of(value), remedy))
        return Conditions()
    known_only(value, where, (field.name for field in WHEN), report)
    return Conditions(**read_fields(value, where, WHEN, report))


def _targets(table: dict[str, Any], where: str, around: _Around) -> tuple[RouteTarget, ...]:
    """The targets, in either form, without those that cannot be read."""
    if "target" in table and "targets" in table:
        remedy = "Keep one of the two: targets for short ones, [[route.target]] for those that need more."
        around.report(Fault(f"{where}.targets", "targets in one form", "both forms", remedy))
        return ()
    if "target" in table:
        value = table["target"]
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            remedy = "Write [[route.target]], in two brackets."
            around.report(Fault(f"{where}.target", "[[route.target]] tables", kind_of(value), remedy))
            return ()
        places = [f"{where}.target[{at}]" for at in range(len(value))]
        read = [_long(one, place, around) for one, place in zip(value, places, strict=True)]
    else:
        value = table.get("targets", [])
        if not isinstance(value, list) or not value:
            given = kind_of(table.get("targets"))
            remedy = 'Write it as a list: targets = ["gemini-2.5-flash"], the models behind this name.'
            around.report(Fault(f"{where}.targets", "a list of targets", given, remedy))
            return ()
        places = [f"{where}.targets[{at}]" for at in range(len(value))]
        read = [_short(one, place, around) for one, place in zip(value, places, strict=True)]
    found: list[RouteTarget] = []
    for target, place in zip(read, places, strict=True):
        if target is None:
            continue
        if any((one.model, one.projects) == (target.model, target.projects) for one in found):
            remedy = "Remove it; to give a target more of the calls, set its weight."
            around.report(Fault(place, "a target of its own", "one that is there twice", remedy))
            continue
        found.append(target)
    return tuple(found)


def _short(value: object, where: str, around: _Around) -> RouteTarget | None:
    model, at, project = value.strip().partition("@") if isinstance(value, str) else ("", "", "")
    model, project = model.strip().removeprefix("models/"), project.strip()
    if not _MODEL.fullmatch(model) or bool(at) != bool(project):
        got = "text of another form" if isinstance(value, str) and value.strip() else kind_of(value)
        around.report(Fault(where, "a target", got, _SHORT))
        return None
    return RouteTarget(model, _known((project,) if at else (), where, around))


def _long(table: dict[str, Any], where: str, around: _Around) -> RouteTarget | None:
    report = around.report
    known_only(table, where, {"when", *(field.name for field in TARGET)}, report)
    read = read_fields(table, where, TARGET, report)
    if "model" not in table:
        report(Fault(f"{where}.model", "a model", "nothing", 'Add model = "gemini-2.5-flash".'))
    names = tuple(read.get("projects", ()))
    if "project" in table and "projects" in table:
        report(Fault(f"{where}.projects", "projects in one form", "both forms", "Keep one of the two."))
        names = ()
    elif table.get("projects") == []:
        remedy = "Remove the line to use every project."
        report(Fault(f"{where}.projects", "a project at least", "an empty list", remedy))
    elif "project" in read:
        names = (read["project"],)
    place = f"{where}.{'projects' if 'projects' in table else 'project'}"
    when = _conditions(table["when"], f"{where}.when", report) if "when" in table else Conditions()
    if "model" not in read:
        return None
    return RouteTarget(read["model"], _known(names, place, around), read.get("weight", 1), when)


def _known(names: tuple[str, ...], where: str, around: _Around) -> tuple[str, ...]:
    """The names of projects, those reported that are none."""
    for name in names:
        if name in around.projects:
            continue
        near = difflib.get_close_matches(name, around.projects, n=1, cutoff=0.6)
        remedy = "No project is configured; add a [[project]]."
        if around.projects:
            remedy = f"Configured are: {', '.join(masked(one) for one in around.projects)}."
        remedy = f"Did you mean {masked(near[0])}?" if near else remedy
        around.report(Fault(where, "a project that is configured", "an unknown one", remedy))
    return names
