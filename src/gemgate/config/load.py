"""Loads settings: defaults, then gemgate.toml, then the environment, then what the command line says.

Every fault is found before any is raised. Relative paths of the file start at the file's folder, others at
the working directory.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gemgate.config.faults import ConfigError, Fault, kind_of, unknown
from gemgate.config.fitness import compare
from gemgate.config.kinds import Unfit
from gemgate.config.projects import PROJECT, read_projects
from gemgate.config.routes import read_routes
from gemgate.config.settings import SECTIONS, SETTINGS, Project, Setting, Settings
from gemgate.core.catalog import Catalog
from gemgate.core.routes import Route

FILE_NAME = "gemgate.toml"

# Kubernetes and Docker links put such variables into every container beside a service named gemgate.
_SERVICE_LINK = re.compile(r"GEMGATE(_.*)?_(SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP)(_.*)?)|GEMGATE_PORT")
# Settings that were there once: what to do instead.
_RETIRED = {
    "gateway.allow_open": "Remove it: a gateway beyond loopback is open to virtual keys alone. "
    "Make one with `gemgate keys create NAME`.",
    "console.allow_open": "Remove it: a console beyond loopback is open to admin tokens alone. "
    "Make one with `gemgate admin-token create NAME --role admin`.",
}
_ELSEWHERE = {"GEMGATE_CONFIG"} | {field.env for field in PROJECT if field.env}


def load(config_file: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The settings in force.

    ``config_file`` is the file to read; None looks for ``<data>/gemgate.toml``, then ``./gemgate.toml``, and
    does without when there is none. ``overrides`` maps dotted keys to values of their kind's TOML form and
    wins. Raises ConfigError with all faults.
    """
    faults: list[Fault] = []
    source = find(config_file, env, overrides)
    document = _parse(source, faults) if source else {}
    folder = source.parent if source else Path()
    values = _defaults()
    _take_file(document, folder, values, faults)
    _take_environment(env, values, faults)
    _take_overrides(overrides, values, faults)
    projects = read_projects(document.get("project"), folder, env, faults.append)
    routes = _routes(document.get("route"), projects, values["routing.fallback"], faults)
    sections = {
        section: shape(**{row.name: values[row.key] for row in SETTINGS if row.section == section})
        for section, shape in SECTIONS.items()
    }
    settings = Settings(
        data=values["data"],
        demo=values["demo"],
        projects=projects,
        routes=routes,
        source=source,
        **sections,
    )
    _check(settings, faults)
    if faults:
        raise ConfigError(faults)
    return settings


def find(config_file: Path | None, env: Mapping[str, str], overrides: Mapping[str, object]) -> Path | None:
    """The file that ``load`` reads, or None. A file that was asked for is returned even if missing."""
    asked = config_file or (Path(env["GEMGATE_CONFIG"]) if env.get("GEMGATE_CONFIG") else None)
    if asked is not None:
        return asked
    data = Path(str(overrides.get("data") or env.get("GEMGATE_DATA") or "gemgate-data"))
    return next((path for path in (data / FILE_NAME, Path(FILE_NAME)) if path.exists()), None)


def _defaults() -> dict[str, Any]:
    return {row.key: row.default for row in SETTINGS}


def _parse(source: Path, faults: list[Fault]) -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_text("utf-8"))
    except OSError as error:
        remedy = "Name a file that this user can read, or run `gemgate init` to write one."
        faults.append(Fault(str(source), "a readable file", error.strerror or "an unreadable one", remedy))
    except (UnicodeDecodeError, ValueError) as error:
        # The parser's sentence may quote the line; only the place is safe to show.
        place = re.search(r"line \d+(, column \d+)?", str(error))
        remedy = f"Look at {place[0]}." if place else "Save it as UTF-8 text."
        if "end of document" in str(error):
            remedy = "Its end is missing: close the last bracket or quote."
        faults.append(Fault(str(source), "a TOML file", "something that is none", remedy))
    return {}


def _take(row: Setting, value: object, where: str, values: dict[str, Any], faults: list[Fault]) -> None:
    try:
        values[row.key] = row.kind.read(value)
    except Unfit as remedy:
        faults.append(Fault(where, row.kind.expected, kind_of(value), str(remedy)))


