"""What an adversarial reading of the call path asked for: odd bytes from either side, and odd moments."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from gemgate.gateway.watch import Vigil, Watch
from tests.gateway.conftest import UNROUTED
from tests.gateway.launch import Gateway, until
from tests.gateway.raw import ARRAY_HEAD, END, STREAM_HEAD, Asked, Upstream, chunk, dial, read_until, whole

MODEL = "/v1beta/models/gemini-2.5-flash"
GENERATE = MODEL + ":generateContent"
STREAM = MODEL + ":streamGenerateContent?alt=sse"
ARRAY = MODEL + ":streamGenerateContent"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
INTERACTION = (
    b'event: interaction.created\ndata: {"event_type": "interaction.created", "interaction":'
    b' {"id": "i1", "model": "gemini-2.5-flash", "status": "in_progress"}}\n\n',
    b'event: step.delta\ndata: {"event_type": "step.delta", "delta": {"text": "Hi"}}\n\n',
    b'event: interaction.completed\ndata: {"event_type": "interaction.completed", "interaction":'
    b' {"id": "i1", "model": "gemini-2.5-flash", "status": "completed",'
    b' "usage": {"total_input_tokens": 3, "total_output_tokens": 5, "total_tokens": 8}}}\n\n',
    b"data: [DONE]\n\n",
)


def said(text: str, finish: str = "STOP", index: int = 0, **fields: Any) -> dict[str, Any]:
    """One chunk of an answer."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "usageMetadata": USAGE, **fields}


def event(value: object) -> bytes:
    """As an event of a stream."""
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


def answers(body: object, *headers: bytes) -> Upstream:
    """An upstream that answers everything so."""
    text = whole(json.dumps(body).encode(), *headers)
    return Upstream(lambda conn, asked: text)


