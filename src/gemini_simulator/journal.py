"""The log of what the simulator was asked, by which tests accuse the program in front of it.

It never holds a credential, only its fingerprint, and of query and headers only the names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from gemini_simulator.world import World, fingerprint

LIMIT = 20_000


class Entry:
    """One line of the log, written while its request goes on."""

    def __init__(self, world: World, verb: str, path: str) -> None:
        self._world = world
        self._digest = hashlib.sha256()
        self.line: dict[str, Any] = {
            "number": len(world.log) + 1,
            "time": world.clock.now(),
            "verb": verb,
            "path": path,
            "aborted": False,
            "finished": False,
            "status": 0,
            "body_size": 0,
            "events": 0,
        }
        if len(world.log) >= LIMIT:
            del world.log[: LIMIT // 10]
        world.log.append(self.line)

    def ask(self, query: dict[str, str], headers: dict[str, str], found: list[str]) -> None:
        """Note what the request brought with it."""
        self.line["query_names"] = sorted(query)
        self.line["header_names"] = sorted(headers)
        self.line["credentials"] = [fingerprint(secret) for secret in found]
        for name in ("user-agent", "x-goog-api-client", "x-server-timeout", "accept-encoding", "x-simulate"):
            if name in headers:
                self.line[name.replace("-", "_")] = headers[name]

    def read(self, chunk: bytes) -> None:
        """Note a piece of the body."""
        self._digest.update(chunk)
        self.line["body_size"] += len(chunk)

    def whole(self) -> None:
        """Note that the body is complete."""
        self.line["body_sha256"] = self._digest.hexdigest()

    def finish(self, status: int, file: Path | None) -> None:
        """Note the end, whichever it was; append the line to ``file`` when there is one."""
        self.line["status"] = self.line["status"] or status
        self.whole()
        self.line["seconds"] = self._world.clock.now() - self.line["time"]
        self.line["finished"] = True
        if file is not None:
            with file.open("ab") as out:
                out.write(msgspec.json.encode(self.line) + b"\n")
