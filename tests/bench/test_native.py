"""The load generator sees every way in which an answer can be wrong; the fake upstream gives right ones."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import BUILD, BenchError, Cores, Server, build, upstream
from upload import upload

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the native tools need gcc")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}\r\n\r\n'
LAST = b'data: {"candidates": [{"finishReason": "STOP"}]}\r\n\r\n'
ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
CHUNK = b'data: {"id":"1","choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
TALLY = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"code": 503}}\r\n\r\n'
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    build()


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body.json"
    path.write_text('{"contents": []}')
    return path


def load(mode: str, port: int, body: Path, *options: str) -> dict[str, Any]:
    """What the generator said of one load."""
    command = [str(BUILD / "load"), mode, "--port", str(port), "--path", "/x:streamGenerateContent"]
    done = subprocess.run(
        [*command, "--body", str(body), *options], capture_output=True, text=True, check=True, timeout=60
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextlib.contextmanager
def answering(raw: bytes) -> Iterator[int]:
    """A server that answers each connection's first request with these bytes and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def one_stream(raw: bytes, body: Path, *options: str, events: int = 2) -> dict[str, Any]:
    with answering(raw) as port:
        return load("streams", port, body, "--count", "1", "--ramp", "0", "--events", str(events), *options)


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + chunk(EVENT) + chunk(LAST) + END,
        HEAD + chunk(EVENT[:9]) + chunk(EVENT[9:] + LAST[:-3]) + chunk(LAST[-3:]) + END,
        HEAD + chunk(EVENT.replace(b"\r\n", b"\n") + LAST.replace(b"\r\n", b"\n")) + END,
    ],
    ids=["chunk by chunk", "cut anywhere", "bare line feeds"],
)
def test_a_whole_stream_is_whole(raw: bytes, body: Path) -> None:
    said = one_stream(raw, body)
    assert (said["answered"], said["errors"], said["events"]) == (1, 0, 2)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (HEAD + chunk(EVENT), "closed before the end"),
        (HEAD + chunk(EVENT) + chunk(LAST), "closed before the end"),
        (HEAD + chunk(LAST) + END, "1 events of 2"),
        (HEAD + chunk(EVENT) + chunk(EVENT) + END, "no finish reason"),
        (HEAD + chunk(EVENT) + chunk(ERROR) + END, "error event"),
        (HEAD + chunk(EVENT) + chunk(LAST[:-4]) + END, "1 events of 2"),
        (HEAD + b"zz\r\n" + EVENT + b"\r\n", "cannot be proven"),
        (HEAD + chunk(EVENT) + chunk(LAST) + END + b"more", "bytes after"),
        (HEAD.replace(b"Transfer-Encoding: chunked\r\n", b"") + EVENT + LAST, "cannot be proven"),
        (HEAD.replace(b"200 OK", b"503 Busy") + END, "status 503"),
    ],
)
def test_a_broken_stream_is_an_error_with_its_reason(raw: bytes, reason: str, body: Path) -> None:
    said = one_stream(raw, body)
    assert (said["answered"], said["errors"]) == (0, 1)
    assert reason in said["first_error"]


def test_a_stream_of_openai_has_as_many_events_as_texts(body: Path) -> None:
    raw = HEAD + chunk(ROLE + CHUNK) + chunk(CHUNK + FINISH + TALLY + DONE) + END
    said = one_stream(raw, body, "--dialect", "openai")
    assert (said["answered"], said["errors"], said["events"]) == (1, 0, 2)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (chunk(CHUNK + CHUNK + FINISH), "no [DONE]"),
        (chunk(CHUNK + CHUNK + DONE), "no finish reason"),
        (chunk(CHUNK + FINISH + DONE), "1 events of 2"),
        (chunk(CHUNK + CHUNK + FINISH + DONE + TALLY), "error event"),
        (chunk(CHUNK + CHUNK + ERROR), "error event"),
        (chunk(EVENT + EVENT + LAST + DONE), "error event"),
    ],
    ids=["no end", "no reason", "too few", "more after the end", "an error", "Google's words"],
)
def test_a_broken_stream_of_openai_is_an_error_with_its_reason(raw: bytes, reason: str, body: Path) -> None:
    said = one_stream(HEAD + raw + END, body, "--dialect", "openai")
    assert (said["answered"], said["errors"]) == (0, 1)
    assert reason in said["first_error"]


def test_the_same_words_are_the_same_in_both_dialects(body: Path) -> None:
    text = b'a \\"quoted\\" word'
    google = HEAD + chunk(EVENT.replace(b'"a"', b'"%s"' % text) + LAST) + END
    openai = [
        HEAD + chunk(CHUNK.replace(b'"a"', b'"%s"' % said) + FINISH + DONE) + END
        for said in (text, text.replace(b"word", b"wort"))
    ]
    theirs = one_stream(google, body)
    ours, other = (one_stream(raw, body, "--dialect", "openai", events=1) for raw in openai)
    assert (theirs["errors"], ours["errors"], other["errors"]) == (0, 0, 0)
    assert theirs["words"] == ours["words"] != other["words"]


def test_a_refusal_is_no_answer(body: Path) -> None:
    with answering(b"HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}") as port:
        said = load("unary", port, body, "--connections", "1", "--seconds", "0.2")
    assert said["answered"] == 0
    assert said["errors"] == said["calls"] > 0
    assert said["first_error"] == "status 429"


def test_the_upstream_answers_streams_and_calls(tmp_path: Path, body: Path) -> None:
    with upstream(tmp_path, Cores(), 1, 20) as google:
        watch = ("--watch", str(google.pids[0]))
        many = load("streams", google.port, body, "--count", "50", "--ramp", "0", "--events", "20", *watch)
        # The path is the same for both modes; a stream's answer is a whole answer to the unary mode too.
        calls = load(
            "unary", google.port, body, "--connections", "4", "--rate", "200", "--seconds", "0.5", *watch
        )
    assert (many["answered"], many["errors"], many["events"], many["bodies_that_differ"]) == (50, 0, 1000, 0)
    assert many["cpu_ns"] > 0
    assert calls["errors"] == 0
    assert calls["calls"] == calls["answered"] > 0


def test_an_upload_arrives_whole_at_the_sink(tmp_path: Path) -> None:
    with upstream(tmp_path, Cores(), 1, 1) as google:
        assert upload(google, 5_000_000, 5_000_000).calls == 2
        assert upload(google, 5_000_000, 2_000_000).calls == 4


def test_an_upload_url_that_leads_elsewhere_is_seen(tmp_path: Path) -> None:
    reply = (
        b"HTTP/1.1 200 OK\r\nX-Goog-Upload-URL: http://127.0.0.1:9/u?upload_id=1\r\nContent-Length: 0\r\n\r\n"
    )
    with upstream(tmp_path, Cores(), 1, 1) as google, answering(reply) as port:
        elsewhere = Server("bypassed", port, google.pids)
        with pytest.raises(BenchError, match="leads past"):
            upload(elsewhere, 10, 10)
