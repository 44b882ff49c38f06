"""The client over real sockets: the pool, the limit, hang-ups, TLS, and every way in which a server can fail."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gemgate.core.errors import Refused
from gemgate.core.verdict import Kind, Scope
from gemgate.upstream.client import HttpUpstream, Reply, TransportFault, Wire, _head, _place

from .conftest import Run
from .server import Guest, Server, echo

OK = b"HTTP/1.1 200 OK\r\n"


def post(body: bytes | AsyncIterator[bytes] | None = b"hi", length: int | None = None) -> Wire:
    """A small call."""
    return Wire("POST", "/v1/x", [("user-agent", "t")], body, length)


async def rest(reply: Reply) -> bytes:
    """The whole body."""
    body = b""
    while piece := await reply.read():
        body += piece
    return body


async def asked(upstream: HttpUpstream, server: Server, wire: Wire | None = None) -> bytes:
    """The whole body of one call's answer."""
    return await rest(await upstream.send(server.url, wire or post()))


def test_one_connection_serves_one_call_after_another(run: Run) -> None:
    async def talk() -> None:
        async with Server(echo) as server:
            upstream = HttpUpstream(5)
            for number in range(20):
                assert await asked(upstream, server, post(b"%d" % number)) == b"%d" % number
            assert (server.seen, upstream.connections) == (1, 1)
            await upstream.close()
            await server.empty()

    run(talk())


@pytest.mark.parametrize(
    ("base", "host", "line"),
    [
        ("http://h.example", "h.example", "/v1/x"),
        ("http://h.example:80/", "h.example", "/v1/x"),
        ("http://h.example:8080/a/b", "h.example:8080", "/a/b/v1/x"),
        ("http://u:secret@h.example/a/", "h.example", "/a/v1/x"),
        ("http://[::1]:99", "[::1]:99", "/v1/x"),
        ("http://[fe80::1%25lo]", "[fe80::1]", "/v1/x"),
        ("http://h.example:443", "h.example:443", "/v1/x"),
        ("http://bücher.example", "xn--bcher-kva.example", "/v1/x"),
    ],
)
def test_the_head_names_the_host_and_follows_the_bases_path(base: str, host: str, line: str) -> None:
    head = f"POST {line} HTTP/1.1\r\nhost: {host}\r\nuser-agent: t\r\ncontent-length: 2\r\n\r\n"
    assert _head(_place(base), post()) == head.encode()


def test_header_values_go_out_as_the_bytes_that_came_in() -> None:
    value = bytes(range(0x80, 0x100)).decode("latin-1")
    assert _head(_place("http://h"), Wire("GET", "/", [("x", value)])).endswith(
        b"\r\nx: " + bytes(range(0x80, 0x100)) + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("wire", "length"),
    [
        (Wire("POST", "/", [], None), b"content-length: 0\r\n"),
        (Wire("GET", "/", [], None), b""),
        (Wire("GET", "/", [], None, 0), b"content-length: 0\r\n"),
        (Wire("POST", "/", [], b"abc"), b"content-length: 3\r\n"),
        (Wire("POST", "/", [], b"", 7), b"content-length: 0\r\n"),
    ],
)
def test_the_head_announces_the_body_that_follows(wire: Wire, length: bytes, run: Run) -> None:
    async def talk() -> None:
        heads: list[bytes] = []

        async def play(guest: Guest) -> None:
            for _ in range(2):
                heads.append((await guest.request())[0])
                await guest.ok(b"")

        async with Server(play) as server:
            upstream = HttpUpstream(5)
            for _ in range(2):
                assert await asked(upstream, server, wire) == b""
            await upstream.close()
        start = b"%b / HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % (wire.verb.encode(), server.port)
        assert heads == [start + length + b"\r\n"] * 2

    run(talk())


@pytest.mark.parametrize(
    "wire",
    [
        Wire("GET", "/", [("a", "b\r\nc: d")]),
        Wire("GET", "/", [("a\n", "b")]),
        Wire("GET", "/", [("a", "b\0")]),
        Wire("GET", "/a\r\nb", []),
        Wire("GET", "/a HTTP/1.1", []),
        Wire("GET", "/", [("a", "€")]),
    ],
)
def test_a_head_that_would_be_two_is_refused_before_a_connection_is_made(wire: Wire, run: Run) -> None:
    async def talk() -> None:
        async with Server(echo) as server:
            upstream = HttpUpstream(5, max_connections=1)
            with pytest.raises(Refused) as caught:
                await upstream.send(server.url, wire)
            assert caught.value.status == 400
            assert server.seen == 0
            assert await asked(upstream, server) == b"hi"
            await upstream.close()

    run(talk())


