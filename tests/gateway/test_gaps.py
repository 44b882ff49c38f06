"""What a reading of the issue beside the running code found missing, each as a client meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gemgate.config.running import write_running
from tests.gateway.launch import Gateway, until
from tests.gateway.raw import dial
from tests.simulator.launch import Simulator

ONE, TWO = "AIzaGapsFirstProjectKey000000000000000a", "AIzaGapsSecondProjectKey00000000000000b"
SCRIPT = {
    "projects": [
        {"name": "one", "tier": "open", "keys": [ONE]},
        {"name": "two", "tier": "open", "keys": [TWO]},
    ]
}
PROJECTS = f"""
[[project]]
name = "one"
keys = ["{ONE}"]
spend = 1000000
[[project]]
name = "two"
keys = ["{TWO}"]
spend = 1000000
"""
ROUTES = """
[routing]
patience = "1 s"
[[route]]
name = "held"
targets = ["gemini-3.8-flash@one", "gemini-3.6-flash@two"]
hold_back = 400
[[route]]
name = "shut"
targets = ["gemini-3.8-flash@one"]
limits = { rpm = 0 }
[[route]]
name = "narrow"
targets = ["gemini-3.8-flash@one"]
limits = { rpm = 1 }
patience = "90 s"
"""
MODEL = "gemini-3.8-flash"
CUT = {"simulate": "cut-after=3,events=40", "model": MODEL}
ASK = {"contents": [{"role": "user", "parts": [{"text": "Tell me about harbours."}]}]}
CHAT = {"messages": [{"role": "user", "content": "Tell me about harbours."}], "stream": True}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Two projects without limits."""
    with Simulator("--instant", script=SCRIPT, folder=tmp_path_factory.mktemp("script")) as running:
        yield running


