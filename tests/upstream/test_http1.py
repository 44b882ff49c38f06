"""One connection: what is whole, what is broken, and when it may be used again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemgate.upstream.http1 import HIGH, MAX_HEAD, Broken

from .conftest import Run, go
from .line import Talk, outcome, rest

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"X-A: 1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n"
WHOLE_HELLO = (200, b"hello")
CUT = ("broken", True, False)
NONE = ("broken", False, False)
GARBAGE = ("broken", False, True)

# name: (verb, what the server says, whether it then ends the connection, what comes of it, whether it is reused)
TABLE: dict[str, tuple[str, bytes, bool | int, tuple[object, ...], bool | int]] = {
    "length": ("GET", LENGTH, False, WHOLE_HELLO, True),
    "length, then the end": ("GET", LENGTH, True, WHOLE_HELLO, False),
    "chunks": ("GET", CHUNKED, False, WHOLE_HELLO, True),
    "nothing": ("GET", OK + b"Content-Length: 0\r\n\r\n", False, (200, b""), True),
    "no length": ("GET", OK + b"\r\nhello", True, WHOLE_HELLO, False),
    "no length and no body": ("GET", OK + b"\r\n", True, (200, b""), False),
    "close and length": ("GET", OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", 0, WHOLE_HELLO, 0),
    "close in a list": ("GET", OK + b"Connection: X, Close\r\nContent-Length: 0\r\n\r\n", 0, (200, b""), 0),
    "close and no length": ("GET", OK + b"Connection: close\r\n\r\nhello", True, WHOLE_HELLO, False),
    "close and short": ("GET", OK + b"Connection: close\r\nContent-Length: 6\r\n\r\nhello", True, CUT, False),
    "short": ("GET", OK + b"Content-Length: 6\r\n\r\nhello", True, CUT, False),
    "chunks cut after a chunk": ("GET", CHUNKED[: CHUNKED.index(b"0\r\nT")], True, CUT, False),
    "chunks cut in the trailer": ("GET", CHUNKED[:-2], True, CUT, False),
    "bad chunk": ("GET", CHUNKED.replace(b"3;x=y", b"zz"), False, ("broken", True, True), False),
    "length and chunks": ("GET", CHUNKED.replace(b"X-A", b"Y").replace(b"OK\r\n", b"OK\r\nContent-Length: 5\r\n"), 0,
                          GARBAGE, 0),
    "two lengths": ("GET", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", False, GARBAGE, False),
    "a length below zero": ("GET", OK + b"Content-Length: -5\r\n\r\nhello", False, GARBAGE, False),
    "a list of lengths": ("GET", OK + b"Content-Length: 5, 5\r\n\r\nhello", False, GARBAGE, False),
    "another coding": ("GET", OK + b"Transfer-Encoding: gzip\r\n\r\nhello", True, GARBAGE, False),
    "coded chunks": ("GET", CHUNKED.replace(b": chunked", b": gzip, chunked"), False, GARBAGE, False),
    "1.0 with length": ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False, WHOLE_HELLO, False),
    "1.0 with length, short": ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello", True, CUT, False),
    "1.0 kept alive": ("GET", b"HTTP/1.0 200 K\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", 0,
                       WHOLE_HELLO, 1),
    "1.0 kept alive, no length": ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", True,
                                  WHOLE_HELLO, False),
    "1.0 with chunks": ("GET", CHUNKED.replace(b"1.1 200 OK\r\n", b"1.0 200 OK\r\nConnection: keep-alive\r\n"), 0,
                        WHOLE_HELLO, 0),
    "HEAD": ("HEAD", OK + b"Content-Length: 5\r\n\r\n", False, (200, b""), False),
    "HEAD with chunks": ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", False, (200, b""), False),
    "HEAD answered with a body": ("HEAD", LENGTH, False, (200, b""), False),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", False, (204, b""), True),
    "304 with a length": ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", False, (304, b""), True),
    "204 with a body": ("GET", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", False, (204, b""), False),
    "100 first": ("GET", b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n" + LENGTH, False, WHOLE_HELLO, True),
    "103 and 100 first": ("GET", b"HTTP/1.1 103 H\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\n" + CHUNKED, False,
                          WHOLE_HELLO, True),
    "100 and no answer": ("GET", b"HTTP/1.1 100 Continue\r\n\r\n", True, NONE, False),
    "100, then no length": ("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\nhello", True, WHOLE_HELLO, False),
    "101": ("GET", b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", False, GARBAGE, False),
    "101 without a protocol": ("GET", b"HTTP/1.1 101 S\r\n\r\n", False, GARBAGE, False),
    "an offer to upgrade": ("GET", LENGTH.replace(b"X-A: 1", b"Connection: upgrade\r\nUpgrade: h2c"), False,
                            WHOLE_HELLO, True),
    "stray bytes": ("GET", LENGTH + b"garbage", False, WHOLE_HELLO, False),
    "two answers": ("GET", LENGTH + LENGTH, False, WHOLE_HELLO, False),
    "stray bytes after chunks": ("GET", CHUNKED + b"\0", False, WHOLE_HELLO, False),
    "stray bytes after a close": ("GET", LENGTH.replace(b"X-A: 1", b"Connection: close") + b"HTTP", False,
                                  WHOLE_HELLO, False),
    "no HTTP": ("GET", b"SSH-2.0-OpenSSH_9.2\r\n", False, GARBAGE, False),
    "nothing at all": ("GET", b"", True, NONE, False),
    "half a head": ("GET", OK + b"Content-Le", True, NONE, False),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("torn", [False, True], ids=["in one packet", "byte by byte"])
def test_what_is_whole_and_when_a_connection_is_used_again(name: str, torn: bool, run: Run) -> None:
    verb, said, eof, expected, reused = TABLE[name]

    async def talk() -> None:
        one = Talk()
        packets = [said[at : at + 1] for at in range(len(said))] if torn else [said]
        found = await outcome(one, packets, verb, bool(eof))
        if found[0] != "broken":
            found = (found[0], found[2])
        assert found == expected
        await asyncio.sleep(0)  # the round in which a closed line tells its connection
        assert one.connection.usable == bool(reused)
        assert one.line.over == (one.gone == 1) == (not one.connection.usable)

    run(talk())


def test_what_is_cut_is_broken_wherever_it_is_cut() -> None:
    async def talk() -> None:
        for said in (LENGTH, CHUNKED, b"HTTP/1.1 100 C\r\n\r\n" + CHUNKED):
            for size in range(len(said)):
                one = Talk()
                found = await outcome(one, [said[:size]], eof=True)
                assert found[0] == "broken", said[:size]
                assert one.free == 0

    go(talk(), "asyncio")


NAMES = st.text("abcdefgXYZ-", min_size=1, max_size=12).map(lambda name: "x-" + name)
VALUES = st.text('abc ,;="/é\xff', max_size=20).map(str.strip)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, tuple[object, ...], list[bytes]]:
    """An answer's bytes, what they mean, and the packets in which they come."""
    body = draw(st.binary(max_size=60))
    headers = [
        (n.lower().encode(), v.encode("latin-1"))
        for n, v in draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    ]
    status = draw(st.sampled_from([200, 201, 308, 400, 429, 503]))
    if draw(st.booleans()):
        framing, payload = (b"content-length", b"%d" % len(body)), body
    else:
        bounds = sorted(draw(st.sets(st.integers(0, len(body)), max_size=4)) | {0, len(body)})
        pieces = [body[a:b] for a, b in pairwise(bounds)]
        payload = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        framing = (b"transfer-encoding", b"chunked")
    headers.insert(draw(st.integers(0, len(headers))), framing)
    lines = b"".join(name.title() + b": " + value + b"\r\n" for name, value in headers)
    said = draw(st.sampled_from([b"", b"HTTP/1.1 100 C\r\nX-No: 1\r\n\r\n"]))
    said += b"HTTP/1.1 %d Whatever\r\n" % status + lines + b"\r\n" + payload
    cuts = sorted(draw(st.sets(st.integers(1, len(said) - 1), max_size=8)) | {0, len(said)})
    packets = [said[a:b] for a, b in pairwise(cuts)]
    return said, (status, tuple(headers), body), packets


