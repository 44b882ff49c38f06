"""The console asks without a key: by a proof of one request, and from this machine alone."""

from __future__ import annotations

import secrets

import pytest

from gemgate.core import console
from gemgate.gateway.access import by_console
from gemgate.gateway.exchange import Exchange, Message

SECRET = b"s" * 32
NOW = 1_795_000_000_000_000
PATH = "/v1beta/models/some:generateContent"
HEAD = console.Head("POST", PATH, "alt=sse")


def proof(at: int = NOW) -> str:
    """A proof that was not used yet."""
    return console.prove(SECRET, at, secrets.token_hex(8), HEAD, b"{}")


def asked(client: str, word: str, path: str = PATH, query: bytes = b"alt=sse") -> Exchange:
    """A request as uvicorn hands it over."""

    async def receive() -> Message:
        raise AssertionError("nothing is read of it")

    async def send(_: Message) -> None:
        raise AssertionError("nothing is answered to it")

    scope = {
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "scheme": "http",
        "headers": [(console.HEADER.encode(), word.encode("latin-1"))] if word else [],
        "client": (client, 4711) if client else None,
    }
    return Exchange(scope, receive, send)


@pytest.mark.parametrize(
    ("client", "known"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("192.168.0.7", False),
        ("2001:db8::1", False),
        ("", False),
    ],
)
def test_a_proof_counts_from_this_machine_alone(client: str, known: bool) -> None:
    assert by_console(asked(client, proof()), SECRET, NOW) is known


def test_a_proof_of_something_else_is_none() -> None:
    word = proof()
    assert not by_console(asked("127.0.0.1", word, "/v1beta/files"), SECRET, NOW)
    assert not by_console(asked("127.0.0.1", word), b"t" * 32, NOW)
    assert not by_console(asked("127.0.0.1", word), SECRET, NOW + console.GOOD_FOR + 1)
    assert not by_console(asked("127.0.0.1", word, query=b"alt=sse&more=1"), SECRET, NOW)
    assert by_console(asked("127.0.0.1", word), SECRET, NOW)
    assert not by_console(asked("127.0.0.1", word), SECRET, NOW)
    assert not by_console(asked("127.0.0.1", ""), SECRET, NOW)
    assert not by_console(asked("127.0.0.1", "\xe4." + "0" * 64), SECRET, NOW)
