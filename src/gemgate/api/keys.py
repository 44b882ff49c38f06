"""Virtual keys: who may use the gateway, for what, and how much."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from flask_restx import Namespace, Resource
from msgspec import UNSET, Meta, UnsetType

from gemgate.api import context, named
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import ADMIN
from gemgate.core import access, words
from gemgate.core.access import RIGHTS, Key, Token
from gemgate.core.catalog import Catalog
from gemgate.core.purse import LONGEST
from gemgate.store import keys, keyviews, stored_routes
from gemgate.store.connection import Connection
from gemgate.store.key_spending import Spent, spent
from gemgate.store.keyviews import KeyView

namespace = Namespace(
    "keys",
    description="Virtual keys: who may use the gateway, for what, and how much. A gateway that runs notices a change "
    "within a second. As soon as one key exists, every client needs one.",
)

State = Literal["in force", "disabled", "stopped", "expired"]
Right = Literal["shared", "credentials", "webhooks", "permissions", "unknown"]
assert set(Right.__args__) == set(RIGHTS)  # type: ignore[attr-defined]

Name = Annotated[
    str, Meta(max_length=64, examples=["shop"], description="ASCII without blanks, commas, quotes, slashes.")
]
Owner = Annotated[str, Meta(max_length=64, description="The person or team it belongs to; empty for nobody.")]
Tags = Annotated[list[str], Meta(max_length=words.MOST_TAGS, description="Put on its calls.")]
Routes = Annotated[
    list[str],
    Meta(
        max_length=200,
        examples=[["gemini-3.8-*"]],
        description="Only these models or routes; * and ? stand for any letters. Empty: all.",
    ),
]
Networks = Annotated[
    list[str],
    Meta(max_length=200, description="Only from these addresses, like 10.0.0.0/8. Empty: anywhere."),
]
Rights = Annotated[list[Right], Meta(max_length=5, description="What else it may do; docs/keys.md has them.")]
_Number = Annotated[int, Meta(ge=0, le=words.MOST_AMOUNT)]
Rpm = Annotated[_Number | None, Meta(description="Most calls a minute; null: no limit, 0: none at all.")]
Tpm = Annotated[_Number | None, Meta(description="Most tokens a minute, input and output; null: no limit.")]
Concurrency = Annotated[_Number | None, Meta(description="Most calls at once; null: no limit.")]
Expires = Annotated[
    int, Meta(ge=0, le=words.MOST_AMOUNT, description="When it ends, UTC µs; 0: never. Not in the past.")
]

_HELD: Final = "Choose another name, or change or rotate the one there is."


class KeyQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which keys."""

    state: Annotated[State | None, Meta(description="Only keys in this state.")] = None
    owner: Annotated[str, Meta(description="Only those of this owner.")] = ""
    limit: named.Limit = 50
    cursor: named.Cursor = ""


class KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A key to be made."""

    name: Name
    owner: Owner = ""
    tags: Tags = []
    routes: Routes = []
    networks: Networks = []
    rights: Rights = []
    rpm: Rpm = None
    tpm: Tpm = None
    concurrency: Concurrency = None
    expires_at: Expires = 0


class KeyChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a key. What is given replaces what was; an empty list or null takes it away."""

    owner: Owner | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    routes: Routes | UnsetType = UNSET
    networks: Networks | UnsetType = UNSET
    rights: Rights | UnsetType = UNSET
    rpm: Rpm | UnsetType = UNSET
    tpm: Tpm | UnsetType = UNSET
    concurrency: Concurrency | UnsetType = UNSET
    expires_at: Expires | UnsetType = UNSET


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """How to replace a key's secret."""

    grace: Annotated[
        Annotated[float, Meta(ge=0, le=LONGEST)] | None,
        Meta(description="Seconds for which the old secrets still work; null: the setting access.grace."),
    ] = None


class KeyAnswer(KeyView, frozen=True, kw_only=True):
    """A key. Times are UTC µs, 0 for never; a limit of null is none.

    ``spent_day_nano`` and ``spent_month_nano`` are what its calls of this day and month (UTC) were billed, where the
    price is known; null while too much of the record is not summed up. ``notes`` say what looks odd.
    """

    spent_day_nano: int | None
    spent_month_nano: int | None
    notes: tuple[str, ...] = ()