async def drop(guest: Guest) -> None:
    """Ends the connection in place of an answer."""
    await guest.request()


async def reset(guest: Guest) -> None:
    """The same, rudely."""
    await guest.request()
    guest.reset()


async def at_once(guest: Guest) -> None:
    """Ends the connection before it was asked anything."""
    guest.reset()


async def half(guest: Guest) -> None:
    """Ends the connection in the middle of an answer."""
    await guest.request()
    await guest.say(OK + b"Content-Length: 9\r\n\r\nhalf")


async def noise(guest: Guest) -> None:
    """Says something else."""
    await guest.request()
    await guest.say(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize(
    ("play", "kind", "reason"),
    [
        (drop, Kind.BROKEN, "disconnected"),
        (reset, Kind.BROKEN, "disconnected"),
        (at_once, Kind.BROKEN, "disconnected"),
        (half, Kind.CUT, "cut"),
        (noise, Kind.BROKEN, "garbage"),
    ],
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_failing_server_is_a_fault_with_a_verdict_and_nothing_stays_open(
    play: object, kind: Kind, reason: str, tls: bool, certificate: Path, run: Run
) -> None:
    async def talk() -> None:
        assert callable(play)
        async with Server(play, certificate if tls else None) as server:
            upstream = HttpUpstream(5, ca_file=certificate / "cert.pem")
            for _ in range(3):
                with pytest.raises(TransportFault) as caught:
                    await asked(upstream, server)
                verdict = caught.value.verdict
                assert (verdict.kind, verdict.scope, verdict.status) == (kind, Scope.UPSTREAM, 502)
                # A connection that is reset so early may also never have come about.
                assert verdict.reason == reason or (play is at_once and verdict.reason == "connect")
            await upstream.close()
            assert upstream.connections == 0
            await server.empty()

    run(talk())


def test_a_connection_that_the_server_ended_while_idle_is_not_used_again(run: Run) -> None:
    async def talk() -> None:
        async def once(guest: Guest) -> None:
            await guest.ok((await guest.request())[1])

        async with Server(once) as server:
            upstream = HttpUpstream(5)
            for number in range(1, 5):
                assert await asked(upstream, server) == b"hi"
                await server.empty()
                while upstream.connections:
                    await turn()
                assert server.seen == number
            await upstream.close()

    run(talk())


async def turn() -> None:
    """One round of the event loop, with a look at the sockets."""
    await asyncio.sleep(0)


def test_an_unused_connection_is_closed_in_time(run: Run) -> None:
    async def talk() -> None:
        async with Server(echo) as server:
            upstream = HttpUpstream(5, idle=0.02)
            assert await asked(upstream, server) == b"hi"
            await server.empty()  # by itself: nobody asks again
            assert await asked(upstream, server) == b"hi"
            await server.empty()
            assert server.seen == 2
            await upstream.close()

    run(talk())


def test_many_calls_over_few_connections_get_their_own_answers(run: Run) -> None:
    async def talk() -> None:
        async with Server(echo) as server:
            upstream = HttpUpstream(5, max_connections=3)

            async def one(number: int) -> None:
                body = b"%d," % number * (number % 7 + 1)

                async def pieces() -> AsyncIterator[bytes]:
                    for at in range(0, len(body), 3):
                        yield body[at : at + 3]

                wire = [post(body), post(pieces()), post(pieces(), len(body))][number % 3]
                assert await asked(upstream, server, wire) == body

            await asyncio.gather(*(one(number) for number in range(300)))
            assert (server.seen, server.most) == (3, 3)
            await upstream.close()
            await server.empty()

    run(talk())


async def moody(guest: Guest) -> None:
    """Answers as the body's first letter says, each answer with the request's own body."""
    while True:
        _, body = await guest.request()
        mood, half = body[:1], len(body) // 2
        if mood == b"c":
            chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n" % (half, body[:half], len(body) - half, body[half:])
            await guest.say(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
            await guest.say(b"0\r\n\r\n")
        elif mood == b"e":
            await guest.say(OK + b"\r\n" + body)
            guest.writer.close()
            await guest.gone()
            return
        elif mood == b"h":
            await guest.say(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body[:half])
            return
        elif mood == b"r":
            guest.reset()
            return
        else:
            await guest.ok(body, b"Connection: close\r\n" if mood == b"k" else b"")
            if mood == b"s":
                await guest.say(b"stray bytes")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_among_failures_every_call_gets_its_own_answer_or_a_fault(
    tls: bool, certificate: Path, run: Run
) -> None:
    async def talk() -> None:
        chance = random.Random(11)
        async with Server(moody, certificate if tls else None) as server:
            upstream = HttpUpstream(5, max_connections=4, ca_file=certificate / "cert.pem")

            async def one(number: int) -> tuple[str, bytes | None, bytes]:
                mood = chance.choice("oooccsekhrx")
                body = mood.encode() + b"%d " % number * (number % 50 + 2)
                call = asyncio.ensure_future(asked(upstream, server, post(body)))
                if mood == "x":
                    for _ in range(chance.randrange(30)):
                        await turn()
                    call.cancel()
                try:
                    return mood, await call, body
                except (TransportFault, asyncio.CancelledError):
                    return mood, None, body

            failed = strays = 0
            for mood, answer, body in await asyncio.gather(*(one(number) for number in range(400))):
                assert answer in (body, None), mood
                strays += mood == "s"
                failed += answer is None and mood in "ocsek"
                assert answer is None or mood not in "hr"
            # Stray bytes may meet the call after theirs, which then fails: one each, and no other call.
            assert failed <= strays
            await upstream.close()
            assert upstream.connections == 0
            await server.empty()

    run(talk())


def test_calls_that_wait_for_a_connection_are_served_in_their_order(run: Run) -> None:
    async def talk() -> None:
        order: list[int] = []

        async def play(guest: Guest) -> None:
            while True:
                _, body = await guest.request()
                order.append(int(body))
                await guest.ok(body)

        async with Server(play) as server:
            upstream = HttpUpstream(5, max_connections=1)

            async def twice(number: int) -> None:
                # The second call of one must not overtake the first of another.
                await asked(upstream, server, post(b"%d" % number))
                await asked(upstream, server, post(b"%d" % (number + 10)))

            await asyncio.gather(*(twice(number) for number in range(10)))
            assert order == list(range(20))
            await upstream.close()

    run(talk())


def test_a_call_that_stops_waiting_takes_no_turn_away(run: Run) -> None:
    async def talk() -> None:
        go = asyncio.Event()

        async def play(guest: Guest) -> None:
            while True:
                _, body = await guest.request()
                await go.wait()
                await guest.ok(body)

        async with Server(play) as server:
            upstream = HttpUpstream(5, max_connections=1)
            calls = [asyncio.ensure_future(asked(upstream, server, post(b"%d" % n))) for n in range(6)]
            await turn()
            for number in (1, 3, 4):
                calls[number].cancel()
            go.set()
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert [one for one in found if isinstance(one, bytes)] == [b"0", b"2", b"5"]
            assert server.seen == 1
            await upstream.close()

    run(talk())


def test_unused_connections_of_another_base_make_room(run: Run) -> None:
    async def talk() -> None:
        async with Server(echo) as first, Server(echo) as second:
            upstream = HttpUpstream(5, max_connections=2)
            await asyncio.gather(*(asked(upstream, first) for _ in range(4)))
            assert upstream.connections == 2
            await asyncio.gather(*(asked(upstream, second) for _ in range(4)))
            assert upstream.connections == 2
            await first.empty()
            await upstream.close()

    run(talk())


def test_a_failed_call_gives_its_place_to_the_next(run: Run) -> None:
    async def talk() -> None:
        count = iter(range(100))

        async def play(guest: Guest) -> None:
            while True:
                _, body = await guest.request()
                if next(count) % 2:
                    return
                await guest.ok(body)

        async with Server(play) as server:
            upstream = HttpUpstream(5, max_connections=2)
            calls = (asked(upstream, server) for _ in range(20))
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(one == b"hi" for one in found) == 10
            assert sum(isinstance(one, TransportFault) for one in found) == 10
            assert server.most <= 2
            await upstream.close()

    run(talk())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_call_cancelled_at_any_point_leaves_nothing_behind(tls: bool, certificate: Path, run: Run) -> None:
    async def talk() -> None:
        chance = random.Random(7)
        async with Server(echo, certificate if tls else None) as server:
            upstream = HttpUpstream(5, max_connections=3, ca_file=certificate / "cert.pem")

            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(20):
                    yield b"x" * 1000
                    await turn()

            for number in range(120):
                wires = [post(b"y" * 300_000), post(pieces()), post(pieces(), 20_000), post()]
                calls = [asyncio.ensure_future(asked(upstream, server, wire)) for wire in wires]
                for _ in range(chance.randrange(4 if number % 2 else 60)):
                    await turn()
                for call in calls:
                    call.cancel()
                await asyncio.wait(calls)
            assert await asked(upstream, server) == b"hi"  # no place was lost
            assert await asyncio.gather(*(asked(upstream, server) for _ in range(9))) == [b"hi"] * 9
            await upstream.close()
            assert upstream.connections == 0
            await server.empty()
            while len(asyncio.all_tasks() - server.tasks) > 2:  # this one, and the one that limits its time
                await turn()
        gc.collect()  # a socket left open would be a ResourceWarning, which is an error here

    run(talk())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_closing_ends_what_is_under_way_waiting_or_about_to_connect(
    tls: bool, certificate: Path, run: Run
) -> None:
    async def talk() -> None:
        arrived = asyncio.Event()

        async def play(guest: Guest) -> None:
            head, _ = await guest.request()
            if b"/unframed" in head:
                await guest.say(OK + b"\r\nhalf")
            arrived.set()
            await guest.gone()

        async with Server(play, certificate if tls else None) as server:
            upstream = HttpUpstream(5, max_connections=3, ca_file=certificate / "cert.pem")
            reply = await upstream.send(server.url, Wire("GET", "/unframed", []))
            assert await reply.read() == b"half"
            arrived.clear()
            calls = [asyncio.ensure_future(asked(upstream, server))]
            await arrived.wait()
            calls += [asyncio.ensure_future(asked(upstream, server)) for _ in range(3)]
            await turn()
            await upstream.close()
            found = await asyncio.gather(
                *calls, reply.read(), asked(upstream, server), return_exceptions=True
            )
            assert [type(one) for one in found] == [TransportFault] * 6
            assert upstream.connections == 0
            await server.empty()

    run(talk())


def test_what_was_left_can_no_longer_be_read(run: Run) -> None:
    async def talk() -> None:
        async def play(guest: Guest) -> None:
            await guest.request()
            await guest.say(OK + b"Content-Length: 9\r\n\r\n")
            await guest.gone()

        async with Server(play) as server:
            upstream = HttpUpstream(5)
            reply = await upstream.send(server.url, post())
            reply.close()
            with pytest.raises(TransportFault):
                await reply.read()
            await server.empty()
            await upstream.close()

    run(talk())


def test_a_large_answer_waits_for_its_slow_reader(run: Run) -> None:
    async def talk() -> None:
        size = 30_000_000
        sent = 0

        async def play(guest: Guest) -> None:
            nonlocal sent
            await guest.request()
            await guest.say(OK + b"Content-Length: %d\r\n\r\n" % size)
            while sent < size:
                await guest.say(b"z" * 100_000)
                sent += 100_000
            await guest.ok((await guest.request())[1])

        async with Server(play) as server:
            upstream = HttpUpstream(5)
            reply = await upstream.send(server.url, post())
            for _ in range(2000):
                await turn()
            assert sent < size  # the server is held back
            assert len(await rest(reply)) == size
            assert await asked(upstream, server) == b"hi"
            await upstream.close()

    run(talk())


def test_a_large_body_waits_for_the_slow_server(run: Run) -> None:
    async def talk() -> None:
        go, made = asyncio.Event(), 0

        async def play(guest: Guest) -> None:
            await go.wait()
            await guest.ok(b"%d" % len((await guest.request())[1]))

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal made
            for _ in range(300):
                made += 1
                yield b"z" * 100_000

        async with Server(play) as server:
            upstream = HttpUpstream(5)
            call = asyncio.ensure_future(asked(upstream, server, post(pieces())))
            for _ in range(2000):
                await turn()
            assert made < 300
            go.set()
            assert await call == b"30000000"
            await upstream.close()

    run(talk())


def test_an_answer_before_the_body_was_sent_is_heard_though_the_server_closes(run: Run) -> None:
    async def talk() -> None:
        async def play(guest: Guest) -> None:
            await guest.reader.readuntil(b"\r\n\r\n")
            await guest.say(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large")

        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"z" * 100_000

        async with Server(play) as server:
            upstream = HttpUpstream(5)
            for wire in (post(pieces()), post(pieces(), 1 << 40), post(b"z" * 20_000_000)):
                reply = await upstream.send(server.url, wire)
                assert (reply.status, await rest(reply)) == (413, b"too large")
            await upstream.close()
            await server.empty()

    run(talk())


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abc", b"def"]], ids=["shorter", "longer"])
def test_a_body_of_another_length_is_the_callers_fault(pieces: list[bytes], run: Run) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def talk() -> None:
        async with Server(echo) as server:
            upstream = HttpUpstream(5)
            with pytest.raises(TransportFault) as caught:
                await upstream.send(server.url, post(body(), 5))
            assert (caught.value.verdict.kind, caught.value.verdict.reason) == (Kind.REFUSED, "body_length")
            assert await asked(upstream, server) == b"hi"
            await upstream.close()

    run(talk())


def refused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "base",
    [
        f"http://127.0.0.1:{refused_port()}",
        f"http://{'a' * 64}.invalid",
        "http://a..b",
    ],
    ids=["refused", "a label too long", "no label"],
)
def test_a_place_that_cannot_be_reached(base: str, run: Run) -> None:
    async def talk() -> None:
        upstream = HttpUpstream(5, max_connections=1)
        for _ in range(2):
            with pytest.raises(TransportFault) as caught:
                await upstream.send(base, post())
            assert caught.value.verdict.reason == "connect"
            assert not caught.value.verdict.billed
        assert upstream.connections == 0
        await upstream.close()

    run(talk())


def test_a_server_that_says_nothing_to_our_tls_is_given_up_in_time(certificate: Path, run: Run) -> None:
    async def talk() -> None:
        async with Server(Guest.gone) as server:
            upstream = HttpUpstream(0.05, ca_file=certificate / "cert.pem")
            with pytest.raises(TransportFault) as caught:
                await upstream.send(f"https://localhost:{server.port}", post())
            assert caught.value.verdict.reason == "connect_timeout"
            await server.empty()
            await upstream.close()

    run(talk())


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path, run: Run) -> None:
    async def talk() -> None:
        async with Server(echo, certificate) as server:
            upstream = HttpUpstream(5)
            with pytest.raises(TransportFault) as caught:
                await upstream.send(server.url, post())
            assert caught.value.verdict.reason == "tls"
            assert upstream.connections == 0
            await upstream.close()

    run(talk())


@pytest.mark.parametrize("alert", [True, False], ids=["with the alert", "without"])
def test_over_tls_only_the_closing_alert_ends_an_answer_without_length(
    alert: bool, certificate: Path, run: Run
) -> None:
    async def talk() -> None:
        async def play(guest: Guest) -> None:
            await guest.request()
            await guest.say(OK + b"\r\nhello")
            if alert:
                guest.writer.close()
                await guest.gone()
            # else: the server's end of the play drops the connection, as an attacker on the path could

        async with Server(play, certificate) as server:
            upstream = HttpUpstream(5, ca_file=certificate / "cert.pem")
            reply = await upstream.send(server.url, post())
            if alert:
                assert await rest(reply) == b"hello"
            else:
                with pytest.raises(TransportFault):
                    await rest(reply)
            await upstream.close()

    run(talk())


def test_tls_connections_are_used_again(certificate: Path, run: Run) -> None:
    async def talk() -> None:
        async with Server(echo, certificate) as server:
            upstream = HttpUpstream(5, ca_file=certificate / "cert.pem")
            for size in (1, 100, 1_000_000):
                assert await asked(upstream, server, post(b"x" * size)) == b"x" * size
            assert server.seen == 1
            await upstream.close()
            await server.empty()

    run(talk())