def ended(gateway: Gateway) -> dict[str, Any]:
    """The row of the only call, once it is there."""
    until(lambda: bool(gateway.calls()), "the row")
    (row,) = gateway.calls()
    return row


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, -(2**63)])
def test_a_number_that_no_database_holds_still_has_its_row(value: int, tmp_path: Path) -> None:
    body = {**ASK, "generationConfig": {"maxOutputTokens": value}}
    with (
        answers(said("Hi")) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(GENERATE, json=body)
        assert answer.status_code == 200
        assert gateway.call(answer)["outcome"] == "ok"
        assert gateway.rows("SELECT count(*) AS n FROM open_calls")[0]["n"] == 0


@pytest.mark.parametrize(
    "usage",
    [
        {"promptTokenCount": 2**64 - 1},
        {"promptTokenCount": -5, "candidatesTokenCount": 1},
        {"promptTokenCount": 3, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2**63}]},
    ],
    ids=["huge", "negative", "detail"],
)
def test_a_count_of_tokens_that_cannot_be_is_no_count(usage: dict[str, Any], tmp_path: Path) -> None:
    with (
        answers(said("Hi") | {"usageMetadata": usage}) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(GENERATE, json=ASK)
        assert answer.status_code == 200
        row = gateway.call(answer)
        assert row["outcome"] == "ok"
        assert row["input_tokens"] >= 0


@pytest.mark.parametrize(
    "error",
    [
        {"code": 429, "message": "Please retry in 99999999999999999999s.", "status": "RESOURCE_EXHAUSTED"},
        {"code": 429, "message": "Please retry in " + "9" * 400 + "s.", "status": "RESOURCE_EXHAUSTED"},
        {"code": 2**64 - 1, "message": "x", "status": "INTERNAL"},
    ],
    ids=["long", "infinite", "code"],
)
@pytest.mark.parametrize("path", [GENERATE, STREAM])
def test_an_absurd_error_of_upstream_has_its_row(path: str, error: dict[str, Any], tmp_path: Path) -> None:
    body = json.dumps({"error": error}).encode()
    plain, framed = whole(body, status=b"429 Busy"), STREAM_HEAD + chunk(b"data: " + body + b"\n\n") + END
    with (
        Upstream(lambda conn, asked: framed if b"stream" in asked.line else plain) as upstream,
        Gateway(tmp_path, upstream.url, UNROUTED) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(path, json=ASK)
        assert answer.status_code in (429, 500, 502)
        assert gateway.call(answer)["outcome"] == "failed"


def test_a_model_version_cannot_write_headers(tmp_path: Path) -> None:
    with (
        answers(said("Hi") | {"modelVersion": "gemini\r\nx-evil: 1\u2603"}) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(GENERATE, json=ASK)
        assert answer.status_code == 200
        assert "x-evil" not in answer.headers
        assert answer.json()["candidates"]


def test_a_resumed_interaction_streams_as_it_comes(tmp_path: Path) -> None:
    """GET interactions/{id}?stream=true: each event leaves when it comes, the bytes are Google's."""
    go = threading.Event()

    def says(conn: socket.socket, asked: Asked) -> bytes:
        conn.sendall(STREAM_HEAD + chunk(INTERACTION[0]) + chunk(INTERACTION[1]))
        go.wait(20)
        return chunk(INTERACTION[2]) + chunk(INTERACTION[3]) + END

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=5) as client,
        client.stream("GET", "/v1beta/interactions/i1?stream=true&last_event_id=4") as answer,
    ):
        pieces = answer.iter_bytes()
        got = next(pieces)
        while b"step.delta" not in got:
            got += next(pieces)
        assert gateway.calls() == []  # the end has not come yet
        go.set()
        got += b"".join(pieces)
        assert got == b"".join(INTERACTION)
        row = ended(gateway)
        assert (row["outcome"], row["method"], row["output_tokens"] or 0) == ("ok", "interactions.get", 0)


def test_a_resumed_interaction_that_is_cut_ends_in_an_error(tmp_path: Path) -> None:
    def says(conn: socket.socket, asked: Asked) -> None:
        conn.sendall(STREAM_HEAD + chunk(INTERACTION[0]) + chunk(INTERACTION[1]))
        conn.shutdown(socket.SHUT_RDWR)

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.get("/v1beta/interactions/i1?stream=true")
        assert answer.text.count("event: error") == 1
        assert gateway.call(answer)["outcome"] == "cut"


def test_events_of_an_unknown_method_stream_as_they_come(tmp_path: Path) -> None:
    go = threading.Event()

    def says(conn: socket.socket, asked: Asked) -> bytes:
        conn.sendall(STREAM_HEAD + chunk(b"data: 1\n\n"))
        go.wait(20)
        return chunk(b"data: 2\n\n") + END

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=5) as client,
        client.stream("GET", "/v1beta/novelties/1:watch") as answer,
    ):
        pieces = answer.iter_bytes()
        got = next(pieces)
        assert got == b"data: 1\n\n"
        go.set()
        assert got + b"".join(pieces) == b"data: 1\n\ndata: 2\n\n"
        row = ended(gateway)
        assert (row["outcome"], row["response_bytes"]) == ("ok", 18)


def test_a_stream_that_the_request_did_not_let_us_foresee_is_one(tmp_path: Path) -> None:
    """A field of a type we do not expect hides ``stream: true`` from us; the answer tells."""
    text = STREAM_HEAD + b"".join(chunk(one) for one in INTERACTION) + END
    ask = {"model": "gemini-2.5-flash", "input": "Hi", "stream": True, "tools": {"odd": 1}}
    with (
        Upstream(lambda conn, asked: text) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post("/v1beta/interactions", json=ask)
        assert (answer.status_code, answer.content) == (200, b"".join(INTERACTION))
        row = gateway.call(answer)
        assert (row["outcome"], row["output_tokens"]) == ("ok", 5)


@pytest.mark.parametrize("name", ["fields", "$fields", "%66ields"])
@pytest.mark.parametrize("path", [GENERATE + "?", STREAM + "&", ARRAY + "?"])
def test_an_answer_of_which_only_some_fields_were_asked_for_is_whole(
    path: str, name: str, tmp_path: Path
) -> None:
    piece = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}
    text = json.dumps(piece).encode()
    whole_ones = {
        b":g": whole(text),
        b"se": STREAM_HEAD + chunk(event(piece)) + chunk(event(piece)) + END,
        b"st": ARRAY_HEAD + chunk(b"[" + text) + chunk(b",\r\n" + text + b"]") + END,
    }

    def says(conn: socket.socket, asked: Asked) -> bytes:
        kind = b":g" if b":generate" in asked.line else b"se" if b"alt=sse" in asked.line else b"st"
        return whole_ones[kind]

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(f"{path}{name}=candidates.content", json=ASK)
        assert answer.status_code == 200
        assert "error" not in answer.text
        assert gateway.call(answer)["outcome"] == "ok"


