"""Raw requests, as curl and gemini-cli send them: the same bytes come back, and one credential goes up."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.gateway.launch import DEMO_KEY, Gateway
from tests.sdk.sides import CLIENT_KEY, CLOCK, Side, newest, raw
from tests.sdk.talking import EMBEDDER, FLASH
from tests.simulator.launch import Simulator

PROMPT = {"contents": [{"role": "user", "parts": [{"text": "A tale of 120 words, please."}]}]}
ODD = "Grüße, 世界 \U0001f30d \u2028 \\u0000"
STREAM = f"/v1beta/models/{FLASH}:streamGenerateContent"
UNARY = f"/v1beta/models/{FLASH}:generateContent"


@dataclass(frozen=True)
class Ask:
    """One raw request."""

    verb: str
    path: str
    body: Any = None
    simulate: str = ""
    accept: str = "identity"

    def send(self, url: str, key: str) -> httpx.Response:
        """Send it; the raw bytes of the answer are in ``extensions["raw"]``."""
        headers = {"x-goog-api-key": key, "accept-encoding": self.accept}
        if self.simulate:
            headers["x-simulate"] = self.simulate
        with httpx.Client(verify=False) as client:
            request = client.build_request(self.verb, url + self.path, headers=headers, json=self.body)
            answer = client.send(request, stream=True)
            answer.extensions["raw"] = b"".join(answer.iter_raw())
            answer.close()
        return answer


SAME = {
    "unary": Ask("POST", UNARY, PROMPT),
    "unary without line breaks": Ask("POST", f"{UNARY}?prettyPrint=false", PROMPT),
    "unary in gzip": Ask("POST", UNARY, PROMPT, "gzip", "gzip"),
    "unary in gzip or more": Ask("POST", UNARY, PROMPT, "gzip", "gzip, deflate, br, zstd"),
    "list in gzip": Ask("GET", "/v1/models?pageSize=5", None, "gzip", "gzip"),
    "events": Ask("POST", f"{STREAM}?alt=sse", PROMPT),
    "events by another spelling": Ask("POST", f"{STREAM}?%24alt=x&alt=sse&prettyPrint=false", PROMPT),
    "many events": Ask("POST", f"{STREAM}?alt=sse", PROMPT, "events=300,tokens=600"),
    "array": Ask("POST", STREAM, PROMPT),
    "array of many": Ask("POST", STREAM, PROMPT, "events=100,tokens=400"),
    "array of one": Ask("POST", STREAM, PROMPT, "blocked"),
    "events of a client that takes gzip": Ask("POST", f"{STREAM}?alt=sse", PROMPT, "", "gzip"),
    "count": Ask("POST", f"/v1/models/{FLASH}:countTokens", PROMPT),
    "embedding": Ask("POST", f"/v1/models/{EMBEDDER}:embedContent", {"content": {"parts": [{"text": ODD}]}}),
    "snake case and odd signs": Ask(
        "POST",
        UNARY,
        {"system_instruction": {"parts": [{"text": ODD}]}, "contents": [{"parts": [{"text": ODD}]}]},
    ),
    "model": Ask("GET", f"/v1/models/{FLASH}"),
    "no such model": Ask("POST", "/v1/models/gemini-0:generateContent", PROMPT),
    "no such method": Ask("POST", f"/v1/models/{FLASH}:explode", PROMPT),
    "unknown field": Ask("POST", UNARY, {**PROMPT, "colour": "red"}),
    "openai layer": Ask(
        "POST",
        "/v1beta/openai/embeddings",
        {"model": EMBEDDER, "input": "text"},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_body_s_bytes_are_the_same(plainly: Side, proxied: Side, name: str) -> None:
    ask = SAME[name]
    if "/openai/" in ask.path:
        there = openai(ask, plainly)
        here = openai(ask, proxied)
    else:
        there = ask.send(plainly.url, plainly.key)
        here = ask.send(proxied.url, CLIENT_KEY)
    assert here.status_code == there.status_code
    assert here.extensions["raw"], "an empty body shows nothing"
    if "gzip" in name and "unary" in name:
        assert there.headers["content-encoding"] == "gzip"
    if "client that takes gzip" not in name:
        assert here.headers.get("content-encoding") == there.headers.get("content-encoding")
    assert here.extensions["raw"] == there.extensions["raw"]
    assert here.headers["content-type"] == there.headers["content-type"]
    assert proxied.gateway is not None
    row = proxied.gateway.call(here)
    assert row["status"] == here.status_code
    assert row["response_bytes"] == len(here.extensions["raw"])


def openai(ask: Ask, side: Side) -> httpx.Response:
    """The OpenAI layer takes the key as a bearer token."""
    answer = raw(
        "POST",
        side.url + ask.path,
        json=ask.body,
        headers={"authorization": f"Bearer {side.key}", "accept-encoding": "identity"},
    )
    answer.extensions["raw"] = answer.content
    return answer


def test_an_encoded_answer_is_read_all_the_same(proxied: Side) -> None:
    """The tap reads a copy; the bytes that pass stay packed."""
    assert proxied.gateway is not None
    answer = Ask("POST", UNARY, PROMPT, "gzip", "gzip").send(proxied.url, CLIENT_KEY)
    assert b"usageMetadata" in gzip.decompress(answer.extensions["raw"])
    row = proxied.gateway.call(answer)
    assert row["finish"] == "STOP"
    assert row["output_tokens"] == 120


KEY = {"x-goog-api-key": CLIENT_KEY}
BEARER = {"authorization": f"Bearer {CLIENT_KEY}"}
CREDENTIALS: dict[str, tuple[str, dict[str, str]]] = {
    "header": ("", KEY),
    "query": (f"key={CLIENT_KEY}", {}),
    "query with a neighbour": (f"key={CLIENT_KEY}&prettyPrint=false", {}),
    "access token": (f"access_token={CLIENT_KEY}", {}),
    "bearer": ("", BEARER),
    "token": ("", {"authorization": "Token auth_tokens/abc"}),
    "empty header": ("", {"x-goog-api-key": ""}),
    "none": ("", {}),
    "header and query": (f"key={CLIENT_KEY}", KEY),
    "header and bearer": ("", KEY | BEARER),
    "all three": (f"key={CLIENT_KEY}", KEY | BEARER),
    "twice in the query": (f"key={CLIENT_KEY}&key={DEMO_KEY}x", {}),
    "percent-encoded name": (f"%6Bey={CLIENT_KEY}", {}),
    "with a cookie": ("", KEY | {"cookie": "SID=secret"}),
}


@pytest.mark.parametrize("form", CREDENTIALS)
@pytest.mark.parametrize("path", [UNARY, f"{STREAM}?alt=sse", "/v1beta/models", "/v1beta/openai/models"])
def test_exactly_one_credential_goes_up(plainly: Side, proxied: Side, form: str, path: str) -> None:
    query, headers = CREDENTIALS[form]
    place = path + (("&" if "?" in path else "?") + query if query else "")
    plainly.begin()
    raw("GET", f"{plainly.url}/v1/models", headers={"x-goog-api-key": DEMO_KEY})
    (own,) = plainly.credentials()
    proxied.begin()
    verb = "POST" if "Content" in path else "GET"
    answer = raw(verb, proxied.url + place, headers=headers, json=PROMPT if verb == "POST" else None)
    assert answer.status_code == 200, answer.text
    assert proxied.credentials() == [own]
    (line,) = proxied.log()
    assert not {"key", "access_token", "%6Bey"} & set(line["query_names"])
    assert "cookie" not in line["header_names"]
    assert ("prettyPrint" in line["query_names"]) == ("neighbour" in form)
    assert ("alt" in line["query_names"]) == ("alt=" in path)


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """A gateway that passes its client's own key on."""
    toml = '[upstream]\nbase_url = "UPSTREAM"\ncredentials = "client"\n'
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("passing"), simulator.url, toml) as gateway,
    ):
        yield Side(gateway.url, CLIENT_KEY, simulator, gateway)


