"""Google projects: whose quota and keys the gateway uses, how they stand, and whether they are paused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context, named, standing
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import OPERATOR, VIEWER
from gemgate.config import Project
from gemgate.config.installation import installation_secret
from gemgate.core import fingerprint
from gemgate.core.health import State
from gemgate.gateway.outlook import Outlook
from gemgate.gateway.snapshot import NANO
from gemgate.store import stored_routes

namespace = Namespace(
    "projects",
    description="Google projects: each owns quota and keys. They are defined in gemgate.toml or the environment; "
    "here they are looked at, and paused.",
)

ProjectState = Literal["ready", "paused", "resting", "no key"]


class ProjectKey(msgspec.Struct, kw_only=True):
    """A Google key: the name that the record has for it, a fingerprint that cannot be turned back, how it stands.

    `until` is when it is tried again (UTC µs), 0 for a key that may be used now; `reason` is why it rests.
    """

    name: str
    fingerprint: str
    until: int
    reason: str
    message: str


class ProjectLimits(msgspec.Struct, kw_only=True):
    """Limits that somebody set for a model (`*`: every other model) of a project. Null: as the tier has it."""

    model: str
    source: Literal["file", "stored"]
    rpm: int | None
    tpm: int | None
    rpd: int | None
    tpd: int | None


class ProjectAnswer(msgspec.Struct, kw_only=True):
    """A Google project. Times are UTC µs, 0 for never.

    `state`: paused (an administrator lets no new tries go there), resting (a breaker of the project or of each key
    bars it until `until`), no key, or ready. `breakers` are those of the project, its keys and its targets.
    `spend_nano` is what its billing account may spend in ten minutes; null: not known. `tier` is as configured.
    """

    name: str
    tier: str
    billing_account: str
    spend_nano: int | None
    free: bool
    state: ProjectState
    until: int
    paused_at: int
    keys: list[ProjectKey]
    limits: list[ProjectLimits]
    breakers: list[State]


class ProjectList(msgspec.Struct, kw_only=True):
    """Projects in the order in which they are used. `as_of` is when the gateway kept its state last, 0 for never."""

    items: list[ProjectAnswer]
    next: str | None
    as_of: int


class ProjectQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which projects."""

    state: Annotated[ProjectState | None, Meta(description="Only those that stand so.")] = None
    limit: named.Limit = 50
    cursor: named.Cursor = ""


@namespace.route("")
class Projects(Resource):
    """All projects."""

    @operation(namespace, role=VIEWER, query=ProjectQuery, answer=ProjectList)
    def get(self, query: ProjectQuery) -> ProjectList:
        """List the projects with their tier, keys (as fingerprints), limits, breakers and pauses."""
        with _looked() as (outlook, paused):
            found = [_answer(one, outlook, paused) for one in outlook.configured.projects]
        found = [one for one in found if query.state in (None, one.state)]
        items, more = named.page(
            found, lambda one: one.name, query.limit, query.cursor, ("projects", query.state)
        )
        return ProjectList(items=items, next=more, as_of=outlook.as_of)


@namespace.route("/<string:name>")
class OneProject(Resource):
    """One project."""

    @operation(namespace, role=VIEWER, answer=ProjectAnswer, errors=(404,))
    def get(self, name: str) -> ProjectAnswer:
        """Show a project."""
        _known(name)
        return _one(name)


@namespace.route("/<string:name>/pause")
class Pause(Resource):
    """A project without new tries."""

    @operation(namespace, role=OPERATOR, answer=ProjectAnswer, errors=(404,))
    def post(self, name: str) -> ProjectAnswer:
        """Pause a project: it gets no new tries, also none of calls that are under way.

        Tries that are out end as they would. Calls go to their other targets; those that have none are refused with
        503 NO_TARGET. What belongs to the project (files, caches, batches) is out of reach meanwhile.
        """
        _known(name)
        with context.changing() as change:
            now = context.now()
            if stored_routes.pause(change.conn, name, now):
                change.audit("pause", "project", name, {"paused_at": 0}, {"paused_at": now})
        return _one(name)


