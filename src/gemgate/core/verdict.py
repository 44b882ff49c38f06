"""What Google did with one try, as a value that decisions are taken on.

A ``Verdict`` never says what to do next; ``core.pursuit`` does.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.StrEnum):
    """The seven ends of a try."""

    OK = "ok"  # an answer, whole
    BUSY = "busy"  # heals by itself: a minute window, an overload, a passing fault
    SPENT = "spent"  # this target has nothing left for long: a day's quota, limit 0, prepaid money gone
    BROKEN = (
        "broken"  # the upstream failed: no connection, garbage, empty answer, stall before the first event
    )
    REFUSED = "refused"  # the request itself was at fault; no other try would help
    CUT = "cut"  # the answer began and did not end
    CANCELLED = "cancelled"  # the client left


class Scope(enum.StrEnum):
    """Whose fault it was, so that the right thing cools down."""

    NONE = ""
    CALLER = "caller"
    KEY = "key"
    PROJECT = "project"
    MODEL = "model"  # this model, on every project
    TARGET = "target"  # this model on this project
    UPSTREAM = "upstream"


class Violation(msgspec.Struct, frozen=True):
    """One window that a 429 says is full.

    ``window`` is ``rpm``, ``tpm``, ``rpd`` or ``tpd``, empty where the quota's name tells none of them.
    ``limit`` is how much fits into it (requests, or input tokens), None where Google named no number; 0 never
    heals. ``family`` is the model family that Google counts together (``quotaDimensions.model``), empty where
    it named none.
    """

    window: str
    limit: int | None = None
    family: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One try's end.

    ``status`` is the HTTP status upstream gave (0 where there was none), ``reason`` a short word of ours
    (``quota_minute``, ``overloaded``, ``connect``, ``stall``, ``empty_answer``, …), ``message`` upstream's own
    sentence without secrets. ``retry_after`` is in seconds, 0.0 where upstream named none. ``quota`` is the
    ``quotaId`` of a refusal, ``violations`` the windows that it names. ``billed`` says that Google counts tokens
    for this try.
    """

    kind: Kind
    status: int = 0
    reason: str = ""
    message: str = ""
    scope: Scope = Scope.NONE
    retry_after: float = 0.0
    quota: str = ""
    violations: tuple[Violation, ...] = ()
    billed: bool = False

    @property
    def ok(self) -> bool:
        """Whether the client got a whole answer."""
        return self.kind is Kind.OK
