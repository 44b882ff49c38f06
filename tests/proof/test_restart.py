"""A window is as full after a restart as it was before, however the gateway ended.

Four models of one project, each with another window used up: requests per minute, tokens per minute and requests per
day by the configured limits, and a minute's requests by what Google said, of which nothing is configured. Of the
first model's calls some are still under way when the gateway ends: Google has counted them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.launch import Gateway, until
from tests.proof import stage
from tests.proof.caller import Answer, Caller, run
from tests.simulator.launch import Simulator

REQUESTS, TOKENS, DAILY, TAUGHT = (
    "gemini-3.8-flash",
    "gemini-3.6-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.1-flash-lite",
)
MODELS = (REQUESTS, TOKENS, DAILY, TAUGHT)
PER_MINUTE, PER_DAY, ANSWERED = 12, 9, 8
KNOWN = {
    REQUESTS: {"rpm": PER_MINUTE},
    TOKENS: {"tpm": 4_000},
    DAILY: {"rpd": PER_DAY},
}
PROJECT = stage.Project("one", {TAUGHT: {"rpm": 5}}, KNOWN)
TOML = """
[gateway]
drain = "1s"
[routing]
patience = "1s"
fallback = false
"""
TOLERANCE = 1.0  # seconds
ENDS: dict[str, Callable[[Gateway], Any]] = {"SIGTERM": Gateway.stop, "SIGKILL": Gateway.kill}


def ask(gateway: Gateway, *calls: tuple[str, int, str]) -> list[Answer]:
    """All at once: (model, tokens, fault) of each."""

    async def work(caller: Caller) -> list[Answer]:
        return list(
            await asyncio.gather(
                *(
                    caller.ask(
                        f"/v1beta/models/{model}:generateContent",
                        stage.prompt(tokens, f"Question {number}"),
                        [("x-simulate", f"tokens=5,thoughts=0{fault}")],
                    )
                    for number, (model, tokens, fault) in enumerate(calls)
                )
            )
        )

    return run(gateway.url, work)


def fill(gateway: Gateway, upstream: Simulator) -> None:
    """Use up every window; the slow calls of the first model are under way when this returns."""
    quick = [(REQUESTS, 20, "")] * ANSWERED + [(TOKENS, 1_300, "")] * 3 + [(DAILY, 20, "")] * PER_DAY
    assert {answer.status for answer in ask(gateway, *quick)} == {200}
    taught = ask(gateway, *[(TAUGHT, 20, "")] * 6)
    assert sorted(answer.status for answer in taught) == [200] * 5 + [429]


async def hanging(gateway: Gateway, upstream: Simulator, end: Callable[[], Any]) -> None:
    """Calls that Google is at work on when ``end`` ends the gateway."""
    before = upstream.state()["in_progress"]
    count = PER_MINUTE - ANSWERED
    async with Caller(gateway.url) as caller:
        asked = [
            asyncio.ensure_future(
                caller.ask(
                    f"/v1beta/models/{REQUESTS}:generateContent",
                    stage.prompt(20, f"Slow {number}"),
                    [("x-simulate", "slow-first-byte=3600")],
                )
            )
            for number in range(count)
        ]
        await asyncio.to_thread(
            until, lambda: upstream.state()["in_progress"] == before + count, "the slow calls"
        )
        await asyncio.to_thread(end)
        answers = await asyncio.gather(*asked)
    assert all(answer.status != 200 for answer in answers)


def rooms(gateway: Gateway) -> dict[str, float]:
    """When each model is said to have room again, in unix seconds; each is refused."""
    answers = ask(gateway, *[(model, 200, "") for model in MODELS])
    for model, answer in zip(MODELS, answers, strict=True):
        assert answer.status == 429, f"{model}: {answer.body!r}"
    return {model: answer.ended + answer.retry_after for model, answer in zip(MODELS, answers, strict=True)}


@pytest.mark.parametrize("signal", ENDS)
def test_a_full_window_is_as_full_after_a_restart(signal: str, tmp_path: Path) -> None:
    with (
        stage.simulator(tmp_path, [PROJECT]) as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT], TOML) as gateway,
    ):
        fill(gateway, upstream)
        told: dict[str, float] = {}

        def end() -> None:
            told.update(rooms(gateway))
            # What Google taught is kept with the state, once a second.
            until(lambda: _kept(gateway), "the closed window in the record")
            ENDS[signal](gateway)

        asyncio.run(hanging(gateway, upstream, end))
        asked = len(upstream.log())
        gateway.start()
        again = rooms(gateway)
        assert len(upstream.log()) == asked, "the simulator was asked though no window has room"
        assert time.time() < min(told.values()), (
            "the machine was too slow: the windows have emptied meanwhile"
        )
        for model in MODELS:
            assert again[model] == pytest.approx(told[model], abs=TOLERANCE), json.dumps([told, again])


def _kept(gateway: Gateway) -> bool:
    rows = gateway.rows("SELECT * FROM quota_windows WHERE closed_until > 0")
    return any(row["closed_until"] > time.time() * 1e6 for row in rows)
