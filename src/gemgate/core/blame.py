"""What a failed try weighs on, and for how long that is set aside at first.

Tables of the verdicts' reasons; ``core.health`` holds the breakers themselves.
"""

from __future__ import annotations

from gemgate.core.actions import UNREACHED, is_quota
from gemgate.core.verdict import Kind, Verdict

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE

FIRST = _SECOND // 2
"""How long (µs) a breaker is open at first, for most reasons."""
LONGEST_SHUT = _HOUR
FIRST_OF = {"exhausted": 2 * _SECOND}
SHUT = {
    "model_unknown": ("model", _MINUTE),
    "model_closed": ("target", _MINUTE),
    "project_suspended": ("project", _MINUTE),
    "project_disabled": ("project", _MINUTE),
    "region": ("project", _MINUTE),
    "prepaid": ("project", _MINUTE),
    "key_invalid": ("key", _MINUTE),
    "key_leaked": ("key", LONGEST_SHUT),
    "unauthenticated": ("key", _MINUTE),
    "denied": ("key", _MINUTE),
}
"""What Google says for good: the scope, and for how long (µs) it is shut at first.

Twice as long after each further refusal, since people mend such things (a key, a bill) while we run.
"""
SILENT = frozenset({"total_timeout", "quota_storage", "credentials_doubled", "body_length"})
"""The end of a call's own time, and faults of the caller or of ours: they say nothing of the target."""

# Reasons that weigh on the model on every project.
_OF_THE_MODEL = frozenset({"overloaded", "internal", "deadline", "gateway", "cancelled"})


def scope(verdict: Verdict) -> str:
    """The kind of breaker that a failure weighs on: upstream, project, model or target; empty for none, and keys."""
    if is_quota(verdict):
        return ""
    shut = SHUT.get(verdict.reason)
    if shut is not None:
        return "" if shut[0] == "key" else shut[0]
    if verdict.kind is Kind.REFUSED:
        return ""
    if verdict.reason in _OF_THE_MODEL:
        return "model"
    return "upstream" if verdict.reason in UNREACHED else "target"


def came(verdict: Verdict) -> bool:
    """Whether the try brought anything from Google, so that the way there is free."""
    return verdict.kind in (Kind.BUSY, Kind.SPENT, Kind.REFUSED, Kind.CUT) and verdict.reason not in UNREACHED


def names_a_delay(verdict: Verdict) -> bool:
    """Whether Google asked to be left alone: with a delay, or by a 429 that names no window."""
    return verdict.kind is Kind.BUSY and (verdict.retry_after > 0.0 or verdict.reason == "exhausted")