class KeySecret(KeyAnswer, frozen=True, kw_only=True):
    """A key with its new secret, which is shown this once: the record has its hash alone."""

    secret: str


class KeyList(msgspec.Struct):
    """A page of keys, in the order in which they were made."""

    items: list[KeyAnswer]
    next: str | None


@namespace.route("")
class Keys(Resource):
    """All keys."""

    @operation(namespace, role=ADMIN, query=KeyQuery, answer=KeyList)
    def get(self, query: KeyQuery) -> KeyList:
        """List the keys.

        With their limits and rights, their secrets by first and last letters, and what they have spent.
        """
        now = context.now()
        with context.reading() as conn:
            every = _answers(keyviews.views(*keys.every(conn), now), spent(conn, now))
        found = [one for one in every if query.state in (None, one.state) and query.owner in ("", one.owner)]
        return KeyList(
            *named.page(found, lambda one: one.name, query.limit, query.cursor, (query.state, query.owner))
        )

    @operation(namespace, role=ADMIN, body=KeyBody, answer=KeySecret, status=201, errors=(409,))
    def post(self, body: KeyBody) -> KeySecret:
        """Make a key.

        The answer shows its secret: once. Clients send it as `x-goog-api-key`, as `Authorization: Bearer` or as
        `?key=`; where they bring a Google key of their own, as `x-gemgate-key`.
        """
        now, secret = context.now(), access.mint(os.urandom(access.CHANCE))
        fields = _fields(msgspec.structs.asdict(body), now)
        key = Key(id=0, created_at=now, **fields)
        token = Token(digest=access.digest(secret), key=0, hint=access.hint(secret))
        with context.changing() as change:
            first = not keys.every(change.conn)[1]
            try:
                keys.create(change.conn, key, token)
            except keys.Exists:
                detail = f"A key is named {key.name} already."
                raise Problem(409, "KEY_EXISTS", detail, _HELD) from None
            view = _view(change.conn, key.name, now)
            change.audit("create", "key", key.name, None, msgspec.to_builtins(view))
        notes = _notes(key.routes)
        made = _answers([view], {})[0]
        if first:
            notes.append("It is the first key: from now on the gateway asks every client for one.")
        return KeySecret(**msgspec.structs.asdict(made) | {"notes": tuple(notes)}, secret=secret)


@namespace.route("/<path:name>")
class OneKey(Resource):
    """One key."""

    @operation(namespace, role=ADMIN, answer=KeyAnswer)
    def get(self, name: str) -> KeyAnswer:
        """Show one key."""
        now = context.now()
        with context.reading() as conn:
            return _answers([_view(conn, name, now)], spent(conn, now, name))[0]

    @operation(namespace, role=ADMIN, body=KeyChange, answer=KeyAnswer)
    def patch(self, name: str, body: KeyChange) -> KeyAnswer:
        """Change what a key is or may do.

        What is given replaces what was; an empty list or null takes it away. A key keeps its name.
        """
        given = {field: value for field, value in msgspec.structs.asdict(body).items() if value is not UNSET}
        if not given:
            raise named.wrong({"": f"Say what to change: {', '.join(KeyChange.__struct_fields__)}."})
        return _changed("change", name, _fields(given, context.now()))


@namespace.route("/<path:name>/rotate")
class Rotate(Resource):
    """A key's secret."""

    @operation(namespace, role=ADMIN, body=Rotation, answer=KeySecret)
    def post(self, name: str, body: Rotation) -> KeySecret:
        """Give a key a new secret.

        The answer shows it: once. The old one goes on for a time of grace; 0 ends it at once.
        """
        now, secret = context.now(), access.mint(os.urandom(access.CHANCE))
        grace = context.settings().access.grace if body.grace is None else body.grace
        paid = _spent(name, now)
        with context.changing() as change:
            before = _view(change.conn, name, now)
            key = keys.find(change.conn, name)
            assert key is not None
            token = Token(digest=access.digest(secret), key=key.id, hint=access.hint(secret))
            keys.add_token(change.conn, key.id, token, now, now + int(grace * 1e6))
            view = _view(change.conn, name, now)
            change.audit("rotate", "key", name, msgspec.to_builtins(before), msgspec.to_builtins(view))
        made = _answers([view], paid)[0]
        return KeySecret(**msgspec.structs.asdict(made), secret=secret)


