"""Every body of Google's that we know of is read as what it is; nothing that arrives can raise."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.meter import Fault, Meter, Seen
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind, Scope, Verdict, Violation
from gemgate.dialects.gemini import verdict
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.observe import observe
from gemgate.dialects.sse import Feed

CASES: list[dict[str, Any]] = json.loads(
    (pathlib.Path(__file__).parent.parent / "cases" / "refusals.json").read_text()
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_refusals(case: dict[str, Any]) -> None:
    body = json.dumps(case["body"]).encode()
    found = verdict.judge_error(case["status"], body)
    assert (found.kind, found.reason, found.scope) == (case["kind"], case["reason"], case["scope"])
    assert (found.retry_after, found.quota, found.status) == (
        case["retry_after"],
        case["quota"],
        case["status"],
    )
    # Pretty-printed, or wrapped in an array as the OpenAI layer does: the same reading.
    assert verdict.judge_error(case["status"], json.dumps(case["body"], indent=2).encode()) == found
    if isinstance(case["body"], dict):
        assert verdict.judge_error(case["status"], b"[" + body + b"]") == found


def refusal(message: str, *details: dict[str, object], status: int = 429) -> Verdict:
    error = {"code": status, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    return verdict.judge_error(status, json.dumps({"error": error}).encode())


def violation(quota: str, **more: object) -> dict[str, object]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota, **more}],
    }


def delay(text: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}


def test_the_larger_of_two_delays_counts() -> None:
    minute = violation("GenerateRequestsPerMinutePerProjectPerModel", quotaValue="5")
    assert refusal("Please retry in 51.4s.", minute, delay("14s")).retry_after == 51.4
    assert refusal("Please retry in 14s.", delay("51.4s"), minute).retry_after == 51.4
    assert refusal("Please retry in 850ms.", minute).retry_after == 0.85


def test_a_long_delay_without_a_quota_is_a_day() -> None:
    assert refusal("Quota. Please retry in 19h8m53.1s.").kind is Kind.SPENT
    assert refusal("Quota. Please retry in 19h8m53.1s.").retry_after == 19 * 3600 + 8 * 60 + 53.1


def test_a_violation_without_value_is_a_limit_of_zero_unless_the_sentence_names_one() -> None:
    minute = "GenerateRequestsPerMinutePerProjectPerModel"
    assert refusal("limit: 0, model: x", violation(minute)).reason == "quota_zero"
    assert refusal("You exceeded.", violation(minute)).reason == "quota_zero"
    assert refusal("limit: 10, model: x", violation(minute)).reason == "quota_minute"
    assert refusal("limit: 0.5", violation(minute, quotaValue="3")).reason == "quota_minute"


METRIC = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


def full(message: str, *rows: dict[str, object]) -> tuple[Violation, ...]:
    return refusal(message, {"@type": "QuotaFailure", "violations": rows}).violations


def line(limit: object, family: str = "gemini-3.5-flash", metric: str = METRIC) -> str:
    return f"\n* Quota exceeded for metric: {metric}, limit: {limit}, model: {family}"


@pytest.mark.parametrize(
    ("quota", "window"),
    [
        (MINUTE, "rpm"),
        (DAY, "rpd"),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "tpm"),
        ("GenerateContentInputTokensPerModelPerDay-FreeTier", "tpd"),
        ("GenerateContentPaidTierInputTokensPerModelPerMinute-PaidTier2", "tpm"),
        ("GenerateRequestsPerMinutePerProjectPerModel-SharedProject", "rpm"),
        ("BatchEnqueuedTokensPerModel", ""),
        ("GenerateContentOutputTokensPerModelPerMinute", ""),
        ("GenerateImagesPerMinutePerProject", ""),
    ],
)
def test_the_name_of_a_quota_tells_its_window(quota: str, window: str) -> None:
    dimensions = {"location": "global", "model": "gemini-3.5-flash"}
    row = {"quotaId": quota, "quotaValue": "7", "quotaDimensions": dimensions}
    assert full("", row) == (Violation(window, 7, "gemini-3.5-flash"),)


def test_limits_that_a_violation_leaves_out_stand_in_the_message() -> None:
    minute, day = {"quotaMetric": METRIC, "quotaId": MINUTE}, {"quotaMetric": METRIC, "quotaId": DAY}
    both = (Violation("rpm", 5, "gemini-3.5-flash"), Violation("rpd", 0, "gemini-3.5-flash"))
    assert full(line(5) + line(0), minute, day) == both
    # One line for two violations of a metric is for both; two lines for three violations are for none.
    same = (Violation("rpm", 5, "gemini-3.5-flash"), Violation("rpd", 5, "gemini-3.5-flash"))
    assert full(line(5), minute, day) == same
    three = full(line(5) + line(20), minute, day, minute)
    assert [row.limit for row in three] == [None, None, None]
    assert full(line(5, metric="another_metric"), minute) == (Violation("rpm"),)


def test_a_quota_of_zero_says_so_in_each_of_its_windows() -> None:
    found = refusal("You exceeded.", violation(MINUTE))
    assert (found.reason, found.violations) == ("quota_zero", (Violation("rpm", 0),))


def test_a_message_without_violations_still_names_limit_and_family() -> None:
    daily = line(250, "gemini-3.1-pro", "generate_requests_per_model_per_day")
    assert full(f"Quota.{daily}\nPlease retry in 19h8m53.1s.") == (Violation("rpd", 250, "gemini-3.1-pro"),)
    assert full("Resource has been exhausted (e.g. check quota).") == ()


@pytest.mark.parametrize("dimensions", [None, 3, "x", [], {"model": 3}, {"location": "global"}])
def test_odd_dimensions_do_not_hide_the_rest(dimensions: object) -> None:
    row = {"quotaId": MINUTE, "quotaValue": "2", "quotaDimensions": dimensions}
    assert full("", row) == (Violation("rpm", 2),)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("34s", 34), ("1.5s", 1.5), ("19h8m53.5s", 68933.5), ("850ms", 0.85), ("2m", 120), ("", 0), ("soon", 0)],
)
def test_spans(text: str, seconds: float) -> None:
    assert verdict.seconds(text) == seconds


def test_keys_in_messages_are_removed() -> None:
    found = refusal("Consumer 'api_key:AIzaSyD-0123456789' has been suspended.", status=403)
    assert "AIza" not in found.message
    assert (found.reason, found.scope) == ("project_suspended", Scope.PROJECT)


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (502, b"<html>Bad gateway</html>", Kind.BUSY, "gateway"),
        (503, b"", Kind.BUSY, "overloaded"),
        (500, b"oops", Kind.BROKEN, "garbage"),
        (429, b"slow down", Kind.BUSY, "exhausted"),
        (404, b"<html>", Kind.REFUSED, "not_found"),
        (413, b"{}", Kind.REFUSED, "refused"),
    ],
)
def test_errors_that_are_not_googles(status: int, body: bytes, kind: Kind, reason: str) -> None:
    found = verdict.judge_error(status, body)
    assert (found.kind, found.reason, found.status) == (kind, reason, status)


def meter_of(*seen: Seen) -> Meter:
    meter = Meter()
    for one in seen:
        meter.add(one)
    return meter


def tapped(stream: bytes, reading: Reading = Reading.GENERATE) -> Meter:
    feed = Feed()
    events = [*feed.feed(stream), *feed.close()]
    return meter_of(*(observe(reading, event.data, event.name) for event in events))


@pytest.mark.parametrize(
    ("seen", "whole", "kind", "reason"),
    [
        ([Seen(parts=True, finish="STOP")], True, Kind.OK, ""),
        ([Seen(finish="MAX_TOKENS")], True, Kind.OK, ""),
        ([Seen(block="PROHIBITED_CONTENT")], True, Kind.OK, ""),
        ([Seen(parts=True), Seen(finish="STOP")], False, Kind.OK, ""),
        ([Seen(parts=True, done=True)], True, Kind.OK, ""),
        ([Seen(parts=True)], True, Kind.CUT, "cut"),
        ([Seen(parts=True)], False, Kind.CUT, "cut"),
        ([Seen(parts=True, done=True)], False, Kind.CUT, "cut"),
        ([Seen(usage=Usage(input=3))], True, Kind.BROKEN, "empty_answer"),
        ([], True, Kind.BROKEN, "empty_answer"),
        ([], False, Kind.BROKEN, "cut"),
        ([Seen(garbage=True)], True, Kind.BROKEN, "garbage"),
        ([Seen(parts=True), Seen(garbage=True)], True, Kind.CUT, "garbage"),
        ([Seen(parts=True, garbage=True)], True, Kind.BROKEN, "garbage"),
        ([Seen(fault=Fault(503, "UNAVAILABLE", "overloaded"))], True, Kind.BUSY, "overloaded"),
        ([Seen(parts=True), Seen(fault=Fault(503, "UNAVAILABLE", "x"))], True, Kind.CUT, "overloaded"),
        ([Seen(model="m"), Seen(fault=Fault(429, "", "x"))], True, Kind.CUT, "exhausted"),
    ],
)
def test_answers(seen: list[Seen], whole: bool, kind: Kind, reason: str) -> None:
    found = verdict.judge_answer(meter_of(*seen), whole)
    assert (found.kind, found.reason) == (kind, reason)


HELLO = (
    b'data: {"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],'
    b'"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5},"modelVersion":"gemini-2.5-pro"}\r\n\r\n'
)
BARE = (
    b'{\n  "error": {\n    "code": 503,\n    "message": "The model is overloaded.",\n'
    b'    "status": "UNAVAILABLE"\n  }\n}\n'
)


def test_a_bare_error_in_mid_stream_cuts_the_answer() -> None:
    meter = tapped(HELLO + BARE)
    found = verdict.judge_answer(meter, whole=True)
    assert (found.kind, found.reason, found.status, found.billed) == (Kind.CUT, "overloaded", 503, True)
    assert meter.usage == Usage(input=5)


def test_a_stream_without_finish_reason_is_cut() -> None:
    assert verdict.judge_answer(tapped(HELLO), whole=True).kind is Kind.CUT


def test_a_web_page_in_place_of_a_stream_is_garbage() -> None:
    found = verdict.judge_answer(tapped(b"<html>\n<body>Sign in\n\n</body>"), whole=True)
    assert (found.kind, found.reason, found.billed) == (Kind.BROKEN, "garbage", False)


def test_an_error_event_of_an_interaction_is_read_by_its_word() -> None:
    stream = (
        b'event: error\ndata: {"event_type":"error","error":{"code":"resource_exhausted",'
        b'"message":"You exceeded your current quota."}}\n\n'
    )
    found = verdict.judge_answer(tapped(stream, Reading.INTERACTION), whole=True)
    assert (found.kind, found.status, found.reason) == (Kind.BUSY, 429, "exhausted")


FIELDS = ["error", "code", "message", "details", "candidates", "content", "parts", "finishReason", "usage"]
FIELDS += ["usageMetadata", "promptTokenCount", "interaction", "choices", "retryDelay", "violations"]
json_values: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
bodies = st.one_of(st.binary(max_size=60), json_values.map(lambda value: json.dumps(value).encode()))


@given(bodies, st.sampled_from(list(Reading)), st.sampled_from(["", "bare", "error", "step.delta"]))
def test_nothing_raises(body: bytes, reading: Reading, name: str) -> None:
    seen = observe(reading, body, name)
    assert verdict.judge_answer(meter_of(seen), whole=True).kind in set(Kind)
    assert verdict.judge_error(429, body).status == 429
    assert verdict.retry_after(body) >= 0


def test_deep_nesting_is_garbage_and_no_crash() -> None:
    assert observe(Reading.GENERATE, b'{"a":' * 50_000).garbage
    assert verdict.judge_error(500, b"[" * 50_000).reason == "garbage"
