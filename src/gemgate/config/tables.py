"""Tables that a file may repeat, like ``[[project]]``: each is described by its fields, and read by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gemgate.config.faults import Fault, kind_of, unknown
from gemgate.config.kinds import Kind, Unfit

Report = Callable[[Fault], None]
"""Takes one fault; reading goes on, so that all of them are found."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table. ``default`` is TOML; ``env`` is the variable that sets it for the default project."""

    name: str
    kind: Kind
    default: str
    sentence: str
    env: str = ""


def read_fields(table: dict[str, Any], where: str, fields: Iterable[Field], report: Report) -> dict[str, Any]:
    """The values of those of these fields that the table has and that are of their kind."""
    read: dict[str, Any] = {}
    for field in fields:
        if field.name in table:
            try:
                read[field.name] = field.kind.read(table[field.name])
            except Unfit as remedy:
                where_field = f"{where}.{field.name}"
                report(Fault(where_field, field.kind.expected, kind_of(table[field.name]), str(remedy)))
    return read


def known_only(table: dict[str, Any], where: str, names: Iterable[str], report: Report) -> None:
    """Report what the table has beside these names."""
    known = sorted(names)
    for name in sorted(set(table) - set(known)):
        report(unknown(f"{where}.{name}", [f"{where}.{one}" for one in known]))


def read_tables(value: object, name: str, report: Report) -> list[tuple[str, dict[str, Any]]]:
    """Each table of ``[[name]]`` with its place (``name[0]``); what is no table is reported and left out."""
    if value is None:
        return []
    if not isinstance(value, list):
        report(Fault(name, f"[[{name}]] tables", kind_of(value), f"Write [[{name}]], in two brackets."))
        return []
    found = []
    for number, table in enumerate(value):
        where = f"{name}[{number}]"
        if isinstance(table, dict):
            found.append((where, table))
        else:
            report(Fault(where, "a table", kind_of(table), f"Write [[{name}]] and its keys below."))
    return found