@namespace.route("/<string:name>/resume")
class Resume(Resource):
    """A project that is used again."""

    @operation(namespace, role=OPERATOR, answer=ProjectAnswer, errors=(404,))
    def post(self, name: str) -> ProjectAnswer:
        """Let a paused project be used again.

        Also one that is configured no more: its pause would hold as soon as it came back.
        """
        if not _configured(name):
            return _forget(name)
        with context.changing() as change:
            before = stored_routes.paused(change.conn).get(name, 0)
            if stored_routes.resume(change.conn, name):
                change.audit("resume", "project", name, {"paused_at": before}, {"paused_at": 0})
        return _one(name)


@contextlib.contextmanager
def _looked() -> Iterator[tuple[Outlook, dict[str, int]]]:
    with standing.looking() as (outlook, conn):
        yield outlook, stored_routes.paused(conn)


def _known(name: str) -> None:
    """Raise Problem 404 for a project that is not configured."""
    if not _configured(name):
        raise _missing(name)


def _configured(name: str) -> bool:
    return any(project.name == name for project in standing.configuration().projects)


def _missing(name: str) -> Problem:
    return named.missing("project", name, [project.name for project in standing.configuration().projects])


def _forget(name: str) -> ProjectAnswer:
    """Lift the pause of a project that is configured no more. Raises Problem 404 where there is none."""
    with context.changing() as change:
        before = stored_routes.paused(change.conn).get(name, 0)
        if not stored_routes.resume(change.conn, name):
            raise _missing(name)
        change.audit("resume", "project", name, {"paused_at": before}, {"paused_at": 0})
    return ProjectAnswer(
        name=name,
        tier="",
        billing_account="",
        spend_nano=None,
        free=False,
        state="no key",
        until=0,
        paused_at=0,
        keys=[],
        limits=[],
        breakers=[],
    )


def _one(name: str) -> ProjectAnswer:
    with _looked() as (outlook, paused):
        found = {project.name: project for project in outlook.configured.projects}
        if name not in found:
            raise named.missing("project", name, list(found))
        return _answer(found[name], outlook, paused)


def _answer(project: Project, outlook: Outlook, paused: dict[str, int]) -> ProjectAnswer:
    states = outlook.health.states(outlook.now)
    own = [state for state in states if _of(state) == project.name]
    keys = _keys(project, own)
    barred = [state.until for state in own if state.scope == "project" and state.until > outlook.now]
    if keys and all(key.until for key in keys):
        barred.append(min(key.until for key in keys))
    paused_at = paused.get(project.name, 0)
    state: ProjectState = "ready"
    if paused_at:
        state = "paused"
    elif not keys:
        state = "no key"
    elif barred:
        state = "resting"
    snapshot = outlook.snapshot
    return ProjectAnswer(
        name=project.name,
        tier=project.tier,
        billing_account=project.billing_account,
        spend_nano=int(project.spend * NANO) if project.spend is not None else _usual(project, outlook),
        free=snapshot.free(project.name),
        state=state,
        until=max(barred, default=0),
        paused_at=paused_at,
        keys=keys,
        limits=_limits(project, outlook),
        breakers=own,
    )


def _usual(project: Project, outlook: Outlook) -> int | None:
    return outlook.snapshot.spend(project.billing_account or project.name)


def _of(state: State) -> str:
    """The project that a breaker is about, empty for one of a model or of the way to Google."""
    if state.scope == "project":
        return state.name
    if state.scope == "key":
        return state.name.rpartition("/")[0]
    return state.name.rpartition("@")[2] if state.scope == "target" else ""


def _keys(project: Project, own: list[State]) -> list[ProjectKey]:
    secret = installation_secret(context.settings().data)
    resting = {state.name: state for state in own if state.scope == "key"}
    found = []
    for place, key in enumerate(project.keys):
        name = f"{project.name}/{place + 1}"
        state = resting.get(name)
        found.append(
            ProjectKey(
                name=name,
                fingerprint=fingerprint.credential(secret, key.reveal()),
                until=state.until if state is not None and state.until > context.now() else 0,
                reason=state.reason if state is not None else "",
                message=state.message if state is not None else "",
            )
        )
    return found


def _limits(project: Project, outlook: Outlook) -> list[ProjectLimits]:
    """The limits in force that somebody set: the file's, then the stored ones."""
    in_force = outlook.snapshot.projects[project.name].limits
    of_file = len(project.limits)
    return [
        ProjectLimits(
            model=model,
            source="file" if place < of_file else "stored",
            rpm=limits.rpm,
            tpm=limits.tpm,
            rpd=limits.rpd,
            tpd=limits.tpd,
        )
        for place, (model, limits) in enumerate(in_force)
    ]
