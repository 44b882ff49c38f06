"""Routes: names that clients use as a model, and the targets behind them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, named, standing
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import ADMIN, VIEWER
from gemgate.api.route_words import (
    Media,
    NamedRoutes,
    NewRoute,
    RouteAnswer,
    RouteBody,
    RouteDeleted,
    RouteLimits,
    RouteList,
    Source,
    TargetAnswer,
)
from gemgate.config.stored import Around, join_routes, read_stored_route
from gemgate.core.catalog import Catalog
from gemgate.core.routes import Route
from gemgate.gateway.outlook import Outlook
from gemgate.gateway.prospect import CallOutlook, Prospect, plain_call
from gemgate.store import budgets, keys, stored_routes
from gemgate.store.connection import Connection
from gemgate.store.stored_routes import StoredRoute

namespace = Namespace(
    "routes",
    description="Routes: names that clients use as a model, and the targets behind them. A gateway that runs notices "
    "a change within a second; calls under way keep the route as it was when they came.",
)


class RouteQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which routes."""

    source: Annotated[
        Source | None, Meta(description="Only routes of gemgate.toml, or only stored ones.")
    ] = None
    limit: named.Limit = 50
    cursor: named.Cursor = ""


class OutlookQuery(msgspec.Struct, forbid_unknown_fields=True):
    """The call that would come now."""

    method: Annotated[
        Literal["generate", "embed", "count"] | None,
        Meta(description="What it asks for; by default what its model is made for."),
    ] = None
    tokens: Annotated[int, Meta(ge=0, le=10**9, description="Input tokens.")] = 0
    tools: Annotated[bool, Meta(description="It carries tools.")] = False
    media: Annotated[list[Media], Meta(description="It carries these.")] = []
    fallback: Annotated[bool, Meta(description="As x-gemgate-fallback says it.")] = True
    project: Annotated[str, Meta(max_length=64, description="As x-gemgate-project names it.")] = ""


_TAKEN: Final = "PUT /routes/{name} replaces the one there is."


@namespace.route("")
class Routes(Resource):
    """All routes."""

    @operation(namespace, role=VIEWER, query=RouteQuery, answer=RouteList)
    def get(self, query: RouteQuery) -> RouteList:
        """List the routes of the file and the stored ones, and the models with a way of their own."""
        with standing.looking() as (outlook, conn):
            found = [one for one in _every(outlook, conn) if query.source in (None, one.source)]
        places = {id(one): f"{at}/{one.name}" for at, one in enumerate(found)}
        items, more = named.page(
            found, lambda one: places[id(one)], query.limit, query.cursor, ("routes", query.source)
        )
        return RouteList(
            items=items, next=more, built_in=[card.id for card in outlook.snapshot.catalog.cards]
        )

    @operation(namespace, role=ADMIN, body=NewRoute, answer=RouteAnswer, status=201, errors=(400, 409))
    def post(self, body: NewRoute) -> RouteAnswer:
        """Make a route.

        It is held against the configured projects and the other routes, as those of the file are. A model that is in
        no catalogue is allowed, since Google brings new ones; `notes` of the answer name it.
        """
        return _put(body.name, body, new=True)


@namespace.route("/<string:name>")
class OneRoute(Resource):
    """The routes of one name."""

    @operation(namespace, role=VIEWER, answer=NamedRoutes, errors=(404,))
    def get(self, name: str) -> NamedRoutes:
        """Show what stands behind a name.

        Routes, or a model's own way; and which keys and budgets name it.
        """
        with standing.looking() as (outlook, conn):
            every = _every(outlook, conn)
            found = [one for one in every if one.name == name]
            model = outlook.snapshot.catalog.card(name) is not None
            if not found and not model:
                raise named.missing("route", name, [one.name for one in every])
            of_keys, of_budgets = _used_by(conn, name)
        return NamedRoutes(name=name, routes=found, model=model, keys=of_keys, budgets=of_budgets)

    @operation(namespace, role=ADMIN, body=RouteBody, answer=RouteAnswer, errors=(400, 409))
    def put(self, name: str, body: RouteBody) -> RouteAnswer:
        """Make a stored route, or replace it whole."""
        return _put(name, body, new=False)

    @operation(namespace, role=ADMIN, answer=RouteDeleted, errors=(404, 409))
    def delete(self, name: str) -> RouteDeleted:
        """Delete a stored route.

        Says which keys and budgets still name it; calls on record keep its name.
        """
        _not_of_file(name)
        with context.changing() as change:
            before = stored_routes.find(change.conn, name)
            if before is None:
                known = [one.name for one in stored_routes.every(change.conn)]
                raise named.missing("route", name, known)
            of_keys, of_budgets = _used_by(change.conn, name)
            stored_routes.remove(change.conn, name)
            change.audit("delete", "route", name, before.body, None)
        sentence = "Nobody names it."
        if of_keys or of_budgets:
            users = [f"key {one}" for one in of_keys] + [f"budget {one}" for one in of_budgets]
            sentence = f"It is still named by {', '.join(users)}, which it no longer serves."
        return RouteDeleted(name=name, keys=of_keys, budgets=of_budgets, sentence=sentence)


