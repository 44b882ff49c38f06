"""How gemgate is: the gateway as the console reaches it, the store as it opens it, and versions."""

from __future__ import annotations

import http.client
import json
import platform
import sqlite3
import ssl
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask_restx import Namespace, Resource

from gemgate import __version__
from gemgate.api import context
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.config import Settings
from gemgate.config.running import read_running, url_of
from gemgate.store import version

_PATIENCE = 2.0

namespace = Namespace("health", description="How gemgate is, in parts.")


class Gateway(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The gateway as the console reaches it. ``says`` is its own word, absent when it cannot be reached.

    What it names (``paused`` projects, ``left_out`` stored things) is only counted there, since everybody may ask;
    ``/quotas`` has the names.
    """

    url: str
    reachable: bool
    well: bool
    reason: str
    says: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Store(msgspec.Struct, kw_only=True):
    """The record as the console opens it. ``schema`` is what it has, ``schema_known`` what this gemgate has."""

    up: bool
    schema: str | None
    schema_known: str
    reason: str


class Versions(msgspec.Struct, kw_only=True):
    """What runs."""

    gemgate: str
    python: str


class Health(msgspec.Struct, kw_only=True):
    """``status`` is ``ok`` when gateway and store are well, else ``degraded``; the parts say which and why."""

    status: str
    gateway: Gateway
    store: Store
    upstream: str
    simulated: bool
    versions: Versions


@namespace.route("")
class TheHealth(Resource):
    """How gemgate is."""

    @operation(namespace, role=Role.ANYONE, answer=Health)
    def get(self) -> Health:
        """How gemgate is, in parts.

        `status` is `ok` when the gateway and the record are well, else `degraded`; the parts say which and why.
        """
        return msgspec.convert(health(context.settings()), Health)


def health(settings: Settings) -> dict[str, Any]:
    """``status`` is ``ok`` when gateway and store are well, else ``degraded``; the parts say which and why."""
    gateway = _gateway(settings)
    store = _store(settings)
    up = gateway["well"] and store["up"]
    return {
        "status": "ok" if up else "degraded",
        "gateway": gateway,
        "store": store,
        "upstream": read_running(settings.data).get("upstream", settings.upstream.base_url),
        "simulated": settings.simulated,
        "versions": {"gemgate": __version__, "python": platform.python_version()},
    }


def gateway_url(settings: Settings) -> str:
    """Where the gateway is: as it runs now, or else as it is configured."""
    part = settings.gateway
    scheme = "https" if part.tls_cert else "http"
    return url_of(settings.data, "gateway") or f"{scheme}://{part.host}:{part.port}"


def _store(settings: Settings) -> dict[str, Any]:
    known = {"schema_known": version.HEAD}
    try:
        schema = version.found(settings.database)
    except (sqlite3.Error, OSError) as error:
        return {"up": False, "schema": None, **known, "reason": f"it cannot be read: {type(error).__name__}"}
    if schema is None:
        return {"up": False, "schema": None, **known, "reason": "there is no database yet"}
    reason = "" if schema == version.HEAD else "its schema is not this gemgate's"
    return {"up": not reason, "schema": schema, **known, "reason": reason}


def link_to(url: str, patience: float) -> http.client.HTTPConnection:
    """A connection to our own gateway, not open yet; it waits so many seconds for each step."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=patience)
    # Our own process on our own machine; its certificate names the host that clients use, not loopback.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=patience, context=context)


def _gateway(settings: Settings) -> dict[str, Any]:
    url = gateway_url(settings)
    link = link_to(url, _PATIENCE)
    try:
        link.request("GET", "/healthz")
        answer = link.getresponse()
        status, said = answer.status, _object(answer.read(65536))
    except (OSError, http.client.HTTPException) as error:
        return {"url": url, "reachable": False, "well": False, "reason": f"no answer: {type(error).__name__}"}
    finally:
        link.close()
    # The gateway's own word on the store stands beside ours: it may be spilling while the file can be read.
    well = status == 200 and said.get("status", "ok") == "ok"
    reason = "" if well else f"status {status}, {said.get('status', 'no word')}"
    return {"url": url, "reachable": True, "well": well, "reason": reason, "says": _counted(said)}


def _counted(said: dict[str, Any]) -> dict[str, Any]:
    """The gateway's word with counts in place of names: whoever asks need not have a token."""
    return {name: len(found) if isinstance(found, list) else found for name, found in said.items()}


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
