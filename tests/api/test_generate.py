"""Asking a model over the API: through a real gateway, recorded like all traffic, refused in the gateway's words."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from flask.testing import FlaskClient
from recorded import build

from gemgate.api import generate, questions, streams
from gemgate.api.problems import Problem
from gemgate.config import Settings
from gemgate.config.installation import FILE, installation_secret
from gemgate.config.settings import Gateway as GatewaySettings
from gemgate.core import console
from tests.gateway.keyed import put_key, token
from tests.gateway.launch import Gateway, empty, until
from tests.simulator.launch import Simulator

MODEL = "gemini-3.8-flash"
PATH = "/api/v1/generate"
TOML = """
[[route]]
name = "quick"
targets = ["gemini-3.8-flash"]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("asked")
    with Simulator("--instant", "--seed", "7") as simulator, Gateway(folder, simulator.url, TOML) as running:
        yield running


def client_of(gateway: Gateway, data: Path | None = None) -> FlaskClient:
    """The console of this gateway's folder, or of another one."""
    port = urlsplit(gateway.url).port or 0
    return build(Settings(data=data or gateway.data, gateway=GatewaySettings(port=port))).test_client()


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> FlaskClient:
    return client_of(gateway)


def ask(client: FlaskClient, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """The answer to a question."""
    return client.post(PATH, json=body, headers=headers or {})


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of the events of a stream."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event", ""), json.loads(fields["data"])))
    return found


def told(client: FlaskClient, body: dict[str, Any]) -> dict[str, Any]:
    """The call of an answer, as the API tells it."""
    found = client.get(f"/api/v1/calls/{body['call_id']}").get_json()
    assert isinstance(found, dict)
    return found


def newest(client: FlaskClient) -> dict[str, Any]:
    """The newest call."""
    found = client.get("/api/v1/calls?limit=1").get_json()["items"][0]
    assert isinstance(found, dict)
    return found


def test_a_question_is_answered_and_recorded(client: FlaskClient, gateway: Gateway) -> None:
    answer = ask(
        client,
        model=f"models/{MODEL}",
        prompt="Why is the sky blue?",
        system="Be brief.",
        options={"temperature": 0.5, "max_output_tokens": 300, "stop": ["END"], "thinking_level": "low"},
        tags=["Team:b"],
        user="Anna Äpfel",
    )
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert body["text"]
    assert body["finish"] == "STOP"
    row = gateway.calls()[-1]
    assert row["call_id"] == body["call_id"]
    assert (row["client"], row["user"], row["method"]) == (
        "gemgate console",
        "Anna Äpfel",
        "models.generateContent",
    )
    call = told(client, body)
    assert (call["tags"], call["max_output"], call["thinking"]) == (["team:b"], 300, "level:low")
    used = body["usage"]
    assert {
        name: used[name] for name in ("input", "cached", "output", "thoughts", "tool")
    }.items() <= call.items()
    assert used["total"] == call["input"] + call["output"] + call["thoughts"] + call["tool"]
    for name in ("list_nano", "billed_nano", "project", "duration", "route"):
        assert body[name] == call[name]
    assert body["tries"] == call["attempts"] == 1
    assert body["list_nano"] > 0


def test_a_conversation_and_a_route(client: FlaskClient) -> None:
    messages = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
    body = ask(client, route="quick", messages=messages).get_json()
    assert body["text"]
    assert body["route"] == "quick"
    assert told(client, body)["turns"] == 3


def test_json_of_a_schema(client: FlaskClient) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    body = ask(client, model=MODEL, prompt="A name", options={"schema": schema}).get_json()
    assert isinstance(json.loads(body["text"])["name"], str)
    assert told(client, body)["json_output"] is True


