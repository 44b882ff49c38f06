"""Virtual keys of gateways under test: made in their store, and waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx

from gemgate.core import access
from gemgate.store import keys
from gemgate.store.connection import visitor
from tests.gateway.launch import Gateway, until


def token(name: str) -> str:
    """The token of a key of these tests."""
    return access.mint(name.encode().ljust(32, b"."))


def put_key(gateway: Gateway, name: str, owner: str = "", rights: frozenset[str] = frozenset()) -> None:
    """Make a key; the gateway takes it over within a second."""
    with contextlib.closing(visitor(gateway.data / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        key = access.Key(id=0, name=name, owner=owner, rights=rights, created_at=1)
        secret = token(name)
        keys.create(conn, key, access.Token(digest=access.digest(secret), key=0, hint=access.hint(secret)))
        conn.keep()


@contextlib.contextmanager
def add_key(
    gateway: Gateway, name: str, owner: str = "", rights: frozenset[str] = frozenset()
) -> Iterator[httpx.Client]:
    """Make a key, and wait until it is in force; a client that sends it."""
    put_key(gateway, name, owner, rights)
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        until(lambda: client.get("/v1beta/models?pageSize=1").status_code == 401, "keys at all")
        client.headers["x-goog-api-key"] = token(name)
        until(lambda: client.get("/v1beta/models?pageSize=1").status_code == 200, f"the key {name}")
        yield client
