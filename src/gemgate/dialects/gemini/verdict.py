"""What a head and a body of Google's mean: statuses, error bodies and finished answers become a ``Verdict``.

How a 429 is read: the quotaId alone tells a minute from a day (both share one metric); a limit of 0, or a
violation without a value, never heals; the delay in RetryInfo and the one in the sentence may disagree, so
the larger counts; and the short delay that free daily refusals carry is not believed.
"""

from __future__ import annotations

import re

import msgspec

from gemgate.core import fingerprint
from gemgate.core.meter import Fault, Meter
from gemgate.core.verdict import Kind, Scope, Verdict, Violation
from gemgate.dialects.gemini.observe import fault_in
from gemgate.dialects.gemini.violations import Row, violations


class _Detail(msgspec.Struct, gc=False, rename="camel"):
    kind: str = msgspec.field(default="", name="@type")
    reason: str = ""
    retry_delay: str = ""
    violations: tuple[Row, ...] = ()


class _Error(msgspec.Struct, gc=False):
    details: tuple[_Detail, ...] = ()


class _Body(msgspec.Struct, gc=False):
    error: _Error | None = None


_body = msgspec.json.Decoder(_Body)
_bodies = msgspec.json.Decoder(list[_Body])

_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?")
_RETRY_IN = re.compile(r"retry in ((?:\d+h)?(?:\d+m(?!s))?(?:\d+(?:\.\d+)?m?s)?)", re.IGNORECASE)
_LIMIT_ZERO = re.compile(r"limit: 0(?![\d.])")
_LIMIT_SOME = re.compile(r"limit: [1-9]")
# An answer that comes later than this is for another day.
_LONG = 300.0
_MESSAGE = 1000
_WHOLE = Verdict(kind=Kind.OK, status=200, billed=True)


# Google answers 403 for a file or cache of another project as well as for one that never was.
_OF_A_RESOURCE = re.compile(r"permission to access the \w+ |not found \(or permission denied\)")


def seconds(text: str) -> float:
    """A span as Google writes it (``34s``, ``19h8m53.1s``, ``850ms``) in seconds; 0.0 when it is none."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return 0.0
    hours, minutes, rest, unit = found.groups()
    parts = float(rest or 0) / (1000 if unit == "ms" else 1)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + parts


def retry_after(body: bytes) -> float:
    """Seconds to wait that an error body names, 0.0 when none: the larger of RetryInfo and the sentence."""
    fault = fault_in(body)
    return _delay(fault.message if fault else "", _details(body))


def judge_error(status: int, body: bytes) -> Verdict:
    """Read an answer of status 400 and above. Any bytes will do; nothing is raised."""
    fault = fault_in(body)
    if fault is None:
        return _bare(status, body)
    return judge_fault(fault, status)


def judge_fault(fault: Fault, status: int = 0) -> Verdict:
    """Read an error object; ``status`` is the HTTP status, left out when the object came inside a 200."""
    status = status if status >= 400 else fault.code
    message = fingerprint.redact(fault.message)[:_MESSAGE]
    details = _details(fault.raw)
    reasons = {detail.reason for detail in details}
    if status == 429:
        return _quota(message, details)
    kind, reason, scope = _plain(status, message, fault.status, reasons)
    return Verdict(
        kind=kind,
        status=status,
        reason=reason,
        message=message,
        scope=scope,
        retry_after=_delay(message, details) if kind is Kind.BUSY else 0.0,
    )


def judge_answer(meter: Meter, whole: bool) -> Verdict:
    """Read the state of a 2xx answer. ``whole`` says that upstream ended it in order, not by a drop.

    An answer whose trouble came after its first event is CUT; whoever has not given that event to a client yet
    may still treat it as a failed try.
    """
    if meter.fault is not None:
        found = judge_fault(meter.fault)
        if meter.began:
            return msgspec.structs.replace(found, kind=Kind.CUT, billed=True)
        return msgspec.structs.replace(found, billed=meter.usage is not None)
    if meter.garbage:
        kind = Kind.CUT if meter.began else Kind.BROKEN
        return _failed(kind, "garbage", "The upstream answered with something that is not JSON.")
    if meter.ended and (whole or meter.finish or meter.block):
        return _WHOLE
    if meter.empty:
        if whole:
            return _failed(Kind.BROKEN, "empty_answer", "The upstream answered with nothing at all.")
        return _failed(Kind.BROKEN, "cut", "The upstream's answer broke off before it said anything.")
    return _failed(Kind.CUT, "cut", "The upstream's answer ended without a finish reason.")


def _failed(kind: Kind, reason: str, message: str) -> Verdict:
    return Verdict(
        kind=kind,
        status=502,
        reason=reason,
        message=message,
        scope=Scope.UPSTREAM,
        billed=reason != "garbage",
    )


def _details(body: bytes) -> tuple[_Detail, ...]:
    try:
        if body.lstrip()[:1] == b"[":
            rows = _bodies.decode(body)
            error = rows[0].error if rows else None
        else:
            error = _body.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return () if error is None else error.details


def named_delay(found: Verdict, body: bytes) -> float:
    """The seconds that an error's body tells its reader to wait, right or wrong [facts 3.3]; 0.0 for none."""
    return _delay(found.message, _details(body))


def _delay(message: str, details: tuple[_Detail, ...]) -> float:
    named = [seconds(detail.retry_delay) for detail in details if detail.retry_delay]
    named += [seconds(found) for found in _RETRY_IN.findall(message)]
    return max(named, default=0.0)


