"""The sister resources of interactions: agents, credentials, environments, triggers, voices, webhooks.

They carry an ``id`` and snake_case fields. Each is a row here; what a row cannot say is a function below it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.collection import Collection, accept, add, find, handlers
from gemini_simulator.resources.naming import resource_name
from gemini_simulator.resources.times import timestamp, whole_seconds

VOICE_SECONDS = 30 * 24 * 3600.0
OLD_SECRET_SECONDS = 24 * 3600.0
EVENTS = frozenset(
    {
        "batch.succeeded", "batch.expired", "batch.failed", "interaction.requires_action",
        "interaction.completed", "interaction.failed", "video.generated",
    }
)  # fmt: skip
STATES = ("enabled", "disabled")
CREDENTIAL_SECRETS = {
    "bearer_token": ("token",),
    "oauth2": ("client_id", "client_secret", "refresh_token", "token_url"),
    "environment_variable": ("value", "injection_location"),
}
CREDENTIAL_TEXTS = (
    "token", "header_name", "prefix", "client_id", "client_secret", "refresh_token", "token_url", "value",
)  # fmt: skip
VOICE_TEXTS = (
    "accent", "context", "description", "display_name", "gender", "language_code", "model", "persona", "pitch",
    "region_code",
)  # fmt: skip
_TIMES = ("create_time", "update_time")


def _credential(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    """Only what Google shows again: a secret goes in and never comes out."""
    kind = item.get("type", "")
    for name in CREDENTIAL_SECRETS.get(kind, ()):
        if not item.get(name):
            raise ApiError(400, f"{name} is required for a credential of type {kind}.")
    if kind not in CREDENTIAL_SECRETS:
        raise ApiError(400, f"Unknown credential type: {kind!r}.")
    return {"id": item["id"], "type": kind, "status": "active"} | {name: item[name] for name in _TIMES}


def _environment(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    source = item.pop("from_environment", "")
    if source:
        item = {**find(request, ENVIRONMENTS, f"environments/{source}"), **item}
    now = whole_seconds(request.world.clock.now())
    return {**item, "created": now, "updated": now, "last_accessed": now, "status": "active"}


def _trigger(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    if len(str(item["schedule"]).split()) != 5:
        raise ApiError(400, f"Invalid cron expression: {item['schedule']!r}.")
    day = request.world.clock.now() // 86400 * 86400
    return {
        **item,
        "status": "active",
        "consecutive_failure_count": 0,
        "next_run_time": timestamp(day + 86400),
    }


def _voice(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type")
    if kind not in ("prompted", "replicated"):
        raise ApiError(400, f"A voice of type {kind!r} cannot be created.")
    if not isinstance(item.get(kind), dict):
        raise ApiError(400, f"{kind} is required for a voice of type {kind}.")
    sample = hashlib.sha256(f"{item['id']}:{item.get('display_name')}".encode()).digest() * 64
    item.pop("replicated", None)
    return {
        **item,
        "key": f"voice-{item['id']}",
        "expire_time": timestamp(request.world.clock.now() + VOICE_SECONDS),
        "sample_audio": {"mime_type": "audio/l16", "data": base64.b64encode(sample).decode()},
    }


def _webhook(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    strange = set(item["subscribed_events"]) - EVENTS
    if strange:
        raise ApiError(400, f"Unknown event: {sorted(strange)[0]!r}.")
    if not str(item["uri"]).startswith(("https://", "http://")):
        raise ApiError(400, f"Invalid webhook uri: {item['uri']!r}.")
    return {**item, "state": "enabled", "signing_secrets": []}


AGENTS = Collection(
    kind="agents",
    fields={
        "agent_config": dict,
        "base_agent": str,
        "base_environment": (str, dict),
        "description": str,
        "system_instruction": str,
        "tools": [{"type": str}],
    },
    family="id",
    id_prefix="agent-",
)
CREDENTIALS = Collection(
    kind="credentials",
    fields={
        "type": str,
        "injection_location": object,
        "scopes": [str],
        "trusted_domains": [str],
        **dict.fromkeys(CREDENTIAL_TEXTS, str),
    },
    changeable=frozenset({"injection_location", "scopes", "trusted_domains", *CREDENTIAL_TEXTS}),
    required=("type",),
    family="id",
    id_prefix="cred-",
    times=_TIMES,
    finish=_credential,
    show=lambda _, item: {name: item[name] for name in ("id", "type", "status", *_TIMES)},
)  # fmt: skip
ENVIRONMENTS = Collection(
    kind="environments",
    fields={"from_environment": str, "network": object, "sources": list},
    family="id",
    id_prefix="env-",
    finish=_environment,
)
TRIGGERS = Collection(
    kind="triggers",
    fields={
        "interaction": dict,
        "schedule": str,
        "time_zone": str,
        "display_name": str,
        "environment_id": str,
        "execution_timeout_seconds": int,
        "max_consecutive_failures": int,
        "status": str,
    },
    required=("interaction", "schedule", "time_zone"),
    changeable=frozenset({"display_name", "status"}),
    family="id",
    id_prefix="trigger-",
    times=_TIMES,
    finish=_trigger,
)  # fmt: skip
VOICES = Collection(
    kind="voices",
    fields={
        "type": str,
        "prompted": {"input": str, "base_voice": str},
        "replicated": dict,
        "sample_audio": dict,
        **dict.fromkeys(VOICE_TEXTS, str),
    },
    wrapper="voice",
    family="id",
    id_prefix="voice-",
    finish=_voice,
)  # fmt: skip
WEBHOOKS = Collection(
    kind="webhooks",
    fields={"subscribed_events": [str], "uri": str, "state": str},
    required=("uri", "subscribed_events"),
    changeable=frozenset({"name", "state", "subscribed_events", "uri"}),
    family="id",
    id_prefix="webhook-",
    times=_TIMES,
    finish=_webhook,
)


def _secret(request: Request, webhook: str) -> str:
    seed = request.world.sign(request.world.new_id(f"secret:{webhook}:"))
    return "whsec_" + base64.b64encode(seed[:24]).decode()


async def create_webhook(request: Request) -> Reply:
    """webhooks.create: the signing secret is shown this one time."""
    item = add(request, WEBHOOKS, "webhooks", accept(WEBHOOKS, await request.json()))
    secret = _secret(request, item["id"])
    item["signing_secrets"] = [{"truncated_secret": secret[:10] + "..."}]
    return Reply({**item, "new_signing_secret": secret})


async def rotate(request: Request) -> Reply:
    """webhooks.rotateSigningSecret: a new secret; the old ones end at once or after a day."""
    item = find(request, WEBHOOKS, resource_name(request))
    body = await request.json()
    secret = _secret(request, item["id"])
    ends = timestamp(request.world.clock.now() + OLD_SECRET_SECONDS)
    kept = [{"expire_time": ends, **old} for old in item["signing_secrets"]]
    if body.get("revocation_behavior") == "revoke_previous_secrets_immediately":
        kept = []
    item["signing_secrets"] = [*kept, {"truncated_secret": secret[:10] + "..."}]
    return Reply({"secret": secret})


async def ping(request: Request) -> Reply:
    """webhooks.ping: accepted for a webhook that is there; nothing is sent from here."""
    find(request, WEBHOOKS, resource_name(request))
    return Reply({})


_ALL = ("create", "get", "list", "delete")

HANDLERS: dict[str, Handler] = {
    **handlers(AGENTS, "agents", _ALL),
    **handlers(CREDENTIALS, "credentials", (*_ALL, "update")),
    **handlers(ENVIRONMENTS, "environments", _ALL),
    **handlers(TRIGGERS, "triggers", (*_ALL, "update")),
    **handlers(VOICES, "voices", _ALL),
    **handlers(WEBHOOKS, "webhooks", ("get", "list", "delete", "update")),
    "webhooks.create": create_webhook,
    "webhooks.rotateSigningSecret": rotate,
    "webhooks.ping": ping,
}