@namespace.route("/<path:name>/outlook")
class RouteOutlook(Resource):
    """What would happen now."""

    @operation(namespace, role=VIEWER, query=OutlookQuery, answer=CallOutlook, errors=(400,))
    def get(self, name: str, query: OutlookQuery) -> CallOutlook:
        """Tell what would happen now to a call for a route or model.

        As `gemgate route` does; nothing is sent. The targets stand in the order in which they would be tried, each
        with the reason for its place, what bars it and for how long, and the windows that its calls count in.
        """
        with standing.looking() as (outlook, _):
            wants = plain_call(
                outlook,
                name,
                query.method or "",
                tokens=query.tokens,
                tools=query.tools,
                media=tuple(dict.fromkeys(query.media)),
                forbids=not query.fallback,
                project=query.project,
            )
            return Prospect(outlook, wants, standing.moment).told()


def _put(name: str, body: RouteBody, *, new: bool) -> RouteAnswer:
    """Write a route. Raises Problem 400 with the fields at fault, 409 FROM_FILE, ROUTE_EXISTS."""
    _not_of_file(name)
    configured, given = standing.configuration(), _written(body)
    around = Around(configured.projects, configured.settings.routing, configured.catalog)
    with context.changing() as change:
        before = stored_routes.find(change.conn, name)
        if new and before is not None:
            raise Problem(409, "ROUTE_EXISTS", f"There is a route {name} already.", _TAKEN)
        beside = [(one.name, one.body) for one in stored_routes.every(change.conn) if one.name != name]
        others, _ = join_routes(configured.settings.routes, beside, around)
        route, wrong = read_stored_route(name, given, others, around)
        if route is None:
            raise named.wrong(wrong)
        now = context.now()
        if before is None:
            kept = stored_routes.create(change.conn, name, given, now)
        else:
            kept = stored_routes.replace(change.conn, name, given, now)
        change.audit(
            "create" if before is None else "change",
            "route",
            name,
            None if before is None else before.body,
            given,
        )
    return _answer(route, configured.catalog, kept)


def _written(body: RouteBody) -> dict[str, Any]:
    """The table that the body stands for: what was said alone."""
    found = _said(msgspec.to_builtins(body))
    assert isinstance(found, dict)
    found.pop("name", None)
    return found


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _said(one) for name, one in value.items() if one is not None}
    return [_said(one) for one in value] if isinstance(value, list) else value


def _not_of_file(name: str) -> None:
    """Raise Problem 409 FROM_FILE for a route of the file."""
    settings = context.settings()
    if any(route.name == name for route in settings.routes):
        raise standing.from_file(f"The route {name}", settings)


def _every(outlook: Outlook, conn: Connection) -> list[RouteAnswer]:
    """The file's routes and the stored ones, also those that cannot be meant."""
    own = outlook.configured.settings.routes
    in_force = {route.name: route for route in outlook.snapshot.settings.routes}
    names = {route.name for route in own}
    catalog = outlook.snapshot.catalog
    found = [_answer(route, catalog, None) for route in own]
    for kept in stored_routes.every(conn):
        wrong = outlook.snapshot.left_out.get(f"route {kept.name}", "")
        fits = not wrong and kept.name not in names and kept.name in in_force
        route = in_force[kept.name] if fits else Route(kept.name)
        found.append(_answer(route, catalog, kept, wrong))
    return found


def _answer(route: Route, catalog: Catalog, kept: StoredRoute | None, wrong: str = "") -> RouteAnswer:
    limits = route.limits
    return RouteAnswer(
        name=route.name,
        source="file" if kept is None else "stored",
        in_force=not wrong,
        wrong=wrong,
        targets=[
            TargetAnswer(model=one.model, projects=list(one.projects), weight=one.weight, when=one.when)
            for one in route.targets
        ],
        balance=route.balance,
        fallback=route.fallback,
        when=route.when,
        patience=route.patience,
        first_byte_timeout=route.first_byte_timeout,
        stall_timeout=route.stall_timeout,
        total_timeout=route.total_timeout,
        hedge=route.hedge,
        hold_back=route.hold_back,
        signatures=route.signatures,
        limits=None if limits is None else RouteLimits(rpm=limits.rpm, tpm=limits.tpm),
        created_at=0 if kept is None else kept.created_at,
        changed_at=0 if kept is None else kept.changed_at,
        model=catalog.card(route.name) is not None,
        notes=[
            f"{model} is in no catalogue; calls to it may fail."
            for model in dict.fromkeys(one.model for one in route.targets)
            if catalog.card(model) is None
        ],
    )


def _used_by(conn: Connection, name: str) -> tuple[list[str], list[str]]:
    """The virtual keys that may use only some models and this route among them, and the budgets of the route."""
    of_keys = [one.name for one in keys.every(conn)[0] if not one.disabled_at and _names(one.routes, name)]
    of_budgets = [
        one.name
        for one in budgets.every(conn)
        if (one.scope, one.of) == ("route", name) and not one.disabled_at
    ]
    return of_keys, of_budgets


def _names(patterns: Iterable[str], name: str) -> bool:
    """Whether one of these patterns means this route, and not everything."""
    return any(one != "*" and fnmatchcase(name, one) for one in patterns)
