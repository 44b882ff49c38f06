"""Fault rules narrowed to a model wherever it is named, by chance and in time; outages; clocks that are one."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.simulator.client import KEY, Answer, ask, generate, prompt, stream
from tests.simulator.launch import Simulator

MODEL = "gemini-3.8-flash"
START = 1_795_464_000.0  # 2026-11-23 20:00 UTC
BEARER = {"authorization": f"Bearer {KEY}"}
REFUSED_SECONDS = 20.0


@pytest.fixture(scope="module")
def own() -> Iterator[Simulator]:
    with Simulator("--instant", "--now", "2026-11-23T20:00:00Z") as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _no_rules(own: Simulator) -> Iterator[None]:
    yield
    own.set_faults()


def doors(model: str) -> list[tuple[str, Any, dict[str, str], str]]:
    """Every way to name a model in a body."""
    chat = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    long = [{"role": "user", "parts": [{"text": "A long story of the sea. " * 1200}]}]
    return [
        ("/v1/interactions", {"model": model, "input": "Hello"}, {}, KEY),
        ("/v1beta/openai/chat/completions", chat, BEARER, ""),
        ("/v1beta/cachedContents", {"model": f"models/{model}", "contents": long}, {}, KEY),
    ]


def test_a_rule_finds_a_model_that_the_body_names(own: Simulator) -> None:
    for path, body, headers, key in doors(MODEL):
        own.set_faults({"simulate": "overloaded", "model": MODEL}, {"simulate": "internal", "model": "other"})
        own.clear()
        assert ask(own.url, path, body, headers=headers, key=key).status == 503, path
        assert own.wait_for(1)[0]["model"] == MODEL
        own.set_faults({"simulate": "overloaded", "model": "gemini-3.6-flash"})
        assert ask(own.url, path, body, headers=headers, key=key).status == 200, path
    embedding = {"model": "gemini-embedding-2", "input": "river"}
    own.set_faults({"simulate": "internal", "model": "gemini-embedding-2"})
    assert ask(own.url, "/v1beta/openai/embeddings", embedding, headers=BEARER, key="").status == 500
    content = {"content": {"parts": [{"text": "river"}]}}
    batch = {"requests": [{"model": "models/gemini-embedding-2", **content}]}
    path = "/v1/models/gemini-embedding-2:batchEmbedContents"
    assert ask(own.url, path, batch).status == 500


def test_a_rule_finds_a_model_by_its_alias_and_by_who_answers_for_it(own: Simulator) -> None:
    own.set_faults({"simulate": "overloaded", "model": MODEL})
    own.clear()
    for name in ("gemini-flash-latest", "gemini-3.7-flash"):
        assert generate(own.url, prompt(), name).status == 503
    assert [line["model"] for line in own.wait_for(2)] == [MODEL, "gemini-3.7-flash"]
    own.set_faults({"simulate": "overloaded", "model": "gemini-flash-latest"})
    assert generate(own.url, prompt(), MODEL).status == 200


def test_whom_a_rate_strikes_follows_from_the_seed(own: Simulator) -> None:
    found = []
    for _ in range(2):
        own.set_faults({"simulate": "internal", "rate": 0.25})
        found.append([generate(own.url, prompt()).status for _ in range(80)])
    assert found[0] == found[1]
    assert 8 < found[0].count(500) < 32


def test_added_rules_count_their_time_from_then(own: Simulator) -> None:
    own.set_faults({"simulate": "internal", "from": 100, "until": 200})
    own.set_clock(START + 1000)
    own.add_faults({"simulate": "overloaded", "from": 60, "until": 120})
    found = []
    for age in (59, 61, 119, 121):
        own.set_clock(START + 1000 + age)
        found.append(generate(own.url, prompt()).status)
    assert found == [200, 503, 503, 200]


@pytest.mark.parametrize("value", ["tokens=many", "slow=-1", "cut-after=1.5", "slow=inf"])
def test_a_value_that_is_no_number_is_said(own: Simulator, value: str) -> None:
    answer = generate(own.url, prompt(), simulate=value)
    assert answer.status == 400
    assert "takes a number" in answer.error()["message"]


def test_bad_words_at_the_own_door_are_said(own: Simulator) -> None:
    for path, value in (
        ("clock", {"speed": -1}),
        ("clock", {"now": "yesterday"}),
        ("clock", []),
        ("minutes", "elastic"),
        ("outage", {"seconds": 1, "how": "politely"}),
        ("outage", {}),
        ("faults", [{"simulate": "nonsense"}]),
        ("nothing", {}),
    ):
        assert ask(own.url, f"/simulator/{path}", value, verb="PUT").status == 400, (path, value)


def test_minutes_can_be_changed_while_it_runs(own: Simulator) -> None:
    assert own.ask("PUT", "/simulator/minutes", "fixed") == {"minutes": "fixed"}
    assert own.state()["minutes"] == "fixed"
    own.ask("PUT", "/simulator/minutes", "rolling")


def test_slow_is_added_to_the_models_own_time() -> None:
    with Simulator("--speed", "400") as simulator:
        stream(simulator.url, prompt(), "gemini-3.1-pro-preview", "slow=60,output=1")
        assert simulator.wait_for(1)[0]["seconds"] >= 60 + 7.6


def test_two_programs_have_one_clock_however_late_they_were_told() -> None:
    epoch = time.time() - 5.0
    with Simulator("--now", "2026-11-23T20:00:00Z", "--speed", "30", "--at", str(epoch)) as simulator:
        for speed, start in ((30.0, START), (60.0, START + 1e6)):
            if speed != 30.0:
                simulator.set_clock(start, speed, epoch)
            before = time.time()
            shown = simulator.clock()
            after = time.time()
            assert shown["speed"] == speed
            assert start + (before - epoch) * speed - 0.001 <= shown["now"]
            assert shown["now"] <= start + (after - epoch) * speed + 0.001
        simulator.set_clock(speed=2.0)
        assert simulator.clock()["now"] >= start + (after - epoch) * 60.0


def test_a_clock_can_stand_still() -> None:
    with Simulator("--now", "2026-11-23T20:00:00Z", "--speed", "0") as simulator:
        assert generate(simulator.url, prompt()).status == 200
        assert simulator.clock() == {"now": START, "speed": 0.0}
        simulator.set_clock(START + 9)
        assert simulator.clock()["now"] == START + 9


def answered(simulator: Simulator) -> Answer:
    """The first answer that comes. Raises TimeoutError when the door stays shut."""
    deadline = time.monotonic() + REFUSED_SECONDS
    while time.monotonic() < deadline:
        try:
            return generate(simulator.url, prompt())
        except OSError:
            continue
    raise TimeoutError("the simulator stays shut")


@pytest.mark.parametrize(
    ("how", "kinds"),
    [("refuse", (ConnectionRefusedError,)), ("reset", (ConnectionResetError, BrokenPipeError))],
)
def test_an_outage_shuts_the_door_and_ends(how: str, kinds: tuple[type[OSError], ...]) -> None:
    with Simulator("--speed", "60") as simulator:
        place = urlsplit(simulator.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        headers = {"x-goog-api-key": KEY, "x-simulate": "stall,tokens=90"}
        path = f"/v1/models/{MODEL}:streamGenerateContent?alt=sse"
        connection.request("POST", path, json.dumps(prompt()), headers)
        under_way = connection.getresponse()
        assert under_way.readline().startswith(b"data: ")
        simulator.outage(120, how)
        with pytest.raises(kinds):
            generate(simulator.url, prompt())
        with pytest.raises(ConnectionResetError):
            under_way.read()
        connection.close()
        assert answered(simulator).status == 200
        simulator.outage(1, how)
        assert answered(simulator).status == 200
