"""Quota limits as the file names them: what a project's models, or a route, may use.

A limit of 0 means none at all; one that is not named is the tier's, or what Google's refusals teach.
"""

from __future__ import annotations

from gemgate.config.faults import Fault, kind_of, masked
from gemgate.config.kinds import COUNT
from gemgate.config.tables import Field, Report, known_only, read_fields
from gemgate.core.quota import Limits

LIMITS: tuple[Field, ...] = (
    Field("rpm", COUNT, "", "Requests a minute."),
    Field("tpm", COUNT, "", "Input tokens a minute."),
    Field("rpd", COUNT, "", "Requests a day, from midnight in California."),
    Field("tpd", COUNT, "", "Input tokens a day, from midnight in California."),
)

OTHERS = "*"
"""The name that stands for every model without limits of its own."""

_EXAMPLE = "{ rpm = 10, tpm = 250000 }"


def read_limits(value: object, where: str, report: Report, fields: tuple[Field, ...] = LIMITS) -> Limits:
    """One table of limits, of those ``fields``. What is wrong goes to ``report`` and counts as not named."""
    if not isinstance(value, dict):
        report(Fault(where, "a table of limits", kind_of(value), f"Write it as {_EXAMPLE}."))
        return Limits()
    known_only(value, where, (field.name for field in fields), report)
    if not value:
        report(Fault(where, "a limit at least", "an empty table", f"Write it as {_EXAMPLE}, or remove it."))
    return Limits(**read_fields(value, where, fields, report))


def read_models(value: object, where: str, report: Report) -> tuple[tuple[str, Limits], ...]:
    """The limits of a project by model, in the order of the file; ``*`` stands for all other models."""
    if not isinstance(value, dict):
        remedy = f'Write it as {{ "gemini-2.5-flash" = {_EXAMPLE} }}.'
        report(Fault(where, "a table of limits by model", kind_of(value), remedy))
        return ()
    found: dict[str, Limits] = {}
    for name, table in value.items():
        place = f"{where}.{masked(name)}"
        # Someone who writes limits = { rpm = 10 } means every model.
        if name in {field.name for field in LIMITS}:
            remedy = f'Write it as {{ "*" = {_EXAMPLE} }} for all models, or name a model.'
            report(Fault(place, "the name of a model, or *", "the name of a limit", remedy))
            continue
        found[name.strip().removeprefix("models/")] = read_limits(table, place, report)
    return tuple(found.items())
