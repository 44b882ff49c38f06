"""The simulator's faults as a gateway must take them: which reason each is, and what the client gets.

The matrix puts each on the first, second and last target of a route of three models on three projects. The targets
before it answer that they are closed to new users, which is no reason to give up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FORMS: Final = {
    "unary": ":generateContent",
    "sse": ":streamGenerateContent?alt=sse",
    "array": ":streamGenerateContent",
}
STREAMS: Final = ("sse", "array")
PLACES: Final = ("first", "second", "last")
SHUT: Final = "model-closed-to-new-users"
SHUT_REASON, SHUT_STATUS = "model_closed", 404

# What a fault leads to.
ANSWER = "answer"  # an answer like any other
CALLER = "caller"  # the client's own fault: told as it is, unless another model than the first says so
FINAL = "final"  # told as it is, whoever says so
WAY = "way"  # another target; where there is none, the fault
DETOUR = "detour"  # another target; where there is none, what the first target said
CUT = "cut"  # after the first event: the stream ends in an error


@dataclass(frozen=True)
class Fault:
    """One fault: its name in ``x-simulate``, the status and reason it is, what it leads to, and where it exists."""

    name: str
    status: int
    reason: str
    leads: str = WAY
    forms: tuple[str, ...] = tuple(FORMS)


FAULTS: Final = (
    Fault("blocked", 200, "", ANSWER),
    Fault("max-tokens-thinking", 200, "", ANSWER),
    Fault("finish=SAFETY", 200, "", ANSWER),
    Fault("slow=5", 200, "", ANSWER),
    Fault("context-overflow", 400, "context_overflow", CALLER),
    Fault("penalty-unsupported", 400, "invalid", CALLER),
    Fault("openai-unknown-field", 400, "invalid", CALLER),
    Fault("thought-signature-missing", 400, "signature_missing", CALLER),
    Fault("thought-signature-corrupt", 400, "signature_corrupt", CALLER),
    Fault("status=409", 409, "refused", FINAL),
    Fault("status=422", 422, "refused", FINAL),
    Fault("multiple-credentials", 400, "credentials_doubled", FINAL),
    Fault("api-key-invalid", 400, "key_invalid", DETOUR),
    Fault("api-key-auth-key-rejected", 401, "unauthenticated", DETOUR),
    Fault("leaked-key", 403, "key_leaked", DETOUR),
    Fault("model-not-found", 404, "model_unknown", DETOUR),
    Fault("model-closed-to-new-users", 404, "model_closed", DETOUR),
    Fault("consumer-suspended", 403, "project_suspended"),
    Fault("failed-precondition-region", 400, "region"),
    Fault("prepay-depleted", 402, "prepaid"),
    Fault("quota-rpd-free", 429, "quota_day"),
    Fault("quota-rpm-free", 429, "quota_minute"),
    Fault("quota-tpm-free", 429, "quota_tokens"),
    Fault("quota-limit-zero", 429, "quota_zero"),
    Fault("quota-rpd-paid", 429, "quota_day"),
    Fault("quota-tpm-paid-tier1", 429, "quota_tokens"),
    Fault("openai-429-array", 429, "quota_day"),
    Fault("exhausted-bare", 429, "exhausted"),
    Fault("overloaded", 503, "overloaded"),
    Fault("overloaded-new", 503, "overloaded"),
    Fault("internal", 500, "internal"),
    Fault("internal-long", 500, "internal"),
    Fault("deadline", 504, "deadline"),
    Fault("cancelled", 499, "cancelled"),
    Fault("reset", 502, "disconnected"),
    Fault("half-headers", 502, "disconnected"),
    Fault("garbage", 502, "garbage"),
    Fault("empty", 502, "empty_answer"),
    Fault("slow-first-byte=900", 504, "first_byte_timeout"),
    Fault("truncated-json", 502, "cut", forms=("unary",)),
    Fault("cut-after=0", 502, "disconnected"),
    Fault("stall-after=0", 504, "first_byte_timeout", forms=STREAMS),
    Fault("end-after=0", 502, "empty_answer", forms=STREAMS),
    Fault("in-stream-error=0", 503, "overloaded", forms=STREAMS),
    Fault("in-stream-error-framed=0", 503, "overloaded", forms=STREAMS),
    Fault("cut-after=2", 200, "cut", CUT, STREAMS),
    Fault("end-after=2", 200, "cut", CUT, STREAMS),
    Fault("stall-after=2", 200, "stall_timeout", CUT, STREAMS),
    Fault("in-stream-error=2", 200, "overloaded", CUT, STREAMS),
    Fault("in-stream-error-framed=2", 200, "overloaded", CUT, STREAMS),
)

# The other names of the simulator, and why they have no line of their own.
APART: Final = {
    "another name of one above": {
        "mid-stream-bare",
        "interactions-error-event",
        "stream-truncated",
        "stall",
        "blocked-prompt",
    },
    "shapes an answer, is no fault": {
        "tokens",
        "output",
        "input",
        "events",
        "thoughts",
        "tokens-per-second",
        "parallel-calls",
        "tool-turns",
        "no-call",
        "continue-after",
        "cached",
        "tier",
        "gzip",
    },
    "of the Live API": {"live-ws-quota-close"},
}

# They weigh on the model on every project: the next cell must not find it cooling down.
OF_THE_MODEL: Final = frozenset({"overloaded", "internal", "deadline", "cancelled"})


def expected(fault: Fault, place: str) -> int:
    """The status that the client gets when ``fault`` strikes the target at ``place``."""
    struck = PLACES.index(place)
    if fault.leads in (ANSWER, CUT, FINAL) or (fault.leads == CALLER and not struck):
        return fault.status
    if place != "last":
        return 200
    return SHUT_STATUS if fault.leads in (CALLER, DETOUR) else fault.status


def goes_on(fault: Fault, place: str) -> bool:
    """Whether a later target is tried."""
    return place != "last" and fault.leads not in (ANSWER, CUT, FINAL) and expected(fault, place) == 200


def most_tries(fault: Fault) -> int:
    """How often the struck target may be tried in one call: once, or with repeats where waiting may help."""
    passing = fault.leads == WAY and fault.reason not in (
        "project_suspended",
        "region",
        "prepaid",
        "quota_day",
    )
    return 3 if passing else 1
