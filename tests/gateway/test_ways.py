"""What an adversarial reading of the way of a call asked for: races, lines, bodies that go out once, odd names."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest

from gemgate.config import load
from gemgate.config.book import load_book
from gemgate.core.call import Cost
from gemgate.core.estimate import Held
from gemgate.core.meter import Meter
from gemgate.core.routing import Target
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini import methods, request
from gemgate.gateway.affinity import MOST, Affinity
from gemgate.gateway.board import Board, Sight
from gemgate.gateway.clock import Clock
from gemgate.gateway.exchange import Exchange, Message
from gemgate.gateway.relay import marked
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.waiting import Waiting
from gemgate.gateway.watch import Vigil, Watch
from gemgate.store.database import Database
from tests.gateway.launch import Gateway, until
from tests.gateway.raw import END, STREAM_HEAD, Asked, Upstream, chunk, dial, read_until, whole

ONE, TWO = "AIzaWaysFirstProjectKey000000000000000a", "AIzaWaysSecondProjectKey00000000000000b"
WIDE = "rpm = 1000000, tpm = 1000000000, rpd = 100000000, tpd = 100000000000"
PROJECTS = f"""
[[project]]
name = "one"
keys = ["{ONE}"]
spend = 1000000
limits = {{ "*" = {{ {WIDE} }} }}
[[project]]
name = "two"
keys = ["{TWO}"]
spend = 1000000
limits = {{ "*" = {{ {WIDE} }} }}
"""
MODEL = "/v1beta/models/gemini-2.5-flash"
GENERATE = MODEL + ":generateContent"
STREAM = MODEL + ":streamGenerateContent?alt=sse"
HEDGE = """
[routing]
fallback = false
hedge = true
hedge_allowance = 1.0
"""
WARM = 24  # answers after which a pace is known


def ask(text: str = "Hello") -> dict[str, Any]:
    """A request."""
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def said(text: str = "Hi", finish: str = "STOP") -> bytes:
    """An answer, or one chunk of it."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
    return json.dumps(
        {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "usageMetadata": usage}
    ).encode()


def event(value: bytes) -> bytes:
    """A chunk as an event of a chunked stream."""
    return chunk(b"data: " + value + b"\r\n\r\n")


def fault(status: int, name: str, message: str) -> bytes:
    """An error of Google's."""
    body = json.dumps({"error": {"code": status, "message": message, "status": name}}).encode()
    return whole(body, status=b"%d No" % status)