@pytest.fixture
def gateway(simulator: Simulator, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of its own for each test: what one test breaks must not be broken for the next."""
    simulator.set_faults()
    with Gateway(tmp_path, simulator.url, ROUTES, projects=PROJECTS) as running:
        yield running
    simulator.set_faults()


def ask(gateway: Gateway, model: str, **headers: str) -> httpx.Response:
    """One unary call."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{gateway.url}/v1beta/models/{model}:generateContent"
    return httpx.post(url, json=ASK, headers=named, timeout=30)


def streamed(gateway: Gateway, path: str, body: dict[str, Any]) -> httpx.Response:
    """One call that streams."""
    return httpx.post(f"{gateway.url}/v1beta/{path}", json=body, timeout=30)


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("models/held:streamGenerateContent", ASK, "cut-after=3"),
        ("openai/chat/completions", {**CHAT, "model": "held"}, "in-stream-error-framed=3"),
        ("openai/chat/completions", {**CHAT, "model": "held"}, "end-after=3"),
        ("interactions", {"model": "held", "input": "Tell me.", "stream": True}, "cut-after=3"),
    ],
)
def test_every_dialect_holds_its_stream_back(
    path: str, body: dict[str, Any], fault: str, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.set_faults({"simulate": f"{fault},events=40", "model": MODEL})
    answer = streamed(gateway, path, body)
    assert answer.status_code == 200
    assert answer.headers["x-gemgate-tries"].startswith(f"{MODEL}@one=")
    assert answer.headers["x-gemgate-tries"].endswith("gemini-3.6-flash@two=ok")
    assert '"error"' not in answer.text
    assert gateway.call(answer)["outcome"] == "ok"


def test_a_chat_that_is_cut_ends_in_an_error_of_openai_s_form(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults(CUT)
    answer = streamed(gateway, "openai/chat/completions", {**CHAT, "model": MODEL})
    last = answer.text.rstrip().rpartition("data: ")[2]
    error = json.loads(last)["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "cut", None)
    with openai.OpenAI(api_key="any", base_url=f"{gateway.url}/v1beta/openai", max_retries=0) as client:
        simulator.set_faults({**CUT, "model": "gemini-3.6-flash"})
        with pytest.raises(openai.APIError) as raised:
            list(
                client.chat.completions.create(
                    model="gemini-3.6-flash", stream=True, messages=[{"role": "user", "content": "Hello"}]
                )
            )
    assert raised.value.code == "cut"
    assert gateway.calls()[-1]["outcome"] == "cut"


def test_a_limit_of_zero_is_not_told_as_one_that_is_used_up(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults({"simulate": "quota-limit-zero", "model": MODEL})
    for answer in (ask(gateway, MODEL, x_gemgate_fallback="off"), ask(gateway, "shut")):
        error = answer.json()["error"]
        assert answer.status_code == 429
        assert "its limit is no requests at all" in error["message"]
        assert "used up" not in error["message"]
        assert error["details"][0]["metadata"]["retryable"] == "false"
        assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("prepay-depleted", 402),
        ("model-not-found", 404),
        ("api-key-invalid", 400),
    ],
)
def test_what_only_people_mend_names_no_time(
    fault: str, status: int, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.set_faults({"simulate": fault})
    answer = ask(gateway, MODEL, x_gemgate_fallback="off")
    assert answer.status_code == status
    assert "retry-after" not in answer.headers


def test_a_passing_fault_names_its_time(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults({"simulate": "exhausted-bare"})
    answer = ask(gateway, MODEL, x_gemgate_fallback="off")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    again = ask(gateway, MODEL, x_gemgate_fallback="off", x_gemgate_patience="0")  # while both targets rest
    assert again.status_code == 429
    assert 1 <= int(again.headers["retry-after"]) <= 5


def test_who_is_passed_over_is_told_with_the_reason(gateway: Gateway, simulator: Simulator) -> None:
    """A call that needs one try at a second choice must say why it was not the first."""
    simulator.set_faults({"simulate": "quota-rpd-free", "model": MODEL})
    assert ask(gateway, MODEL, x_gemgate_fallback="off").status_code == 429
    answer = ask(gateway, MODEL)
    assert answer.headers["x-gemgate-attempts"] == "1"
    assert answer.headers["x-gemgate-passed"] == f"{MODEL}@one=quota:rpd, {MODEL}@two=quota:rpd"
    call = gateway.call(answer)
    (row,) = gateway.rows(
        "SELECT w.name FROM attempts JOIN calls ON calls.seq = attempts.call_seq"
        " JOIN whys AS w ON w.id = attempts.why_id WHERE calls.seq = ?",
        call["seq"],
    )
    first = f"{MODEL}@one was passed over, its requests of the day are used up, and 1 more"
    assert row["name"].endswith(f"; {first}")
    plain = ask(gateway, "gemini-3.5-flash-lite")
    assert "x-gemgate-passed" not in plain.headers


def delay(error: dict[str, Any]) -> float:
    """The seconds of an error's RetryInfo; 0.0 without one."""
    named = [detail["retryDelay"] for detail in error["details"] if "retryDelay" in detail]
    return float(named[0].removesuffix("s")) if named else 0.0


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (f"models/{MODEL}:generateContent", "quota-rpd-free"),
        (f"models/{MODEL}:generateContent", "quota-limit-zero"),
        ("openai/chat/completions", "quota-rpd-free"),
        ("openai/chat/completions", "quota-rpd-paid"),
    ],
)
def test_body_and_header_agree_on_when_to_come_again(
    fault: str, path: str, simulator: Simulator, tmp_path: Path
) -> None:
    """Google tells of a spent day beside a delay of seconds: with one project and one try too, that must not pass."""
    simulator.set_faults({"simulate": fault})
    alone = PROJECTS.partition('[[project]]\nname = "two"')[0]
    body = {**CHAT, "model": MODEL, "stream": False} if path.startswith("openai") else ASK
    with Gateway(tmp_path, simulator.url, "[routing]\nfallback = false\n", projects=alone) as gateway:
        answer = httpx.post(f"{gateway.url}/v1beta/{path}", json=body, timeout=30)
    simulator.set_faults()
    found = answer.json()
    named = delay(found[0]["error"] if isinstance(found, list) else found["error"])
    assert answer.status_code == 429
    assert answer.headers["x-gemgate-attempts"] == "1"
    header = int(answer.headers.get("retry-after", "0"))
    assert header == (0 if fault == "quota-limit-zero" else pytest.approx(named, abs=2))
    assert bool(header) == bool(named)


def quota(gateway: Gateway, *options: str) -> str:
    """What `gemgate quota` prints beside the gateway that runs."""
    write_running(gateway.data, {"gateway": {"url": gateway.url}})
    command = [sys.executable, "-m", "gemgate.cli.main", "quota", "--data", str(gateway.data)]
    done = subprocess.run(
        [*command, "--config", str(gateway.config), *options], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_quota_shows_who_stands_in_line_and_for_how_long(gateway: Gateway) -> None:
    assert ask(gateway, "narrow").status_code == 200
    body = json.dumps(ASK).encode()
    head = b"POST /v1beta/models/narrow:generateContent HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    with dial(gateway.url) as waits:
        waits.sendall(head % len(body) + body)
        until(
            lambda: bool(gateway.rows("SELECT 1 FROM gateway_states WHERE body LIKE '%\"waiting\":1,%'")),
            "the call in the state",
        )
        text = quota(gateway)
    assert "1 call waits in line for room." in text
    (place,) = (line for line in text.splitlines() if line.startswith("  1. "))
    assert place.startswith(f"  1. {MODEL}@one: waits for ")
    assert ", room expected in " in place
    until(lambda: gateway.calls()[-1]["outcome"] == "cancelled", "the end of the call")


def test_quota_shows_what_opened_and_closed_a_breaker(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults({"simulate": "overloaded", "model": MODEL})
    assert ask(gateway, MODEL, x_gemgate_fallback="off", x_gemgate_patience="0").status_code == 503
    simulator.set_faults()
    assert ask(gateway, MODEL, x_gemgate_fallback="off", x_gemgate_patience="20").status_code == 200
    count = "SELECT count(*) AS n FROM breaker_changes WHERE scope = 'model'"
    until(lambda: bool(gateway.rows(count)[0]["n"] >= 2), "both changes on record")
    lines = [line for line in quota(gateway, "--changes", "9").splitlines() if f" model {MODEL} " in line]
    assert lines[0].endswith(f" model {MODEL} closed: it answers again.")
    assert f" model {MODEL} open: overloaded (" in lines[-1]
    changes = json.loads(quota(gateway, "--changes", "9", "--json"))["changes"]
    assert next(one["state"] for one in changes if one["scope"] == "model") == "closed"
    assert "closed: it answers" not in quota(gateway)
