"""Limits: what is in force for projects' models, routes and keys, whose word each is, and limits stored here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, named, standing
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import ADMIN, VIEWER
from gemgate.config.faults import Fault
from gemgate.config.limits import LIMITS, OTHERS, read_limits
from gemgate.core import fingerprint
from gemgate.core.quota import Bucket, Limits, Window
from gemgate.core.windows import WINDOWS
from gemgate.gateway.outlook import Outlook
from gemgate.store import keys, stored_limits
from gemgate.store.connection import Connection

namespace = Namespace(
    "limits",
    description="Limits: requests and tokens that Google's projects, routes and virtual keys may use. Those of "
    "projects can be stored here; a gateway that runs takes them over within a second. Those of keys change with "
    "the keys, those of routes with the routes.",
)

Scope = Literal["project", "route", "key"]
WindowName = Literal["rpm", "tpm", "rpd", "tpd", "concurrency"]
Source = Literal["file", "stored", "tier", "learned", ""]
_Number = Annotated[int, Meta(ge=0, le=2**62)]


class LimitQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which limits."""

    scope: Annotated[Scope | None, Meta(description="Only limits of projects, of routes or of keys.")] = None
    name: Annotated[str, Meta(max_length=200, description="Only this project, route or key.")] = ""
    model: Annotated[str, Meta(max_length=200, description="Only what this model counts in.")] = ""
    source: Annotated[
        Literal["file", "stored", "tier", "learned"] | None,
        Meta(description="Only limits that come from there."),
    ] = None
    limit: named.Limit = 50
    cursor: named.Cursor = ""


class LimitAnswer(msgspec.Struct, kw_only=True):
    """A limit in force. `family` is what Google counts together, empty where a limit is not of models.

    `window`: calls (rpm, rpd) or input tokens (tpm, tpd) of a minute or a Pacific day; of a key `tpm` counts input
    and output, and `concurrency` calls at once. `source`: gemgate.toml (file), this API (stored), what Google usually
    allows (tier), or a refusal of Google's (learned).
    """

    scope: Scope
    name: str
    family: str
    window: WindowName
    limit: int
    source: Source


class LimitList(msgspec.Struct):
    """A page of limits: projects first, then routes, then keys."""

    items: list[LimitAnswer]
    next: str | None


class LimitBody(msgspec.Struct, forbid_unknown_fields=True):
    """Limits of a project's model.

    One that is null or left out is the tier's, or what Google's refusals teach; 0: none at all.
    """

    rpm: Annotated[_Number | None, Meta(description="Requests a minute.")] = None
    tpm: Annotated[_Number | None, Meta(description="Input tokens a minute.")] = None
    rpd: Annotated[_Number | None, Meta(description="Requests a day, from midnight in California.")] = None
    tpd: Annotated[_Number | None, Meta(description="Input tokens a day.")] = None


class StoredLimit(LimitBody, kw_only=True):
    """Limits that are stored, as they were given. `model` is `*` for every model without limits of its own.

    `unreadable`: what is stored of them is damaged and out of force; put them anew, or take them away.
    """

    project: str
    model: str
    unreadable: bool = False


class StoredList(msgspec.Struct):
    """A page of stored limits, by project and model."""

    items: list[StoredLimit]
    next: str | None


class StoredQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which stored limits."""

    project: Annotated[str, Meta(max_length=200, description="Only limits of this project.")] = ""
    limit: named.Limit = 50
    cursor: named.Cursor = ""


@namespace.route("")
class AllLimits(Resource):
    """All limits."""

    @operation(namespace, role=VIEWER, query=LimitQuery, answer=LimitList)
    def get(self, query: LimitQuery) -> LimitList:
        """Show the limits in force, and whose word each is.

        Of projects by what Google counts together, of routes and of virtual keys. How much of them is used now is
        told by `/quotas`.
        """
        with standing.looking() as (outlook, conn):
            family = outlook.snapshot.catalog.family(query.model) if query.model else ""
            found = [
                one
                for one in (*_of_projects(outlook), *_of_routes(outlook), *_of_keys(conn))
                if query.scope in (None, one.scope)
                and query.name in ("", one.name)
                and query.source in (None, one.source)
                and family in ("", one.family)
            ]
        asked = (query.scope, query.name, query.model, query.source)
        return LimitList(*named.page(found, _place, query.limit, query.cursor, asked))


@namespace.route("/stored")
class AllStored(Resource):
    """All stored limits."""

    @operation(namespace, role=VIEWER, query=StoredQuery, answer=StoredList)
    def get(self, query: StoredQuery) -> StoredList:
        """List the stored limits.

        Those that were put here, as they were given.
        """
        with context.reading() as conn:
            every = [_stored(*row) for row in stored_limits.every(conn) if query.project in ("", row.project)]
        asked = ("stored", query.project)
        return StoredList(
            *named.page(every, lambda one: f"{one.project}/{one.model}", query.limit, query.cursor, asked)
        )


@namespace.route("/stored/<string:project>/<path:model>")
class OneStored(Resource):
    """The stored limits of a project's model."""

    @operation(namespace, role=VIEWER, answer=StoredLimit)
    def get(self, project: str, model: str) -> StoredLimit:
        """Show the stored limits of a project's model."""
        name = _name(model)
        with context.reading() as conn:
            found = stored_limits.find(conn, project, name)
        if found is None:
            raise _missing(project, name)
        return _stored(*found)

    @operation(namespace, role=ADMIN, body=LimitBody, answer=StoredLimit, errors=(409,))
    def put(self, project: str, model: str, body: LimitBody) -> StoredLimit:
        """Store limits of a project's model.

        In place of those that were stored. `*` as the model stands for every model without limits of its own. What
        gemgate.toml defines is changed there.
        """
        name, limits = _name(model), _limits(body)
        with standing.looking() as (outlook, conn):
            _fits(outlook, conn, project, name)
        with context.changing() as change:
            before = stored_limits.find(change.conn, project, name)
            stored_limits.put(change.conn, (project, name), limits, context.now())
            change.audit(
                "create" if before is None else "change",
                "limit",
                f"{project}/{name}",
                None if before is None else msgspec.to_builtins(_stored(*before)),
                msgspec.to_builtins(_stored(project, name, limits)),
            )
        return _stored(project, name, limits)

    @operation(namespace, role=ADMIN, answer=StoredLimit, errors=(409,))
    def delete(self, project: str, model: str) -> StoredLimit:
        """Take the stored limits of a project's model away.

        The tier's hold again, or what Google's refusals teach.
        """
        name = _name(model)
        with context.changing() as change:
            before = stored_limits.find(change.conn, project, name)
            if before is not None:
                stored_limits.remove(change.conn, (project, name))
                was = _stored(*before)
                change.audit("delete", "limit", f"{project}/{name}", msgspec.to_builtins(was), None)
                return was
        known = next((one for one in standing.configuration().projects if one.name == project), None)
        if known is not None and name in {one for one, _ in known.limits}:
            raise standing.from_file(f"The limit of {name} on {project}", context.settings())
        raise _missing(project, name)


_ORDER: Final = {name: place for place, name in enumerate((*WINDOWS, "concurrency"))}


def _of_projects(outlook: Outlook) -> Iterator[LimitAnswer]:
    """The limits of all projects, by family."""
    snapshot, catalog = outlook.snapshot, outlook.snapshot.catalog
    known = {(one.project, one.family, one.window): one for one in outlook.windows()}
    for project in snapshot.projects.values():
        families = {catalog.family(card.id) for card in catalog.cards if project.tier in card.limits}
        families |= {family for name, family, _ in known if name == project.name}
        families |= {model if model == OTHERS else catalog.family(model) for model, _ in project.limits}
        for family in sorted(families - {""}):
            limits = snapshot.limits(Bucket(project.name, family))
            for name in WINDOWS:
                limit = limits.of(name)
                usual = Window(project.name, family, name, limit, "tier" if name in limits.tier else "config")
                found = known.get((project.name, family, name), usual)
                if found.limit is not None:
                    yield _shown("project", project.name, found, outlook)


