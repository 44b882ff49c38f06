"""The log of what the simulator was asked, by which tests accuse the program in front of it; and its sums.

It never holds a credential, only its fingerprint, and of query and headers only the names. A line tells the project
that the credential opened, the model, and the ``names`` of the resources that path and body name. The log keeps the
newest lines only; the sums of ``World.answers`` count every request.
"""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from gemini_simulator.world import World, fingerprint

KEPT_HEADERS = ("user-agent", "x-goog-api-client", "x-server-timeout", "accept-encoding", "x-simulate")
LINE: ContextVar[dict[str, Any] | None] = ContextVar("LINE", default=None)


def note(**facts: Any) -> None:
    """Write ``facts`` into the line of the request at hand, if there is one."""
    line = LINE.get()
    if line is not None:
        line.update(facts)


def note_name(name: str) -> None:
    """Note that the request at hand names a resource, such as ``files/abc``."""
    line = LINE.get()
    if line is not None and name not in line["names"]:
        line["names"].append(name)


class Entry:
    """One line of the log, written while its request goes on."""

    def __init__(self, world: World, verb: str, path: str) -> None:
        self._world = world
        self._digest = hashlib.sha256() if world.log_limit else None
        world.requests += 1
        world.in_progress += 1
        self.line: dict[str, Any] = {
            "number": world.requests,
            "time": world.clock.now(),
            "verb": verb,
            "path": path,
            "names": [],
            "aborted": False,
            "finished": False,
            "status": 0,
            "body_size": 0,
            "events": 0,
        }
        world.log.append(self.line)
        LINE.set(self.line)

    def ask(self, query: dict[str, str], headers: dict[str, str], found: list[str]) -> None:
        """Note what the request brought with it."""
        if self._digest is None:
            return
        self.line["query_names"] = sorted(query)
        self.line["header_names"] = sorted(headers)
        self.line["credentials"] = [fingerprint(secret) for secret in found]
        for name in KEPT_HEADERS:
            if name in headers:
                self.line[name.replace("-", "_")] = headers[name]

    def read(self, chunk: bytes) -> None:
        """Note a piece of the body."""
        if self._digest is not None:
            self._digest.update(chunk)
        self.line["body_size"] += len(chunk)

    def whole(self) -> None:
        """Note that the body is complete."""
        if self._digest is not None:
            self.line["body_sha256"] = self._digest.hexdigest()

    def finish(self, file: Path | None) -> None:
        """Note the end, whichever it was, and count it; append the line to ``file`` when there is one."""
        line = self.line
        self.whole()
        line["seconds"] = self._world.clock.now() - line["time"]
        line["finished"] = True
        self._world.in_progress -= 1
        models = self._world.answers.setdefault(line.get("project", ""), {})
        statuses = models.setdefault(line.get("model", ""), {})
        status = str(line["status"])
        statuses[status] = statuses.get(status, 0) + 1
        if file is not None:
            with file.open("ab") as out:
                out.write(msgspec.json.encode(line) + b"\n")