@pytest.mark.parametrize("form", ["header", "query", "header and query", "header and bearer", "all three"])
def test_a_client_s_own_key_goes_up_once_where_that_is_set(plainly: Side, passing: Side, form: str) -> None:
    plainly.begin()
    raw("GET", f"{plainly.url}/v1/models", headers=KEY)
    query, headers = CREDENTIALS[form]
    passing.begin()
    answer = raw("POST", f"{passing.url}{UNARY}?{query}", headers=headers, json=PROMPT)
    assert answer.status_code == 200, answer.text
    assert passing.credentials() == plainly.credentials()
    assert CLIENT_KEY not in str(passing.gateway.calls() if passing.gateway else "")


@pytest.mark.parametrize("form", ["none", "empty header"])
def test_a_client_without_a_key_is_told_so_where_its_key_is_needed(passing: Side, form: str) -> None:
    passing.begin()
    answer = raw("POST", passing.url + UNARY, headers=CREDENTIALS[form][1], json=PROMPT)
    assert answer.status_code == 401
    assert answer.json()["error"]["details"][0]["domain"] == "gemgate"
    assert passing.log() == []
    assert passing.gateway is not None
    assert passing.gateway.call(answer)["outcome"] == "refused"


def test_a_websocket_is_refused_clearly_and_recorded(proxied: Side) -> None:
    assert proxied.gateway is not None
    last = newest(proxied)
    place = urlsplit(proxied.url)
    name = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    head = (
        f"GET /ws/{name}?key={CLIENT_KEY} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        line.sendall(head.encode())
        first = line.makefile("rb").readline()
    assert first.startswith(b"HTTP/1.1 501 ")
    (row,) = proxied.gateway.rows("SELECT * FROM call_log WHERE seq > ?", last)
    assert (row["method"], row["version"], row["status"]) == ("BidiGenerateContent", "v1beta", 501)
    assert row["attempts"] == 0
    assert row["reason"] == "live_not_served"