OVERLOADED = fault(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
LATER = whole(
    json.dumps(
        {
            "error": {
                "code": 503,
                "message": "The model is overloaded. Please try again later.",
                "status": "UNAVAILABLE",
                "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "10s"}],
            }
        }
    ).encode(),
    status=b"503 No",
)
EXHAUSTED = fault(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")


def test_the_stream_that_won_a_race_may_last(tmp_path: Path) -> None:
    """A try in a race has a watch of its own; what it won must still have its time."""
    lasting = threading.Event()

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        conn.sendall(STREAM_HEAD + event(said("So", finish="")))
        if b"lasting" in asked.body:
            lasting.wait(0.8)  # longer than two looks of the watch
        conn.sendall(event(said(" it is")) + END)
        return None

    with Upstream(says) as upstream, Gateway(tmp_path, upstream.url, HEDGE, projects=PROJECTS) as gateway:
        with httpx.Client(base_url=gateway.url, timeout=20) as client:
            for _ in range(WARM):
                assert client.post(STREAM, json=ask()).status_code == 200
            answer = client.post(STREAM, json=ask("lasting"))
        assert "error" not in answer.text
        assert gateway.call(answer)["outcome"] == "ok"


def test_a_body_that_streams_through_goes_out_once(tmp_path: Path) -> None:
    """The refusal of the first project is the answer: the body is gone, so no other can be asked."""

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        if asked.header(b"x-goog-api-key") == ONE.encode():
            return EXHAUSTED
        return whole(json.dumps({"name": "fileSearchStores/x", "seen": len(asked.body)}).encode())

    with Upstream(says) as upstream, Gateway(tmp_path, upstream.url, projects=PROJECTS) as gateway:
        answer = httpx.post(gateway.url + "/v1beta/fileSearchStores", json={"displayName": "Log"}, timeout=8)
        assert answer.status_code == 429
        assert answer.headers["x-gemgate-attempts"] == "1"
        assert len(upstream.asked) == 1


def test_no_name_of_a_model_adds_a_header(tmp_path: Path) -> None:
    """What a caller writes as a model stands in our headers only as what a header can carry."""
    with (
        Upstream(lambda conn, asked: OVERLOADED) as upstream,
        Gateway(tmp_path, upstream.url, projects=PROJECTS) as gateway,
    ):
        body = {"model": "odd\r\nx-evil: 1", "input": "Hello"}
        answer = httpx.post(
            gateway.url + "/v1beta/interactions", json=body, headers={"x-gemgate-patience": "1"}, timeout=8
        )
        assert "odd??x-evil: 1@one=overloaded" in answer.headers["x-gemgate-tries"]
        assert "x-evil" not in answer.headers


def test_hedged_calls_that_come_together_take_no_more_than_the_window_has(tmp_path: Path) -> None:
    """A try of a race takes its room before any other call looks."""
    room = 30
    seen = []

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        seen.append(asked)
        return whole(said())

    limits = f'limits = {{ "*" = {{ {WIDE.replace("rpm = 1000000", f"rpm = {room}")} }} }}'
    projects = f'[[project]]\nname = "one"\nkeys = ["{ONE}"]\nspend = 1000000\n{limits}\n'
    toml = HEDGE
    with Upstream(says) as upstream, Gateway(tmp_path, upstream.url, toml, projects=projects) as gateway:
        with httpx.Client(base_url=gateway.url, timeout=20) as client:
            for _ in range(WARM):
                assert client.post(GENERATE, json=ask()).status_code == 200
        together(gateway, 60)
        assert len(seen) <= room


def together(gateway: Gateway, number: int) -> None:
    """So many calls whose last bytes are sent in one go, and their answers read."""
    body = json.dumps(ask()).encode()
    head = f"POST {GENERATE} HTTP/1.1\r\nhost: localhost\r\nx-gemgate-patience: 1\r\n"
    text = (
        head.encode()
        + b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    )
    conns = [dial(gateway.url) for _ in range(number)]
    for conn in conns:
        conn.sendall(text + body[:-1])
    for conn in conns:
        conn.sendall(body[-1:])
    for conn in conns:
        read_until(conn, b"never")
        conn.close()


class Hand(Clock):
    """A clock that is moved by hand."""

    __slots__ = ("time",)

    def __init__(self) -> None:
        super().__init__()
        self.time = 1_795_197_600 * 1_000_000

    def now(self) -> int:
        """UTC microseconds."""
        return self.time


class Room:
    """The board and the waiting room of a gateway with one project that takes ``rpm`` requests a minute."""

    def __init__(self, folder: Path, rpm: int, clock: Clock | None = None) -> None:
        config = folder / "gemgate.toml"
        limits = f'limits = {{ "*" = {{ {WIDE.replace("rpm = 1000000", f"rpm = {rpm}")} }} }}'
        config.write_text(f'[[project]]\nname = "one"\nkeys = ["{ONE}"]\n{limits}\n', encoding="utf-8")
        config.chmod(0o600)
        settings = load(config, {}, {"data": folder})
        self.snapshot = Snapshot(settings, load_book(settings.prices.file), "", None)
        self.board = Board(clock or Clock(), self.snapshot)
        self.waiting = Waiting(self.board)
        self.watch = Watch()

    def ticket(self) -> Ticket:
        """A call that generates, its body read."""
        body = json.dumps(ask()).encode()
        scope = {
            "method": "POST",
            "path": GENERATE,
            "scheme": "http",
            "headers": [(b"content-length", b"%d" % len(body))],
            "query_string": b"",
        }
        exchange = Exchange(scope, _never, _nowhere)
        vigil = Vigil(self.watch, _never, asyncio.get_running_loop())
        ticket = Ticket(b"call", exchange, self.snapshot, vigil, 0)
        match = ticket.match = methods.match("POST", GENERATE)
        assert match is not None
        ticket.asked = request.read(match, {}, body, {})
        return ticket

    def sight(self) -> Sight:
        """How such a call sees the board."""
        return Sight(self.board, self.ticket())


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _nowhere(message: Message) -> None:
    raise AssertionError(message)


def test_the_size_of_what_google_holds_is_learned_from_answers_and_not_taken_for_text(tmp_path: Path) -> None:
    async def play() -> None:
        room = Room(tmp_path, 10)
        target, estimates = Target("gemini-2.5-flash", "one"), room.board.estimates
        ticket = room.ticket()
        assert ticket.asked is not None
        ticket.match = methods.match("POST", "/v1beta/interactions")
        ticket.asked = msgspec.structs.replace(ticket.asked, refers=("cachedContents/c",), input_estimate=100)
        before = Sight(room.board, ticket).tokens(target)
        for usage in (Usage(50_100, 50_000, 300, 600), None):
            trial = Trial(1, target, 0)
            trial.holds = (room.board.quota.take(room.board.bucket(target), 1, 0, room.board.clock.now()),)
            trial.verdict, trial.meter = Verdict(kind=Kind.OK, status=200, billed=True), Meter()
            trial.meter.response, trial.meter.usage = "i1", usage
            trial.input_estimate = 100
            room.board.settled(trial, ticket, usage, Cost())
        assert estimates.held(("cachedContents/c", "interactions/i1")) == Held(51_000, 50_000)
        assert estimates.tokens(target.model, 100) == 100  # the ratio of bytes to tokens is that of text
        assert Sight(room.board, ticket).tokens(target) == before + 50_000

    asyncio.run(play())


def test_the_line_is_shown_while_somebody_who_got_room_has_yet_to_wake(tmp_path: Path) -> None:
    """The state is written at any moment, also between the granting of room and its use."""

    async def play() -> None:
        room = Room(tmp_path, 1)
        target = Target("gemini-2.5-flash", "one")
        hold = room.board.quota.take(room.board.bucket(target), 1, 0, room.board.clock.now())
        waits = [asyncio.create_task(room.waiting.wait(room.sight(), (target,), 30.0)) for _ in range(2)]
        await asyncio.sleep(0)
        assert [row["position"] for row in room.waiting.shown()] == [1, 2]
        room.board.quota.give_back(hold, room.board.clock.now(), sent=False)
        room.waiting.look()
        assert [row["position"] for row in room.waiting.shown()] == [1]
        granted = await waits[0]
        assert granted is not None
        waits[1].cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert not room.waiting.waiters
        assert not len(room.board.line)

    asyncio.run(play())


def test_who_leaves_frees_no_place_but_its_own(tmp_path: Path) -> None:
    """One probe at a time, whoever hangs up meanwhile: an older try, or one that only had room."""
    target = Target("gemini-2.5-flash", "one")
    room = Room(tmp_path, 10, hand := Hand())
    board = room.board
    old = Trial(1, target, hand.time)
    hand.time += 1000
    failed = Verdict(kind=Kind.BUSY, status=503, reason="overloaded")
    board.health.met(target, failed, hand.time, hand.time + 1, 0.5)
    hand.time += 1_000_000
    probe = Trial(1, target, hand.time)
    assert board.health.begin(target, hand.time)
    hand.time += 1000
    board.left(old)
    board.unused(Trial(0, target, hand.time))
    assert board.health.open_at(target, hand.time)[1] == "probing"
    board.left(probe)
    assert board.health.open_at(target, hand.time)[1] == ""


def test_a_target_that_only_rests_is_not_forgotten_in_line(tmp_path: Path) -> None:
    """The asked model says when to come again, its stand-in has room only much later."""
    seen: list[Asked] = []

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        seen.append(asked)
        return whole(said()) if len(seen) != 2 else LATER

    limits = f'limits = {{ "gemini-2.5-flash-lite" = {{ rpm = 1 }}, "*" = {{ {WIDE} }} }}'
    projects = f'[[project]]\nname = "one"\nkeys = ["{ONE}"]\nspend = 1000000\n{limits}\n'
    toml = '[[route]]\nname = "pair"\ntargets = ["gemini-2.5-flash", "gemini-2.5-flash-lite"]\npatience = "100 s"\n'
    clock = (20.0, time.time(), 1_795_197_600.0)
    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url, toml, projects=projects, clock=clock) as gateway,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):
        assert client.post(GENERATE.replace("flash:", "flash-lite:"), json=ask()).status_code == 200
        answer = client.post(GENERATE.replace("gemini-2.5-flash", "pair"), json=ask())
        assert answer.headers["x-gemgate-tries"] == "gemini-2.5-flash@one=overloaded, gemini-2.5-flash@one=ok"
        assert 9.9 <= float(answer.headers["x-gemgate-waited"]) < 40


