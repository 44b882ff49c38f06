"""A large resumable upload through the gateway: does its memory stay flat?

Sent twice: whole in one request (the hardest case), and in pieces of 8 MiB as the SDKs do.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from machine import forget_peak, memory_of, peak_rss
from servers import BenchError, Server

PIECE = 8 * 2**20
BLOCK = bytes(2**16)
START = "/upload/v1beta/files"
PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload's cost: MB of resident memory before and at the peak, and its speed in MB/s."""

    before: float
    peak: float
    speed: float
    calls: int

    @property
    def growth(self) -> float:
        """MB by which the peak stood above the start."""
        return self.peak - self.before


def blocks(size: int) -> Iterator[bytes]:
    """``size`` bytes in blocks."""
    while size > 0:
        yield BLOCK[: min(size, len(BLOCK))]
        size -= len(BLOCK)


def pieces(size: int, piece: int) -> list[tuple[int, int, bool]]:
    """Offset, length and whether it is the last, for each request of an upload."""
    return [(at, min(piece, size - at), at + piece >= size) for at in range(0, size, piece)]


def _send(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str], size: int
) -> tuple[http.client.HTTPResponse, bytes]:
    fixed = {
        "x-goog-api-key": "bench-client",
        "content-type": "application/json",
        "content-length": str(size),
    }
    connection.request("POST", path, body=blocks(size), headers={**fixed, **headers})
    reply = connection.getresponse()
    body = reply.read()
    if reply.status != 200:
        raise BenchError(f"upload: status {reply.status}: {body[:300]!r}")
    return reply, body


def upload(server: Server, size: int, piece: int) -> Upload:
    """Send ``size`` bytes in requests of ``piece`` bytes. Raises BenchError when some did not arrive."""
    before = memory_of(server.pids).rss
    forget_peak(server.pids)
    start = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(size),
        "x-goog-upload-header-content-type": "application/octet-stream",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    begun = time.monotonic()
    calls = 1
    try:
        reply, _ = _send(connection, START, start, 0)
        address = urlsplit(reply.getheader("x-goog-upload-url", ""))
        if address.port != server.port:
            raise BenchError(f"the upload URL leads past the server: port {address.port}")
        body = b""
        for offset, length, last in pieces(size, piece):
            command = "upload, finalize" if last else "upload"
            headers = {"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)}
            reply, body = _send(connection, f"{address.path}?{address.query}", headers, length)
            calls += 1
    finally:
        connection.close()
    taken = time.monotonic() - begun
    arrived = int(json.loads(body)["file"]["sizeBytes"])
    if arrived != size:
        raise BenchError(f"of {size} bytes {arrived} arrived")
    # The row of the last call is written within this time; its cost in memory belongs to the upload.
    time.sleep(PAUSE)
    return Upload(before, peak_rss(server.pids), size / 1e6 / taken, calls)
