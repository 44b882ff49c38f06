"""OpenAI's JavaScript SDK through the gateway, with nothing changed but base URL and key.

The scenarios stand in ``js/scenarios.mjs``; npm installs the SDK beside it when it is not there yet.
"""

from __future__ import annotations

import fcntl
import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.openai.asking import FLASH, Stage
from tests.sdk.openai.conftest import ROOTS
from tests.sdk.sides import CLIENT_KEY

FOLDER = Path(__file__).parent / "js"
Played = dict[str, Any]


def program(name: str) -> str:
    """The path of a program; skips the test where the machine has none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: OpenAI's JavaScript SDK cannot be played")
    return found


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The folder with the SDK installed."""
    npm = program("npm")
    # One test process at a time: npm clears the folder that another one may be reading.
    with (Path(tempfile.gettempdir()) / "gemgate-openai-npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "node_modules" / "openai" / "package.json").exists():
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
    return FOLDER


@pytest.fixture(scope="module", params=ROOTS, ids=["own", "shared"])
def played(faulty: Stage, sdk: Path, request: pytest.FixtureRequest) -> Played:
    """What the script printed, by scenario."""
    url = faulty.gateway.url + request.param
    command = [program("node"), "scenarios.mjs", url, CLIENT_KEY, faulty.simulator.url]
    done = subprocess.run(command, cwd=sdk, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = {line["name"]: line["result"] for line in map(json.loads, done.stdout.splitlines())}
    for name, result in found.items():
        assert not (isinstance(result, dict) and "failed" in result), (name, result)
    return found


def test_a_stream_says_what_the_whole_answer_says(played: Played) -> None:
    (choice,) = played["chat"]["choices"]
    assert (choice["finish_reason"], choice["message"]["role"]) == ("stop", "assistant")
    *chunks, last = played["stream"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == choice["message"]["content"]
    assert (last["choices"], last["usage"]) == ([], played["chat"]["usage"])
    helper = played["streamHelper"]
    assert (
        helper["text"] == helper["final"]["choices"][0]["message"]["content"] == choice["message"]["content"]
    )


def test_tools(played: Played, faulty: Stage) -> None:
    assert played["toolsOverThreeTurns"] == ["tool_calls"] * 3 + ["stop"]
    parallel = played["parallelToolsInAStream"]
    assert parallel["first"]["finish_reason"] == "tool_calls"
    names = [call["function"]["name"] for call in parallel["first"]["message"]["tool_calls"]]
    assert names == ["get_weather", "get_time"]
    assert parallel["second"]["finish_reason"] == "stop"
    told = [line["signatures"] for line in faulty.simulator.log() if "signatures" in line]
    assert {one["skipped"] for one in told} == {0}
    assert {one["signed"] for one in told} == {1, 2, 3}
    ran = played["toolsRunByThemselves"]
    assert [set(asked) for asked in ran["asked"]] == [{"city"}]


def test_structured_answers_are_parsed(played: Played) -> None:
    for town in (played["parse"], played["responses"]["parsed"]):
        assert set(town) == {"name", "people", "rivers"}
        assert isinstance(town["people"], int)


def test_embeddings(played: Played) -> None:
    found = played["embeddings"]
    assert found["usage"]["total_tokens"] == 2
    for one, other in zip(found["packed"], found["plain"], strict=True):
        assert len(one["embedding"]) == 8
        pairs = zip(one["embedding"], other["embedding"], strict=True)
        assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in pairs)


def test_models(played: Played) -> None:
    assert FLASH in played["models"]["ids"]
    assert played["models"]["one"]["id"] == FLASH


def test_responses(played: Played) -> None:
    found = played["responses"]
    first, second = found["first"], found["second"]
    assert (first["status"], second["previous_response_id"]) == ("completed", first["id"])
    assert first["output_text"]
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    assert found["kinds"][0] == "response.created"
    assert found["kinds"][-1] == "response.completed"


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        ("context-overflow", "BadRequestError", 400),
        ("api-key-auth-key-rejected", "AuthenticationError", 401),
        ("leaked-key", "PermissionDeniedError", 403),
        ("model-not-found", "NotFoundError", 404),
        ("status=409", "ConflictError", 409),
        ("status=422", "UnprocessableEntityError", 422),
        ("exhausted-bare", "RateLimitError", 429),
        ("internal", "InternalServerError", 500),
        ("overloaded", "InternalServerError", 503),
    ],
)
def test_a_refusal_raises_its_class(played: Played, fault: str, kind: str, status: int) -> None:
    found = played["refusals"][fault]
    assert (found["kind"], found["status"], found["requests"]) == (kind, status, 1)
    assert found["type"]
    assert found["code"]


def test_what_cannot_heal_is_asked_once_by_default(played: Played) -> None:
    assert (played["refusedOnce"]["kind"], played["refusedOnce"]["requests"]) == ("BadRequestError", 1)


def test_broken_streams_timeouts_and_connections(played: Played) -> None:
    broken = played["brokenStream"]
    assert broken["kind"] in ("APIError", "InternalServerError")
    assert broken["code"]
    assert played["timeout"]["kind"] == "APIConnectionTimeoutError"
    assert played["connection"]["kind"] == "APIConnectionError"
