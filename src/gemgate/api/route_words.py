"""Routes as the API takes and gives them: the words of ``[[route]]`` in gemgate.toml."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gemgate.core.routes import Conditions

Media = Literal["image", "audio", "video", "document"]
Source = Literal["file", "stored"]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Count = Annotated[int, Meta(ge=0, le=10**12)]
_Names = Annotated[list[str], Meta(max_length=200)]
Name = Annotated[
    str, Meta(min_length=1, max_length=100, examples=["fast"], description="Letters, digits, . _ and -.")
]
Model = Annotated[str, Meta(min_length=1, max_length=120, description="As Google names it.")]


class RouteWhen(msgspec.Struct, forbid_unknown_fields=True):
    """Which calls it is for. What is left out asks nothing."""

    methods: Annotated[
        _Names | None,
        Meta(examples=[["generate"]], description="Sorts of calls, or ids of Google's methods."),
    ] = None
    tools: Annotated[bool | None, Meta(description="Only calls with tools, or only without.")] = None
    context: Annotated[_Count | None, Meta(description="Only calls of at least so many input tokens.")] = None
    media: Annotated[list[Media] | None, Meta(description="Only calls with one of these.")] = None


class RouteTargetBody(msgspec.Struct, forbid_unknown_fields=True):
    """A target with more to it than a name."""

    model: Model
    project: Annotated[str, Meta(max_length=64, description="The one project to use.")] | None = None
    projects: Annotated[_Names | None, Meta(description="Several projects, in order.")] = None
    weight: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="Share of the calls, where the route is weighted."),
    ] = None
    when: RouteWhen | None = None


class RouteLimits(msgspec.Struct, forbid_unknown_fields=True):
    """What the calls of a route may use a minute, whatever their target. Null: no limit, 0: none at all."""

    rpm: Annotated[_Count | None, Meta(description="Requests a minute.")] = None
    tpm: Annotated[_Count | None, Meta(description="Input tokens a minute.")] = None


class RouteBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A route in the words of `[[route]]` in gemgate.toml; what is left out or null is as it is there by default.

    Give the targets in one way: `targets`, or `target` where one of them needs more. Without either, a route that is
    named like a model keeps that model's own targets.
    """

    targets: Annotated[
        _Names | None,
        Meta(
            examples=[["gemini-2.5-flash", "gemini-2.5-flash-lite@free"]],
            description="In order: `model` (on every project) or `model@project`.",
        ),
    ] = None
    target: Annotated[list[RouteTargetBody], Meta(max_length=200)] | None = None
    balance: Literal["ordered", "weighted"] | None = None
    fallback: Annotated[bool | None, Meta(description="false: never another model than the first.")] = None
    patience: Annotated[_Seconds | None, Meta(description="Seconds that a call may look and wait.")] = None
    first_byte_timeout: Annotated[_Seconds | None, Meta(description="Seconds to the first byte.")] = None
    stall_timeout: Annotated[_Seconds | None, Meta(description="Longest silence in an answer.")] = None
    total_timeout: Annotated[_Seconds | None, Meta(description="Longest time for one try.")] = None
    hedge: Annotated[bool | None, Meta(description="Whether a late first byte brings a second try.")] = None
    hold_back: Annotated[_Count | None, Meta(description="Characters of a stream to hold back.")] = None
    signatures: Literal["replace", "refuse"] | None = None
    when: RouteWhen | None = None
    limits: RouteLimits | None = None


class NewRoute(RouteBody, forbid_unknown_fields=True, kw_only=True):
    """A route to be made."""

    name: Name


class TargetAnswer(msgspec.Struct, kw_only=True):
    """A target of a route. `projects` is empty for every project."""

    model: str
    projects: list[str]
    weight: int
    when: Conditions


class RouteAnswer(msgspec.Struct, kw_only=True):
    """A route as it is meant. Times (seconds) of null and an empty `signatures` follow the settings.

    `source`: a route of the file is changed there. `in_force` is false for a stored one that cannot be meant now;
    `wrong` says why, and the gateway does without it. `created_at` and `changed_at` are UTC µs, 0 for the file's.
    `model` says whether a model of Google's has the same name, so that the route takes the place of its own way.
    `notes` are sentences on what is allowed and may not be meant.
    """

    name: str
    source: Source
    in_force: bool
    wrong: str
    targets: list[TargetAnswer]
    balance: str
    fallback: bool
    when: Conditions
    patience: float | None
    first_byte_timeout: float | None
    stall_timeout: float | None
    total_timeout: float | None
    hedge: bool | None
    hold_back: int
    signatures: str
    limits: RouteLimits | None
    created_at: int
    changed_at: int
    model: bool
    notes: list[str]


class RouteList(msgspec.Struct, kw_only=True):
    """Routes in the order in which they count; of those that share a name the first whose `when` fits serves a call.

    `built_in` are the models that have a way of their own without any route.
    """

    items: list[RouteAnswer]
    next: str | None
    built_in: list[str]


class NamedRoutes(msgspec.Struct, kw_only=True):
    """What stands behind one name: several routes where they differ in `when`, none for a model's own way."""

    name: str
    routes: list[RouteAnswer]
    model: bool
    keys: list[str]
    budgets: list[str]


class RouteDeleted(msgspec.Struct, kw_only=True):
    """A route that is no more, and who still names it: virtual keys that may use only some, and budgets."""

    name: str
    keys: list[str]
    budgets: list[str]
    sentence: str