def test_a_stream_of_some_fields_that_is_cut_is_no_whole_one(tmp_path: Path) -> None:
    piece = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}

    def says(conn: socket.socket, asked: Asked) -> None:
        conn.sendall(STREAM_HEAD + chunk(event(piece)) + chunk(event(piece)))
        conn.shutdown(socket.SHUT_RDWR)

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(STREAM + "&fields=candidates.content", json=ASK)
        assert '"error"' in answer.text
        assert gateway.call(answer)["outcome"] == "cut"


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "dropped"])
@pytest.mark.parametrize("form", [STREAM, ARRAY])
def test_a_second_candidate_that_never_finished_is_a_cut(form: str, clean: bool, tmp_path: Path) -> None:
    chunks = [said("a", "", 0), said("b", "", 1), said("c", "STOP", 0), said("d", "", 1)]
    body = b"".join(chunk(event(one)) for one in chunks)
    array = chunk(b"[" + b",\r\n".join(json.dumps(one).encode() for one in chunks))

    def says(conn: socket.socket, asked: Asked) -> None:
        conn.sendall(STREAM_HEAD + body if "sse" in form else ARRAY_HEAD + array)
        if clean:
            conn.sendall((b"" if "sse" in form else chunk(b"]")) + END)
        else:
            conn.shutdown(socket.SHUT_RDWR)

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(form, json=ASK)
        assert '"domain":"gemgate"' in answer.text
        assert '"d"' in answer.text  # what came is given
        assert gateway.call(answer)["outcome"] == "cut"


def test_two_candidates_that_finish_are_whole(tmp_path: Path) -> None:
    go = threading.Event()
    chunks = [said("a", "", 0), said("b", "", 1), said("c", "STOP", 0), said("d", "", 1)]
    body = b"".join(event(one) for one in chunks)
    end = event(said("e", "MAX_TOKENS", 1))

    def says(conn: socket.socket, asked: Asked) -> bytes:
        conn.sendall(STREAM_HEAD + chunk(body))
        go.wait(20)
        return chunk(end) + END

    with (
        Upstream(says) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=5) as client,
        client.stream("POST", STREAM, json=ASK) as answer,
    ):
        pieces = answer.iter_bytes()
        got = next(pieces)
        while b'"d"' not in got:  # the first candidate's end does not hold back the second
            got += next(pieces)
        go.set()
        assert got + b"".join(pieces) == body + end
        assert ended(gateway)["outcome"] == "ok"


@pytest.mark.parametrize("value", ["Übersicht ☃.pdf".encode(), b"\xdcbersicht.pdf"], ids=["utf-8", "latin-1"])
def test_a_header_that_is_not_ascii_goes_up_as_it_came(value: bytes, tmp_path: Path) -> None:
    with answers({"file": {}}) as upstream, Gateway(tmp_path, upstream.url) as gateway:
        with dial(gateway.url) as conn:
            conn.sendall(
                b"POST /upload/v1beta/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n"
                b"connection: close\r\nx-goog-upload-file-name: " + value + b"\r\n\r\n"
            )
            assert b" 200 " in read_until(conn, b"}}")
        got = upstream.asked[0].header(b"x-goog-upload-file-name")
        assert got == value