def _of_routes(outlook: Outlook) -> Iterator[LimitAnswer]:
    for route, limits in sorted(outlook.snapshot.limited_routes.items()):
        for name in WINDOWS:
            if limits.of(name) is not None:
                window = Window("", route, name, limits.of(name), "config")
                shown = _shown("route", route, window, outlook)
                yield msgspec.structs.replace(shown, family="")


def _of_keys(conn: Connection) -> Iterator[LimitAnswer]:
    for key in keys.every(conn)[0]:
        for name, limit in (("rpm", key.rpm), ("tpm", key.tpm), ("concurrency", key.concurrency)):
            if limit is not None:
                yield LimitAnswer(
                    scope="key", name=key.name, family="", window=_window(name), limit=limit, source="stored"
                )


def _shown(scope: Scope, name: str, window: Window, outlook: Outlook) -> LimitAnswer:
    assert window.limit is not None
    return LimitAnswer(
        scope=scope,
        name=name,
        family=window.family,
        window=_window(window.window),
        limit=window.limit,
        source=msgspec.convert(outlook.source(window), Source),
    )


def _window(name: str) -> WindowName:
    found: WindowName = msgspec.convert(name, WindowName)
    return found


def _place(one: LimitAnswer) -> str:
    return f"{one.scope}/{one.name}/{one.family}/{one.window}"


def _name(model: str) -> str:
    """A model as limits name it. Raises Problem 400."""
    name = model.strip().removeprefix("models/")
    if not 0 < len(name) <= 200 or not name.isprintable() or fingerprint.redact_name(name) != name:
        raise named.wrong({"model": "Name a model, or * for all others."})
    if name in {field.name for field in LIMITS}:
        raise named.wrong({"model": f"{name} is the name of a limit; name a model, or * for all others."})
    return name


def _limits(body: LimitBody) -> Limits:
    """The limits that a body means, by the reader of gemgate.toml's own tables. Raises Problem 400."""
    errors: dict[str, str] = {}

    def report(fault: Fault) -> None:
        """One sentence for each field."""
        field = fault.key.partition(".")[2]
        errors[field] = f"Expected {fault.expected}, found {fault.got_kind}."

    given = {name: limit for name, limit in msgspec.structs.asdict(body).items() if limit is not None}
    limits = read_limits(given, "limits", report)
    if errors:
        raise named.wrong(errors)
    return limits


def _fits(outlook: Outlook, conn: Connection, project: str, model: str) -> None:
    """Raise Problem 404 for a project that is not there, 409 where other limits hold for this model already."""
    projects, catalog = outlook.configured.projects, outlook.snapshot.catalog
    found = next((one for one in projects if one.name == project), None)
    if found is None:
        raise named.missing("project", project, [one.name for one in projects])

    def family(name: str) -> str:
        """What Google counts together."""
        return name if name == OTHERS else catalog.family(name)

    same = next((name for name, _ in found.limits if family(name) == family(model)), "")
    if same:
        raise standing.from_file(f"The limit of {same} on {project}", context.settings())
    other = next(
        (
            name
            for of, name, _ in stored_limits.every(conn)
            if of == project and name != model and family(name) == family(model)
        ),
        "",
    )
    if other:
        detail = f"Limits of {other} are stored, which Google counts together with {model}."
        raise Problem(409, "SAME_FAMILY", detail, f"Change those of {other}.")


def _missing(project: str, model: str) -> Problem:
    detail = f"No limits of {model[:200]} are stored for the project {project[:200]}."
    return Problem(404, "LIMIT_NOT_FOUND", detail, "GET /limits shows what is in force.")


def _stored(project: str, model: str, limits: Limits | None) -> StoredLimit:
    known = Limits() if limits is None else limits
    return StoredLimit(
        project=project,
        model=model,
        unreadable=limits is None,
        rpm=known.rpm,
        tpm=known.tpm,
        rpd=known.rpd,
        tpd=known.tpd,
    )
