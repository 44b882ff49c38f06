"""Models: what is known of each, what it costs now, where it can be reached, and what it was used for lately."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import named, standing
from gemgate.api.operation import operation
from gemgate.api.roles import VIEWER
from gemgate.core import dated
from gemgate.core.catalog import Card
from gemgate.core.pricing import Rates
from gemgate.core.quota import Bucket
from gemgate.core.routing import Target
from gemgate.core.windows import WINDOWS
from gemgate.gateway.outlook import Outlook
from gemgate.insight.facts import INDEX, Facts
from gemgate.insight.plan import TooMuch
from gemgate.store.connection import Connection
from gemgate.store.reports.facts import Query, collect

namespace = Namespace(
    "models",
    description="Models: limits, capabilities, lifecycle and prices as gemgate knows them, and how each stands now.",
)

Status = Literal["stable", "preview", "deprecated", "routed", "shut_down", "unknown"]
_WEEK: Final = 7 * 86_400 * 1_000_000
_USED: Final = (
    *("calls", "ok", "tries", "tries_failed", "input", "cached", "output", "thoughts"),
    *("list_nano", "billed_nano", "unpriced"),
)


class ModelPrice(msgspec.Struct, kw_only=True):
    """A price in force now: nano-dollars for a million tokens, by kind. `long` counts beyond 200,000 prompt tokens.

    `from` and `until` are days in California, null for open. `id` is the row's name in the price book.
    """

    id: str
    tier: str
    rates: Rates
    long: Rates | None
    since: str | None = msgspec.field(name="from")
    until: str | None


class ModelReach(msgspec.Struct, kw_only=True):
    """How a model stands on a project. `at`: seconds until a call may be tried there, 0 for now, null for never.

    `bar` is what bars it now, empty for nothing. Limits: requests and input tokens a minute and a day, null where not
    known; `usual` names those that are only the usual ones of the tier.
    """

    project: str
    reachable: bool
    at: float | None
    bar: str
    rpm: int | None
    tpm: int | None
    rpd: int | None
    tpd: int | None
    usual: list[str]


class ModelFallback(msgspec.Struct, kw_only=True):
    """A model that stands in for another one, and why."""

    model: str
    why: str


class ModelUsage(msgspec.Struct, kw_only=True):
    """What a model did in the last seven days: calls by their final target, tries, tokens and money by each try's.

    Money is nano-dollars where the price is known; `unpriced` counts the tries whose is not.
    """

    calls: int
    ok: int
    tries: int
    tries_failed: int
    input: int
    cached: int
    output: int
    thoughts: int
    list_nano: int
    billed_nano: int
    unpriced: int


class ModelAnswer(msgspec.Struct, kw_only=True):
    """A model. Days are YYYY-MM-DD in California, empty where not known; `context` and `output` are tokens.

    `known`: it is in the catalog that comes with gemgate; others were used and may well exist. `shutdown` is the day
    on which Google ends it. `served_by` answers in its place since `served_since`. `family` is what Google counts
    together. `routes` are configured or stored routes of the same name, which take the place of its own way;
    `fallbacks` is that way. `usage` is null while too much of the record is not summed up.
    """

    id: str
    known: bool
    aliases: list[str]
    family: str
    kind: str
    size: str
    status: Status
    released: str
    shutdown: str
    served_by: str
    served_since: str
    context: int | None
    output: int | None
    thinking_levels: list[str]
    thinking_budget: bool
    always_thinks: bool
    penalties: bool
    methods: list[str]
    prices: list[ModelPrice]
    fallbacks: list[ModelFallback]
    routes: int
    projects: list[ModelReach]
    usage: ModelUsage | None


class ModelList(msgspec.Struct, kw_only=True):
    """Models. `as_of` is the day of the catalog; `now` UTC µs."""

    items: list[ModelAnswer]
    next: str | None
    as_of: str
    now: int


class ModelQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which models."""

    kind: Annotated[str, Meta(max_length=40, examples=["text"], description="text, embedding, image, …")] = ""
    status: Annotated[Status | None, Meta(description="Only those of this state.")] = None
    text: Annotated[str, Meta(max_length=120, description="Only those whose name or alias has this.")] = ""
    used: Annotated[bool, Meta(description="Only those that were used in the last seven days.")] = False
    limit: named.Limit = 50
    cursor: named.Cursor = ""