def test_a_query_that_is_not_ascii_goes_up_as_it_came(tmp_path: Path) -> None:
    with answers({"models": []}) as upstream, Gateway(tmp_path, upstream.url) as gateway:
        with dial(gateway.url) as conn:
            conn.sendall(
                "GET /v1beta/models?filter=é&a=%C3%A9%2f HTTP/1.1\r\nhost: localhost\r\n"
                "connection: close\r\n\r\n".encode()
            )
            seen = read_until(conn, b"}")
        if b" 200 " in seen:
            assert upstream.asked[0].line == "GET /v1beta/models?filter=é&a=%C3%A9%2f HTTP/1.1".encode()
        else:
            assert b" 400 " in seen


@pytest.mark.parametrize("name", ["$key", "%24key", "$access_token", "key"])
def test_no_spelling_of_the_key_goes_up_beside_ours(name: str, tmp_path: Path) -> None:
    with (
        answers({"models": []}) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        assert client.get(f"/v1beta/models?{name}=AIzaOfTheClient&pageSize=3").status_code == 200
        assert upstream.asked[0].line == b"GET /v1beta/models?pageSize=3 HTTP/1.1"


def test_an_upload_url_under_a_path_prefix_leads_back_once(tmp_path: Path) -> None:
    def says(conn: socket.socket, asked: Asked) -> bytes:
        place = f"{upstream.url}/gemini/upload/v1beta/files?upload_id=7".encode()
        return whole(b"{}", b"x-goog-upload-url: " + place)

    with Upstream(says) as upstream:
        toml = f'[upstream]\nbase_url = "{upstream.url}/gemini"\n'
        with Gateway(tmp_path, upstream.url, toml) as gateway, httpx.Client(base_url=gateway.url) as client:
            answer = client.post("/upload/v1beta/files", json={})
            assert answer.headers["x-goog-upload-url"] == f"{gateway.url}/upload/v1beta/files?upload_id=7"
            assert upstream.asked[0].line.split()[1] == b"/gemini/upload/v1beta/files"


def test_a_redirect_to_another_place_stays_one(tmp_path: Path) -> None:
    place = b"https://storage.googleapis.com/bucket/object?X-Goog-Signature=abc"
    text = whole(b"", b"location: " + place, status=b"302 Found")
    with (
        Upstream(lambda conn, asked: text) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.get("/v1beta/files/x:download?alt=media")
        assert (answer.status_code, answer.headers["location"]) == (302, place.decode())


@pytest.mark.parametrize(
    ("verb", "status", "length", "expected"),
    [
        ("HEAD", b"200 OK", b"content-length: 1234", "1234"),
        ("GET", b"204 No Content", b"x-nothing: 1", None),
        ("GET", b"304 Not Modified", b'etag: "a"', None),
        ("GET", b"200 OK", b"content-length: 0", "0"),
    ],
)
def test_the_length_of_an_answer_without_a_body(
    verb: str, status: bytes, length: bytes, expected: str | None, tmp_path: Path
) -> None:
    head = b"HTTP/1.1 " + status + b"\r\n" + length + b"\r\ncontent-type: video/mp4\r\n\r\n"
    with (
        Upstream(lambda conn, asked: head) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        for _ in range(2):  # the second on the same connection: its framing held
            answer = client.request(verb, "/download/v1beta/files/x:download?alt=media")
            assert str(answer.status_code).encode() == status[:3]
            assert answer.headers.get("content-length") == expected
            assert gateway.call(answer)["outcome"] == "ok"


def test_a_large_download_keeps_its_length(tmp_path: Path) -> None:
    body = b"m" * (3 << 20)
    text = whole(body, b"content-type: video/mp4")
    with (
        Upstream(lambda conn, asked: text) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.get("/download/v1beta/files/x:download?alt=media")
        assert answer.headers["content-length"] == str(len(body))
        assert answer.content == body


@pytest.mark.parametrize(
    "head",
    [b"GET /" + b"a" * 400_000, b"GET / HTTP/1.1\r\nx-long: " + b"a" * 400_000],
    ids=["url", "value"],
)
def test_a_head_that_never_ends_is_cut_off(head: bytes, tmp_path: Path) -> None:
    with answers({}) as upstream, Gateway(tmp_path, upstream.url) as gateway, dial(gateway.url) as conn:
        try:
            for start in range(0, len(head), 10_000):
                conn.sendall(head[start : start + 10_000])
            answer = conn.recv(4096)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("path", [GENERATE, "/v1beta/models"])
def test_an_offer_of_http_2_is_not_taken_up_and_not_refused(path: str, tmp_path: Path) -> None:
    """Java's HttpClient makes it on every plain connection."""
    body = json.dumps(ASK).encode() if path == GENERATE else b""
    head = (
        f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\n"
        f"upgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    with (
        answers(said("Hi")) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        dial(gateway.url) as conn,
    ):
        for _ in range(2):
            conn.sendall(head + body)
            got = read_until(conn, b'"totalTokenCount": 8}}')
            assert got.startswith(b"HTTP/1.1 200 ")
        assert b"h2c" not in upstream.asked[0].headers
        assert len(upstream.asked) == 2


def test_an_upload_takes_longer_than_the_first_byte_may(tmp_path: Path) -> None:
    toml = '[upstream]\nbase_url = "UPSTREAM"\nfirst_byte_timeout = "1s"\n'
    with answers({"file": {}}) as upstream, Gateway(tmp_path, upstream.url, toml) as gateway:
        with dial(gateway.url) as conn:
            conn.sendall(
                b"POST /upload/v1beta/files?upload_id=1 HTTP/1.1\r\nhost: localhost\r\n"
                b"content-length: 8\r\nconnection: close\r\n\r\n"
            )
            for sign in b"12345678":
                threading.Event().wait(0.3)  # a slow line, not a wait for something
                conn.sendall(bytes([sign]))
            assert b" 200 " in read_until(conn, b"}}")
        assert upstream.asked[0].body == b"12345678"
        assert ended(gateway)["outcome"] == "ok"


def test_a_broken_framing_is_noticed_at_once(tmp_path: Path) -> None:
    text = STREAM_HEAD + chunk(event(said("a", ""))) + b"zz\r\nnonsense\r\n"
    with (
        Upstream(lambda conn, asked: text) as upstream,
        Gateway(tmp_path, upstream.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=10) as client,
    ):
        answer = client.post(STREAM, json=ASK)
        assert '"domain":"gemgate"' in answer.text
        assert gateway.call(answer)["outcome"] == "cut"


def test_an_early_answer_does_not_spoil_the_connection(tmp_path: Path) -> None:
    """Upstream answers before it has read the body: the next call must not have its bytes taken for the rest."""
    busy = json.dumps({"error": {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}}).encode()
    lines: list[bytes] = []

    def says(conn: socket.socket, asked: Asked) -> bytes:
        lines.append(asked.line)
        return whole(busy, status=b"429 Too Many Requests")

    big = {"contents": [{"parts": [{"text": "x" * (20 << 20)}]}]}
    with (
        Upstream(says, early=True) as upstream,
        Gateway(tmp_path, upstream.url, UNROUTED) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        answer = client.post(GENERATE, json=big)
        assert answer.status_code in (429, 502)
        assert client.get("/v1beta/models").status_code == 429
        assert lines[0].startswith(b"POST ")
        assert lines[-1] == b"GET /v1beta/models HTTP/1.1"


def test_a_call_that_is_over_is_not_watched_again() -> None:
    """Upstream may answer before the body is through, and the body's end come after the call's."""

    async def scene() -> set[Vigil]:
        watch = Watch()

        async def receive() -> None:
            raise AssertionError("nobody may wait for this client")

        vigil = Vigil(watch, receive, asyncio.get_running_loop())
        vigil.arm()
        assert watch.calls == {vigil}
        vigil.disarm()
        vigil.arm()
        return watch.calls

    assert asyncio.run(scene()) == set()
