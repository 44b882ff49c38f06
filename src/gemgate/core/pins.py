"""How the things that a call names hold its plan: they stay where they were made (promise P7).

Laws:

- things of two projects cannot be served by one: the call is refused with both names;
- a strict thing leaves exactly one target; a file or batch leaves the targets of its project;
- where nobody knows the owner, the projects are asked in turn, and only with the model that comes first;
- a conversation with thought signatures goes back to the model and project that signed it. Where it must leave, its
  signatures give way to Google's literal for foreign history, or, by setting, it does not leave.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from gemgate.core.errors import Refused
from gemgate.core.routes import Pin, Plan, Target, Wants

_MADE_HERE = "made what the call names"
_MADE_FOR_ONE = ("cachedContents/", "tunedModels/")
_HOME = "the conversation's own model and project"
_AWAY = "away from the conversation's model or project"


def hold(
    plan: Plan,
    wants: Wants,
    projects: Collection[str],
    replace: bool,
    changes: Callable[[str], tuple[str, ...]],
) -> Plan:
    """The plan that is left of ``plan`` once the call's pins hold it. Raises Refused 400.

    ``projects`` are the configured names, ``replace`` the setting for signatures, ``changes`` says what the body
    needs for a model.
    """
    firm = [pin for pin in wants.pins if pin.hold != "signatures"]
    if firm:
        plan = _held(plan, wants, firm, _owner(firm, wants, projects), changes)
    home = next((pin for pin in wants.pins if pin.hold == "signatures" and pin.project), None)
    if home is not None:
        return _kept(plan, home, replace)
    if wants.foreign or len(firm) < len(wants.pins):
        return _unsigned(plan, replace)
    return plan


def _owner(firm: list[Pin], wants: Wants, projects: Collection[str]) -> str:
    """The one project that made the things, empty where nobody knows. Raises Refused 400."""
    known = [pin for pin in firm if pin.project]
    if not known:
        return ""
    first = known[0]
    other = next((pin for pin in known if pin.project != first.project), None)
    if other is not None:
        raise Refused(
            400,
            "PINNED_TWICE",
            f"{first.name[:200]} belongs to project {first.project!r}, {other.name[:200]} to {other.project!r}.",
            hint="Google serves a file, cache or batch only to the project that made it. "
            "Make both under one project: name it in the header x-gemgate-project when you do.",
        )
    if first.project not in projects:
        raise Refused(
            400,
            "PINNED_GONE",
            f"{first.name[:200]} belongs to project {first.project!r}, which is not configured any more.",
            hint="Configure that project again, or make the thing anew.",
        )
    if wants.project and wants.project != first.project:
        raise Refused(
            400,
            "PINNED_ELSEWHERE",
            f"{first.name[:200]} belongs to project {first.project!r}, the call asks for {wants.project[:64]!r}.",
            hint="Leave the header x-gemgate-project out: what the call names decides.",
        )
    return first.project


def _held(
    plan: Plan, wants: Wants, firm: list[Pin], owner: str, changes: Callable[[str], tuple[str, ...]]
) -> Plan:
    strict = next((pin for pin in firm if pin.hold == "strict"), None)
    around = tuple(dict.fromkeys(target.project for target in plan.targets))
    if strict is not None:
        model = _model(strict, plan, wants)
        need = changes(model)
        made = (owner,) if owner else around
        seek = not owner and len(around) > 1
        why = _MADE_HERE if not seek else "may have " + _MADE_HERE
        targets = tuple(Target(model, project, f"the project that {why}", need) for project in made)
        return msgspec.structs.replace(plan, targets=targets, seek=seek)
    if owner:
        targets = tuple(target for target in plan.targets if target.project == owner)
        if not targets:
            raise Refused(
                400,
                "NO_ELIGIBLE_TARGET",
                f"{firm[0].name[:200]} belongs to project {owner!r}, where {wants.model[:100]!r} has no target.",
                hint="Let the route reach that project, or make the thing under a project that it reaches.",
            )
        return msgspec.structs.replace(
            plan, targets=tuple(_because(target, f"the project that {_MADE_HERE}") for target in targets)
        )
    if len(around) < 2:
        return plan
    first = plan.targets[0].model
    targets = tuple(
        _because(target, f"the project that may have {_MADE_HERE}")
        for target in plan.targets
        if target.model == first
    )
    return msgspec.structs.replace(plan, targets=targets, seek=True)


def _model(strict: Pin, plan: Plan, wants: Wants) -> str:
    """The one model that a strict thing leaves.

    An earlier interaction or a continuation token goes back to the stand-in that made it; a cached content is never
    made by one, so a call that names another model than its own is for Google to judge.
    """
    if plan.route:
        return strict.model or plan.targets[0].model
    made_by_any = not strict.name.startswith(_MADE_FOR_ONE)
    if made_by_any and any(target.model == strict.model for target in plan.targets):
        return strict.model
    return wants.model


def _because(target: Target, why: str) -> Target:
    return msgspec.structs.replace(target, why=f"{target.why}; {why}" if target.why else why)


def _away(target: Target) -> Target:
    return msgspec.structs.replace(
        target, why=f"{target.why}; {_AWAY}", changes=(*target.changes, "signatures")
    )


def _kept(plan: Plan, home: Pin, replace: bool) -> Plan:
    """The plan of a conversation whose signatures were made by ``home``."""
    at_home = [one for one in plan.targets if one.project == home.project and one.model == home.model]
    others = [one for one in plan.targets if one not in at_home]
    if at_home:
        mine = tuple(_because(one, _HOME) for one in at_home)
        away = tuple(_away(one) for one in others) if replace else ()
        return msgspec.structs.replace(plan, targets=mine + away)
    if replace:
        order = list(dict.fromkeys(one.model for one in others))
        others.sort(key=lambda one: (order.index(one.model), one.project != home.project))
        return msgspec.structs.replace(plan, targets=tuple(_away(one) for one in others))
    near = [one for one in others if one.project == home.project]
    asked = [one for one in near if one.model == plan.targets[0].model]
    if asked:
        # The client changed the model in the middle of a conversation: its own history, for Google to judge.
        return msgspec.structs.replace(plan, targets=tuple(asked))
    raise Refused(
        400,
        "SIGNATURES_ELSEWHERE",
        f"The conversation carries thought signatures of {home.model[:100]!r} on project {home.project!r}, "
        "where this call cannot go.",
        hint='Set signatures = "replace" to let such conversations leave, or begin a new one.',
    )


def _unsigned(plan: Plan, replace: bool) -> Plan:
    """The plan of a conversation whose signer nobody knows: most likely the one that is asked first anyway."""
    first, others = plan.targets[0], plan.targets[1:]
    away = tuple(_away(one) for one in others) if replace else ()
    return msgspec.structs.replace(plan, targets=(first, *away))
