"""The live feed: each call once, whoever comes and goes, and nothing held by who has left."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from keyed import key
from recorded import blank, build, settle, writing
from sampled import START, attempt, identity, intent, record

from gemgate.api.live import BEAT, PAUSE, follow
from gemgate.config import Settings
from gemgate.core.call import Outcome, Record, spell
from gemgate.store.connection import reader
from gemgate.store.reports.listing_terms import Wanted

PATIENCE = 60.0
CALLS = 10_000


def some(count: int, **changes: Any) -> list[Record]:
    """Calls to be recorded."""
    found = []
    for _ in range(count):
        one = intent(identity(), received_at=START)
        found.append(record(one, attempt(one), **changes))
    return found


def events(lines: Iterator[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The id and the data of each event of a feed."""
    number, data = 0, b""
    for line in lines:
        name, _, value = line.rstrip(b"\n").partition(b": ")
        if name == b"id":
            number = int(value)
        elif name == b"data":
            data = value
        elif not name and data:
            yield number, json.loads(data)
            data = b""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A record with a key in it and no call."""
    found = blank(tmp_path_factory.mktemp("empty"))
    with writing(found) as conn:
        key(conn)
        conn.keep()
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        conn.execute("BEGIN")
    return found.database.read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty: bytes) -> Settings:
    """One record for all tests with a console."""
    found = Settings(data=tmp_path_factory.mktemp("live"))
    found.database.write_bytes(empty)
    return found


@pytest.fixture
def settings(tmp_path: Path, empty: bytes) -> Settings:
    """A record of the test's own."""
    found = Settings(data=tmp_path)
    found.database.write_bytes(empty)
    return found


def test_each_wanted_call_comes_once_in_the_order_of_recording(
    settings: Settings,
) -> None:
    wanted: list[str] = []

    def more() -> None:
        rows = some(5, outcome=Outcome.FAILED, status=503) + some(3, key=1)
        random.Random(len(wanted)).shuffle(rows)
        settle(settings, rows)
        wanted.extend(spell(row.call_id) for row in rows if row.key)

    more()
    rests = itertools.count(1)

    class Enough(Exception):
        """The test has seen it all."""

    def rest(seconds: float) -> None:
        assert seconds == PAUSE
        turn = next(rests)
        if turn == 6:
            raise Enough
        if turn % 2:
            more()

    seen: list[str] = []
    with contextlib.closing(reader(settings.database)) as conn, contextlib.suppress(Enough):
        feed = follow(conn, Wanted(names={"key": ("alpha",)}), 0, rest, stride=4)
        for _, body in events(line for chunk in feed for line in chunk.splitlines(keepends=True)):
            assert not conn.in_transaction
            seen.append(body["call_id"])
    assert seen == wanted
    assert len(seen) == 4 * 3


def test_a_silent_feed_beats_and_says_how_far_it_has_looked(settings: Settings) -> None:
    settle(settings, some(7))
    waited = 0.0

    def rest(seconds: float) -> None:
        nonlocal waited
        waited += seconds

    with contextlib.closing(reader(settings.database)) as conn:
        feed = follow(conn, Wanted(names={"user": ("nobody",)}), 0, rest)
        assert next(feed).startswith(b"retry: ")
        assert next(feed) == b": still here\nid: 7\n\n"
        assert waited == BEAT
        # A name that nobody knew may come to be while somebody waits for it.
        settle(settings, some(1, user="nobody"))
        assert next(feed).startswith(b"id: 8\nevent: call\ndata: {")


def test_who_has_seen_more_than_there_is_hears_so_and_begins_at_the_newest(settings: Settings) -> None:
    """An older record was brought back."""
    settle(settings, some(3))
    with contextlib.closing(reader(settings.database)) as conn:
        feed = follow(conn, Wanted(), 999_999_999, lambda _: None)
        assert next(feed).startswith(b"retry: ")
        assert next(feed) == b'id: 3\nevent: anew\ndata: {"asked":999999999,"newest":3}\n\n'
        settle(settings, some(1))
        assert next(feed).startswith(b"id: 4\nevent: call\n")


def test_what_cannot_be_followed_is_a_problem(settings: Settings) -> None:
    client = build(settings).test_client()
    for query, headers, field in (
        ({"after": "-1"}, {}, "after"),
        ({}, {"Last-Event-ID": "abc"}, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "9" * 30}, "Last-Event-ID"),
        ({"limit": "5"}, {}, "limit"),
        ({"status": "200\n"}, {}, "status"),
    ):
        answer = client.get("/api/v1/calls/live", query_string=query, headers=headers)
        assert answer.status_code == 400
        assert field in answer.get_json()["errors"]


