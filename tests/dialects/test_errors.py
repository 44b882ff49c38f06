"""Our errors, in the forms that the clients of each dialect look for."""

from __future__ import annotations

import json

import pytest

from gemgate.core.errors import Refused
from gemgate.core.meter import Meter
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini import errors, verdict
from gemgate.dialects.gemini.array import ArrayFeed
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.observe import observe
from gemgate.dialects.sse import Feed

REFUSED = Refused(429, "TOO_FAST", "Slow down, key AIzaSyA-0123456789.", hint="Wait.", retry_after=1.2345)


def test_the_body_is_googles_status_with_our_reason() -> None:
    body = json.loads(errors.render(errors.from_refused(REFUSED), "call-1"))["error"]
    assert (body["code"], body["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert body["message"] == "Slow down, key [redacted]."
    info, retry = body["details"]
    assert (info["reason"], info["domain"]) == ("TOO_FAST", "gemgate")
    assert info["metadata"] == {"call": "call-1", "hint": "Wait.", "retryable": "true"}
    assert retry["retryDelay"] == "1.235s"


def test_our_own_errors_are_read_back_by_our_own_reader() -> None:
    body = errors.render(errors.from_refused(REFUSED))
    found = verdict.judge_error(429, body)
    assert (found.kind, found.retry_after) == (Kind.BUSY, 1.235)
    for stream in (errors.sse_error(body), errors.sse_error(json.dumps(json.loads(body), indent=2).encode())):
        (event,) = Feed().feed(stream)
        seen = observe(Reading.GENERATE, event.data)
        assert seen.fault is not None
        assert seen.fault.code == 429


def test_an_interaction_ends_in_an_error_event_with_a_word() -> None:
    stream = errors.interactions_error(errors.render(errors.from_refused(REFUSED)))
    assert stream.startswith(b"event: error\ndata: {")
    (event,) = Feed().feed(stream)
    meter = Meter()
    meter.add(observe(Reading.INTERACTION, event.data, event.name))
    assert json.loads(event.data)["error"]["code"] == "resource_exhausted"
    assert meter.fault is not None
    assert meter.fault.code == 429


def test_an_array_ends_in_an_error_element() -> None:
    feed = ArrayFeed()
    start = feed.feed(b'[{"a": 1}')
    body = errors.render(errors.from_refused(REFUSED))
    whole = b'[{"a": 1}'[: start[0].end] + feed.error_suffix(body)
    assert json.loads(whole)[1]["error"]["code"] == 429


def test_openai_clients_find_message_type_and_code() -> None:
    body = json.loads(errors.openai_error(errors.from_refused(REFUSED)))["error"]
    assert (body["type"], body["code"]) == ("rate_limit_error", "too_fast")
    bad = errors.from_refused(Refused(400, "MALFORMED_JSON", "no"))
    assert json.loads(errors.openai_error(bad))["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("found", "status", "code", "retryable"),
    [
        (Verdict(kind=Kind.BROKEN, status=502, reason="empty_answer"), 502, "EMPTY_ANSWER", True),
        (Verdict(kind=Kind.CUT, status=200, reason="cut"), 502, "CUT", True),
        (Verdict(kind=Kind.SPENT, status=429, reason="quota_day"), 429, "QUOTA_DAY", False),
        (Verdict(kind=Kind.BROKEN), 502, "BROKEN", True),
    ],
)
def test_verdicts_become_complaints(found: Verdict, status: int, code: str, retryable: bool) -> None:
    got = errors.from_verdict(found)
    assert (got.status, got.code, got.retryable) == (status, code, retryable)
    assert got.message


@pytest.mark.parametrize(("seconds", "header"), [(0, ""), (0.1, "1"), (34, "34"), (34.2, "35")])
def test_the_header_is_whole_seconds_rounded_up(seconds: float, header: str) -> None:
    assert errors.retry_after_header(seconds) == header
