"""``<data>/run.json``: what runs on a data folder now, and where. Written by `gemgate serve`, read by anyone.

Shape: ``{"gateway": {"url": …, "host": …, "port": …, "pid": …}, "console": {…}, "simulator": {…},
"upstream": url, "version": …}``; a part that does not run is absent. Two supervisors may share a folder (one
with ``--only gateway``, one with ``--only console``): each replaces its own parts alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FILE = "run.json"


def read_running(data: Path) -> dict[str, Any]:
    """What the file says; empty when there is none or it is damaged."""
    try:
        found = json.loads((data / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def url_of(data: Path, part: str) -> str:
    """The URL of ``gateway``, ``console`` or ``simulator``, empty when it does not run."""
    found = read_running(data).get(part)
    return str(found.get("url", "")) if isinstance(found, dict) else ""


def answers(url: str) -> bool:
    """Whether something listens at this address: a killed supervisor leaves the file behind."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2.0):
            return True
    except (OSError, ValueError):
        return False


def answering(data: Path, part: str) -> str:
    """The URL of a part that runs and answers, empty where none does."""
    url = url_of(data, part)
    return url if url and answers(url) else ""


def write_running(data: Path, parts: Mapping[str, object]) -> None:
    """Put these parts into the file, atomically; others in it stay. Raises OSError."""
    _replace(data, {**read_running(data), **parts})


def remove_running(data: Path, parts: Iterable[str]) -> None:
    """Take these parts out; the file goes with the last process."""
    left = {name: value for name, value in read_running(data).items() if name not in set(parts)}
    if any(isinstance(value, dict) for value in left.values()):
        _replace(data, left)
    else:
        (data / FILE).unlink(missing_ok=True)


def _replace(data: Path, content: Mapping[str, object]) -> None:
    fresh = data / f".{FILE}-{os.getpid()}"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
        os.replace(fresh, data / FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise
