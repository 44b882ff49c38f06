"""The official JavaScript SDK, straight and through the gateway: same results, same bytes, a row for each call.

The scenarios stand in ``js/scenarios.mjs``; npm installs the SDK beside it when it is not there yet.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.recorded import recorded_as_asked
from tests.sdk.sides import Side, Told, newest

FOLDER = Path(__file__).parent / "js"
# Named here too, so that a scenario that the script no longer plays is missed.
SCENARIOS = [
    "generate", "generateUnderEachVersion", "generateWithATimeout", "generateInGzip", "stream", "chat", "functions",
    "functionsByThemselves", "json", "count", "embed", "listModels", "smallFile", "largeFile", "cache", "batch",
    "store", "token", "interaction", "interactionStreamed", "refused", "refusedStream",
]  # fmt: skip
UNENDED = "unended"
# Played where routing is off: with faults in all its answers the one project would be tried again and then closed.
FAULTY = ["refused", "refusedStream", UNENDED]


@dataclass
class Played:
    """What the script printed on one side, and what the simulator and the record say of it."""

    scenarios: dict[str, dict[str, Any]]
    told: Told


def program(name: str) -> str:
    """The path of a program; skips the test where the machine has none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: the JavaScript SDK cannot be played")
    return found


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The folder with the SDK installed."""
    npm = program("npm")
    # One test process at a time: npm clears the folder that another one may be reading.
    with (Path(tempfile.gettempdir()) / "gemgate-sdk-npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "node_modules" / "@google" / "genai" / "package.json").exists():
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
    return FOLDER


def play(side: Side, folder: Path, names: list[str]) -> Played:
    """Run these scenarios of the script against one side."""
    side.begin()
    last = newest(side)
    command = [program("node"), "scenarios.mjs", side.url, side.key, *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    scenarios = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    rows = (
        side.gateway.rows("SELECT * FROM call_log WHERE seq > ? ORDER BY seq", last) if side.gateway else []
    )
    return Played(scenarios, Told(None, [], side.asked(), side.credentials(), rows))


@pytest.fixture(scope="module")
def played(twins: tuple[Side, Side], simple_twins: tuple[Side, Side], sdk: Path) -> tuple[Played, Played]:
    """Both runs: straight and through."""
    plain = [name for name in SCENARIOS if name not in FAULTY]
    there, here = (
        together(play(side, sdk, plain), play(simple, sdk, FAULTY))
        for side, simple in zip(twins, simple_twins, strict=True)
    )
    return there, here


def together(first: Played, second: Played) -> Played:
    """What was played on one way in two runs."""
    one, other = first.told, second.told
    told = Told(None, [], one.asked + other.asked, one.credentials + other.credentials, one.rows + other.rows)
    return Played(first.scenarios | second.scenarios, told)


def test_all_scenarios_were_played(played: tuple[Played, Played]) -> None:
    for side in played:
        assert set(side.scenarios) == {*SCENARIOS, UNENDED}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_gives_the_same_through_the_gateway(played: tuple[Played, Played], scenario: str) -> None:
    there, here = (side.scenarios[scenario] for side in played)
    assert "failed" not in there["result"], there["result"]
    assert here["result"] == there["result"]
    assert here["wire"] == there["wire"]
    assert there["wire"]


def test_the_upstream_was_asked_the_same(played: tuple[Played, Played]) -> None:
    there, here = (side.told for side in played)
    assert here.asked == there.asked
    (own,) = there.credentials[0]
    assert {tuple(found) for found in here.credentials} == {(own,)}


def test_every_request_has_its_row(played: tuple[Played, Played]) -> None:
    recorded_as_asked(played[1].told)
    assert {row["outcome"] for row in played[1].told.rows} == {"ok", "refused", "failed", "cut"}


def test_the_sdk_accepts_a_stream_without_an_end_and_the_gateway_does_not(
    played: tuple[Played, Played],
) -> None:
    there, here = (side.scenarios[UNENDED]["result"] for side in played)
    assert "error" not in there, "the SDK notices by itself by now: this test has lost its point"
    assert here["texts"] == there["texts"]
    assert len(here["texts"]) == 2
    assert here["error"] == "ApiError"
    assert "finish reason" in here["message"]
    assert played[1].told.rows[-1]["outcome"] == "cut"
