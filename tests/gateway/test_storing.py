"""The process that stores bodies, and what the gateway hands to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gemgate.config import Settings
from gemgate.core.redaction import Rules
from gemgate.gateway.capture import Side, Taken
from gemgate.gateway.payloads import Payloads
from gemgate.store import migrate, payloads
from gemgate.store.connection import reader, visitor
from gemgate.store.payloads import REQUEST, RESPONSE, Rule
from tests.gateway.launch import until

NOW = time.time_ns() // 1000
HOUR = 3_600 * 1_000_000


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("storing") / "gemgate.db"
    migrate.upgrade(path)
    return path


@contextlib.contextmanager
def storing(
    database: Path, *, keep: float = 3_600, patience: float = 20.0
) -> Iterator[subprocess.Popen[bytes]]:
    """The process."""
    words = ["--data", str(database), "--keep", str(keep), "--room", "1000000", "--patience", str(patience)]
    line = [sys.executable, "-m", "gemgate.gateway.storing", *words]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def say(child: subprocess.Popen[bytes], *batch: Taken) -> str:
    """What it says of a batch."""
    assert child.stdin is not None
    assert child.stdout is not None
    frame = msgspec.msgpack.encode(list(batch))
    child.stdin.write(len(frame).to_bytes(8, "big") + frame)
    child.stdin.flush()
    return child.stdout.readline().decode()


def taken(name: bytes, body: bytes, *patterns: str, at: int = NOW) -> Taken:
    """A call with a request."""
    sides = [Side(REQUEST, body, "", True, len(body))]
    rules = Rules(patterns=list(patterns))
    return Taken(name * 16, at, at + 2 * HOUR, 1000, rules, sides)


def kept(database: Path, name: bytes) -> bytes | None:
    """What is stored of that request, whatever its time."""
    with contextlib.closing(reader(database)) as conn:
        return payloads.body(conn, name * 16, REQUEST, 0)


def test_a_call_that_cannot_be_redacted_costs_its_own_bodies_alone(database: Path) -> None:
    with storing(database) as child:
        said = say(child, taken(b"a", b"one"), taken(b"b", b"two", "("), taken(b"c", b"three"))
        assert said == "stored 2\n"
        assert say(child, taken(b"d", b"four", "(")) == "stored 0\n"
        assert [kept(database, name) for name in (b"a", b"b", b"c", b"d")] == [b"one", None, b"three", None]
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 0


def test_a_pattern_without_end_ends_with_its_time_though_nobody_ends_it(database: Path) -> None:
    with storing(database, patience=0.3) as child:
        assert say(child, taken(b"e", b"a" * 60 + b"!", "(a|aa)+$")) == ""
        assert child.wait(10) == -signal.SIGALRM


def test_what_is_too_old_goes_without_a_console(database: Path) -> None:
    with contextlib.closing(visitor(database)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        digest, packed = payloads.pack(b"old")
        at = NOW - 2 * HOUR
        payloads.keep(
            conn,
            payloads.Body(
                call_id=b"f" * 16,
                side=REQUEST,
                digest=digest,
                size=3,
                packed=packed,
                whole=True,
                redacted=0,
                at=at,
                expires_at=NOW + HOUR,
            ),
        )
        conn.keep()
    assert kept(database, b"f") == b"old"
    with storing(database) as child:
        assert say(child) == "stored 0\n"
    assert kept(database, b"f") is None


class Ended:
    """A call of the key alice that has ended: of a ticket what is looked at."""

    def __init__(self, settings: Settings, call: bytes) -> None:
        self.key: Any = SimpleNamespace(name="alice")
        self.route, self.asked, self.match = "", None, None
        self.capture: Any = None
        self.exchange: Any = SimpleNamespace(show=lambda shown: None, header=lambda name: "", completed=True)
        self.body: Any = SimpleNamespace(size=6, view=memoryview(b"asked!"))
        self.snapshot: Any = SimpleNamespace(settings=settings)
        self.settled, self.call_id, self.received_at = True, call, NOW


def passed(bodies: Payloads, settings: Settings, call: bytes) -> Any:
    """A call of which the bodies were taken."""
    ticket: Any = Ended(settings, call)
    bodies.begin(ticket)
    ticket.capture.answered({"type": "http.response.start", "status": 200, "headers": []})
    ticket.capture.answered({"type": "http.response.body", "body": b"answered"})
    return ticket


def test_a_rule_that_was_taken_away_during_a_call_keeps_nothing_of_it() -> None:
    bodies = Payloads()
    bodies.rules, bodies.most = {("key", "alice"): Rule(scope="key", of="alice")}, 2**20
    ticket = passed(bodies, Settings(data=Path("nowhere")), b"g" * 16)
    bodies.rules = {}
    bodies.hand_over(ticket)
    assert (bodies.shown()["waiting_bytes"], bodies._queue.empty()) == (0, True)


def test_bodies_are_stored_with_as_much_as_the_rule_allows_at_the_end_and_with_many_connections_open(
    database: Path,
) -> None:
    bodies = Payloads()
    bodies.rules, bodies.most = {("key", "alice"): Rule(scope="key", of="alice")}, 2**20
    settings = Settings(data=database.parent)
    ticket = passed(bodies, settings, b"h" * 16)
    bodies.rules = {("key", "alice"): Rule(scope="key", of="alice", max_bytes=5)}
    connections = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
    try:
        bodies.hand_over(ticket)
        until(lambda: bodies.stored + bodies.lost > 0, "the word of the process")
    finally:
        for one in connections:
            os.close(one)
        bodies.close()
    assert (bodies.stored, bodies.lost, bodies.shown()["waiting_bytes"]) == (1, 0, 0)
    with contextlib.closing(reader(database)) as conn:
        found = [payloads.body(conn, b"h" * 16, side) for side in (REQUEST, RESPONSE)]
        assert found == [b"asked", b"answe"]
        assert [one.whole for one in payloads.of_call(conn, b"h" * 16)] == [False, False]
