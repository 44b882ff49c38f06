"""Stored bodies of calls, and the rules by which they are stored."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from flask import Response
from flask_restx import Namespace, Resource
from msgspec import Meta

from gemgate.api import context
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.roles import Role
from gemgate.core import redaction
from gemgate.core.call import unspell
from gemgate.core.redaction import Rules
from gemgate.store import keys, payloads
from gemgate.store.payloads import MOST_BYTES, SIDES, Rule, Stored

namespace = Namespace(
    "payloads", description="Bodies of calls that rules ask to keep. By default none are kept."
)

_ID: Final = re.compile(r"[0-9a-f]{32}")
_MOST_NAME: Final = 200  # signs of a route or model that a rule is for
_CENTURY: Final = 100 * 365 * 86_400


class RuleBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is kept of the bodies of one key's or route's calls."""

    redact: Annotated[
        Rules, Meta(description="What is taken out, beside credentials, before a body is stored.")
    ] = Rules()
    max_bytes: Annotated[
        int, Meta(ge=1, le=MOST_BYTES, description="Bytes of a body that are kept; a longer one is cut.")
    ] = 2**20
    keep_seconds: Annotated[
        int,
        Meta(
            ge=0, le=_CENTURY, description="Seconds that a body is kept; 0, and never longer: as configured."
        ),
    ] = 0


class RuleList(msgspec.Struct, kw_only=True):
    """All rules, and the bytes that all stored bodies take on disk."""

    items: list[Rule]
    stored_bytes: int


class StoredList(msgspec.Struct, kw_only=True):
    """What is stored of a call."""

    call_id: str
    items: list[Stored]


@namespace.route("/rules")
class RulesList(Resource):
    """All rules."""

    @operation(namespace, role=Role.ADMIN, answer=RuleList)
    def get(self) -> RuleList:
        """List the rules by which bodies are kept.

        A call's rule is that of its virtual key, else that of its route, else that of the model it asked for.
        """
        with context.reading() as conn:
            return RuleList(items=payloads.rules(conn), stored_bytes=payloads.taken(conn))


@namespace.route("/rules/<string:scope>/<path:of>")
class OneRule(Resource):
    """The rule of one key or route."""

    @operation(namespace, role=Role.ADMIN, body=RuleBody, answer=Rule, errors=(404,))
    def put(self, body: RuleBody, scope: str, of: str) -> Rule:
        """Keep the bodies of a key's or route's calls, or change what is kept.

        `scope` is `key` or `route`; `of` the key's name, or the name of a route or of a model that clients ask for.
        In force within a second. Bodies are stored beside the calls: a crash, or more bodies than there is room for,
        loses bodies, never the record of a call.
        """
        if faults := redaction.faults(body.redact):
            said = {f"redact.{field}": sentence for field, sentence in faults.items()}
            raise Problem(400, "BAD_BODY", "A rule of redaction cannot be meant.", errors=said)
        if not _nameable(of):
            sentence = (
                f"A name has at most {_MOST_NAME} printable signs; no part of it between slashes is . or .."
            )
            raise Problem(400, "BAD_BODY", "No rule can be of this name.", errors={"of": sentence})
        with context.changing() as change:
            _require(scope)
            if scope == "key" and keys.find(change.conn, of) is None:
                raise Problem(404, "KEY_NOT_FOUND", "There is no key of this name.")
            before = payloads.rule(change.conn, scope, of)
            rule = Rule(
                scope=scope,
                of=of,
                redact=body.redact,
                max_bytes=body.max_bytes,
                keep_seconds=body.keep_seconds,
                created_at=before.created_at if before is not None else context.now(),
            )
            payloads.put_rule(change.conn, rule)
            action = "create" if before is None else "change"
            change.audit(action, "payload_rule", f"{scope}/{of}", _plain(before), _plain(rule))
        return rule

    @operation(namespace, role=Role.ADMIN, answer=Rule, errors=(404,))
    def delete(self, scope: str, of: str) -> Rule:
        """Keep no more bodies of a key's or route's calls.

        What is stored stays until its time is over.
        """
        with context.changing() as change:
            _require(scope)
            before = payloads.rule(change.conn, scope, of)
            if before is None:
                raise Problem(404, "RULE_NOT_FOUND", "There is no such rule.")
            payloads.drop_rule(change.conn, scope, of)
            change.audit("delete", "payload_rule", f"{scope}/{of}", _plain(before))
        return before


@namespace.route("/<string:call_id>")
class OfCall(Resource):
    """The bodies of one call."""

    @operation(namespace, role=Role.VIEWER, payloads=True, answer=StoredList, errors=(404,))
    def get(self, call_id: str) -> StoredList:
        """List what is stored of a call.

        Needs a token that may read bodies. `size` and `sha256` are those of the stored body, `redacted` counts what
        was taken out of it; `whole` is false for one that was cut.
        """
        number = _call(call_id)
        with context.reading() as conn:
            items = payloads.of_call(conn, number)
        if not items:
            raise _nothing()
        return StoredList(call_id=call_id, items=items)


@namespace.route("/<string:call_id>/<string:side>")
class OneBody(Resource):
    """One body."""

    @operation(namespace, role=Role.VIEWER, payloads=True, errors=(404,), media="application/octet-stream")
    def get(self, call_id: str, side: str) -> Response:
        """Download a stored body.

        `side` is `request` or `response`. Needs a token that may read bodies; each reading is put into the audit.
        """
        number = _call(call_id)
        if side not in SIDES:
            raise Problem(404, "SIDE_NOT_FOUND", "A call has the sides request and response.")
        with context.reading() as conn:
            body = payloads.body(conn, number, SIDES.index(side))
        if body is None:
            raise _nothing()
        with context.changing() as change:
            change.audit("read", "payload", f"{call_id}/{side}")
        name = f"{number.hex()}-{side}{_ending(body)}"
        answer = Response(body, 200, content_type="application/octet-stream")
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


def _nameable(name: str) -> bool:
    """Whether a key, route or model may have this name, and it can be asked for in a path again."""
    return (
        0 < len(name) <= _MOST_NAME
        and name.isprintable()
        and "\ufffd" not in name
        and not {"", ".", ".."} & set(name.split("/"))
    )


def _require(scope: str) -> None:
    if scope not in ("key", "route"):
        raise Problem(404, "SCOPE_NOT_FOUND", "A rule is of a key or of a route.")


def _call(text: str) -> bytes:
    """The call's id. Raises Problem 404."""
    if not _ID.fullmatch(text.replace("-", "").lower()):
        raise _nothing()
    return unspell(text)


def _nothing() -> Problem:
    hint = "Bodies are kept of calls for which a rule asks, from then on, and only for a time."
    return Problem(404, "PAYLOAD_NOT_FOUND", "No body of such a call is stored.", hint)


def _ending(body: bytes) -> str:
    """The ending of a file with this body: it is text, whatever it says of itself."""
    start = body[:256].lstrip()
    return ".json" if start[:1] in (b"{", b"[") else ".txt"


def _plain(rule: Rule | None) -> object:
    return None if rule is None else msgspec.to_builtins(rule)
