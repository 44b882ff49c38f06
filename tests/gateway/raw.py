"""An upstream that says exactly the bytes a test wants said, and a client that does the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

SECONDS = 20.0


class Asked:
    """One request as it came over the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.line, _, rest = head.partition(b"\r\n")
        self.headers = rest
        self.body = body

    def header(self, name: bytes) -> bytes:
        """A header's value as bytes, empty when absent."""
        for line in self.headers.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.strip().lower() == name:
                return value.strip()
        return b""


class Upstream:
    """``with Upstream(says) as upstream: … upstream.url``: ``says`` gets the connection and each request.

    What it returns is sent; whoever wants to send piece by piece does so itself and returns nothing.
    With ``early`` the request's body is not read before ``says`` is asked.
    """

    def __init__(self, says: Callable[[socket.socket, Asked], bytes | None], *, early: bool = False) -> None:
        self._says = says
        self._early = early
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        self.asked: list[Asked] = []
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def __enter__(self) -> Upstream:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for conn in self._open:
            conn.close()

    def _start(self, target: Callable[..., None], *values: object) -> None:
        thread = threading.Thread(target=target, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._sock.accept()
            except OSError:
                return
            conn.settimeout(SECONDS)
            self._open.append(conn)
            self._start(self._serve, conn)

    def _serve(self, conn: socket.socket) -> None:
        file = conn.makefile("rb")
        try:
            while head := self._head(file):
                asked = Asked(head, b"")
                if not self._early:
                    asked.body = file.read(int(asked.header(b"content-length") or 0))
                self.asked.append(asked)
                answer = self._says(conn, asked)
                if answer is not None:
                    conn.sendall(answer)
        except (OSError, ValueError):
            pass  # the gateway went away, or the test is over
        finally:
            conn.close()

    @staticmethod
    def _head(file: socket.SocketIO | object) -> bytes:
        head = b""
        while line := file.readline():  # type: ignore[attr-defined]
            if line == b"\r\n":
                return head
            head += line
        return b""


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer with its length."""
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    if not any(line.lower().startswith(b"content-type") for line in headers):
        lines.append(b"content-type: application/json")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ARRAY_HEAD = STREAM_HEAD.replace(b"text/event-stream", b"application/json")
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def dial(url: str) -> socket.socket:
    """A bare connection to the gateway."""
    parts = urlsplit(url)
    conn = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=SECONDS)
    conn.settimeout(SECONDS)
    return conn


def read_until(conn: socket.socket, mark: bytes) -> bytes:
    """Bytes up to and with ``mark``; what came before the end of the connection when it never does."""
    seen = b""
    while mark not in seen:
        more = conn.recv(65536)
        if not more:
            break
        seen += more
    return seen
