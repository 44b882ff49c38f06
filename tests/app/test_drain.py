"""Stopping with calls under way: they end whole within the drain, and never hold the stop beyond it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from served import Served, ended, served

FREE = ("--gateway-port", "0", "--console-port", "0")
BODY = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Tell a long story."}]}]})


@contextlib.contextmanager
def streaming(one: Served, simulate: str = "") -> Iterator[http.client.HTTPResponse]:
    """An event stream of which the first line has come."""
    parts = urlsplit(one.running()["gateway"]["url"])
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"content-type": "application/json", "x-goog-api-key": "any"}
    if simulate:
        headers["x-simulate"] = simulate
    with contextlib.closing(link):
        link.request("POST", "/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse", BODY, headers)
        answer = link.getresponse()
        assert answer.status == 200
        assert answer.readline().startswith(b"data: ")
        yield answer


def test_a_stream_under_way_ends_whole_before_the_processes_do(tmp_path: Path) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        with streaming(one) as answer:
            one.signal(signal.SIGTERM)
            one.until("Stopping")
            rest = answer.read().decode()
        assert '"finishReason"' in rest
        assert '"error"' not in rest
        assert one.wait() == 0


def test_a_stream_that_stands_still_is_dropped_at_the_deadline(tmp_path: Path) -> None:
    with served(tmp_path, *FREE, env={"GEMGATE_GATEWAY_DRAIN": "1"}) as one:
        one.until("use it")
        with streaming(one, "stall"):
            one.signal(signal.SIGTERM)
            assert one.wait() == 0


def test_asked_twice_it_waits_for_nobody(tmp_path: Path) -> None:
    with served(tmp_path, *FREE, env={"GEMGATE_GATEWAY_DRAIN": "1 h"}) as one:
        one.until("use it")
        gateway = one.running()["gateway"]["pid"]
        with streaming(one, "stall"):
            one.signal(signal.SIGTERM)
            one.until("Stopping")
            one.signal(signal.SIGTERM)
            assert one.wait() == 0
            ended(gateway)


def test_the_gateway_alone_may_have_the_consoles_port(tmp_path: Path) -> None:
    with served(tmp_path, "--gateway-port", "0", "--console-port", "0") as one:
        one.until("use it")
        port = str(one.running()["gateway"]["port"])
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
    env = {"GEMGATE_CONSOLE_PORT": port}
    with served(tmp_path, "--gateway-port", port, env=env) as one:
        assert one.wait() == 1
        assert "console.port" in one.lines[-1]
    (tmp_path / "gemgate.toml").write_text(f"[console]\nport = {port}\n", "utf-8")
    with served(tmp_path, "--only", "gateway", "--gateway-port", port) as one:
        one.until("use it")
        assert "console" not in one.running()
