"""Ephemeral tokens: a key of short life for browsers that open a live connection."""

from __future__ import annotations

from typing import Any

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.naming import camel_fields, refuse_unknown
from gemini_simulator.resources.times import parse_timestamp, timestamp

LIFE_SECONDS = 30 * 60.0
LONGEST_SECONDS = 20 * 3600.0
NEW_SESSION_SECONDS = 60.0
FIELDS = {"name", "uses", "expireTime", "newSessionExpireTime", "bidiGenerateContentSetup", "fieldMask"}


def _moment(body: dict[str, Any], name: str, now: float, default: float) -> float:
    moment = parse_timestamp(body[name], f"auth_token.{name}") if name in body else now + default
    if not now < moment <= now + LONGEST_SECONDS:
        raise ApiError(400, f"{name} must be in the future, and at most 20 hours away.")
    return moment


async def create(request: Request) -> Reply:
    """auth_tokens.create: the name of the token is the credential.

    Raises ApiError 400 for a life over 20 hours.
    """
    body = camel_fields(await request.json())
    refuse_unknown(body, FIELDS)
    uses = body.get("uses", 1)
    if not isinstance(uses, int) or uses < 0:
        raise ApiError(400, f"Invalid value at 'auth_token.uses' (TYPE_INT32), {uses!r}")
    now = request.world.clock.now()
    expires = _moment(body, "expireTime", now, LIFE_SECONDS)
    opens = min(_moment(body, "newSessionExpireTime", now, NEW_SESSION_SECONDS), expires)
    seal = request.world.sign(request.world.new_id("token:")).hex()
    token: dict[str, Any] = {
        "name": f"auth_tokens/{seal}",
        "uses": uses,
        "expireTime": timestamp(expires),
        "newSessionExpireTime": timestamp(opens),
    }
    request.world.add_key(token["name"], request.project)
    # What a live connection has to honour: its setup, and how often and how long the token opens one.
    request.project.blobs[token["name"]] = {
        "setup": body.get("bidiGenerateContentSetup"),
        "uses": uses,
        "expires": expires,
        "opens": opens,
    }
    return Reply(token)


HANDLERS: dict[str, Handler] = {"auth_tokens.create": create}
