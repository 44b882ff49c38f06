"""Where a call may go: targets, and the plan that orders them.

A target is a model on a Google project. Today a plan has one target: the model that was asked for, on the
project that was named or else the first configured. The type already holds several, so that the pursuit and
its driver need not change when routes do.
"""

from __future__ import annotations

import msgspec

from gemgate.core.errors import Refused


class Target(msgspec.Struct, frozen=True):
    """A model on a project. ``model`` is empty for calls that name none (lists, uploads)."""

    model: str
    project: str
    why: str = ""


class Plan(msgspec.Struct, frozen=True):
    """Targets in the order in which they may be tried, each with the reason for its place."""

    targets: tuple[Target, ...]


def plan(model: str, projects: tuple[str, ...], wanted: str = "") -> Plan:
    """The plan of one. ``wanted`` is a project that the client named (header ``x-gemgate-project``).

    Raises Refused 400 when that project is not configured.
    """
    if wanted and wanted not in projects:
        raise Refused(
            400,
            "UNKNOWN_PROJECT",
            f"No project {wanted[:64]!r} is configured.",
            hint=f"Configured are: {', '.join(projects)}. Leave the header x-gemgate-project out for the default.",
        )
    if wanted:
        return Plan((Target(model, wanted, "the client named the project"),))
    return Plan((Target(model, projects[0], "the first configured project"),))
