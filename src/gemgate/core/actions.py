"""What a verdict asks for: give it to the client, try again here, go elsewhere, or take another key.

One table, by the verdict's reason; what the table does not name follows its kind. The sentences are the
documentation (``docs/errors-and-actions.md`` is made from them).
"""

from __future__ import annotations

import enum

import msgspec

from gemgate.core.verdict import Kind, Verdict


class Action(enum.StrEnum):
    """What may follow a try."""

    ANSWER = "answer"  # give it to the client: another try would bring the same
    AGAIN = "again"  # the same target may be tried again after a pause
    NEXT = "next"  # not this target any more in this call
    KEY = "key"  # another key of the same project


class Rule(msgspec.Struct, frozen=True):
    """An action, the most repeats on one target in one call, and why, in a sentence for the documentation."""

    action: Action
    repeats: int
    sentence: str


def _rule(action: Action, repeats: int, sentence: str) -> Rule:
    return Rule(action, repeats, sentence)


_ANSWER, _AGAIN, _NEXT, _KEY = Action.ANSWER, Action.AGAIN, Action.NEXT, Action.KEY
_KEY_IS_BAD = _rule(
    _KEY, 5, "The key is set aside for a minute, then up to an hour; another key goes at once."
)
_PROJECT_IS_SHUT = _rule(
    _NEXT, 0, "No key of this project will do: it is set aside for a minute, then up to an hour."
)
_CALLERS_FAULT = _rule(_ANSWER, 0, "The request itself is at fault: the client gets Google's own words.")
_MINUTE = _rule(_AGAIN, 2, "The window is closed for the delay that Google names; other projects go first.")

RULES: dict[str, Rule] = {
    "quota_minute": _MINUTE,
    "quota_tokens": _MINUTE,
    "quota_day": _rule(_NEXT, 0, "Nothing is left today: the target is spent until its day ends."),
    "quota_zero": _rule(_NEXT, 0, "The model is not offered on this tier: waiting never helps."),
    "quota_storage": _rule(_NEXT, 0, "The project's room for files is full; another project has its own."),
    "prepaid": _rule(_NEXT, 0, "The prepaid money is gone: the project is set aside."),
    "exhausted": _rule(
        _AGAIN, 2, "It names no window: the target cools down, and is tried again with jitter."
    ),
    "overloaded": _rule(_AGAIN, 2, "The model is overloaded: it cools down; another target, or again later."),
    "gateway": _rule(_AGAIN, 2, "Something before Google's servers failed: as an overload."),
    "internal": _rule(_AGAIN, 2, "A fault of Google's; an odd prompt may cause it too, so only a few times."),
    "deadline": _rule(
        _AGAIN, 1, "Not finished in time: once more, since a large prompt will not get faster."
    ),
    "cancelled": _rule(_AGAIN, 1, "Google dropped the call though the client is there: once more."),
    "connect": _rule(_AGAIN, 2, "No connection was made, so nothing was executed: again after a pause."),
    "connect_timeout": _rule(_AGAIN, 2, "As a connection that was refused."),
    "tls": _rule(_AGAIN, 1, "No handshake: once more, since a certificate does not change soon."),
    "disconnected": _rule(_AGAIN, 1, "The connection broke before an answer; the try may have been billed."),
    "cut": _rule(_AGAIN, 1, "The answer broke off before it said anything; the try may have been billed."),
    "empty_answer": _rule(_AGAIN, 1, "An answer without content or reason; it was billed, so once more."),
    "garbage": _rule(_AGAIN, 1, "Not an answer of Google's: once more."),
    "first_byte_timeout": _rule(_AGAIN, 1, "Silence instead of an answer; the try may have been billed."),
    "stall_timeout": _rule(_AGAIN, 1, "The stream stalled before it said anything: once more."),
    "total_timeout": _rule(_ANSWER, 0, "The time for the whole call is over: nothing more can fit into it."),
    "key_invalid": _KEY_IS_BAD,
    "key_leaked": _rule(
        _KEY, 5, "The key is set aside for an hour, since it will not be good again; another goes."
    ),
    "unauthenticated": _KEY_IS_BAD,
    "denied": _rule(_KEY, 1, "The key may not do this, or nobody may: one more key is asked."),
    "credentials_doubled": _rule(_ANSWER, 0, "Two credentials went out: a fault of the gateway's own."),
    "project_suspended": _PROJECT_IS_SHUT,
    "project_disabled": _PROJECT_IS_SHUT,
    "region": _rule(_NEXT, 0, "The free tier is not offered here: a project with billing may still answer."),
    "model_unknown": _rule(_NEXT, 0, "The model is unknown there: the next target, never the same again."),
    "model_closed": _rule(_NEXT, 0, "The model is closed to this project: the next target."),
    "not_found": _rule(
        _ANSWER, 0, "What the call names is not there; where its project is unknown, the next."
    ),
    "precondition": _CALLERS_FAULT,
    "signature_corrupt": _rule(_ANSWER, 0, "A thought signature was altered or belongs elsewhere."),
    "signature_missing": _rule(_ANSWER, 0, "The history came without its thought signatures."),
    "context_overflow": _rule(_ANSWER, 0, "The prompt is larger than the model's window."),
    "invalid": _CALLERS_FAULT,
    "refused": _CALLERS_FAULT,
    "body_length": _rule(_ANSWER, 0, "The client sent another length than it had announced."),
    "unimplemented": _rule(_ANSWER, 0, "Google does not offer this: no target would."),
}

KINDS: dict[Kind, Rule] = {
    Kind.OK: _rule(_ANSWER, 0, "An answer."),
    Kind.CUT: _rule(_ANSWER, 0, "The client has already got a part of it: never repeated."),
    Kind.CANCELLED: _rule(_ANSWER, 0, "The client left."),
    Kind.REFUSED: _CALLERS_FAULT,
    Kind.SPENT: _rule(_NEXT, 0, "This target has nothing left for long."),
    Kind.BUSY: _rule(_AGAIN, 1, "A fault that passes."),
    Kind.BROKEN: _rule(_AGAIN, 1, "The upstream failed."),
}

# What a kind never leads to, whatever the reason: a cut answer carries the reason of the fault that cut it.
_NEVER = {
    Kind.OK: frozenset(Action),
    Kind.CUT: frozenset(Action),
    Kind.CANCELLED: frozenset(Action),
    Kind.SPENT: frozenset({_AGAIN, _ANSWER, _KEY}),
    Kind.REFUSED: frozenset({_AGAIN}),
}
UNREACHED = frozenset({"connect", "connect_timeout", "tls"})
"""Reasons of tries that never reached Google."""
_LATE = frozenset({408, 499})


def rule(verdict: Verdict) -> Rule:
    """What the verdict asks for, by its reason, or by its kind where the reason is none of ours."""
    found = RULES.get(verdict.reason)
    if found is None or found.action in _NEVER.get(verdict.kind, ()):
        return KINDS[verdict.kind]
    return found


def is_quota(verdict: Verdict) -> bool:
    """Whether a quota window refused the try: not a fault, and the windows know when it heals."""
    return verdict.reason.startswith("quota_") and verdict.kind is not Kind.REFUSED


def surely_not_executed(verdict: Verdict) -> bool:
    """Whether Google cannot have acted on the try, so that even what must not happen twice may be repeated.

    No connection was made, or Google refused with a 4xx before it began (408 and 499 say only that time ran
    out, so they prove nothing).
    """
    if verdict.billed:
        return False
    return verdict.reason in UNREACHED or (400 <= verdict.status < 500 and verdict.status not in _LATE)
