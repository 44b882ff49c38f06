"""Requests of every kind: malformed, huge, mistyped, unknown, from a browser, over a WebSocket."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.gateway.launch import DEMO_KEY, Gateway
from tests.simulator.launch import Simulator

GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
CLIENT_KEY = "AIzaKeyOfTheClient000000000000000000000"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b'{"contents": [', b"{'contents': []}", b"[" * 5000],
    ids=["empty", "open", "list", "text", "null", "not-utf8", "cut", "quotes", "deep"],
)
def test_what_is_no_json_object_is_refused_without_an_upstream_call(
    body: bytes, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.clear()
    answer = client.post(GENERATE, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    (info,) = error["details"]
    assert (info["reason"], info["domain"]) == ("MALFORMED_JSON", "gemgate")
    assert info["metadata"]["retryable"] == "false"
    row = gateway.call(answer)
    assert (row["outcome"], row["status"], row["reason"], row["attempts"]) == (
        "refused",
        400,
        "malformed_json",
        0,
    )
    assert row["request_bytes"] == len(body)
    assert simulator.log() == []


@pytest.mark.parametrize(
    "body",
    [
        {"contents": "text"},
        {"contents": [{"parts": "x"}]},
        {"contents": []},
        {"nonsense": 1},
        {"contents": ASK["contents"], "generationConfig": {"maxOutputTokens": "many"}},
        {"contents": ASK["contents"], "tools": {"a": 1}},
    ],
    ids=str,
)
def test_what_is_mistyped_is_google_s_to_judge(
    body: object, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.clear()
    answer = client.post(GENERATE, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    row = gateway.call(answer)
    assert (row["outcome"], row["status"], row["attempts"]) == ("refused", 400, 1)
    assert len(simulator.log()) == 1


def test_a_body_above_the_cap_is_refused_before_it_is_read(simulator: Simulator, tmp_path: Path) -> None:
    toml = '[gateway]\nmax_body = "64KB"\nspool_above = "16KB"\n'
    with Gateway(tmp_path, simulator.url, toml) as gateway, httpx.Client(base_url=gateway.url) as client:
        simulator.clear()
        big = json.dumps({"contents": [{"parts": [{"text": "x" * 100_000}]}]}).encode()
        announced = client.post(GENERATE, content=big)
        chunked = client.post(GENERATE, content=iter([big[:50_000], big[50_000:]]))
        for answer in (announced, chunked):
            assert answer.status_code == 413
            assert answer.json()["error"]["details"][0]["reason"] == "BODY_TOO_LARGE"
            assert gateway.call(answer)["outcome"] == "refused"
        assert simulator.log() == []
        spooled = client.post(GENERATE, json={"contents": [{"parts": [{"text": "y " * 20_000}]}]})
        assert spooled.status_code == 200
        assert gateway.call(spooled)["request_bytes"] > 40_000


def test_a_head_without_end_is_cut_off(gateway: Gateway) -> None:
    parts = urlsplit(gateway.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as conn:
        conn.sendall(b"POST " + GENERATE.encode() + b" HTTP/1.1\r\nHost: localhost\r\n")
        conn.sendall(b"".join(b"x-%d: %s\r\n" % (n, b"a" * 1000) for n in range(80)))
        answer = conn.recv(4096)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"HEAD_TOO_LARGE" in answer


def test_an_unknown_path_passes_and_is_recorded_as_unknown(
    client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.clear()
    answer = client.get("/v1beta/novelties/42?x=1")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == 404
    row = gateway.call(answer)
    assert (row["method"], row["status"], row["attempts"]) == ("unknown", 404, 1)
    assert row["list_dollars"] == 0  # refused, so not billed
    assert simulator.log()[0]["path"] == "/v1beta/novelties/42"


def test_a_websocket_is_refused_clearly(client: httpx.Client, gateway: Gateway) -> None:
    answer = client.get(
        "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        headers={
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )
    assert answer.status_code == 501
    assert answer.json()["error"]["details"][0]["reason"] == "LIVE_NOT_SERVED"
    row = gateway.call(answer)
    assert (row["method"], row["outcome"]) == ("BidiGenerateContent", "refused")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-goog-api-key": CLIENT_KEY}, ""),
        ({"authorization": f"Bearer {CLIENT_KEY}"}, ""),
        ({}, f"?key={CLIENT_KEY}"),
        ({"x-goog-api-key": CLIENT_KEY, "authorization": f"Bearer {CLIENT_KEY}"}, f"?key={CLIENT_KEY}"),
        ({"x-goog-api-key": ""}, ""),
        ({"cookie": "session=1"}, ""),
    ],
    ids=["header", "bearer", "query", "all", "empty", "cookie"],
)
def test_exactly_one_credential_goes_upstream_and_it_is_ours(
    headers: dict[str, str], query: str, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.clear()
    answer = client.post(GENERATE + query, json=ASK, headers=headers)
    assert answer.status_code == 200
    (line,) = simulator.log()
    assert not {"cookie", "authorization"} & set(line["header_names"])
    assert "x-goog-api-key" in line["header_names"]
    assert line["query_names"] == []
    assert len(line["credentials"]) == 1
    row = gateway.rows("SELECT name FROM credentials")
    assert [one["name"] for one in row] == ["default/1"]


def test_the_clients_own_key_passes_through_when_set_and_is_kept_as_a_fingerprint(
    simulator: Simulator, tmp_path: Path
) -> None:
    toml = '[upstream]\nbase_url = "UPSTREAM"\ncredentials = "client"\n'
    with Gateway(tmp_path, simulator.url, toml, projects="") as gateway:
        with httpx.Client(base_url=gateway.url) as client:
            simulator.clear()
            for headers, query in (
                ({"x-goog-api-key": CLIENT_KEY}, ""),
                ({"authorization": f"Bearer {CLIENT_KEY}"}, ""),
                ({}, f"?key={CLIENT_KEY}"),
            ):
                assert client.post(GENERATE + query, json=ASK, headers=headers).status_code == 200
            without = client.post(GENERATE, json=ASK)
            start = client.post(
                "/upload/v1beta/files",
                json={"file": {"mime_type": "text/plain", "size_bytes": 5}},
                headers={
                    "x-goog-api-key": CLIENT_KEY,
                    "x-goog-upload-protocol": "resumable",
                    "x-goog-upload-command": "start",
                    "x-goog-upload-header-content-length": "5",
                    "x-goog-upload-header-content-type": "text/plain",
                },
            )
            place = start.headers["x-goog-upload-url"]
            assert place.startswith(gateway.url)
            leg = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
            assert client.post(place, content=b"hello", headers=leg).json()["file"]["name"]
            bad = client.post(GENERATE, json=ASK, headers={"x-goog-api-key": "nonsense"})
        assert without.status_code == 401
        assert without.json()["error"]["details"][0]["reason"] == "NO_CREDENTIAL"
        assert bad.status_code == 400
        assert gateway.call(bad)["outcome"] == "refused"
        assert len({tuple(line["credentials"]) for line in simulator.log()[:3]}) == 1
        assert len(simulator.log()) == 6
        names = {row["name"] for row in gateway.rows("SELECT name FROM credentials")}
        assert len(names - {""}) == 2
        assert all(name.startswith("key:") and CLIENT_KEY not in name for name in names - {""})


def test_a_web_page_of_another_site_is_refused_and_recorded(client: httpx.Client, gateway: Gateway) -> None:
    for headers in (
        {"origin": "https://evil.example"},
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
    ):
        answer = client.post(GENERATE, json=ASK, headers=headers)
        assert answer.status_code in (403, 421)
        row = gateway.call(answer)
        assert (row["outcome"], row["attempts"]) == ("refused", 0)
    assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 421


def test_a_page_on_the_allow_list_may_use_the_gateway(simulator: Simulator, tmp_path: Path) -> None:
    toml = '[gateway]\ncors_origins = ["http://localhost:3000"]\n'
    page = {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}
    with Gateway(tmp_path, simulator.url, toml) as gateway, httpx.Client(base_url=gateway.url) as client:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-goog-api-key"}
        preflight = client.options(GENERATE, headers=page | asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert preflight.headers["access-control-allow-headers"] == "x-goog-api-key"
        answer = client.post(GENERATE, json=ASK, headers=page)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        refused = client.options(GENERATE, headers={"origin": "https://evil.example"} | asked)
        assert refused.status_code == 403
        assert len(gateway.calls()) == 1


def test_health_answers_and_a_browser_is_led_to_the_console(client: httpx.Client, gateway: Gateway) -> None:
    health = client.get("/healthz")
    assert health.status_code == 200
    assert health.json()["status"] == "ok"
    (gateway.data / "run.json").write_text('{"console": {"url": "http://127.0.0.1:9"}}')
    page = client.get("/", headers={"accept": "text/html"})
    (gateway.data / "run.json").unlink()
    assert (page.status_code, page.headers["location"]) == (302, "http://127.0.0.1:9")
    assert client.get("/", headers={"accept": "*/*"}).json()["gemgate"]


def test_our_key_is_in_no_answer_and_no_row(client: httpx.Client, gateway: Gateway) -> None:
    answer = client.post(GENERATE, json=ASK)
    assert DEMO_KEY not in answer.text + str(answer.headers)
    for file in gateway.data.rglob("*"):
        if file.is_file():
            assert DEMO_KEY.encode() not in file.read_bytes(), file


def test_an_embedding_without_a_count_is_priced_by_estimate(client: httpx.Client, gateway: Gateway) -> None:
    answer = client.post(
        "/v1beta/models/gemini-embedding-001:embedContent",
        json={"content": {"parts": [{"text": "harbours " * 50}]}},
    )
    assert answer.status_code == 200
    counted = "usageMetadata" in answer.json()
    row = gateway.call(answer)
    assert row["input_tokens"] > 0
    assert row["list_dollars"] > 0
    assert bool(row["estimated_tokens"]) is not counted
