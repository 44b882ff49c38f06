"""Budgets: how much money, or how many tokens, may be spent by whom in which time."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, Final, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import UNSET, Meta, UnsetType

from gemgate.api import context, named
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import ADMIN
from gemgate.core import words
from gemgate.core.budget import BadBudget, Budget, check
from gemgate.core.periods import ROLLING
from gemgate.core.purse import LONGEST, SHORTEST
from gemgate.store import budgets, standings
from gemgate.store.connection import Connection, reader
from gemgate.store.standings import BudgetView

namespace = Namespace(
    "budgets",
    description="Budgets: money or tokens that a key, a tag, a route, a project or all may spend in a period. A "
    "spent budget refuses calls with 402 until its period ends. A gateway that runs notices changes within a second.",
)

Scope = Literal["all", "key", "tag", "route", "project"]
Unit = Literal["money", "tokens"]
Period = Literal["hour", "day", "week", "month", "rolling"]
Amount = Annotated[
    int,
    Meta(
        ge=1,
        le=words.MOST_AMOUNT,
        description="Nano-dollars (1,000,000,000 are a dollar) or tokens, by `unit`.",
    ),
]
Soft = Annotated[
    float, Meta(gt=0, le=1, description="From this share on answers carry x-gemgate-budget; 1: never.")
]
Unpriced = Annotated[bool, Meta(description="Whether calls without a known price may pass it.")]

_HELD: Final = "Choose another name, or change the one there is."


class BudgetQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which budgets."""

    removed: Annotated[bool, Meta(description="Also those that were removed.")] = False
    scope: Annotated[Scope | None, Meta(description="Only those of this: what the budget counts.")] = None
    limit: named.Limit = 50
    cursor: named.Cursor = ""


class BudgetBody(msgspec.Struct, forbid_unknown_fields=True):
    """A budget to be made."""

    name: Annotated[str, Meta(max_length=words.MOST_SIGNS, examples=["everything"])]
    scope: Scope
    unit: Unit
    amount: Amount
    period: Period
    of: Annotated[
        str,
        Meta(max_length=200, description="The key, tag, route or project, by its name; empty for `all`."),
    ] = ""
    seconds: Annotated[
        int, Meta(ge=0, le=LONGEST, description=f"Of a rolling period: its length, {SHORTEST} at least.")
    ] = 0
    zone: Annotated[str, Meta(max_length=64, description="Time zone of its periods, like Europe/Berlin.")] = (
        "UTC"
    )
    soft: Soft = 0.8
    unpriced: Unpriced = False


class BudgetChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a budget."""

    amount: Amount | UnsetType = UNSET
    soft: Soft | UnsetType = UNSET
    unpriced: Unpriced | UnsetType = UNSET


class BudgetList(msgspec.Struct):
    """A page of budgets, in the order in which they were made."""

    items: list[BudgetView]
    next: str | None


@namespace.route("")
class Budgets(Resource):
    """All budgets."""

    @operation(namespace, role=ADMIN, query=BudgetQuery, answer=BudgetList)
    def get(self, query: BudgetQuery) -> BudgetList:
        """List the budgets.

        With what is spent, held by calls under way, and left of each, and when each begins anew.
        """
        with context.reading() as conn:
            every = standings.views(conn, context.now())
        found = [
            one
            for one in every
            if (query.removed or not one.disabled_at) and query.scope in (None, one.scope)
        ]
        asked = (query.removed, query.scope)
        return BudgetList(*named.page(found, lambda one: one.name, query.limit, query.cursor, asked))

    @operation(namespace, role=ADMIN, body=BudgetBody, answer=BudgetView, status=201, errors=(409,))
    def post(self, body: BudgetBody) -> BudgetView:
        """Make a budget.

        What the record shows as spent in its period counts from the start.
        """
        now, wanted = context.now(), _wanted(body)
        with context.reading() as conn:
            known = standings.names(conn, context.settings(), wanted.scope)
            if known is not None and wanted.of not in known:
                raise named.wrong({"of": f"There is no {wanted.scope} of this name."})
        # Read beside the traffic in short statements, before the short write.
        with contextlib.closing(reader(context.settings().database)) as conn:
            seed = budgets.seed(conn, wanted, now)
        with context.changing() as change:
            try:
                budgets.create(change.conn, wanted, now, seed)
            except budgets.Exists:
                detail = f"A budget is named {wanted.name} already."
                raise Problem(409, "BUDGET_EXISTS", detail, _HELD) from None
            change.audit("create", "budget", wanted.name, None, _plain(wanted))
        with context.reading() as conn:
            return _view(conn, wanted.name, now)


@namespace.route("/<path:name>")
class OneBudget(Resource):
    """One budget."""

    @operation(namespace, role=ADMIN, answer=BudgetView)
    def get(self, name: str) -> BudgetView:
        """Show one budget."""
        with context.reading() as conn:
            return _view(conn, name, context.now())

    @operation(namespace, role=ADMIN, body=BudgetChange, answer=BudgetView, errors=(409,))
    def patch(self, name: str, body: BudgetChange) -> BudgetView:
        """Change how much a budget allows, its soft line, and whether unpriced calls pass.

        For another scope or period make another budget, and remove this one.
        """
        given = {field: value for field, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        if not given:
            raise named.wrong({"": f"Say what to change: {', '.join(BudgetChange.__struct_fields__)}."})
        return _changed("change", name, given)

    @operation(namespace, role=ADMIN, answer=BudgetView, errors=(409,))
    def delete(self, name: str) -> BudgetView:
        """Remove a budget.

        It holds back no call from now on. What was spent stays on record, and the name is free again.
        """
        return _changed("delete", name, {"disabled_at": context.now()})


def _wanted(body: BudgetBody) -> Budget:
    """The budget that a body means. Raises Problem 400 with each field at fault."""
    fields, errors = msgspec.structs.asdict(body), dict[str, str]()
    with named.field("name", errors):
        fields["name"] = words.name(body.name)
    with named.field("zone", errors):
        fields["zone"] = words.zone(body.zone)
    if body.scope == "tag" and body.of:
        with named.field("of", errors):
            fields["of"] = words.label(body.of, lower=True)
    if bool(body.of) == (body.scope == "all"):
        errors["of"] = "A budget of all has none; any other says of which it is."
    if body.period == ROLLING and body.seconds < SHORTEST:
        errors["seconds"] = f"A rolling period has {SHORTEST} seconds at least."
    if body.period != ROLLING and body.seconds:
        errors["seconds"] = "Only a rolling period has a length."
    if errors:
        raise named.wrong(errors)
    wanted = Budget(id=0, **fields)
    try:
        check(wanted)
    except BadBudget as fault:
        raise named.wrong({"": f"{fault}."}) from None
    return wanted


def _changed(action: str, name: str, fields: dict[str, Any]) -> BudgetView:
    """Write these fields of a budget. Raises Problem 404, 409 for one that was removed."""
    with context.changing() as change:
        before = budgets.find(change.conn, name)
        if before is None:
            raise _missing(change.conn, name)
        if before.disabled_at:
            detail = f"The budget {name} is removed."
            raise Problem(409, "BUDGET_REMOVED", detail, "Make another one; its name is free.")
        after = budgets.change(change.conn, name, **fields)
        change.audit(action, "budget", name, _plain(before), _plain(after))
    # How it stands takes longer to read than a write may hold the record.
    with context.reading() as conn:
        return _view(conn, name, context.now())


def _plain(budget: Budget) -> dict[str, Any]:
    """What the audit keeps of a budget."""
    return {name: value for name, value in msgspec.structs.asdict(budget).items() if name != "id"}


def _view(conn: Connection, name: str, now: int) -> BudgetView:
    """The budget of that name. Raises Problem 404."""
    view = standings.view(conn, name, now)
    if view is None:
        raise _missing(conn, name)
    return view


def _missing(conn: Connection, name: str) -> Problem:
    return named.missing("budget", name, [one.name for one in budgets.every(conn)])