def test_a_conversation_goes_on_while_the_store_is_locked(tmp_path: Path) -> None:
    """Whose signatures a history carries is good to know; that nobody can be asked ends no call."""
    turn = {
        "role": "model",
        "parts": [{"text": "Hi", "thoughtSignature": "c2lnbmF0dXJlIG9mIGEgdGhvdWdodA=="}],
    }
    history = {"contents": [*ask()["contents"], turn, *ask()["contents"]]}
    with (
        Upstream(lambda conn, asked: whole(said())) as upstream,
        Gateway(tmp_path, upstream.url, projects=PROJECTS) as gateway,
    ):
        locker = sqlite3.connect(gateway.data / "gemgate.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        try:
            answer = httpx.post(gateway.url + GENERATE, json=history, timeout=20)
        finally:
            locker.execute("ROLLBACK")
            locker.close()
        assert answer.status_code == 200, answer.text


def test_a_client_that_leaves_a_race_ends_both_tries(tmp_path: Path) -> None:
    """Neither is a race's loser, both connections are closed, and the room in the line is free."""
    held = threading.Event()

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        if b"lasting" in asked.body:
            held.wait(20)
        return whole(said())

    with Upstream(says) as upstream, Gateway(tmp_path, upstream.url, HEDGE, projects=PROJECTS) as gateway:
        with httpx.Client(base_url=gateway.url, timeout=20) as client:
            for _ in range(WARM):
                assert client.post(GENERATE, json=ask()).status_code == 200
        body = json.dumps(ask("lasting")).encode()
        conn = dial(gateway.url)
        conn.sendall(f"POST {GENERATE} HTTP/1.1\r\nhost: localhost\r\n".encode())
        conn.sendall(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        until(lambda: sum(b"lasting" in asked.body for asked in upstream.asked) == 2, "the second try")
        conn.close()
        until(lambda: len(gateway.calls()) == WARM + 1, "the row")
        held.set()
        row = gateway.calls()[-1]
        assert (row["outcome"], row["status"], row["attempts"]) == ("cancelled", 499, 2)
        tries = gateway.rows(
            "SELECT r.name AS reason, a.hedge AS hedge FROM attempts AS a JOIN reasons AS r ON r.id = a.reason_id"
            " WHERE a.call_seq = ? ORDER BY a.number",
            row["seq"],
        )
        assert [(one["reason"], one["hedge"]) for one in tries] == [("client_left", 0), ("client_left", 1)]


class Empty:
    """A record in which nothing is found."""

    async def run(self, work: object) -> dict[str, tuple[str, str]]:
        """Ask it."""
        return {}


def test_what_a_call_names_is_not_forgotten_while_it_is_looked_up(tmp_path: Path) -> None:
    """A memory that is full makes room; the owner that this very call needs is known all the same."""

    async def play() -> None:
        ticket = Room(tmp_path, 1).ticket()
        affinity = Affinity(cast(Database, Empty()), b"secret")
        trial = Trial(1, Target("", "one"), 0)
        affinity.learn(ticket, trial, [f"files/{number}" for number in range(MOST)], 0)
        parts = [{"fileData": {"fileUri": f"https://x/v1beta/files/{name}"}} for name in ("0", "other")]
        body = json.dumps({"contents": [{"role": "user", "parts": parts}]}).encode()
        assert ticket.match is not None
        ticket.asked = request.read(ticket.match, {}, body, {})
        pins = await affinity.pins(ticket, 0)
        assert [(pin.name, pin.project) for pin in pins] == [("files/0", "one"), ("files/other", "")]

    asyncio.run(play())


@pytest.mark.parametrize("size", ["%C2%B2", "9" * 5000])
def test_a_page_size_that_is_no_number_is_googles_to_judge(tmp_path: Path, size: str) -> None:
    """Digits that are none of ASCII's, or far too many."""
    empty = whole(b"{}")
    with (
        Upstream(lambda conn, asked: empty) as upstream,
        Gateway(tmp_path, upstream.url, projects=PROJECTS) as gateway,
    ):
        answer = httpx.get(f"{gateway.url}/v1beta/files?pageSize={size}", timeout=8)
        assert (answer.status_code, answer.json()) == (200, {})


def test_a_list_of_several_projects_has_one_patience(tmp_path: Path) -> None:
    """Each project asks for ten seconds; the call has fifteen."""
    seen: set[bytes] = set()

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        key = asked.header(b"x-goog-api-key")
        if key in seen:
            return whole(b"{}")
        seen.add(key)
        return LATER

    clock = (20.0, time.time(), 1_795_197_600.0)
    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url, projects=PROJECTS, clock=clock) as gateway,
    ):
        patience = {"x-gemgate-patience": "15"}
        answer = httpx.get(f"{gateway.url}/v1beta/files", headers=patience, timeout=20)
        assert answer.status_code == 503
        assert float(answer.headers["x-gemgate-waited"]) < 15


