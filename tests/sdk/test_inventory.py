"""Every method of Google's inventory, under each version prefix: routed, recorded under its name, answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gemgate.dialects.gemini import methods
from tests.gateway.launch import Gateway
from tests.sdk.inventory import BEHIND, RAW, STEPS, Step
from tests.sdk.sides import CLIENT_KEY, Side, newest, raw, through
from tests.simulator.launch import Simulator

NOW = "2026-11-23T12:00:00+00:00"
EARLIER = "2026-11-23T11:00:00+00:00"
HEADERS = {"x-goog-api-key": CLIENT_KEY}
SOCKETS = {"BidiGenerateContent", "BidiGenerateContentConstrained", "BidiGenerateMusic"}


def filled(value: Any, kept: dict[str, str]) -> Any:
    """``value`` with each ``{name}`` replaced by what is kept under it."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: kept[found[1]], value)
    if isinstance(value, dict):
        return {name: filled(item, kept) for name, item in value.items()}
    return [filled(item, kept) for item in value] if isinstance(value, list) else value


def found(answer: Any, place: str) -> str:
    """The last path segment of the value at a dotted place."""
    for part in place.split("."):
        answer = answer[int(part)] if part.isdigit() else answer[part]
    return str(answer).rpartition("/")[2]


def ask(side: Side, step: Step, kept: dict[str, str]) -> Any:
    """Send one step and keep what it says to keep."""
    settings: dict[str, Any] = {"headers": HEADERS, "json": filled(step.body, kept)}
    if step.raw:
        settings = {"headers": HEADERS | RAW | {"content-type": "text/plain"}, "content": step.body}
    elif step.body is None:
        settings = {"headers": HEADERS}
    side.simulator.set_clock(EARLIER if step.early else NOW)
    answer = raw(step.verb, side.url + filled(step.path, kept), **settings)
    side.simulator.set_clock(NOW)
    assert answer.status_code == step.status, (step, answer.text)
    for name, place in step.keep.items():
        kept[name] = found(answer.json(), place)
    return answer


def test_the_walk_visits_every_method() -> None:
    assert {step.method for step in STEPS} | SOCKETS == methods.METHODS


@pytest.mark.parametrize("version", methods.VERSIONS)
def test_each_method_is_routed_recorded_and_answered(proxied: Side, version: str) -> None:
    assert proxied.gateway is not None
    kept = {"v": version}
    proxied.begin()
    last = newest(proxied)
    for step in STEPS:
        answer = ask(proxied, step, kept)
        row = proxied.gateway.call(answer)
        assert (row["method"], row["version"], row["status"]) == (step.method, version, step.status)
        assert row["outcome"] == ("ok" if step.status == 200 else "refused")
        assert row["response_bytes"] == len(answer.content)
        assert row["attempts"] == 1
    rows = proxied.gateway.rows("SELECT method FROM call_log WHERE seq > ? ORDER BY seq", last)
    lines = proxied.log()
    # One row a request, one request upstream a row, and the simulator gives each the same name.
    assert (
        [row["method"] for row in rows]
        == [line["method"] for line in lines]
        == [step.method for step in STEPS]
    )
    assert len({tuple(line["credentials"]) for line in lines}) == 1


@pytest.fixture
def unhurried(tmp_path: Path) -> Iterator[Side]:
    """A simulator whose models take their time."""
    with Simulator() as simulator, Gateway(tmp_path, simulator.url) as gateway:
        yield through(simulator, gateway)


def test_work_under_way_is_cancelled(unhurried: Side) -> None:
    assert unhurried.gateway is not None
    begun = raw("POST", f"{unhurried.url}/v1/interactions", headers=HEADERS, json=BEHIND).json()
    answer = raw("POST", f"{unhurried.url}/v1/interactions/{begun['id']}/cancel", headers=HEADERS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "cancelled"
    row = unhurried.gateway.call(answer)
    assert (row["method"], row["status"], row["outcome"]) == ("interactions.cancel", 200, "ok")


@pytest.mark.parametrize("version", methods.VERSIONS)
@pytest.mark.parametrize("name", sorted(SOCKETS))
def test_the_live_methods_are_known_and_refused(proxied: Side, version: str, name: str) -> None:
    assert proxied.gateway is not None
    place = f"/ws/google.ai.generativelanguage.{version}.GenerativeService.{name}"
    answer = raw("GET", proxied.url + place, headers=HEADERS)
    assert answer.status_code == 501
    row = proxied.gateway.call(answer)
    assert (row["method"], row["version"], row["attempts"]) == (name, version, 0)


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v1/neverHeardOf"),
        ("POST", "/v1beta/models/m:inventedMethod"),
        ("PATCH", "/v1beta/models/gemini-2.5-flash"),
        ("POST", "/v2/models/gemini-2.5-flash:generateContent"),
        ("GET", "/$discovery/rest?version=v1beta"),
    ],
)
def test_an_unknown_path_passes_and_is_recorded_as_unknown(proxied: Side, verb: str, path: str) -> None:
    assert proxied.gateway is not None
    proxied.begin()
    answer = raw(verb, proxied.url + path, headers=HEADERS, json=None if verb == "GET" else {"a": 1})
    assert answer.status_code == 404
    assert json.loads(answer.content)["error"]["message"].startswith("Method not found")
    row = proxied.gateway.call(answer)
    assert (row["method"], row["status"], row["outcome"], row["attempts"]) == ("unknown", 404, "refused", 1)
    (line,) = proxied.log()
    assert (line["verb"], line["path"]) == (verb, path.partition("?")[0])
    assert line["body_size"] == row["request_bytes"]