@namespace.route("")
class Models(Resource):
    """All models."""

    @operation(namespace, role=VIEWER, query=ModelQuery, answer=ModelList)
    def get(self, query: ModelQuery) -> ModelList:
        """List models: what they can, cost and did, until when, and which project reaches them."""
        with standing.looking() as (outlook, conn):
            used = _used(conn, outlook.now)
        found = [card for card in _cards(outlook, used) if _wanted(card, query, used)]
        question = ("models", query.kind, query.status, query.text, query.used)
        cards, more = named.page(found, lambda card: card.id, query.limit, query.cursor, question)
        return ModelList(
            items=[_answer(card, outlook, used) for card in cards],
            next=more,
            as_of=outlook.snapshot.catalog.as_of,
            now=outlook.now,
        )


@namespace.route("/<path:name>")
class OneModel(Resource):
    """One model."""

    @operation(namespace, role=VIEWER, answer=ModelAnswer, errors=(404,))
    def get(self, name: str) -> ModelAnswer:
        """Show a model, by any of its names."""
        with standing.looking() as (outlook, conn):
            used = _used(conn, outlook.now)
        cards = {card.id: card for card in _cards(outlook, used)}
        card = outlook.snapshot.catalog.card(name) or cards.get(name.removeprefix("models/"))
        if card is None:
            raise named.missing("model", name, list(cards))
        return _answer(card, outlook, used)


def _used(conn: Connection, now: int) -> dict[str, Facts] | None:
    """What each model did in the last seven days; None where too much would have to be read."""
    try:
        found = collect(
            conn, Query(start=now - _WEEK, until=now + 1, now=now, dimensions=("model",), facts=_USED)
        )
    except TooMuch:
        return None
    return {names[0]: facts for (_, names), facts in found.facts.items() if names[0]}


def _cards(outlook: Outlook, used: dict[str, Facts] | None) -> list[Card]:
    """The catalog's models, then those that were used and are not in it."""
    catalog = outlook.snapshot.catalog
    strange = sorted(name for name in used or () if catalog.card(name) is None)
    return [*catalog.cards, *(Card(id=name, family=catalog.family(name)) for name in strange)]


def _wanted(card: Card, query: ModelQuery, used: dict[str, Facts] | None) -> bool:
    names = (card.id, *card.aliases)
    return (
        query.kind in ("", card.kind)
        and query.status in (None, card.status)
        and any(query.text.lower() in name.lower() for name in names)
        and (not query.used or any(name in (used or {}) for name in names))
    )


def _answer(card: Card, outlook: Outlook, used: dict[str, Facts] | None) -> ModelAnswer:
    snapshot = outlook.snapshot
    names = (card.id, *card.aliases)
    return ModelAnswer(
        id=card.id,
        known=snapshot.catalog.card(card.id) is not None,
        aliases=list(card.aliases),
        family=snapshot.catalog.family(card.id),
        kind=card.kind,
        size=card.size,
        status=card.status,
        released=card.released,
        shutdown=card.shutdown,
        served_by=card.served.by if card.served is not None else "",
        served_since=card.served.since if card.served is not None else "",
        context=card.context,
        output=card.output,
        thinking_levels=list(card.levels),
        thinking_budget=card.budget,
        always_thinks=card.always_thinks,
        penalties=card.penalties,
        methods=list(card.methods),
        prices=_prices(card, outlook),
        fallbacks=[ModelFallback(model=model, why=why) for model, why in snapshot.catalog.chain(card.id)],
        routes=sum(route.name in names for route in snapshot.settings.routes),
        projects=[_reach(card, project, outlook) for project in snapshot.names],
        usage=_usage([used[name] for name in names if name in used]) if used is not None else None,
    )


def _prices(card: Card, outlook: Outlook) -> list[ModelPrice]:
    """The rows of every tier that are in force now."""
    book, now = outlook.snapshot.book, outlook.now
    name = book.resolve(card.id)
    found = []
    for row in book.in_force(now):
        if row.model == name:
            since, until = dated.iso_days(row)
            found.append(
                ModelPrice(id=row.id, tier=row.tier, rates=row.rates, long=row.long, since=since, until=until)
            )
    return found


def _reach(card: Card, project: str, outlook: Outlook) -> ModelReach:
    stand = outlook.standing(Target(card.id, project), 0)
    limits = outlook.snapshot.limits(Bucket(project, outlook.snapshot.catalog.family(card.id)))
    known = outlook.snapshot.projects.get(project)
    keyless = known is not None and not known.keys
    return ModelReach(
        project=project,
        reachable=stand.at <= 0 and card.status != "shut_down" and not keyless,
        at=None if stand.at == float("inf") else stand.at,
        bar="no key" if keyless else stand.why,
        **{name: limits.of(name) for name in WINDOWS},
        usual=list(limits.tier),
    )


def _usage(found: list[Facts]) -> ModelUsage:
    return ModelUsage(**{name: sum(facts[INDEX[name]] for facts in found) for name in _USED})