def _retired(key: str, where: str) -> Fault | None:
    """The fault of a setting that is no more, None for any other name."""
    remedy = _RETIRED.get(key)
    if remedy is None:
        return None
    return Fault(where, "a setting that gemgate knows", "one that is no more", remedy)


def _take_file(document: dict[str, Any], folder: Path, values: dict[str, Any], faults: list[Fault]) -> None:
    rows = {row.key: row for row in SETTINGS}
    for name, content in document.items():
        if name in ("project", "route"):
            continue
        if name in SECTIONS and not isinstance(content, dict):
            faults.append(Fault(name, "a table", kind_of(content), f"Write [{name}] and its keys below."))
            continue
        pairs = (
            {f"{name}.{inner}": it for inner, it in content.items()} if name in SECTIONS else {name: content}
        )
        for key, value in pairs.items():
            row = rows.get(key)
            if row is None:
                faults.append(_retired(key, key) or unknown(key, [*rows, "project", "route"]))
                continue
            _take(row, value, key, values, faults)
            if isinstance(values[key], Path) and values[key] != row.default:
                values[key] = folder / values[key]


def _take_environment(env: Mapping[str, str], values: dict[str, Any], faults: list[Fault]) -> None:
    rows = {row.env: row for row in SETTINGS}
    for name, text in env.items():
        if not name.startswith("GEMGATE_") or name in _ELSEWHERE:
            continue
        if _SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and "://" in text):
            continue
        row = rows.get(name)
        if row is None:
            key = name.removeprefix("GEMGATE_").lower().replace("_", ".", 1)
            faults.append(_retired(key, name) or unknown(name, [*rows, *sorted(_ELSEWHERE)]))
        else:
            _take(row, row.kind.native(text), name, values, faults)


def _routes(
    tables: object, projects: tuple[Project, ...], fallback: bool, faults: list[Fault]
) -> tuple[Route, ...]:
    """The routes of the file, held against the catalog of models; without need the catalog is not read."""
    if tables is None and not any(project.limits for project in projects):
        return ()
    catalog = Catalog.load()
    routes = read_routes(tables, projects, fallback, catalog, faults.append)
    compare(projects, routes, catalog, faults.append)
    return routes


def _take_overrides(overrides: Mapping[str, object], values: dict[str, Any], faults: list[Fault]) -> None:
    rows = {row.key: row for row in SETTINGS}
    for key, value in overrides.items():
        _take(rows[key], str(value) if isinstance(value, Path) else value, key, values, faults)


def _check(settings: Settings, faults: list[Fault]) -> None:
    """Faults between settings that are each well formed."""
    gateway, console = settings.gateway, settings.console
    if gateway.port and gateway.port == console.port:
        faults.append(
            Fault(
                "console.port", "a port of its own", "the gateway's port", "Give console.port another number."
            )
        )
    if (gateway.tls_cert is None) != (gateway.tls_key is None):
        missing = "gateway.tls_key" if gateway.tls_key is None else "gateway.tls_cert"
        faults.append(Fault(missing, "the other half of the certificate", "nothing", "Set both, or neither."))
    if settings.demo and settings.upstream.credentials == "client":
        remedy = "Leave demo out: the simulator never gets a client's own key."
        faults.append(Fault("demo", 'false beside upstream.credentials = "client"', "true", remedy))
    routing = settings.routing
    if routing.patience > routing.max_patience:
        remedy = "Raise routing.max_patience, or lower routing.patience."
        got = "a longer one"
        faults.append(Fault("routing.patience", "at most routing.max_patience", got, remedy))
    files = {
        "gateway.tls_cert": gateway.tls_cert,
        "gateway.tls_key": gateway.tls_key,
        "upstream.ca_file": settings.upstream.ca_file,
        "prices.file": settings.prices.file,
    }
    for key, path in files.items():
        if path is not None and not path.is_file():
            faults.append(
                Fault(key, "a file that exists", "none there", "Correct the path, or remove the line.")
            )
