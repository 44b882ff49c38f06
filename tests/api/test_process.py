"""The console as a process of its own: how it says that it is ready, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from consoles import console, port_of

from gemgate.store.migrate import upgrade


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a console that the tests share."""
    with console(tmp_path_factory.mktemp("served"), "--port", "0") as process:
        yield port_of(process)


def test_ready_means_that_it_answers(tmp_path: Path) -> None:
    with console(tmp_path, "--port", "0") as process:
        link = http.client.HTTPConnection("127.0.0.1", port_of(process), timeout=60)
        with contextlib.closing(link):
            link.request("GET", "/healthz")
            answer = link.getresponse()
            assert (answer.status, answer.read()) == (200, b"ok\n")


def test_it_ends_when_its_parents_pipe_closes(tmp_path: Path) -> None:
    with console(tmp_path, "--port", "0") as process:
        port_of(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(tmp_path: Path, number: signal.Signals) -> None:
    with console(tmp_path, "--port", "0") as process:
        port_of(process)
        process.send_signal(number)
        assert process.wait(timeout=60) == 0


def test_a_port_in_use_and_a_bad_file_are_sentences(tmp_path: Path) -> None:
    with console(tmp_path, "--port", "0") as process:
        with console(tmp_path, "--port", str(port_of(process))) as other:
            assert other.wait(timeout=60) == 1
            assert other.stderr is not None
            assert "cannot listen" in other.stderr.read()
        (tmp_path / "gemgate.toml").write_text("[gateway]\nprot = 1\n", "utf-8")
        with console(tmp_path, "--port", "0") as other:
            assert other.wait(timeout=60) == 2
            assert other.stderr is not None
            assert "gateway.prot" in other.stderr.read()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no http at all\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 300_000 + b"\r\n\r\n", 431),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: strange\r\n\r\n", 501),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000000000\r\n\r\n", 413),
    ],
    ids=["no_request", "no_length", "large_head", "strange_coding", "large_body"],
)
def test_what_the_server_itself_refuses_is_a_problem_too(served: int, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", served), timeout=60) as link:
        link.sendall(sent)
        answer = http.client.HTTPResponse(link)
        answer.begin()
        body = json.loads(answer.read())
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (body["status"], body["request_id"]) == (status, answer.headers["x-request-id"])


def test_the_last_to_close_the_record_takes_its_log_away(tmp_path: Path) -> None:
    upgrade(tmp_path / "gemgate.db")
    with console(tmp_path, "--port", "0") as process:
        link = http.client.HTTPConnection("127.0.0.1", port_of(process), timeout=60)
        with contextlib.closing(link):
            link.request("GET", "/api/v1/events")
            assert link.getresponse().read()
        assert (tmp_path / "gemgate.db-wal").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert not (tmp_path / "gemgate.db-wal").exists()


EVENT = b'data: {"candidates": [{"content": {"parts": [{"text": "Once"}]}}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_streams_end_in_order_when_it_is_told_to_end(tmp_path: Path) -> None:
    """Feeds, a question whose answer stands still, and one whose answer has not begun: each gets a whole answer."""
    upgrade(tmp_path / "gemgate.db")
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = gateway.getsockname()[1]
        (tmp_path / "gemgate.toml").write_text(f"[gateway]\nport = {port}\n", "utf-8")
        process = stack.enter_context(console(tmp_path, "--port", "0"))
        own = port_of(process)

        def sent(verb: str, path: str, body: bytes = b"") -> http.client.HTTPConnection:
            """A request whose answer is not read yet."""
            link = http.client.HTTPConnection("127.0.0.1", own, timeout=60)
            stack.callback(link.close)
            link.request(verb, path, body, {"Content-Type": "application/json"} if body else {})
            return link

        feeds = [sent("GET", "/api/v1/calls/live").getresponse() for _ in range(20)]
        for feed in feeds:
            assert feed.readline().startswith(b"retry: ")
        question = json.dumps({"model": "some", "prompt": "x", "stream": True}).encode()
        links = []
        for begun in (HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT), b""):
            links.append(sent("POST", "/api/v1/generate", question))
            wire = stack.enter_context(gateway.accept()[0])
            assert wire.recv(65_536)
            wire.sendall(begun)
        told = links[0].getresponse()
        assert told.readline() == b'data: {"text":"Once"}\n'
        process.send_signal(signal.SIGTERM)
        # What waitress gives up on breaks off: then this raises IncompleteRead.
        for feed in feeds:
            feed.read()
        assert b'"code":"GATEWAY_BROKE_OFF"' in told.read()
        assert links[1].getresponse().status == 503
        assert process.wait(timeout=60) == 0


def test_clients_that_say_nothing_keep_nobody_out(served: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(130):
            stack.enter_context(socket.create_connection(("127.0.0.1", served), timeout=60))
        link = http.client.HTTPConnection("127.0.0.1", served, timeout=20)
        with contextlib.closing(link):
            link.request("GET", "/healthz")
            assert link.getresponse().status == 200
