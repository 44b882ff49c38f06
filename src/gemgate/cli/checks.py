"""What `gemgate doctor` looks at. Each check gives findings: ok, warn or fail, a sentence, and what to do."""

from __future__ import annotations

import enum
import platform
import re
import shutil
import sqlite3
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gemgate import __version__
from gemgate.app import ports
from gemgate.config import Settings
from gemgate.config.book import load_book
from gemgate.config.fitness import cautions
from gemgate.config.running import answers, url_of
from gemgate.core.catalog import Catalog
from gemgate.core.pricing import BadBook

_NAME = re.compile(r"[\w.-]+")
_OLDEST_SQLITE = (3, 35, 0)
_LITTLE, _TOO_LITTLE = 2 * 10**9, 2 * 10**8  # bytes of free disk


class Level(enum.StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. ``remedy`` is empty when there is nothing to do."""

    level: Level
    name: str
    text: str
    remedy: str = ""


def configuration(settings: Settings) -> list[Finding]:
    """The file that was read, and who else can read it."""
    source = settings.source
    if source is None:
        return [Finding(Level.OK, "config", "no gemgate.toml: defaults and environment are in force")]
    found = [Finding(Level.OK, "config", f"{source} holds")]
    if settings.projects and stat.S_IMODE(source.stat().st_mode) & 0o077:
        found.append(
            Finding(Level.WARN, "config", f"{source} can be read by other users", f"Run chmod 600 {source}.")
        )
    return found


def disk(data: Path) -> list[Finding]:
    """Room in the data folder, and whether it is private."""
    if not data.is_dir():
        return [Finding(Level.OK, "disk", f"{data} does not exist yet; `gemgate serve` makes it")]
    free = shutil.disk_usage(data).free
    text = f"{free / 10**9:.1f} GB free at {data}"
    found = [disk_finding(free, text)]
    if stat.S_IMODE(data.stat().st_mode) & 0o077:
        found.append(
            Finding(Level.WARN, "disk", f"{data} can be read by other users", f"Run chmod 700 {data}.")
        )
    return found


def disk_finding(free: int, text: str) -> Finding:
    """What that much free disk means."""
    if free < _TOO_LITTLE:
        return Finding(Level.FAIL, "disk", text, "Make room: calls are refused when none can be recorded.")
    if free < _LITTLE:
        return Finding(
            Level.WARN, "disk", text, "Make room soon: a million calls take about half a gigabyte."
        )
    return Finding(Level.OK, "disk", text)


def needed(requirements: Sequence[str]) -> list[str]:
    """The names of the libraries that these requirements ask for, without those of developers."""
    found = [_NAME.match(one) for one in requirements if "extra ==" not in one]
    return [one[0] for one in found if one]


def versions() -> list[Finding]:
    """gemgate, Python, SQLite and the libraries that gemgate was installed to use."""
    found = [Finding(Level.OK, "versions", f"gemgate {__version__}, Python {platform.python_version()}")]
    sqlite = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        remedy = "Use a Python that was built with SQLite 3.35 or later."
        found.append(Finding(Level.FAIL, "versions", sqlite, remedy))
    libraries, missing = [sqlite], []
    for name in needed(metadata.requires("gemgate") or []):
        try:
            libraries.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    found.append(Finding(Level.OK, "versions", ", ".join(libraries)))
    if missing:
        remedy = "Install gemgate again with pip."
        found.append(Finding(Level.FAIL, "versions", f"not installed: {', '.join(missing)}", remedy))
    return found


def addresses(settings: Settings) -> list[Finding]:
    """Whether both ports are ours or free."""
    found = []
    for name, part in (("gateway", settings.gateway), ("console", settings.console)):
        url = url_of(settings.data, name)
        # A killed supervisor leaves run.json behind: only a port that answers counts.
        if url and answers(url):
            found.append(Finding(Level.OK, "ports", f"{name} runs at {url}"))
        elif not part.port:
            found.append(Finding(Level.OK, "ports", f"{name} will pick a free port"))
        else:
            found.append(_free(name, part.host, part.port))
    return found


def prices(settings: Settings) -> list[Finding]:
    """Whether the price book can be used."""
    try:
        book = load_book(settings.prices.file)
    except (BadBook, OSError) as error:
        remedy = "Correct the file that prices.file names, or remove the setting."
        return [Finding(Level.FAIL, "prices", f"the price book cannot be used: {error}", remedy)]
    return [Finding(Level.OK, "prices", f"price book as of {book.as_of}")]


def routes(settings: Settings) -> list[Finding]:
    """What the catalog of models says about routes and limits; nothing where neither is configured."""
    catalog = Catalog.load()
    found = [Finding(Level.WARN, "routes", one.text, one.remedy) for one in cautions(settings, catalog)]
    count = len(settings.routes)
    if count and not found:
        named = f"{count} {'route' if count == 1 else 'routes'}, models as known on {catalog.as_of}"
        found.append(Finding(Level.OK, "routes", named))
    return found


def _free(name: str, host: str, port: int) -> Finding:
    try:
        ports.claim(host, port, f"--{name}-port", 0.0)
    except ports.PortTaken as error:
        return Finding(Level.FAIL, "ports", f"{name} does not run", str(error))
    return Finding(Level.OK, "ports", f"{name} does not run; {host}:{port} is free for it")
