"""The page of errors and actions: what each of Google's error bodies is read as, and what follows.

Made by running the code on bodies of our own writing that have the shapes Google's have (their sources are in the
research that the project was built on). ``python -m gemgate.dialects.gemini.document`` prints the page; a test
compares it with ``docs/errors-and-actions.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gemgate.core.actions import KINDS, RULES, Rule, is_quota, rule
from gemgate.core.health import DENIALS, Change, Health
from gemgate.core.meter import Meter
from gemgate.core.routing import Target
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.observe import observe
from gemgate.dialects.gemini.verdict import judge_answer, judge_error
from gemgate.dialects.sse import Feed


class Case(msgspec.Struct, frozen=True):
    """One way in which Google fails. ``asks`` is what the research says a gateway should do about it.

    ``status`` is the HTTP status; 200 means that ``body`` is the text of an event stream, which its server ended.
    """

    name: str
    status: int
    body: bytes
    asks: str
    reading: Reading = Reading.GENERATE


_TYPE: Final = "type.googleapis.com/google.rpc."
_FREE: Final = "generate_content_free_tier_requests"


def _case(name: str, status: int, rpc: str, message: str, asks: str, *details: Mapping[str, object]) -> Case:
    error: dict[str, object] = {"code": status, "message": message, "status": rpc}
    if details:
        error["details"] = details
    return Case(name, status, msgspec.json.encode({"error": error}), asks)


def _info(reason: str) -> dict[str, object]:
    return {"@type": _TYPE + "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def _violation(quota_id: str, metric: str, value: str = "") -> dict[str, object]:
    row: dict[str, object] = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": quota_id,
    }
    row["quotaDimensions"] = {"location": "global", "model": "gemini-x"}
    if value:
        row["quotaValue"] = value
    return row


def _quota(name: str, delay: str, spoken: str, asks: str, *violations: dict[str, object]) -> Case:
    lines = [
        f"* Quota exceeded for metric: {row['quotaMetric']}, limit: {row.get('quotaValue', 0)}, model: gemini-x"
        for row in violations
    ]
    message = "\n".join(["You exceeded your current quota.", *lines, f"Please retry in {spoken}."])
    failure = {"@type": _TYPE + "QuotaFailure", "violations": list(violations)}
    delayed = {"@type": _TYPE + "RetryInfo", "retryDelay": delay}
    return _case(name, 429, "RESOURCE_EXHAUSTED", message, asks, failure, delayed)


_DAY_FREE: Final = _violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier", _FREE, "20")
_MINUTE_FREE: Final = _violation("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", _FREE, "2")
_TOKENS: Final = "generate_content_free_tier_input_token_count"
_OPENING: Final = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],'
    b'"modelVersion":"gemini-x"}\r\n\r\n'
)
_OVERLOAD: Final = b'{\n  "error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}\n}\n'

CASES: Final[tuple[Case, ...]] = (
    _quota("quota_rpm_free", "56s", "56.2s", "wait for the delay, or use another project", _MINUTE_FREE),
    _quota(
        "quota_tpm_free",
        "26s",
        "26.5s",
        "wait for the delay, or shrink the prompt",
        _violation("GenerateContentInputTokensPerModelPerMinute-FreeTier", _TOKENS, "250000"),
    ),
    _quota(
        "quota_tpm_paid_tier1",
        "45s",
        "45.8s",
        "wait for the delay, or use another project",
        _violation(
            "GenerateContentPaidTierInputTokensPerModelPerMinute",
            "generate_content_paid_tier_input_token_count",
            "1000000",
        ),
    ),
    _quota("quota_rpd_free", "38s", "38.9s", "the model on the project until midnight Pacific", _DAY_FREE),
    _quota(
        "quota_rpd_paid",
        "68933s",
        "19h8m53.1s",
        "the model on the project for the delay, at most until midnight Pacific",
        _violation("GenerateRequestsPerDayPerProjectPerModel", "generate_requests_per_model_per_day", "250"),
    ),
    _quota(
        "quota_limit_zero",
        "47s",
        "47.3s",
        "the model is unavailable on the project",
        _violation("GenerateContentInputTokensPerModelPerMinute-FreeTier", _TOKENS),
        _violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier", _FREE),
    ),
    msgspec.structs.replace(
        _quota("openai_429_array", "31s", "31.8s", "as quota_rpd_free", _DAY_FREE),
        body=b"[" + _quota("", "31s", "31.8s", "", _DAY_FREE).body + b"]",
    ),
    _case(
        "exhausted_bare",
        429,
        "RESOURCE_EXHAUSTED",
        "Resource has been exhausted (e.g. check quota).",
        "back off with jitter, scope unknown",
    ),
    _case(
        "storage_full",
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for metric: file_storage_bytes",
        "not this project",
    ),
    _case(
        "overloaded_new",
        503,
        "UNAVAILABLE",
        "This model is currently experiencing high demand.",
        "back off with jitter, or another model",
    ),
    _case("internal_long", 500, "INTERNAL", "An internal error has occurred.", "retry a few times"),
    _case(
        "deadline",
        504,
        "DEADLINE_EXCEEDED",
        "Deadline expired before operation could complete.",
        "retry once",
    ),
    _case("cancelled", 499, "CANCELLED", "The operation was cancelled.", "not if the client left"),
    Case("proxy_502", 502, b"<html>Bad gateway</html>", "back off with jitter"),
    Case("proxy_503", 503, b"", "back off with jitter"),
    Case("proxy_429", 429, b"", "back off with jitter, scope unknown"),
    _case(
        "prepay_depleted",
        402,
        "RESOURCE_EXHAUSTED",
        "Your prepayment credits are depleted.",
        "do not retry, disable the project",
    ),
    _case(
        "api_key_invalid",
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        "disable the key",
        _info("API_KEY_INVALID"),
    ),
    _case(
        "api_key_auth_key_rejected",
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials.",
        "disable the key",
        _info("ACCESS_TOKEN_TYPE_UNSUPPORTED"),
    ),
    _case(
        "leaked_key",
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked. Please use another API key.",
        "disable the key for good",
    ),
    _case("permission_denied", 403, "PERMISSION_DENIED", "The caller lacks permission.", "another key"),
    _case(
        "multiple_credentials",
        400,
        "INVALID_ARGUMENT",
        "Multiple authentication credentials received. Please pass only one.",
        "a bug of the gateway's",
    ),
    _case(
        "consumer_suspended",
        403,
        "PERMISSION_DENIED",
        "Permission denied: Consumer has been suspended.",
        "disable the project",
        _info("CONSUMER_SUSPENDED"),
    ),
    _case(
        "failed_precondition_region",
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
        "not on this project",
    ),
    _case(
        "model_not_found",
        404,
        "NOT_FOUND",
        "models/gemini-x is not found for API version v1beta, or is not supported for generateContent.",
        "do not retry, map the model",
    ),
    _case(
        "model_closed_to_new_users",
        404,
        "NOT_FOUND",
        "This model models/gemini-x is no longer available to new users.",
        "the model is unavailable on the project",
    ),
    _case(
        "file_not_found",
        403,
        "PERMISSION_DENIED",
        "You do not have permission to access the File x or it may not exist.",
        "the caller's fault",
    ),
    _case(
        "context_overflow",
        400,
        "INVALID_ARGUMENT",
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "the caller's fault",
    ),
    _case(
        "thought_signature_missing",
        400,
        "INVALID_ARGUMENT",
        "Function call is missing a thought_signature in functionCall parts.",
        "the caller's fault, or the gateway's",
    ),
    _case(
        "thought_signature_corrupt",
        400,
        "INVALID_ARGUMENT",
        "Corrupted thought signature.",
        "stay on one project and model (routing does)",
    ),
    _case(
        "penalty_unsupported",
        400,
        "INVALID_ARGUMENT",
        "Penalty is not enabled for this model",
        "choose targets that take the parameter (routing does)",
    ),
    _case(
        "openai_unknown_field",
        400,
        "INVALID_ARGUMENT",
        'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
        "the caller's fault",
    ),
    Case("first_event_error", 200, _OVERLOAD, "as the HTTP error of the same code"),
    Case("mid_stream_bare", 200, _OPENING + _OVERLOAD, "an error event; no retry once something was sent"),
    Case("stream_truncated", 200, _OPENING, "a failure: no finish reason was seen"),
    Case("stream_empty", 200, b'data: {"candidates":[{"index":0}]}\r\n\r\n', "retry once"),
    Case(
        "blocked_prompt",
        200,
        b'data: {"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"modelVersion":"gemini-x"}\r\n\r\n',
        "no error: an answer",
    ),
    Case(
        "interactions_error_event",
        200,
        b'event: error\ndata: {"event_type":"error","error":{"code":"resource_exhausted",'
        b'"message":"You exceeded your current quota."}}\n\n',
        "as the HTTP error of the same code",
        Reading.INTERACTION,
    ),
)


def judged(case: Case) -> Verdict:
    """What the dialect makes of a case."""
    if case.status >= 400:
        return judge_error(case.status, case.body)
    meter, feed = Meter(), Feed()
    for event in (*feed.feed(case.body), *feed.close()):
        meter.add(observe(case.reading, event.data, event.name))
    return judge_answer(meter, whole=True)


def cooled(verdict: Verdict) -> str:
    """What is set aside after such a try, and for how long, as ``core.health`` and the windows have it."""
    if is_quota(verdict):
        return "the window"
    if verdict.reason == "denied":
        return f"the key, for a minute at first, after {DENIALS} in a row"
    health = Health(known=lambda _model: False)
    target = Target("m", "p")
    changes = health.met_key("p/1", verdict, 0) or health.met(target, verdict, 0, 0, 0.5)
    return next((_span(change) for change in changes), "nothing")


def _span(change: Change) -> str:
    seconds = change.until / 1_000_000
    if seconds >= 60:
        named = f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"
        only = ", if the catalogue does not know it" if change.reason == "model_unknown" else ""
        return f"the {change.scope}, {named}{only}"
    return f"the {change.scope}, {seconds:g} s and doubling"


def markdown() -> str:
    """The text of docs/errors-and-actions.md."""
    lines = [
        "# Errors and actions",
        "",
        "Made from the code by `python -m gemgate.dialects.gemini.document`; a test compares the two.",
        "",
        "A try that failed gets a verdict (`core.verdict`); its reason decides what follows (`core.actions`),",
        "`core.pursuit` carries it out, and `core.health` and the quota windows remember it for other calls.",
        "",
        "- **answer**: the client gets it; another try would bring the same.",
        "- **again**: the same target may be tried again; the same model on another project goes first.",
        "- **next**: not this target any more in this call.",
        "- **key**: another key of the same project.",
        "",
        "Repeats are the most on one target in one call (`routing.repeats` may lower them). After failures that",
        "Google may have billed, a call is repeated once in all. The pause before a repeat is a random part of",
        "0.25 s, 0.5 s, 1 s … up to 8 s, and at least the delay that Google names.",
        "",
        "## What Google's bodies lead to",
        "",
        "Status 200 is an event stream that the server ended.",
        "",
        "| body | status | asks for | kind | reason | scope | delay | action | cools down |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        found = judged(case)
        delay = f"{found.retry_after:g} s" if found.retry_after else ""
        cells = [case.name, case.status, case.asks, found.kind, found.reason, found.scope, delay]
        lines.append(_row([*cells, rule(found).action, "nothing" if found.ok else cooled(found)]))
    lines += [
        "",
        "A cut answer has begun: the client has a part of it, gets an error event, and no other try is made.",
        "",
        "## What each reason leads to",
        "",
        "| reason | action | repeats | why |",
        "|---|---|---|---|",
    ]
    lines += [_rule_row(f"`{reason}`", row) for reason, row in sorted(RULES.items())]
    lines += [
        "",
        "Any other reason follows the kind of its verdict:",
        "",
        "| kind | action | repeats | why |",
        "|---|---|---|---|",
    ]
    lines += [_rule_row(kind.value, KINDS[kind]) for kind in Kind]
    return "\n".join(lines) + "\n"


def _row(cells: list[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _rule_row(name: str, row: Rule) -> str:
    return _row([name, row.action, row.repeats or "", row.sentence])


if __name__ == "__main__":
    print(markdown(), end="")