def test_a_streamed_answer_ends_with_what_it_cost(client: FlaskClient, gateway: Gateway) -> None:
    answer = ask(client, model=MODEL, prompt="Tell a story of some length.", stream=True)
    assert answer.content_type == "text/event-stream; charset=utf-8"
    *pieces, (name, end) = events(answer.text)
    assert {name for name, _ in pieces} == {""}
    assert "".join(data["text"] for _, data in pieces)
    row = gateway.calls()[-1]
    assert name == "end"
    assert (end["call_id"], end["finish"], end["tries"]) == (row["call_id"], "STOP", 1)
    assert end["usage"]["output"] == told(client, end)["output"]
    assert (row["streaming"], row["outcome"]) == ("sse", "ok")


def test_who_leaves_a_stream_gives_the_place_back(client: FlaskClient, gateway: Gateway) -> None:
    for _ in range(streams.MOST + 1):
        body = {"model": MODEL, "prompt": "Tell a long story.", "stream": True}
        answer = client.post(PATH, json=body, buffered=False)
        assert answer.status_code == 200
        assert next(iter(answer.response))
        answer.close()


def test_a_stream_without_a_place_is_refused_before_it_costs_anything(
    client: FlaskClient, gateway: Gateway
) -> None:
    places: list[streams.Place] = []
    try:
        with contextlib.suppress(Problem):
            while True:
                places.append(streams.Place())
        answer = ask(client, model=MODEL, prompt="x", stream=True, user="late")
    finally:
        for place in places:
            place.give_back()
    assert (answer.status_code, answer.get_json()["code"]) == (503, "TOO_MANY_STREAMS")
    assert ask(client, model=MODEL, prompt="x", user="in time").status_code == 200
    assert {"late", "in time"} & {row["user"] for row in gateway.calls()} == {"in time"}


def test_what_the_gateway_refuses_is_a_problem_with_its_code(client: FlaskClient, gateway: Gateway) -> None:
    answer = ask(client, model="gemini-of-nowhere", prompt="x")
    body = answer.get_json()
    assert answer.status_code == 404
    assert list(answer.get_json()["errors"]) == ["model"]
    assert "/api/v1/routes" in answer.get_json()["hint"]
    assert answer.content_type == "application/problem+json"
    assert body["code"]
    assert gateway.calls()[-1]["call_id"] in body["detail"]
    streamed = ask(client, model="gemini-of-nowhere", prompt="x", stream=True)
    assert (streamed.status_code, streamed.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "model"),
        ({"model": MODEL}, "prompt"),
        ({"prompt": "x"}, "model"),
        ({"model": MODEL, "route": "quick", "prompt": "x"}, "model"),
        ({"model": MODEL, "prompt": "x", "messages": [{"role": "user", "content": "y"}]}, "prompt"),
        ({"model": MODEL, "messages": [{"role": "model", "content": "y"}]}, "messages"),
        ({"model": MODEL, "messages": [{"role": "king", "content": "y"}]}, "messages[0].role"),
        ({"model": "../files", "prompt": "x"}, "model"),
        ({"model": "gemini:countTokens", "prompt": "x"}, "model"),
        ({"model": f"{MODEL}\n", "prompt": "x"}, "model"),
        ({"model": "models/tunedModels/x", "prompt": "x"}, "model"),
        ({"model": MODEL, "prompt": "x", "options": {"temperature": 9}}, "options.temperature"),
        ({"model": MODEL, "prompt": "x", "options": {"heat": 1}}, "options.heat"),
        (
            {"model": MODEL, "prompt": "x", "options": {"thinking_budget": 5, "thinking_level": "low"}},
            "options.thinking_budget",
        ),
        ({"model": MODEL, "prompt": "x", "tags": ["a,b"]}, "tags"),
        ({"model": MODEL, "prompt": "x", "tags": ["a\nb"]}, "tags"),
        ({"model": MODEL, "prompt": "x", "user": "a\r\nx-gemgate-project: b"}, "user"),
    ],
)
def test_bad_questions_name_their_field(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 400, answer.text
    assert field in answer.get_json()["errors"]


@pytest.mark.parametrize("name", ["x", "models/x", "tunedModels/x"])
def test_a_name_goes_to_its_own_collection(name: str) -> None:
    made = questions.asked(questions.Question(model=name, prompt="x"))
    assert made.path == f"/v1beta/{name if '/' in name else 'models/x'}:generateContent"


def test_no_more_than_so_many_are_waited_for_at_once(client: FlaskClient) -> None:
    for _ in range(generate.MOST):
        assert generate._places.acquire(blocking=False)
    try:
        answer = ask(client, model=MODEL, prompt="x")
        assert (answer.status_code, answer.get_json()["code"]) == (503, "TOO_MANY_QUESTIONS")
        assert answer.headers["Retry-After"] == "2"
    finally:
        for _ in range(generate.MOST):
            generate._places.release()
    assert ask(client, model=MODEL, prompt="x").status_code == 200


def test_a_gateway_that_is_away_is_said(tmp_path: Path, gateway: Gateway) -> None:
    (tmp_path / "gemgate.db").write_bytes(empty())
    client = build(Settings(data=tmp_path, gateway=GatewaySettings(port=1))).test_client()
    answer = ask(client, model=MODEL, prompt="x")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "GATEWAY_DOWN")
    (tmp_path / FILE).write_bytes(b"short")
    answer = ask(client, model=MODEL, prompt="x")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "SECRET_UNREAD")


