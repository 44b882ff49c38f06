"""Keys and budgets made, changed and switched off beside a gateway that runs."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from served import Served, environment, served

from gemgate.cli.main import group

MODEL = "/v1beta/models/gemini-2.5-flash"
BODY = json.dumps({"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": {"maxOutputTokens": 50}})


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A gateway on the simulator, without keys."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    with served(tmp_path, "--demo", "--gateway-port", "0", "--console-port", "0") as one:
        one.until("use it")
        yield one


def run(one: Served, *arguments: str) -> str:
    """What a command says on the gateway's folder."""
    done = CliRunner().invoke(group, [*arguments, "--data", str(one.data)])
    assert (done.exception, done.exit_code) == (None, 0), done.output
    return done.stdout.strip()


def status(one: Served, key: str = "", body: str | None = None) -> tuple[int, str]:
    """The status of a call, and the code of its error."""
    parts = urlsplit(one.running()["gateway"]["url"])
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        fields = {"content-type": "application/json"} | ({"x-goog-api-key": key} if key else {})
        if body is None:
            link.request("GET", MODEL, headers=fields)
        else:
            link.request("POST", f"{MODEL}:generateContent", body, fields)
        answer = link.getresponse()
        content = json.loads(answer.read())
    finally:
        link.close()
    return answer.status, content["error"]["details"][0]["reason"] if answer.status >= 400 else ""


def until(one: Served, wanted: tuple[int, str], key: str = "", body: str | None = None) -> None:
    """Ask until the gateway has noticed; one that never does is ended by the guard of ``served``."""
    while status(one, key, body) != wanted:
        continue


def test_a_running_gateway_notices_keys_and_budgets(running: Served) -> None:
    assert status(running) == (200, "")
    first = run(running, "keys", "create", "ci", "--quiet")
    until(running, (401, "KEY_MISSING"))
    assert status(running, first) == (200, "")
    assert status(running, first[:-1]) == (401, "KEY_UNKNOWN")
    second = run(running, "keys", "rotate", "ci", "--grace", "0", "--quiet")
    until(running, (200, ""), second)
    assert status(running, first) == (401, "KEY_EXPIRED")
    run(running, "keys", "disable", "ci")
    until(running, (403, "KEY_DISABLED"), second)
    run(running, "keys", "enable", "ci")
    until(running, (200, ""), second)
    run(running, "budgets", "create", "b", "--tokens", "1", "--per", "hour", "--key", "ci")
    until(running, (402, "BUDGET_SPENT"), second, BODY)
    run(running, "budgets", "change", "b", "--tokens", "1M")
    until(running, (200, ""), second, BODY)
    (shown,) = [json.loads(run(running, "budgets", "show", "b", "--json"))]
    assert shown["spent"] > 0
    run(running, "keys", "change", "ci", "--route", "gemini-2.5-pro")
    until(running, (403, "MODEL_NOT_ALLOWED"), second, BODY)
    assert "1 made, 1 in force" in CliRunner().invoke(group, ["doctor", "--data", str(running.data)]).stdout
    run(running, "verify")
