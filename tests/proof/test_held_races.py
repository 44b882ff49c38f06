"""A race under a budget: a second try that has no room does not take the first one's answer away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import uvloop

from gemgate.store import budgets
from gemgate.store.connection import visitor
from tests.gateway.keyed import token
from tests.gateway.launch import Gateway, until
from tests.proof import braked, stage
from tests.proof.caller import Answer, Caller
from tests.simulator.launch import Simulator

PROJECTS = [stage.Project("one"), stage.Project("two")]
TOML = "[routing]\nhedge_allowance = 1.0\n" + stage.route(
    "raced", ["gemini-2.5-flash@one", "gemini-2.5-flash@two"], hedge=True
)
ENOUGH_TO_KNOW = 40  # calls after which the gateway knows when a first byte is late


async def ask(caller: Caller, text: str) -> Answer:
    """One call of fixed cost on the route that races."""
    asked = {
        "contents": [{"role": "user", "parts": [{"text": text.ljust(160, ".")}]}],
        "generationConfig": {"maxOutputTokens": 100},
    }
    headers = (("x-goog-api-key", token("k")), ("x-simulate", "output=100"))
    return await caller.ask("/v1beta/models/raced:generateContent", json.dumps(asked).encode(), headers)


async def narrowed(gateway: Gateway, tries: float) -> None:
    """Leave room for so many tries in the budget, and wait until the gateway knows."""
    amount = braked.spent(gateway)["line"] + int(braked.cost(50, 100) * tries)
    with contextlib.closing(visitor(gateway.data / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        budgets.change(conn, "line", amount=amount)
        conn.keep()
    await asyncio.to_thread(until, lambda: amount in known(gateway), "the narrowed budget")


def known(gateway: Gateway) -> list[int]:
    """The amounts of the budgets that the gateway has in force, as its state tells."""
    rows = gateway.rows("SELECT body FROM gateway_states")
    return [one["amount"] for row in rows for one in json.loads(row["body"])["brakes"]["budgets"]]


async def raced(gateway: Gateway, upstream: Simulator) -> tuple[Answer, Answer]:
    """A slow call while there is room for a second try, and one while there is not."""
    async with Caller(gateway.url) as caller:
        await asyncio.gather(*(ask(caller, f"Call {number}") for number in range(ENOUGH_TO_KNOW)))
        upstream.set_faults({"simulate": "slow-first-byte=2", "nth": 1})
        roomy = await ask(caller, "A slow one")
        upstream.set_faults({"simulate": "slow-first-byte=2", "nth": 1})
        await narrowed(gateway, 1.3)
        return roomy, await ask(caller, "A slow one without room for two")


def test_a_second_try_without_room_leaves_the_first_its_time(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    braked.put(data, [braked.key("k")], [braked.budget("line", 10**12)])
    with (
        stage.simulator(tmp_path, PROJECTS) as upstream,
        stage.gateway(tmp_path, upstream, PROJECTS, TOML) as gateway,
    ):
        roomy, narrow = uvloop.run(raced(gateway, upstream))
        gateway.stop()
        assert (roomy.status, roomy.headers["x-gemgate-attempts"]) == (200, "2")
        assert (narrow.status, narrow.headers["x-gemgate-attempts"]) == (200, "1")