@given(answers(), st.data())
@settings(max_examples=150, deadline=None)
def test_however_an_answer_is_cut_into_packets_it_is_the_same(
    made: tuple[bytes, tuple[object, ...], list[bytes]], data: st.DataObject
) -> None:
    said, meaning, packets = made

    async def talk() -> None:
        one = Talk()
        assert await outcome(one, packets) == meaning
        assert await outcome(one, packets) == meaning  # the same connection serves again
        assert (one.free, one.gone) == (2, 0)
        short = said[: data.draw(st.integers(0, len(said) - 1))]
        assert (await outcome(Talk(), [short], eof=True))[0] == "broken"

    go(talk(), "asyncio")


@pytest.mark.parametrize(
    "endless",
    [
        OK + b"X-Long: " + b"a" * 65_536,
        OK + b"X-" + b"a" * 65_536,
        b"HTTP/1.1 200 " + b"a" * 65_536,
        CHUNKED[: CHUNKED.index(b"T: 1")] + b"T: " + b"a" * 65_536,
        CHUNKED[: CHUNKED.index(b"x=y")] + b"x=" + b"a" * 65_536,
    ],
    ids=["value", "name", "reason", "trailer", "extension"],
)
def test_a_line_without_an_end_is_garbage_and_is_not_kept(endless: bytes, run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        packets = [endless] + [b"a" * 65_536] * (2 * MAX_HEAD // 65_536)
        found = await outcome(one, packets)
        assert found[0] == "broken"
        assert found[2] is True

    run(talk())


def test_interim_answers_without_an_end_are_garbage(run: Run) -> None:
    async def talk() -> None:
        packet = b"HTTP/1.1 100 Continue\r\n\r\n" * 1000
        assert await outcome(Talk(), [packet] * (MAX_HEAD // len(packet) + 1)) == GARBAGE

    run(talk())


def test_many_headers_pass_and_blanks_around_values_do_not(run: Run) -> None:
    async def talk() -> None:
        lines = b"".join(b"X-%d: \t v\xe9%d \t\r\n" % (n, n) for n in range(3000))
        answer = await Talk().ask([OK + lines + b"X-Empty:\r\nContent-Length: 0 \r\n\r\n"])
        expected = [(b"x-%d" % n, b"v\xe9%d" % n) for n in range(3000)]
        assert answer.headers == [*expected, (b"x-empty", b""), (b"content-length", b"0")]

    run(talk())


def test_a_trailer_is_no_header(run: Run) -> None:
    async def talk() -> None:
        answer = await Talk().ask([CHUNKED])
        assert answer.headers == [(b"transfer-encoding", b"chunked")]

    run(talk())


def test_a_slow_reader_stops_the_line_and_sets_it_going_again(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        answer = await one.ask([OK + b"Content-Length: %d\r\n\r\n" % (3 * HIGH), b"a" * HIGH])
        assert not one.line.paused
        one.say([b"b" * 10])
        assert one.line.paused
        assert await answer.read() == b"a" * HIGH + b"b" * 10
        assert not one.line.paused
        one.say([b"c" * (HIGH + 1)])
        assert one.line.paused
        one.say([b"d" * (HIGH - 11)])  # what was on its way already
        assert (one.free, one.line.paused) == (1, False)
        assert await rest(answer) == b"c" * (HIGH + 1) + b"d" * (HIGH - 11)

    run(talk())


def test_an_answer_left_before_its_end_takes_the_connection_with_it(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        answer = await one.ask([LENGTH[:-1]])
        answer.close()
        assert not one.connection.usable
        assert await answer.read() == b"hell"
        with pytest.raises(Broken):
            await answer.read()

    run(talk())


def test_an_answer_left_after_its_end_does_not(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        answer = await one.ask([LENGTH])
        answer.close()
        assert one.connection.usable
        assert await rest(answer) == b"hello"

    run(talk())


def test_our_own_closing_is_no_end_of_an_answer_without_length(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        answer = await one.ask([OK + b"\r\nhel"])
        one.connection.abort()
        with pytest.raises(Broken):
            await rest(answer)

    run(talk())


def test_a_reset_is_no_end_of_an_answer_without_length(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        answer = await one.ask([OK + b"\r\nhel"])
        one.connection.connection_lost(ConnectionResetError())
        with pytest.raises(Broken):
            await rest(answer)

    run(talk())


def test_a_request_that_the_network_did_not_take_ends_the_connection(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        one.line.unsent = 1
        answer = await one.ask([LENGTH])
        assert await rest(answer) == b"hello"
        assert one.free == 0
        assert not one.connection.usable

    run(talk())


def test_bytes_on_an_idle_connection_end_it(run: Run) -> None:
    async def talk() -> None:
        for stray in (b"\r\n", LENGTH, b"x"):
            one = Talk()
            await one.ask([LENGTH])
            one.say([stray])
            assert not one.connection.usable

    run(talk())


async def gives(*pieces: bytes) -> AsyncIterator[bytes]:
    """A body in pieces."""
    for piece in pieces:
        yield piece


HEAD = b"POST / HTTP/1.1\r\n\r\n"


def test_a_body_in_pieces_goes_out_in_chunks_and_an_empty_piece_is_not_its_end(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        asking = asyncio.ensure_future(one.connection.exchange(HEAD, gives(b"he", b"", b"llo", b"")))
        await one.line.until_sent(b"\r\n0\r\n\r\n")
        assert one.line.sent == HEAD + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        one.say([LENGTH])
        assert await rest(await asking) == b"hello"
        assert one.connection.usable

    run(talk())


def test_a_body_of_a_known_length_goes_out_as_it_is(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        asking = asyncio.ensure_future(one.connection.exchange(HEAD, gives(b"he", b"llo"), 5))
        await one.line.until_sent(b"hello")
        one.say([LENGTH])
        assert await rest(await asking) == b"hello"
        assert one.line.sent == HEAD + b"hello"
        assert one.connection.usable

    run(talk())


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [((b"he", b"l"), b"hel"), ((), b""), ((b"he", b"llo!"), b"he"), ((b"hello", b"!"), b"hello")],
    ids=["shorter", "none", "longer", "longer after its end"],
)
def test_a_body_of_another_length_than_announced_fails(
    pieces: tuple[bytes, ...], sent: bytes, run: Run
) -> None:
    async def talk() -> None:
        one = Talk()
        with pytest.raises(Broken) as caught:
            await one.connection.exchange(HEAD, gives(*pieces), 5)
        assert caught.value.uneven
        assert one.line.sent == HEAD + sent
        assert one.free == 0
        assert not one.connection.usable

    run(talk())


def test_a_body_that_fails_takes_the_connection_with_it(run: Run) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"he"
        raise KeyError("gone")

    async def talk() -> None:
        one = Talk()
        with pytest.raises(KeyError):
            await one.connection.exchange(HEAD, failing())
        assert one.line.sent == HEAD + b"2\r\nhe\r\n"
        assert not one.connection.usable

    run(talk())


@pytest.mark.parametrize("left", ["early answer", "lost", "cancelled", "slow"])
def test_a_body_that_is_no_longer_wanted_is_closed_and_the_connection_not_used_again(
    left: str, run: Run
) -> None:
    async def talk() -> None:
        one = Talk()
        closed, never = asyncio.Event(), asyncio.Event()

        async def waiting() -> AsyncIterator[bytes]:
            try:
                yield b"he"
                if left != "slow":
                    await never.wait()
                yield b"llo"
            finally:
                closed.set()

        asking = asyncio.ensure_future(one.connection.exchange(HEAD, waiting(), 5))
        await one.line.until_sent(b"he")
        if left in ("early answer", "slow"):
            one.connection.pause_writing()
            await asyncio.sleep(0)
            one.say([LENGTH])
            assert await rest(await asking) == b"hello"
        elif left == "lost":
            one.say([], eof=True)
            with pytest.raises(Broken):
                await asking
        else:
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await closed.wait()
        assert one.free == 0
        assert not one.connection.usable
        assert b"llo" not in one.line.sent

    run(talk())


def test_a_slow_server_stops_the_body(run: Run) -> None:
    async def talk() -> None:
        one = Talk()
        asked: list[int] = []

        async def counted() -> AsyncIterator[bytes]:
            for number in range(5):
                asked.append(number)
                yield b"%d" % number

        one.connection.pause_writing()
        asking = asyncio.ensure_future(one.connection.exchange(HEAD, counted(), 5))
        await one.line.until_sent(HEAD)
        for _ in range(20):
            await asyncio.sleep(0)
        assert asked == [0]
        one.connection.resume_writing()
        await one.line.until_sent(b"01234")
        one.say([LENGTH])
        assert (await asking).status == 200
        assert one.free == 1

    run(talk())
