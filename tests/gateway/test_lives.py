"""Hang-ups, slow clients, large bodies, drain, reload, TLS, and a store that is away."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import pytest

from tests.gateway.launch import DEMO_KEY, Gateway, until
from tests.simulator.launch import Simulator

MODEL = "/v1beta/models/gemini-2.5-flash"
GENERATE = MODEL + ":generateContent"
STREAM = MODEL + ":streamGenerateContent?alt=sse"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Tell me about harbours."}]}]}
FIRST = {"x-simulate": "stall-after=1,events=9"}


def last(gateway: Gateway) -> dict[str, object]:
    """The newest call."""
    return gateway.calls()[-1]


def test_a_client_that_hangs_up_in_a_stream_ends_the_upstream_call(
    simulator: Simulator, tmp_path: Path
) -> None:
    with Gateway(tmp_path, simulator.url) as gateway:
        simulator.clear()
        with (
            httpx.Client(base_url=gateway.url) as client,
            client.stream("POST", STREAM, json=ASK, headers=FIRST) as answer,
        ):
            next(answer.iter_bytes())
        until(lambda: bool(gateway.calls()), "the row of the call that was left")
        row = last(gateway)
        assert (row["outcome"], row["status"], row["reason"]) == ("cancelled", 499, "client_left")
        assert row["output_tokens"]
        assert row["estimated_tokens"]
        assert row["list_dollars"]
        until(lambda: simulator.log()[0]["aborted"], "the upstream connection's end")


def test_a_client_that_hangs_up_while_waiting_ends_the_upstream_call(
    simulator: Simulator, tmp_path: Path
) -> None:
    with Gateway(tmp_path, simulator.url) as gateway:
        simulator.clear()
        with httpx.Client(base_url=gateway.url, timeout=0.6) as client, pytest.raises(httpx.ReadTimeout):
            client.post(GENERATE, json=ASK, headers={"x-simulate": "slow-first-byte=900"})
        until(lambda: bool(gateway.calls()), "the row of the call that was left")
        row = last(gateway)
        assert (row["outcome"], row["reason"], row["attempts"]) == ("cancelled", "client_left", 1)
        assert row["input_tokens"]
        assert row["estimated_tokens"]
        until(lambda: simulator.log()[0]["aborted"], "the upstream connection's end")


def test_a_client_that_leaves_in_the_middle_of_its_body_is_on_record(
    simulator: Simulator, tmp_path: Path
) -> None:
    with Gateway(tmp_path, simulator.url) as gateway:
        parts = urlsplit(gateway.url)
        simulator.clear()
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as conn:
            conn.sendall(
                b"POST " + GENERATE.encode() + b" HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500\r\n\r\n{"
            )
        until(lambda: bool(gateway.calls()), "the row")
        row = last(gateway)
        assert (row["outcome"], row["attempts"], row["method"]) == ("cancelled", 0, "models.generateContent")
        assert simulator.log() == []


def test_calls_under_way_end_whole_in_a_drain(simulator: Simulator, tmp_path: Path) -> None:
    with Gateway(tmp_path, simulator.url) as gateway:
        got: list[httpx.Response] = []

        def call() -> None:
            with httpx.Client(base_url=gateway.url, timeout=30) as client:
                got.append(client.post(STREAM, json=ASK, headers={"x-simulate": "slow-first-byte=60"}))

        thread = threading.Thread(target=call)
        simulator.clear()
        thread.start()
        until(lambda: bool(simulator.log()), "the call at the upstream")
        code = gateway.stop()
        thread.join()
        assert code == 0
        assert got[0].status_code == 200
        assert '"finishReason"' in got[0].text
        assert last(gateway)["outcome"] == "ok"
        assert gateway.rows("SELECT count(*) AS n FROM open_calls")[0]["n"] == 0


def test_what_outlasts_the_drain_is_interrupted_and_told_so(simulator: Simulator, tmp_path: Path) -> None:
    with Gateway(tmp_path, simulator.url, '[gateway]\ndrain = "1s"\n') as gateway:
        with (
            httpx.Client(base_url=gateway.url, timeout=30) as client,
            client.stream("POST", STREAM, json=ASK, headers=FIRST) as answer,
        ):
            chunks = answer.iter_bytes()
            next(chunks)
            gateway.process.send_signal(signal.SIGTERM)
            rest = b"".join(chunks)
        gateway.process.wait(20)
        assert json.loads(rest.removeprefix(b"data: "))["error"]["details"][0]["reason"] == "SHUTDOWN"
        assert "Exception" not in gateway.log
        row = last(gateway)
        assert (row["outcome"], row["reason"], row["status"]) == ("interrupted", "shutdown", 200)


def test_a_changed_configuration_is_taken_over_by_sighup(simulator: Simulator, tmp_path: Path) -> None:
    with Gateway(tmp_path, simulator.url) as gateway, httpx.Client(base_url=gateway.url) as client:
        assert client.post(GENERATE, json=ASK).status_code == 200
        text = gateway.config.read_text()
        gateway.config.write_text(text.replace('name = "default"', 'name = "second"'))
        gateway.process.send_signal(signal.SIGHUP)

        def moved() -> bool:
            client.post(GENERATE, json=ASK)
            return last(gateway)["project"] == "second"

        until(moved, "a call on the new project")
        gateway.config.write_text(text + "\nnonsense = 1\n")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "is not used" in gateway.log, "the complaint about the new file")
        assert client.post(GENERATE, json=ASK).status_code == 200
        gateway.config.write_text(text)


def test_a_client_may_name_one_of_two_projects(simulator: Simulator, tmp_path: Path) -> None:
    projects = "".join(
        f'[[project]]\nname = "{name}"\ntier = "{tier}"\nkeys = ["AIza{name:x<35}", "AIza{name:y<35}"]\n'
        for name, tier in (("paid", "tier1"), ("free", "free"))
    )
    with (
        Gateway(tmp_path, simulator.url, projects=projects) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        for header in ({}, {"x-gemgate-project": "free"}, {"x-gemgate-project": "free"}):
            assert client.post(GENERATE, json=ASK, headers=header).status_code == 200
        rows = gateway.calls()
        assert [row["project"] for row in rows] == ["paid", "free", "free"]
        assert rows[0]["billed_dollars"] > 0
        assert rows[1]["billed_dollars"] == 0
        assert rows[1]["list_dollars"] > 0
        names = {row["name"] for row in gateway.rows("SELECT name FROM credentials")}
        assert names == {"paid/1", "free/1", "free/2"}
        unknown = client.post(GENERATE, json=ASK, headers={"x-gemgate-project": "nope"})
        assert unknown.status_code == 400
        assert "paid, free" in unknown.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate and its key, in one folder."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return tmp_path


def test_the_listener_speaks_tls_when_told_to(simulator: Simulator, certificate: Path) -> None:
    toml = f'[gateway]\ntls_cert = "{certificate}/cert.pem"\ntls_key = "{certificate}/key.pem"\n'
    with Gateway(certificate / "gateway", simulator.url, toml) as gateway:
        trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        with httpx.Client(base_url=gateway.url.replace("http:", "https:"), verify=trust) as client:
            assert client.post(GENERATE, json=ASK).status_code == 200
            start = client.post(
                "/upload/v1beta/files",
                json={"file": {}},
                headers={
                    "x-goog-upload-protocol": "resumable",
                    "x-goog-upload-command": "start",
                    "x-goog-upload-header-content-length": "5",
                    "x-goog-upload-header-content-type": "text/plain",
                },
            )
            assert start.headers["x-goog-upload-url"].startswith(gateway.url.replace("http:", "https:"))


def test_a_locked_store_delays_a_call_by_a_bound_and_loses_no_row(
    simulator: Simulator, tmp_path: Path
) -> None:
    with (
        Gateway(tmp_path, simulator.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):
        before = client.post(GENERATE, json=ASK)
        other = sqlite3.connect(gateway.data / "gemgate.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        during = [client.post(GENERATE, json=ASK) for _ in range(5)]
        assert [answer.status_code for answer in during] == [200] * 5
        health = client.get("/healthz").json()
        assert health["status"] == "degraded"
        assert health["store"]["spilled"] >= 5
        assert health["store"]["reason"]
        other.execute("ROLLBACK")
        other.close()
        after = client.post(GENERATE, json=ASK)
        until(lambda: client.get("/healthz").json()["status"] == "ok", "the store's return")
        ids = [answer.headers["x-gemgate-call"] for answer in (before, *during, after)]
        assert [row["call_id"] for row in gateway.calls()] == ids


def test_calls_are_refused_while_the_store_is_away_when_set(simulator: Simulator, tmp_path: Path) -> None:
    toml = '[record]\nwhen_down = "refuse"\n'
    with (
        Gateway(tmp_path, simulator.url, toml) as gateway,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):
        other = sqlite3.connect(gateway.data / "gemgate.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        simulator.clear()
        answer = client.post(GENERATE, json=ASK)
        assert answer.status_code == 503
        assert answer.json()["error"]["details"][0]["reason"] == "STORE_DOWN"
        assert answer.headers["retry-after"]
        assert simulator.log() == []
        assert client.get("/healthz").status_code == 503
        other.close()
        until(lambda: client.post(GENERATE, json=ASK).status_code == 200, "the store's return")


class Sink(BaseHTTPRequestHandler):
    """An upstream that swallows uploads and sends large files, slowly or not."""

    protocol_version = "HTTP/1.1"
    got: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        digest, left = hashlib.sha256(), int(self.headers["content-length"])
        while left:
            chunk = self.rfile.read(min(left, 1 << 20))
            digest.update(chunk)
            left -= len(chunk)
        self.got["sha256"] = digest.hexdigest()
        body = b'{"file": {"name": "files/x"}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        size = 64 << 20
        self.send_response(200)
        self.send_header("content-type", "video/mp4")
        self.send_header("content-length", str(size))
        self.end_headers()
        sent = 0
        try:
            while sent < size:
                self.wfile.write(b"m" * (1 << 18))
                sent += 1 << 18
                self.got["sent"] = str(sent)
                if "cut" in self.path and sent >= 8 << 20:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    break
        except OSError:
            self.got["broken"] = "yes"

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def sink() -> Iterator[ThreadingHTTPServer]:
    """The large upstream."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    Sink.got.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def resident(gateway: Gateway) -> int:
    """The process's peak resident memory in MB."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def test_a_large_upload_streams_through_with_flat_memory(sink: ThreadingHTTPServer, tmp_path: Path) -> None:
    with Gateway(tmp_path, f"http://127.0.0.1:{sink.server_port}") as gateway:
        before = resident(gateway)
        piece = b"u" * (1 << 20)
        pieces, digest = 300, hashlib.sha256()
        for _ in range(pieces):
            digest.update(piece)
        with httpx.Client(base_url=gateway.url, timeout=60) as client:
            answer = client.post(
                "/upload/v1beta/files?upload_id=1&upload_protocol=resumable",
                content=(piece for _ in range(pieces)),
                headers={"content-length": str(pieces << 20), "x-goog-upload-command": "upload, finalize"},
            )
        assert answer.status_code == 200
        assert Sink.got["sha256"] == digest.hexdigest()
        assert resident(gateway) - before < 40
        row = gateway.call(answer)
        assert (row["method"], row["request_bytes"], row["outcome"]) == ("media.upload", pieces << 20, "ok")


def test_a_client_that_reads_slowly_slows_the_upstream_and_not_our_memory(
    sink: ThreadingHTTPServer, tmp_path: Path
) -> None:
    with Gateway(tmp_path, f"http://127.0.0.1:{sink.server_port}") as gateway:
        before = resident(gateway)
        with (
            httpx.Client(base_url=gateway.url, timeout=60) as client,
            client.stream("GET", "/v1beta/files/x:download?alt=media") as answer,
        ):
            body = answer.iter_raw(1 << 16)
            size = len(next(body))
            until(lambda: int(Sink.got["sent"]) > 0, "the upstream's first pieces")
            seen = -1
            while seen != int(Sink.got["sent"]):  # until the upstream has come to a stand
                seen = int(Sink.got["sent"])
                threading.Event().wait(0.2)
            assert seen < 48 << 20
            assert resident(gateway) - before < 40
            size += sum(len(chunk) for chunk in body)
        assert size == 64 << 20
        assert last(gateway)["response_bytes"] == size


def test_a_large_answer_that_is_cut_never_ends_cleanly(sink: ThreadingHTTPServer, tmp_path: Path) -> None:
    with Gateway(tmp_path, f"http://127.0.0.1:{sink.server_port}") as gateway:
        with (
            httpx.Client(base_url=gateway.url, timeout=60) as client,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            client.get("/v1beta/files/cut:download?alt=media")
        row = last(gateway)
        assert (row["outcome"], row["reason"]) == ("cut", "cut")


def test_no_secret_is_left_anywhere_after_every_fault(simulator: Simulator, tmp_path: Path) -> None:
    prompt = "the password of the harbour is xyzzy-plugh-4711"
    client_key = "AIzaClientKeyThatNobodyMaySee0000000000"
    faults = [
        *("api-key-invalid", "consumer-suspended", "leaked-key", "quota-rpd-free", "overloaded", "internal"),
        *(
            "garbage",
            "empty",
            "reset",
            "truncated-json",
            "cut-after=1",
            "in-stream-error=1",
            "blocked",
            "half-headers",
        ),
    ]
    bodies = b""
    with (
        Gateway(tmp_path, simulator.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=20) as client,
    ):
        for fault in faults:
            for path in (GENERATE + "?", STREAM + "&"):
                answer = client.post(
                    f"{path}key={client_key}",
                    json={"contents": [{"role": "user", "parts": [{"text": prompt}]}]},
                    headers={"x-simulate": fault, "authorization": f"Bearer {client_key}"},
                )
                bodies += answer.content + str(answer.headers).encode()
        bodies += client.post(f"{GENERATE}?key={client_key}", content=prompt.encode()).content
        bodies += client.get("/healthz").content + json.dumps(simulator.log()).encode()
    found = [bodies, gateway.log.encode()]
    found += [file.read_bytes() for file in gateway.data.rglob("*") if file.is_file()]
    for secret in (DEMO_KEY, client_key, prompt, "xyzzy-plugh"):
        assert not [True for text in found if secret.encode() in text], secret