@namespace.route("/<path:name>/disable")
class Disable(Resource):
    """A key, switched off."""

    @operation(namespace, role=ADMIN, answer=KeyAnswer)
    def post(self, name: str) -> KeyAnswer:
        """Switch a key off.

        Calls under way go on; new ones are refused.
        """
        return _changed("disable", name, {"disabled_at": context.now()})


@namespace.route("/<path:name>/enable")
class Enable(Resource):
    """A key, switched on."""

    @operation(namespace, role=ADMIN, answer=KeyAnswer)
    def post(self, name: str) -> KeyAnswer:
        """Switch a key on again.

        One that was disabled, or stopped for running away. An expired one needs another end, too.
        """
        return _changed("enable", name, {"disabled_at": 0, "stopped_at": 0, "stopped_why": ""})


def _fields(given: dict[str, Any], now: int) -> dict[str, Any]:
    """The fields of a key that these values mean. Raises Problem 400 with each field at fault."""
    found, errors = dict(given), dict[str, str]()
    if "name" in given:
        with named.field("name", errors):
            found["name"] = words.name(given["name"])
    if given.get("owner"):
        with named.field("owner", errors):
            found["owner"] = words.label(given["owner"])
    readers = {
        "tags": lambda text: words.label(text, lower=True),
        "routes": words.pattern,
        "networks": words.network,
    }
    for name, read in readers.items():
        if name in given:
            found[name] = ()
            for text in given[name]:
                with named.field(name, errors):
                    found[name] += (read(text),)
            found[name] = tuple(dict.fromkeys(found[name]))
    if "rights" in given:
        found["rights"] = frozenset(given["rights"])
    if 0 < given.get("expires_at", 0) <= now:
        errors["expires_at"] = "It is past; write a moment to come in UTC µs, or 0 for never."
    if errors:
        raise named.wrong(errors)
    return found


def _changed(action: str, name: str, fields: dict[str, Any]) -> KeyAnswer:
    """Write these fields of a key. Raises Problem 404."""
    now = context.now()
    paid = _spent(name, now)
    with context.changing() as change:
        before = _view(change.conn, name, now)
        keys.change(change.conn, name, **fields)
        view = _view(change.conn, name, now)
        change.audit(action, "key", name, msgspec.to_builtins(before), msgspec.to_builtins(view))
    made, notes = _answers([view], paid)[0], _notes(fields.get("routes", ()))
    if view.state == "expired":
        notes.append("The key has expired: give it another `expires_at`.")
    return msgspec.structs.replace(made, notes=tuple(notes))


def _view(conn: Connection, name: str, now: int) -> KeyView:
    """The key of that name. Raises Problem 404."""
    view = keyviews.view(conn, name, now)
    if view is None:
        raise named.missing("key", name, [key.name for key in keys.every(conn)[0]])
    return view


def _spent(name: str, now: int) -> dict[str, Spent] | None:
    """What a key has spent. Asked before a change, whose answer must not fail for it afterwards."""
    with context.reading() as conn:
        return spent(conn, now, name)


def _answers(found: Iterable[KeyView], paid: Mapping[str, Spent] | None) -> list[KeyAnswer]:
    """Keys with what they have spent."""
    sums = ((one, None if paid is None else paid.get(one.name, Spent())) for one in found)
    return [
        KeyAnswer(
            **msgspec.structs.asdict(one),
            spent_day_nano=None if sum_ is None else sum_.day,
            spent_month_nano=None if sum_ is None else sum_.month,
        )
        for one, sum_ in sums
    ]


def _notes(patterns: Sequence[str]) -> list[str]:
    """What looks odd about a key's patterns."""
    if not patterns:
        return []
    known = [route.name for route in context.settings().routes]
    known += [name for card in Catalog.load().cards for name in (card.id, *card.aliases)]
    with context.reading() as conn:
        known += [one.name for one in stored_routes.every(conn)]
    return access.strangers(patterns, known)
