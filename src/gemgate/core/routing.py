"""Where a call may go: targets, and the plan that orders them.

A target is a model on a Google project. Today a plan has one target: the model that was asked for, on the
project that was named or else the first configured. The type already holds several, so that the pursuit and
its driver need not change when routes do.
"""

from __future__ import annotations

from gemgate.core.errors import Refused
from gemgate.core.routes import Conditions, Pin, Plan, Route, RouteTarget, Target, Wants

__all__ = ["Conditions", "Pin", "Plan", "Route", "RouteTarget", "Target", "Wants", "plan_of_one"]


def plan_of_one(model: str, projects: tuple[str, ...], wanted: str = "") -> Plan:
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