def test_a_record_that_goes_away_ends_the_feed_with_a_problem(settings: Settings) -> None:
    client = build(settings).test_client()
    answer = client.get("/api/v1/calls/live", query_string={"after": 0}, buffered=False)
    feed = iter(answer.response)
    assert bytes(next(feed)).startswith(b"retry: ")  # type: ignore[arg-type]
    settings.database.write_bytes(b"no database at all" * 1000)
    last = bytes(next(feed))  # type: ignore[arg-type]
    assert last.startswith(b"event: problem\ndata: {")
    assert json.loads(last.partition(b"data: ")[2])["code"] == "STORE_DOWN"
    assert next(feed, None) is None
    answer.close()


class Console:
    """The console as a process of its own."""

    def __init__(self, data: Path) -> None:
        ours = ("GEMGATE_", "GEMINI_", "GOOGLE_")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gemgate.api.process", "--data", str(data), "--port", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith(ours)},
        )
        assert self.process.stdout is not None
        self.port = json.loads(self.process.stdout.readline())["port"]

    def follow(self, last: int | None) -> http.client.HTTPConnection:
        """A client of the feed that comes back with what it saw last."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        link.request("GET", "/api/v1/calls/live?after=0", headers=headers)
        return link

    def close(self) -> None:
        """End it at once: in order it would wait for its streams."""
        self.process.kill()
        self.process.wait(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="module")
def console(made: Settings) -> Iterator[Console]:
    one = Console(made.data)
    yield one
    one.close()


def test_a_program_that_follows_10_000_calls_sees_each_once(made: Settings, console: Console) -> None:
    """Calls are recorded while the program follows; it loses its connection again and again, in the middle of events
    too, and comes back with the last id that it has seen whole."""
    everything = some(CALLS)
    chance = random.Random(5)

    def record_all() -> None:
        left = list(everything)
        try:
            while left:
                size = chance.choice((1, 7, 60, 300))
                settle(made, left[:size])
                left = left[size:]
        except sqlite3.Error:
            console.process.kill()  # else the program would wait for ever for what is not recorded
            raise

    writer = threading.Thread(target=record_all)
    writer.start()
    seen: list[tuple[int, str]] = []
    visits = 0
    try:
        last: int | None = None
        while len(seen) < CALLS:
            visits += 1
            stay = CALLS if visits > 12 else chance.randrange(50, 1_500)
            link = console.follow(last)
            with contextlib.closing(link), contextlib.closing(link.getresponse()) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
                for number, body in itertools.islice(events(iter(answer.readline, b"")), stay):
                    assert body["seq"] == number
                    seen.append((number, body["call_id"]))
                    last = number
                    if len(seen) == CALLS:
                        break
    finally:
        writer.join()
    assert visits > 5
    assert seen == [(place + 1, spell(row.call_id)) for place, row in enumerate(everything)]


def test_who_leaves_gives_the_place_back(made: Settings, console: Console) -> None:
    """More clients than there are places come one after another, and each leaves without a word."""
    settle(made, some(1))
    refused = 0
    for _ in range(28):
        link = console.follow(CALLS)
        answer = link.getresponse()
        while answer.status == 503:  # those who left are noticed when the next event cannot be sent
            refused += 1
            assert answer.headers["Retry-After"]
            assert json.loads(answer.read())["code"] == "TOO_MANY_STREAMS"
            link.close()
            settle(made, some(1))
            link = console.follow(CALLS)
            answer = link.getresponse()
        assert next(events(iter(answer.readline, b"")))[0] == CALLS + 1
        answer.close()
        link.close()
    assert refused


def test_the_events_are_those_of_the_list(settings: Settings) -> None:
    rows = some(3, tags=("x",))
    settle(settings, rows)
    client = build(settings).test_client()
    listed = client.get("/api/v1/calls", query_string={"sort": "oldest"}).get_json()["items"]
    with contextlib.closing(reader(settings.database)) as conn:
        feed = follow(conn, Wanted(), 0, lambda _: None)
        told = list(itertools.islice(events(line for one in feed for line in one.splitlines(True)), 3))
    assert [body for _, body in told] == listed
    assert msgspec.json.decode(msgspec.json.encode(told[0][1]))["tags"] == ["x"]
