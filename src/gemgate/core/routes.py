"""The nouns of routing: what a route is, what a call wants of it, and the plan that comes of both.

The rules stand in ``core.routing`` (plans), ``core.eligibility`` (which target may serve a call) and
``core.catalog`` (models and the chains of fallbacks).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gemgate.core.windows import Limits

CALLS = (
    "generate",
    "embed",
    "count",
    "interactions",
    "openai",
    "batch",
    "predict",
    "cache",
    "images",
    "video",
    "other",
)
"""Sorts of calls that a condition can name. A call may be of two sorts: chat at OpenAI's door is ``generate``
and ``openai``."""

MEDIA = ("image", "audio", "video", "document")
"""Kinds of media that a condition can name."""

BALANCES = ("ordered", "weighted")
SIGNATURES = ("replace", "refuse")


class Target(msgspec.Struct, frozen=True):
    """A model on a project. ``model`` is empty for calls that name none (lists, uploads).

    ``why`` is the reason for its place in the plan, in words. ``changes`` are what the body needs to be valid
    there: ``model``, ``thinking:level:low``, ``thinking:budget:1024``, ``thinking:drop``, ``signatures``
    (thought signatures give way to Google's literal for foreign history). Without changes the body goes out byte
    for byte. Two targets of one plan never share model and project: those two are its identity (``name``).
    """

    model: str
    project: str
    why: str = ""
    changes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``model@project``, as breakers and reports name it."""
        return f"{self.model}@{self.project}"


class Conditions(msgspec.Struct, frozen=True):
    """Which calls a route, or one of its targets, is for. What is left empty asks nothing.

    ``methods``: the call is of one of these sorts (``CALLS``) or has one of these method ids
    (``models.countTokens``). ``tools``: it carries tools, or carries none. ``context``: its input is at least so
    many tokens, by estimate. ``media``: it carries at least one of these kinds (``MEDIA``).
    """

    methods: tuple[str, ...] = ()
    tools: bool | None = None
    context: int | None = None
    media: tuple[str, ...] = ()


class RouteTarget(msgspec.Struct, frozen=True):
    """A model of a route, on the projects named (empty: on all, in the order of the configuration).

    ``weight`` counts only where the route is weighted; 0 is never drawn first.
    """

    model: str
    projects: tuple[str, ...] = ()
    weight: int = 1
    when: Conditions = Conditions()


class Route(msgspec.Struct, frozen=True):
    """A name that clients use as a model, and the targets behind it.

    Without ``targets`` the route keeps the default targets of the model it is named after, and sets only the rest.
    Several routes may share a name: the first whose ``when`` fits the call serves it. ``fallback`` false keeps a
    call on the one model that comes first. Times are seconds; None and "" leave a setting to the default.
    ``hold_back`` is in characters. ``limits`` are the route's own, over all its targets (rpm and tpm).
    """

    name: str
    targets: tuple[RouteTarget, ...] = ()
    balance: str = "ordered"
    fallback: bool = True
    when: Conditions = Conditions()
    patience: float | None = None
    first_byte_timeout: float | None = None
    stall_timeout: float | None = None
    total_timeout: float | None = None
    hedge: bool | None = None
    hold_back: int = 0
    signatures: str = ""
    limits: Limits | None = None


class Pin(msgspec.Struct, frozen=True):
    """A thing that the call names and that belongs where it was made.

    ``name`` is Google's (``files/x``), or words for what has none. ``project`` is empty where the maker is not
    known. ``hold``: ``project`` (files, batches, operations: any model of that project may serve), ``strict``
    (cached contents, tuned models, earlier interactions, continuation tokens: that model on that project only)
    or ``signatures`` (a conversation with thought signatures: stays, and leaves only by the setting).
    """

    name: str
    project: str = ""
    model: str = ""
    hold: str = "project"


class Wants(msgspec.Struct, frozen=True):
    """What a call wants, as far as routing cares.

    ``model`` is the name the client used: a model or a route. ``method`` and ``reading`` are the dialect's.
    ``tokens`` is the input estimate. ``media`` are kinds of ``MEDIA``. ``thinking`` is ``level:low``,
    ``budget:1024`` or empty. ``forbids``: the client forbade fallback (``x-gemgate-fallback: off``). ``project``:
    it named one (``x-gemgate-project``). ``foreign``: it carries thought signatures. ``names_model`` says where
    the model stands: ``path``, ``body``, or empty where the call names none.
    """

    model: str
    method: str = ""
    reading: str = ""
    tokens: int = 0
    tools: bool = False
    media: tuple[str, ...] = ()
    thinking: str = ""
    penalties: bool = False
    forbids: bool = False
    project: str = ""
    pins: tuple[Pin, ...] = ()
    foreign: bool = False
    names_model: str = "path"


class LeftOut(msgspec.Struct, frozen=True):
    """A target that a plan does without, and why. ``project`` is empty where the whole model is meant."""

    model: str
    project: str
    why: str


class Plan(msgspec.Struct, frozen=True):
    """Targets in the order in which they may be tried, each with the reason for its place.

    ``route`` is the configured route's name, empty for the default targets of a model. ``seek``: nobody knows
    which project owns what the call names, so ``not found`` means the next. The rest are the route's settings;
    None leaves them to the default.
    """

    targets: tuple[Target, ...]
    route: str = ""
    seek: bool = False
    patience: float | None = None
    first_byte_timeout: float | None = None
    stall_timeout: float | None = None
    total_timeout: float | None = None
    hedge: bool | None = None
    hold_back: int = 0
    limits: Limits | None = None
    left_out: tuple[LeftOut, ...] = ()


class ProjectLike(Protocol):
    """What routing knows of a Google project."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def tier(self) -> str:
        """``free`` or ``tier1`` to ``tier3``."""


class StandingLike(Protocol):
    """How a target stands now: what ``core.health.Standing`` looks like from here."""

    @property
    def at(self) -> float:
        """Seconds until it may be tried; 0.0 now, infinity never."""

    @property
    def why(self) -> str:
        """What bars it, empty for nothing."""
