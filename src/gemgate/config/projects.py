"""Google projects and their keys: from ``[[project]]`` tables, the environment and secret files.

``PROJECT`` describes a table's keys. GOOGLE_API_KEY and GEMINI_API_KEY form the project ``default``, in the
order in which Google's SDKs look at them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gemgate.config.faults import Fault, kind_of, masked
from gemgate.config.kinds import DOLLARS, NAMES, TEXT, Kind, Unfit, choice
from gemgate.config.limits import read_models
from gemgate.config.settings import TIERS, Project, Secret
from gemgate.config.tables import Field, Report, known_only, read_fields, read_tables

KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Environment variables of the default project's keys; each may be NAME_FILE instead, the path of a file."""

DEFAULT_PROJECT = "default"

_TIER = choice(*TIERS)


def _name(value: object) -> str:
    text = str(TEXT.read(value))
    if re.search(r"[@/,\s]", text):
        raise Unfit("Leave @, /, commas and blanks out: targets are written model@project.")
    return text


PROJECT: tuple[Field, ...] = (
    Field(
        "name",
        Kind("a name without @, /, commas and blanks", _name, str),
        "",
        "Name of the project in records and reports. Required, unique.",
    ),
    Field("tier", _TIER, "tier1", "Google's usage tier; free is billed 0.", "GEMGATE_PROJECT_TIER"),
    Field("keys", NAMES, "[]", "API keys of the project; key takes a single one."),
    Field("key_files", NAMES, "[]", "Files with one API key each; key_file takes a single one."),
    Field(
        "billing_account",
        TEXT,
        "",
        "Projects on one billing account share its spending limit.",
        "GEMGATE_PROJECT_BILLING_ACCOUNT",
    ),
    Field(
        "spend",
        DOLLARS,
        "",
        "Most dollars in 10 minutes on the project's billing account; without it, the tier's.",
    ),
)
"""The keys of a project that have one plain value; ``limits`` is a table of its own."""

_KEYS = ("key", "keys", "key_file", "key_files")


def read_projects(
    tables: object, folder: Path, env: Mapping[str, str], report: Report
) -> tuple[Project, ...]:
    """All projects, the environment's first. Faults go to ``report``; ``folder`` holds relative key files."""
    found = _from_environment(env, report)
    projects = [found] if found else []
    for where, table in read_tables(tables, "project", report):
        projects.append(_from_table(table, where, folder, report))
    _compare(projects, report)
    return tuple(projects)


def secret(value: object, where: str, report: Report) -> Secret | None:
    """A key that can stand in a header, or None after a report."""
    if not isinstance(value, str) or not value.strip():
        report(Fault(where, "an API key", kind_of(value), "Put the key there, or remove the setting."))
        return None
    text = value.strip()
    if not text.isascii() or not text.isprintable() or " " in text:
        report(
            Fault(
                where,
                "an API key",
                "text with blanks or unusual signs",
                "Copy the key again, alone on a line.",
            )
        )
        return None
    return Secret(text)


def _secret_in(path: Path, where: str, report: Report) -> Secret | None:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "not a text file"
        remedy = "Name a file that this user can read, with the key alone in it."
        report(Fault(where, "a readable file with an API key", f"an unreadable one ({cause})", remedy))
        return None
    return secret(text, where, report)


def _from_environment(env: Mapping[str, str], report: Report) -> Project | None:
    keys: list[Secret] = []
    for name in KEY_VARIABLES:
        value, file = env.get(name), env.get(name + "_FILE")
        if value is not None and file is not None:
            report(Fault(name, "one source of the key", f"{name}_FILE as well", "Unset one of the two."))
            continue
        key = None
        if value is not None:
            key = secret(value, name, report)
        elif file is not None:
            key = _secret_in(Path(file), name + "_FILE", report)
        if key is not None and key not in keys:
            keys.append(key)
    tier, account = env.get("GEMGATE_PROJECT_TIER", "tier1"), env.get("GEMGATE_PROJECT_BILLING_ACCOUNT", "")
    if tier not in TIERS:
        report(
            Fault("GEMGATE_PROJECT_TIER", _TIER.expected, kind_of(tier), f"Use one of: {', '.join(TIERS)}.")
        )
        tier = "tier1"
    return Project(DEFAULT_PROJECT, tier, tuple(keys), account) if keys else None


def _from_table(table: dict[str, object], where: str, folder: Path, report: Report) -> Project:
    known_only(table, where, {"limits", *_KEYS, *(field.name for field in PROJECT)}, report)
    plain = [field for field in PROJECT if field.name not in _KEYS]
    read = read_fields(table, where, plain, report)
    if "name" not in table:
        report(Fault(f"{where}.name", "a name for the project", "nothing", 'Add name = "…" to this project.'))
    limits = read_models(table["limits"], f"{where}.limits", report) if "limits" in table else ()
    return Project(
        read.get("name", ""),
        read.get("tier", "tier1"),
        _keys(table, where, folder, report),
        read.get("billing_account", ""),
        limits,
        read.get("spend"),
    )


def _keys(table: dict[str, object], where: str, folder: Path, report: Report) -> tuple[Secret, ...]:
    given = [name for name in _KEYS if name in table]
    if len(given) != 1:
        got = " and ".join(given) or "nothing"
        remedy = "Keep one of key, keys, key_file, key_files."
        report(Fault(f"{where}.keys", "the project's API keys, given in one way", got, remedy))
        return ()
    name, value = given[0], table[given[0]]
    items = [value] if name in ("key", "key_file") else value
    if not isinstance(items, list) or not items:
        report(Fault(f"{where}.{name}", "a list of texts", kind_of(value), 'Write it as a list: ["…", "…"].'))
        return ()
    keys: list[Secret] = []
    for number, item in enumerate(items):
        place = f"{where}.{name}" + (f"[{number}]" if name.endswith("s") else "")
        if name.startswith("key_file"):
            if not isinstance(item, str) or not item.strip():
                report(Fault(place, "the path of a file", kind_of(item), "Name the file that holds the key."))
                continue
            found = _secret_in(folder / Path(item.strip()).expanduser(), place, report)
        else:
            found = secret(item, place, report)
        if found is not None:
            keys.append(found)
    return tuple(keys)


def _compare(projects: list[Project], report: Report) -> None:
    """Names and keys are unique: quota belongs to a project, and a key to one project."""
    names: set[str] = set()
    owners: dict[Secret, str] = {}
    spends: dict[str, tuple[str, float]] = {}
    for project in projects:
        where = f"project {masked(project.name)!r}"
        if project.name and project.name in names:
            remedy = "Rename one; the keys of the environment form the project default."
            report(Fault(where, "a name of its own", "a second project of this name", remedy))
        names.add(project.name)
        for key in project.keys:
            if key in owners:
                remedy = f"Keep it in one place; it is also in project {masked(owners[key])!r}."
                report(Fault(where, "keys of its own", "a key that is there twice", remedy))
            owners.setdefault(key, project.name)
        if project.billing_account and project.spend is not None:
            other, spend = spends.setdefault(project.billing_account, (project.name, project.spend))
            if spend != project.spend:
                remedy = f"Name the same amount as project {masked(other)!r}, or name it in one place."
                got = "another amount for the same billing account"
                report(Fault(f"{where}.spend", "one limit for a billing account", got, remedy))