def test_with_keys_in_force_the_console_needs_none_and_may_use_one(
    client: FlaskClient, gateway: Gateway, tmp_path: Path
) -> None:
    put_key(gateway, "shop")
    until(
        lambda: ask(client, {"x-gemgate-key": token("nobody")}, model=MODEL, prompt="x").status_code == 401,
        "keys",
    )
    foreign = ask(client, {"x-gemgate-key": token("nobody")}, model=MODEL, prompt="x")
    assert (foreign.status_code, foreign.get_json()["code"]) == (401, "KEY_UNKNOWN")
    assert "x-gemgate-key" in foreign.get_json()["hint"]
    assert "WWW-Authenticate" not in foreign.headers  # that would ask for another token of the console's
    assert ask(client, {"x-gemgate-key": token("shop")}, model=MODEL, prompt="x").status_code == 200
    assert newest(client)["key"] == "shop"
    assert ask(client, model=MODEL, prompt="x").status_code == 200
    assert (newest(client)["key"], newest(client)["client"]) == ("", "gemgate console")
    (tmp_path / "gemgate.db").write_bytes(empty())
    # The console of another folder has another secret.
    stranger = ask(client_of(gateway, tmp_path), model=MODEL, prompt="x")
    assert (stranger.status_code, stranger.get_json()["code"]) == (401, "KEY_MISSING")
    assert newest(client)["client"] != console.CLIENT


def test_a_proof_is_of_one_body_and_counts_once(client: FlaskClient, gateway: Gateway) -> None:
    """Straight at the gateway, where a key is in force."""
    put_key(gateway, "office")
    until(lambda: httpx.get(f"{gateway.url}/v1beta/models").status_code == 401, "keys")
    path, body = f"/v1beta/models/{MODEL}:generateContent", b'{"contents": [{"parts": [{"text": "x"}]}]}'
    secret = installation_secret(gateway.data)

    def proof() -> dict[str, str]:
        now = time.time_ns() // 1000
        head = console.Head("POST", path, "")
        return {console.HEADER: console.prove(secret, now, secrets.token_hex(8), head, body)}

    def sent(headers: dict[str, str], more: bytes = b"") -> int:
        return httpx.post(f"{gateway.url}{path}", content=body + more, headers=headers).status_code

    word = proof()
    assert [sent(word), sent(word), sent(proof(), b" "), sent(proof())] == [200, 401, 401, 200]
    assert [row["client"] for row in gateway.calls()[-4:]].count(console.CLIENT) == 2
    assert httpx.get(f"{gateway.url}/v1beta/models", headers=proof()).status_code == 401