def _quota(message: str, details: tuple[_Detail, ...]) -> Verdict:
    """A 429: which window, and whether waiting helps."""
    rows = [row for detail in details for row in detail.violations]
    delay = _delay(message, details)
    ids = [row.quota_id for row in rows]
    quota = next((name for name in ids if "PerDay" in name), ids[0] if ids else "")
    # A value of zero is left out of Google's JSON, so a violation without one is a limit of zero, if the
    # sentence agrees or says nothing.
    unvalued = bool(rows) and all(str(row.quota_value) in ("", "0") for row in rows)
    zero = _LIMIT_ZERO.search(message) is not None or (unvalued and _LIMIT_SOME.search(message) is None)
    if zero and _LIMIT_SOME.search(message) is None:
        kind, reason, scope, delay = Kind.SPENT, "quota_zero", Scope.TARGET, 0.0
    elif "PerDay" in quota:
        kind, reason, scope = Kind.SPENT, "quota_day", Scope.TARGET
        delay = delay if delay > _LONG else 0.0
    elif "file_storage_bytes" in message or any("file_storage" in row.quota_metric for row in rows):
        kind, reason, scope, delay = Kind.REFUSED, "quota_storage", Scope.PROJECT, 0.0
    elif quota:
        tokens = "Token" in quota
        kind, reason, scope = Kind.BUSY, "quota_tokens" if tokens else "quota_minute", Scope.TARGET
    elif delay > _LONG:
        kind, reason, scope = Kind.SPENT, "quota_day", Scope.TARGET
    elif "prepay" in message or "credits are depleted" in message:
        kind, reason, scope = Kind.SPENT, "prepaid", Scope.PROJECT
    else:
        kind, reason, scope = Kind.BUSY, "exhausted", Scope.TARGET
    full = violations(message, rows)
    if reason == "quota_zero":
        full = tuple(Violation(row.window, row.limit or 0, row.family) for row in full)
    return Verdict(
        kind=kind,
        status=429,
        reason=reason,
        message=message,
        scope=scope,
        retry_after=delay,
        quota=quota,
        violations=full,
    )


def _plain(status: int, message: str, rpc: str, reasons: set[str]) -> tuple[Kind, str, Scope]:
    """Every status but 429."""
    if status == 400:
        return _bad_request(message, rpc, reasons)
    if status == 404:
        return _not_found(message)
    if status in (401, 403):
        return _no_entry(status, message, reasons)
    if status == 402:
        return Kind.SPENT, "prepaid", Scope.PROJECT
    if status in (408, 504):
        return Kind.BUSY, "deadline", Scope.MODEL
    if status == 499:
        # Our client is still there, or nobody would ask: Google dropped the call by itself.
        return Kind.BUSY, "cancelled", Scope.MODEL
    if status == 503:
        return Kind.BUSY, "overloaded", Scope.MODEL
    if status == 501:
        return Kind.REFUSED, "unimplemented", Scope.CALLER
    if status >= 500:
        return Kind.BUSY, "internal", Scope.MODEL
    return Kind.REFUSED, "refused", Scope.CALLER


def _bad_request(message: str, rpc: str, reasons: set[str]) -> tuple[Kind, str, Scope]:
    if reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"} or "API key not valid" in message:
        return Kind.REFUSED, "key_invalid", Scope.KEY
    if "Multiple authentication credentials" in message:
        return Kind.REFUSED, "credentials_doubled", Scope.KEY
    if rpc == "FAILED_PRECONDITION":
        region = "location is not supported" in message
        return Kind.REFUSED, "region" if region else "precondition", Scope.PROJECT if region else Scope.CALLER
    if "Corrupted thought signature" in message:
        return Kind.REFUSED, "signature_corrupt", Scope.CALLER
    if "thought_signature" in message:
        return Kind.REFUSED, "signature_missing", Scope.CALLER
    if "token count exceeds" in message:
        return Kind.REFUSED, "context_overflow", Scope.CALLER
    return Kind.REFUSED, "invalid", Scope.CALLER


def _not_found(message: str) -> tuple[Kind, str, Scope]:
    if "no longer available" in message:
        return Kind.REFUSED, "model_closed", Scope.TARGET
    if "is not found for API version" in message or "is not supported for" in message:
        return Kind.REFUSED, "model_unknown", Scope.MODEL
    return Kind.REFUSED, "not_found", Scope.CALLER


def _no_entry(status: int, message: str, reasons: set[str]) -> tuple[Kind, str, Scope]:
    if "CONSUMER_SUSPENDED" in reasons or "has been suspended" in message:
        return Kind.REFUSED, "project_suspended", Scope.PROJECT
    if "reported as leaked" in message:
        return Kind.REFUSED, "key_leaked", Scope.KEY
    if status == 401:
        return Kind.REFUSED, "unauthenticated", Scope.KEY
    if reasons & {"SERVICE_DISABLED", "BILLING_DISABLED"}:
        return Kind.REFUSED, "project_disabled", Scope.PROJECT
    if _OF_A_RESOURCE.search(message):
        return Kind.REFUSED, "not_found", Scope.CALLER
    return Kind.REFUSED, "denied", Scope.KEY


def _bare(status: int, body: bytes) -> Verdict:
    """An error status without Google's error object: a proxy, a load balancer, an empty body."""
    message = "The upstream answered with an error that is not JSON."
    if not body.strip():
        message = "The upstream answered with an error without a body."
    if status == 429:
        kind, reason, scope = Kind.BUSY, "exhausted", Scope.TARGET
    elif status in (502, 503, 504):
        kind, reason, scope = Kind.BUSY, "overloaded" if status == 503 else "gateway", Scope.UPSTREAM
    elif status >= 500:
        kind, reason, scope = Kind.BROKEN, "garbage", Scope.UPSTREAM
    else:
        kind, reason, scope = _plain(status, "", "", set())
    return Verdict(kind=kind, status=status, reason=reason, message=message, scope=scope)
