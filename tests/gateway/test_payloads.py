"""Bodies that a rule asks for, from the call to the store; nobody's without one."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gemgate.core.redaction import Rules
from gemgate.store import payloads
from gemgate.store.connection import reader, visitor
from gemgate.store.payloads import REQUEST, RESPONSE, Rule
from tests.gateway.keyed import token
from tests.gateway.launch import DEMO_KEY, Gateway, until
from tests.gateway.raw import Asked, Upstream
from tests.proof.braked import key, put

FLASH = "gemini-2.5-flash"
GENERATE = f"/v1beta/models/{FLASH}:generateContent"
STREAM = f"/v1beta/models/{FLASH}:streamGenerateContent?alt=sse"
TEXT = "it costs 4111 1111 1111 1111, write to ann@example.org"
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}
WHOLE = {
    "candidates": [{"content": {"parts": [{"text": TEXT}]}, "finishReason": "STOP"}],
    "usageMetadata": USAGE,
}
RULES = (
    Rule(scope="key", of="kept", redact=Rules(paths=["$..secret"]), max_bytes=64 * 1024),
    Rule(scope="key", of="short", max_bytes=200),
    Rule(scope="route", of="gemini-2.5-pro"),
)


def _answer(_: socket.socket, asked: Asked) -> bytes:
    """A stream of three events, or a whole answer, packed."""
    if b"streamGenerateContent" in asked.line:
        texts = ["call ", DEMO_KEY[:12], DEMO_KEY[12:]]
        events = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in texts]
        events[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[assignment]
        body = "".join(f"data: {json.dumps({**event, 'usageMetadata': USAGE})}\r\n\r\n" for event in events)
        kind, coding, raw = "text/event-stream", "", body.encode()
    else:
        kind, coding, raw = (
            "application/json",
            "content-encoding: gzip\r\n",
            gzip.compress(json.dumps(WHOLE).encode()),
        )
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{coding}content-length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    Path(folder / "data").mkdir()
    put(folder / "data", [key(name) for name in ("kept", "short", "nobody")])
    with Upstream(_answer) as upstream, Gateway(folder, upstream.url) as running:
        with contextlib.closing(visitor(running.data / "gemgate.db")) as conn:
            conn.execute("BEGIN IMMEDIATE")
            for rule in RULES:
                payloads.put_rule(conn, rule)
            conn.keep()
        until(lambda: health(running)["rules"] == len(RULES), "the rules")
        yield running


def health(gateway: Gateway) -> dict[str, int]:
    """What the gateway says of bodies."""
    found: dict[str, int] = httpx.get(gateway.url + "/healthz").json()["payloads"]
    return found


def ask(gateway: Gateway, name: str, path: str, body: Any) -> bytes:
    """The id of a call with that key."""
    answer = httpx.post(gateway.url + path, json=body, headers={"x-goog-api-key": token(name)}, timeout=60)
    return bytes.fromhex(answer.headers["x-gemgate-call"].replace("-", ""))


def stored(gateway: Gateway, call: bytes) -> dict[int, tuple[bytes, bool]]:
    """The two sides of a call, once both are there."""
    with contextlib.closing(reader(gateway.data / "gemgate.db")) as conn:
        until(lambda: len(payloads.of_call(conn, call)) == 2, "both bodies")
        whole = [row.whole for row in payloads.of_call(conn, call)]
        return {side: (payloads.body(conn, call, side) or b"", whole[side]) for side in (REQUEST, RESPONSE)}


def prompt(text: str, **more: Any) -> dict[str, Any]:
    """A request."""
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def test_a_whole_answer_is_kept_unpacked_and_redacted(gateway: Gateway) -> None:
    call = ask(gateway, "kept", GENERATE, prompt(f"my key is {DEMO_KEY}", labels={"secret": "x"}))
    found = stored(gateway, call)
    request, response = json.loads(found[REQUEST][0]), json.loads(found[RESPONSE][0])
    assert request == prompt("my key is [redacted]", labels={"secret": "[redacted]"})
    said = response["candidates"][0]["content"]["parts"][0]["text"]
    assert said == "it costs [redacted card], write to [redacted e-mail]"
    assert found[REQUEST][1]
    assert found[RESPONSE][1]


def test_a_stream_is_kept_whole_and_a_key_in_pieces_is_not(gateway: Gateway) -> None:
    found = stored(gateway, ask(gateway, "kept", STREAM, prompt("hello")))
    body, whole = found[RESPONSE]
    lines = [line for line in body.decode().split("\r\n") if line]
    said = [json.loads(line[5:])["candidates"][0]["content"]["parts"][0]["text"] for line in lines]
    assert (said, whole) == (["call ", "[redacted]", ""], True)


def test_the_words_of_openai_are_kept_as_the_client_wrote_and_got_them(gateway: Gateway) -> None:
    body = {"model": FLASH, "messages": [{"role": "user", "content": "hello"}]}
    found = stored(gateway, ask(gateway, "kept", "/openai/v1/chat/completions", body))
    assert json.loads(found[REQUEST][0]) == body
    assert json.loads(found[RESPONSE][0])["object"] == "chat.completion"


def test_a_body_above_the_rules_size_is_cut_and_says_so(gateway: Gateway) -> None:
    found = stored(gateway, ask(gateway, "short", GENERATE, prompt("long " * 2_000)))
    assert [(len(body) <= 200, whole) for body, whole in found.values()] == [(True, False)] * 2
    assert found[REQUEST][0].startswith(b'{"contents"')


def test_a_route_is_asked_by_its_name_and_others_leave_nothing(gateway: Gateway) -> None:
    call = ask(gateway, "nobody", GENERATE.replace("flash", "pro"), prompt("hello"))
    stored(gateway, call)
    before = health(gateway)["stored"]
    quiet = ask(gateway, "nobody", GENERATE, prompt("hello"))
    stored(gateway, ask(gateway, "kept", GENERATE, prompt("hello after")))
    assert health(gateway)["stored"] == before + 1
    assert gateway.rows("SELECT * FROM call_payloads WHERE call_id = ?", quiet) == []


def test_equal_requests_stand_once(gateway: Gateway) -> None:
    calls = [ask(gateway, "kept", GENERATE, prompt("the very same")) for _ in range(3)]
    for call in calls:
        stored(gateway, call)
    marks = ", ".join("?" * len(calls))
    sql = f"SELECT count(DISTINCT payload_id) AS n, side FROM call_payloads WHERE call_id IN ({marks}) GROUP BY side"
    assert [row["n"] for row in gateway.rows(sql, *calls)] == [1, 1]


def test_a_refused_call_keeps_what_it_was_told(gateway: Gateway) -> None:
    call = ask(gateway, "kept", "/openai/v1/chat/completions", {"model": FLASH, "messages": 5})
    body, whole = stored(gateway, call)[RESPONSE]
    assert whole
    assert "error" in json.loads(body)
