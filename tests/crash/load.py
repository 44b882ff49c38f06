"""The load of one round: a mix of calls, drawn from seeded dice, until the gateway is gone."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.crash.books import KEYS, SHARES
from tests.crash.wire import Connection, Question, Seen, ask, request

MODEL = "models/gemini-3.8-flash"
PATIENCE = 60.0  # seconds until calls that do not even end with their gateway are given up
# What is asked, and how often: forms of answers first, then ways in which they go wrong.
MIX = {
    "unary": 30,
    "sse": 24,
    "array": 10,
    "count": 6,
    "list": 4,
    "busy": 4,
    "spent": 3,
    "refused": 3,
    "malformed": 2,
    "cut": 4,
    "ended": 2,
    "faulty": 3,
    "garbage": 2,
    "reset": 2,
    "truncated": 2,
}
FAULTS = {
    "busy": "overloaded",
    "spent": "quota-rpm-free",
    "refused": "context-overflow",
    "cut": "cut-after=2",
    "ended": "end-after=2",
    "faulty": "in-stream-error=2",
    "garbage": "garbage",
    "reset": "reset",
    "truncated": "truncated-json",
}
# What strikes the first target alone, each at so many of its calls: calls that are answered after another try.
STRIKES = (
    {"simulate": "overloaded", "model": MODEL.removeprefix("models/"), "every": 9},
    {"simulate": "internal", "model": MODEL.removeprefix("models/"), "every": 13},
)
STREAMS = frozenset({"sse", "cut", "ended", "faulty"})


def questions(
    dice: random.Random, stalls: bool = False, faulty: bool = True, keyed: bool = False
) -> Iterator[Question]:
    """Calls without end. ``stalls`` adds streams that go on until somebody ends them.

    Without ``faulty`` the forms that go wrong go well: a fault that comes with the call meets each of its tries
    and closes every target, and then nothing is asked of the upstream any more. ``keyed`` calls bring
    one of the keys.
    """
    forms, weights = list(MIX), list(MIX.values())
    for number in itertools.count():
        (form,) = dice.choices(forms, weights)
        leave = dice.uniform(0.0, 0.2) if dice.random() < 0.06 else None
        if not faulty and form in FAULTS:
            form = "sse" if form in STREAMS else "unary"
        question = _question(number, form, dice, leave, stalls and dice.random() < 0.05)
        if keyed:
            (name,) = dice.choices([one.name for one in KEYS], SHARES)
            question = replace(question, key=name)
        yield question


def _question(number: int, form: str, dice: random.Random, leave: float | None, stall: bool) -> Question:
    verb, path, body = "POST", f"/v1beta/{MODEL}:generateContent", _prompt(number, dice)
    simulate = [f"slow-first-byte={dice.choice((0, 0, 0.2, 0.8, 2)):g}"]
    if form == "count":
        path = f"/v1beta/{MODEL}:countTokens"
    elif form == "list":
        verb, path, body = "GET", f"/v1beta/models?pageSize={dice.randint(1, 20)}", b""
    elif form == "malformed":
        body = body[: len(body) // 2]
    elif form == "array":
        path = f"/v1/{MODEL}:streamGenerateContent"
    elif form in STREAMS:
        path = f"/v1beta/{MODEL}:streamGenerateContent?alt=sse"
    if form == "array" or form in STREAMS:
        simulate += [
            f"events={dice.randint(3, 12)}",
            f"tokens={dice.randint(20, 200)}",
            "tokens-per-second=40",
        ]
    if stall and form in ("sse", "array"):
        simulate.append("stall-after=1")
    if form in FAULTS:
        simulate.append(FAULTS[form])
    return Question(number, form, verb, path, ",".join(simulate), body, leave)


def _prompt(number: int, dice: random.Random) -> bytes:
    text = f"Question {number}: {dice.getrandbits(64):x} " + "why? " * dice.choice((1, 1, 20, 400, 4000))
    return json.dumps({"contents": [{"role": "user", "parts": [{"text": text}]}]}).encode()


class Load:
    """Clients that ask until the gateway goes. ``seen`` holds every call in the order of asking."""

    def __init__(self, port: int, round_: int, source: Iterator[Question], clients: int) -> None:
        self.seen: list[Seen] = []
        self._port = port
        self._round = round_
        self._source = source
        self._clients = clients
        self._ending = asyncio.Event()
        self._moments = itertools.count(1)

    async def run(self, acts: list[tuple[float, Callable[[], None]]]) -> None:
        """Ask, and do each of ``acts`` at its second; the last of them ends the gateway.

        Raises TimeoutError when a call outlives that by far, ConnectionError when the gateway went by itself.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        clients = [asyncio.create_task(self._client()) for _ in range(self._clients)]
        try:
            for at, act in acts:
                await asyncio.sleep(start + at - loop.time())
                if act is acts[-1][1]:
                    self._ending.set()
                act()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*clients)
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self) -> None:
        connection: Connection | None = None
        while not self._ending.is_set():
            seen = Seen(next(self._source), asked=next(self._moments))
            self.seen.append(seen)
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                if not self._ending.is_set():
                    raise
                return
            if not await self._asked(connection, seen):
                connection[1].transport.abort()
                connection = None
        if connection is not None:
            connection[1].transport.abort()

    async def _asked(self, connection: Connection, seen: Seen) -> bool:
        """Ask one question on a connection; whether that can be used again."""
        data = request(seen.question, agent(self._round, seen.question.number))
        try:
            async with asyncio.timeout(seen.question.leave):
                reusable = await ask(connection, data, seen)
                seen.ended = next(self._moments)
                return reusable
        except TimeoutError:
            seen.left = True
        except (OSError, asyncio.IncompleteReadError):
            pass
        return False


def agent(round_: int, number: int) -> str:
    """The mark of a call. The record keeps its first word, which does not grow with the rounds."""
    return f"load-{number} (round {round_})"


def unmark(text: str) -> tuple[int, int]:
    """Round and number of a mark. Raises ValueError for what is none."""
    word, _, rest = text.partition(" ")
    return int(rest.removeprefix("(round ").removesuffix(")")), int(word.removeprefix("load-"))
