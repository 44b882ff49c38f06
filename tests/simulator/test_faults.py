"""Every named fault does what its sentence says, and a client that hangs up is noticed."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gemini_simulator import faults
from tests.simulator.client import KEY, ask, generate, prompt, stream
from tests.simulator.launch import Simulator

ERRORS = {name.replace("_", "-"): entry[0] for name, entry in faults.ERRORS.items()}
ERRORS |= {name.replace("_", "-"): 429 for name in faults.QUOTAS}
ERRORS |= {"api-key-invalid": 400, "api-key-auth-key-rejected": 401}


@pytest.mark.parametrize(("name", "status"), ERRORS.items())
def test_each_plain_error_has_its_status_and_googles_shape(
    upstream: Simulator, name: str, status: int
) -> None:
    answer = generate(upstream.url, prompt(), simulate=name)
    assert answer.status == status
    error = answer.error()
    assert error["code"] == status
    assert error["message"]
    assert "{" not in error["message"]
    assert error["status"].isupper()
    assert stream(upstream.url, prompt(), simulate=name).status == status


@pytest.mark.parametrize(("status", "rpc"), [(409, "ABORTED"), (422, "INVALID_ARGUMENT"), (418, "UNKNOWN")])
def test_any_status_can_be_asked_for(upstream: Simulator, status: int, rpc: str) -> None:
    answer = generate(upstream.url, prompt(), simulate=f"status={status}")
    assert (answer.status, answer.error()["code"], answer.error()["status"]) == (status, status, rpc)


@pytest.mark.parametrize("value", ["", "=", "=200", "=600", "=teapot"])
def test_a_status_is_one_of_an_error(upstream: Simulator, value: str) -> None:
    message = generate(upstream.url, prompt(), simulate=f"status{value}").error()["message"]
    assert message.startswith("x-simulate: status takes a number")


def test_the_openai_layer_wraps_errors_in_an_array(upstream: Simulator) -> None:
    headers = {"authorization": f"Bearer {KEY}", "x-simulate": "openai-429-array"}
    answer = ask(upstream.url, "/v1beta/openai/chat/completions", {}, headers=headers, key="")
    assert answer.status == 429
    assert answer.json()[0]["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_an_unknown_fault_is_said(upstream: Simulator) -> None:
    assert (
        "no fault named 'nonsense'"
        in generate(upstream.url, prompt(), simulate="nonsense").error()["message"]
    )


@pytest.mark.parametrize("events", [1, 2])
def test_cut_after_breaks_the_connection(upstream: Simulator, events: int) -> None:
    answer = stream(upstream.url, prompt(), simulate=f"cut-after={events},tokens=100")
    assert answer.broken
    assert len(answer.events()) == events
    assert b"finishReason" not in answer.body


def test_cut_before_the_first_event_gives_no_answer_at_all(upstream: Simulator) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        stream(upstream.url, prompt(), simulate="cut-after=0")


def test_end_after_ends_cleanly_without_a_finish_reason(upstream: Simulator) -> None:
    answer = stream(upstream.url, prompt(), simulate="stream-truncated,tokens=100")
    assert not answer.broken
    assert len(answer.events()) == 1
    assert b"finishReason" not in answer.body


def test_in_stream_errors_come_bare_and_framed(upstream: Simulator) -> None:
    bare = stream(upstream.url, prompt(), simulate="in-stream-error=2,tokens=100")
    assert bare.status == 200
    assert len(bare.events()) == 2
    assert json.loads(bare.body.rpartition(b"\r\n\r\n")[2])["error"]["code"] == 503
    framed = stream(upstream.url, prompt(), simulate="in-stream-error-framed,tokens=100").events()
    assert framed[-1]["error"]["status"] == "UNAVAILABLE"
    assert len(framed) == 2
    headers = {"x-simulate": "in-stream-error,tokens=100"}
    path = "/v1/models/gemini-3.8-flash:streamGenerateContent"
    assert ask(upstream.url, path, prompt(), headers=headers).json()[-1]["error"]["code"] == 503


def test_garbage_is_no_json(upstream: Simulator) -> None:
    answer = generate(upstream.url, prompt(), simulate="garbage")
    assert answer.headers["content-type"].startswith("text/html")
    with pytest.raises(ValueError):
        answer.json()
    with pytest.raises(ValueError):
        stream(upstream.url, prompt(), simulate="garbage").events()


def test_reset_and_half_headers_leave_no_answer(upstream: Simulator) -> None:
    with pytest.raises(ConnectionResetError):
        generate(upstream.url, prompt(), simulate="reset")
    place = urlsplit(upstream.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as plain:
        body = json.dumps(prompt()).encode()
        head = (
            "POST /v1/models/gemini-3.8-flash:generateContent HTTP/1.1\r\nHost: x\r\nX-Simulate: half-headers\r\n"
            f"X-Goog-Api-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        plain.sendall(head.encode() + body)
        raw = b""
        while some := plain.recv(4096):
            raw += some
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in raw


def test_truncated_json_announces_more_than_it_sends(upstream: Simulator) -> None:
    answer = generate(upstream.url, prompt(), simulate="truncated-json")
    assert answer.broken
    assert len(answer.body) < int(answer.headers["content-length"])


def test_gzip_only_for_those_who_take_it(upstream: Simulator) -> None:
    path = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    for sort in ("stream", "unary"):
        where = path if sort == "stream" else path.replace("streamG", "g").replace("?alt=sse", "")
        plain = ask(upstream.url, where, prompt(), headers={"x-simulate": "gzip"})
        packed = ask(upstream.url, where, prompt(), headers={"x-simulate": "gzip", "accept-encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body


def test_blocked_empty_and_thinking_limit(upstream: Simulator) -> None:
    blocked = generate(upstream.url, prompt(), simulate="blocked-prompt").json()
    assert blocked["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"
    assert "candidates" not in blocked
    empty = generate(upstream.url, prompt(), simulate="empty").json()["candidates"][0]
    assert "finishReason" not in empty
    assert "parts" not in empty["content"]
    limit = generate(upstream.url, prompt(), simulate="max-tokens-thinking").json()
    assert limit["candidates"][0]["content"] == {}
    assert limit["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_figures_can_be_asked_for(upstream: Simulator) -> None:
    answer = stream(
        upstream.url, prompt(), simulate="tokens=60,events=20,thoughts=7,tier=flex,cached=2,finish=safety"
    )
    events = answer.events()
    usage = events[-1]["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"], usage["cachedContentTokenCount"]) == (
        60,
        7,
        2,
    )
    assert usage["serviceTier"] == answer.headers["x-gemini-service-tier"] == "flex"
    assert len([event for event in events if event["candidates"][0]["content"]["parts"][0]["text"]]) == 20
    assert events[-1]["candidates"][0]["finishReason"] == "SAFETY"


def test_a_stalled_stream_is_held_until_the_client_leaves(upstream: Simulator) -> None:
    upstream.clear()
    place = urlsplit(upstream.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    headers = {"x-goog-api-key": KEY, "x-simulate": "stall-after=1,tokens=100"}
    path = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    connection.request("POST", path, json.dumps(prompt()), headers)
    answer = connection.getresponse()
    assert answer.readline().startswith(b"data: ")
    assert upstream.log()[0]["finished"] is False
    answer.close()
    connection.close()
    line = upstream.wait_for(1)[0]
    assert line["aborted"] is True
    assert line["events"] == 1


def test_a_client_that_leaves_before_the_first_byte_is_noticed() -> None:
    with Simulator() as slow:
        place = urlsplit(slow.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        headers = {"x-goog-api-key": KEY, "x-simulate": "slow-first-byte=60"}
        connection.request(
            "POST", "/v1/models/gemini-3.8-flash:generateContent", json.dumps(prompt()), headers
        )
        while not slow.log():
            pass
        connection.close()
        assert slow.wait_for(1)[0]["aborted"] is True


def test_rules_of_the_script_narrow_and_count(upstream: Simulator) -> None:
    try:
        upstream.set_faults({"simulate": "overloaded", "model": "gemini-3.6-flash", "nth": 2})
        found = [generate(upstream.url, prompt(), "gemini-3.6-flash").status for _ in range(3)]
        assert found == [200, 503, 200]
        assert generate(upstream.url, prompt(), "gemini-3.8-flash").status == 200
        upstream.set_faults(
            {"simulate": "internal", "first": 1}, {"simulate": "deadline", "key": "AIzaOtherKey"}
        )
        assert [generate(upstream.url, prompt()).status for _ in range(2)] == [500, 200]
        path = "/v1/models/gemini-3.8-flash:generateContent"
        assert ask(upstream.url, path, prompt(), key="AIzaOtherKey").status == 504
        upstream.set_faults({"simulate": "internal", "rate": 0.5})
        found = [generate(upstream.url, prompt()).status for _ in range(40)]
        assert 5 < found.count(500) < 35
    finally:
        upstream.set_faults()


def test_the_command_lists_every_fault() -> None:
    command = [sys.executable, "-m", "gemini_simulator.main", "--faults"]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    for name in faults.names():
        assert f"{name} " in listed


def test_a_project_of_the_script_has_its_keys_and_faults(tmp_path: Path) -> None:
    script = {
        "projects": [
            {"name": "good", "tier": "tier1", "keys": ["AIzaGood1", "AQ.Good2"]},
            {"name": "broke", "keys": ["AIzaBroke"], "faults": "prepay-depleted"},
        ]
    }
    with Simulator("--instant", script=script, folder=tmp_path) as scripted:
        path = "/v1/models/gemini-3.8-flash:generateContent"
        found = [
            ask(scripted.url, path, prompt(), key=key)
            for key in ("AIzaGood1", "AQ.Good2", "AIzaBroke", "AIzaNo")
        ]
        assert [answer.status for answer in found] == [200, 200, 402, 400]
        assert found[3].error()["details"][0]["reason"] == "API_KEY_INVALID"
        assert [line.get("project") for line in scripted.log()] == ["good", "good", "broke", None]
        assert "AIza" not in json.dumps(scripted.log())
