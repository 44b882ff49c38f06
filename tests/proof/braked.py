"""The stage of a proof with keys and budgets: made in the store, asked by many at once, judged by the simulator.

What calls took is what the simulator counted, times the price book; what was charged is what the store says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from gemgate.config.book import load_book
from gemgate.core import access, pricing
from gemgate.core.access import Key
from gemgate.core.budget import Budget
from gemgate.core.usage import Usage
from gemgate.store import budgets, keys, migrate
from gemgate.store.connection import visitor
from tests.gateway.keyed import token
from tests.gateway.launch import Gateway
from tests.proof import stage
from tests.proof.caller import Answer, Caller
from tests.simulator.launch import Simulator

MODEL: Final = "gemini-2.5-flash"
NANO: Final = 1_000_000_000
SECOND: Final = 1_000_000
INPUT: Final = 40
"""Input tokens of a call, as the simulator counts them."""
LONG: Final = 100_000
"""More tokens than any of these answers may have: each is cut at its maxOutputTokens."""
FORMS: Final = ("whole", "events", "array", "chat", "chat events")
_BOOK: Final = load_book()


def cost(input_: int, output: int, model: str = MODEL) -> int:
    """Nano-dollars of a call by the price book."""
    at = round(stage.START * SECOND)
    price = _BOOK.price(_BOOK.routed(model, at), "", at)
    assert price is not None
    billed = pricing.cost(price, Usage(input_, 0, output)).billed
    assert billed
    return billed


@dataclass(frozen=True)
class Bound:
    """The bounds within which a call is estimated before anything of its model was seen: a quarter to five quarters
    of the quick count of its input (a quarter of its bytes), and from one token to all the output that it allows."""

    least: int
    most: int

    @property
    def error(self) -> int:
        """The stated error of the estimate."""
        return self.most - self.least


def bound(output: int, *, money: bool = True) -> Bound:
    """The bounds of a ``question`` that allows so much output, in nano-dollars or tokens."""
    quick = len(question("whole", "", output)[1]) // 4
    low, high = quick // 4, -(-quick * 5 // 4)
    if money:
        return Bound(cost(low, 1), cost(high, output))
    return Bound(low + 1, high + output)


def put(data: Path, made: Iterable[Key] = (), limits: Iterable[Budget] = ()) -> None:
    """Make keys (their tokens are ``token(name)``) and budgets. A gateway that runs knows them within a second."""
    migrate.upgrade(data / "gemgate.db")
    with contextlib.closing(visitor(data / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        for key in made:
            secret = token(key.name)
            keys.create(
                conn, key, access.Token(digest=access.digest(secret), key=0, hint=access.hint(secret))
            )
        for budget in limits:
            budgets.create(conn, budget, round(stage.START * SECOND))
        conn.keep()


def key(name: str, **more: Any) -> Key:
    """A key."""
    return Key(id=0, name=name, created_at=1, **more)


def budget(name: str, amount: int, **more: Any) -> Budget:
    """A budget of all calls' money in a day, unless ``more`` says otherwise."""
    plain: dict[str, Any] = {"scope": "all", "unit": "money", "period": "day"}
    return Budget(id=0, name=name, amount=amount, **(plain | more))


def question(form: str, name: str, output: int, model: str = MODEL) -> tuple[str, bytes]:
    """Path and body of a call of ``INPUT`` tokens that allows so many tokens of output."""
    text = f"{name}: ".ljust(INPUT * 4, ".")
    if form.startswith("chat"):
        chat = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": output}
        return "/openai/v1/chat/completions", json.dumps(chat | {"stream": form != "chat"}).encode()
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"maxOutputTokens": output},
    }
    how = {"whole": "generateContent", "events": "streamGenerateContent?alt=sse"}
    return f"/v1beta/models/{model}:{how.get(form, 'streamGenerateContent')}", json.dumps(body).encode()


@dataclass(frozen=True)
class Call:
    """One call to make: ``said`` tokens of answer (at most ``output``, which it allows)."""

    name: str
    output: int
    said: int = LONG
    form: str = "whole"
    headers: tuple[tuple[str, str], ...] = ()
    slow: float = 0.0
    model: str = MODEL

    async def ask(self, caller: Caller) -> Answer:
        """Make it."""
        path, body = question(self.form, self.name, self.output, self.model)
        faults = f"output={self.said}" + (f",slow={self.slow:g}" if self.slow else "")
        return await caller.ask(path, body, (("x-simulate", faults), *self.headers))


def all_at_once(
    gateway: Gateway, calls: Sequence[Call], act: Callable[[], object] | None = None
) -> list[Answer]:
    """Make these calls at the same time. ``act`` is done meanwhile, in a thread of its own."""

    async def inside() -> list[Answer]:
        async with Caller(gateway.url) as caller:
            asked = [asyncio.ensure_future(call.ask(caller)) for call in calls]
            if act is not None:
                await asyncio.to_thread(act)
            return list(await asyncio.gather(*asked))

    return uvloop.run(inside())


def named(name: str) -> tuple[tuple[str, str], ...]:
    """The header with the token of the key of this name, in the place that both doors know."""
    return (("x-gemgate-key", token(name)),)


def statuses(answers: Iterable[Answer]) -> Counter[int]:
    """How many answers have each status."""
    return Counter(answer.status for answer in answers)


def code(answer: Answer) -> str:
    """The stable code in an error of either door, in capitals; empty for an answer that is none."""
    if answer.status < 400:
        return ""
    error = answer.error()
    said = error.get("code")
    return str(said).upper() if isinstance(said, str) else str(answer.detail("ErrorInfo").get("reason", ""))


def spent(gateway: Gateway) -> dict[str, int]:
    """What the store says was spent of each budget, over all slots."""
    links = "budgets LEFT JOIN budget_spends ON budget_id = id"
    rows = gateway.rows(f"SELECT name, ifnull(sum(spent), 0) AS spent FROM {links} GROUP BY id")
    return {row["name"]: row["spent"] for row in rows}


def held(gateway: Gateway) -> dict[str, int]:
    """What calls under way hold of each budget, by the store."""
    with contextlib.closing(visitor(gateway.data / "gemgate.db")) as conn:
        names = dict(conn.execute("SELECT id, name FROM budgets"))
        return {names[number]: amount for number, amount in budgets.held(conn).items()}


def billed(gateway: Gateway, which: str = "1") -> int:
    """What the record says that calls cost, in nano-dollars."""
    (row,) = gateway.rows(f"SELECT ifnull(sum(billed_nano), 0) AS nano FROM calls AS c WHERE {which}")
    return int(row["nano"])


FINISHED: Final = "c.outcome_id <> (SELECT id FROM outcomes WHERE name = 'interrupted')"
"""Calls that ended while their gateway lived."""


def taken(upstream: Simulator) -> tuple[int, int]:
    """Input and output tokens that the simulator has counted of all models of all projects."""
    sums = [model for project in upstream.state()["projects"] for model in project["models"].values()]
    return sum(one["tokens"] for one in sums), sum(one["output_tokens"] for one in sums)


def events(gateway: Gateway, kind: str) -> list[dict[str, Any]]:
    """The events of a kind on record."""
    return gateway.rows("SELECT * FROM events WHERE kind = ? ORDER BY seq", kind)