def test_who_is_cancelled_when_room_comes_does_not_go_on(tmp_path: Path) -> None:
    """The client left in the very turn in which its call got room: the room is free again, and nothing is sent."""

    async def play() -> None:
        room = Room(tmp_path, 1)
        target = Target("gemini-2.5-flash", "one")
        bucket, now = room.board.bucket(target), room.board.clock.now
        hold = room.board.quota.take(bucket, 1, 0, now())
        wait = asyncio.create_task(room.waiting.wait(room.sight(), (target,), 30.0))
        await asyncio.sleep(0)
        room.board.quota.give_back(hold, now(), sent=False)
        room.waiting.look()
        assert room.board.quota.room(bucket, 1, now()).at > now()
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        moment = now()
        assert room.board.quota.room(bucket, 1, moment).at == moment

    asyncio.run(play())


def test_a_refusal_says_how_long_its_call_has_waited(tmp_path: Path) -> None:
    """Also where no try was made at all."""

    async def play() -> None:
        ticket = Room(tmp_path, 1).ticket()
        ticket.waited = 2_500_000
        assert (b"x-gemgate-waited", b"2.500") in marked([], ticket, None)

    asyncio.run(play())


def test_a_bad_key_loses_a_race(tmp_path: Path) -> None:
    """A refusal of one project's key is no answer: the other try is waited for."""
    both = threading.Barrier(2)

    def says(conn: socket.socket, asked: Asked) -> bytes | None:
        if b"lasting" not in asked.body:
            return whole(said())
        both.wait(20)
        if asked.header(b"x-goog-api-key") == ONE.encode():
            return fault(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        threading.Event().wait(0.2)  # the other answer is there first
        return whole(said())

    with Upstream(says) as upstream, Gateway(tmp_path, upstream.url, HEDGE, projects=PROJECTS) as gateway:
        with httpx.Client(base_url=gateway.url, timeout=20) as client:
            for _ in range(WARM):
                assert client.post(GENERATE, json=ask()).status_code == 200
            answer = client.post(GENERATE, json=ask("lasting"))
        assert answer.status_code == 200
        assert answer.headers["x-gemgate-tries"].endswith("@one=key_invalid, gemini-2.5-flash@two=ok")
