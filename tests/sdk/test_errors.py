"""What a user of google-genai sees when Google refuses, breaks or falls silent: the same as without the gateway where
Google said something, and an error where Google's answer ended without a word.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.genai import errors, types

from tests.gateway.launch import DEMO_KEY
from tests.sdk.conftest import pair
from tests.sdk.sides import CLIENT_KEY, Side, Told, both, run
from tests.sdk.talking import FLASH, told

# Google's word is looked at as it comes: by a gateway that tries once.
ROUTED = False
# Fault -> the outcome of its row: refused when the request is at fault, failed when the key, the quota or Google is.
REFUSALS = {
    "context-overflow": "refused",
    "penalty-unsupported": "refused",
    "thought-signature-corrupt": "refused",
    "model-not-found": "refused",
    "model-closed-to-new-users": "refused",
    "api-key-invalid": "failed",
    "failed-precondition-region": "failed",
    "api-key-auth-key-rejected": "failed",
    "prepay-depleted": "failed",
    "leaked-key": "failed",
    "consumer-suspended": "failed",
    "exhausted-bare": "failed",
    "quota-rpm-free": "failed",
    "quota-tpm-paid-tier1": "failed",
    "quota-rpd-free": "failed",
    "quota-limit-zero": "failed",
    "cancelled": "failed",
    "internal": "failed",
    "overloaded": "failed",
    "deadline": "failed",
}
# Faults of a whole answer that straight give no error of the API, or none at all.
BROKEN = ("empty", "garbage", "reset", "half-headers", "truncated-json", "cut-after=0")
# Faults in a stream before its first event.
STILLBORN = ("cut-after=0", "end-after=0", "in-stream-error=0", "garbage", "empty", "reset", "half-headers")


def whole(side: Side, fault: str) -> Any:
    """One unary call."""
    try:
        side.client(fault).models.generate_content(model=FLASH, contents="Hello.")
    except errors.APIError as error:
        return told(error)
    return None


def pieces(side: Side, fault: str) -> Any:
    """The texts of a stream, and how it ended."""
    texts: list[Any] = []
    try:
        for chunk in side.client(fault).models.generate_content_stream(model=FLASH, contents="A tale."):
            texts.append(chunk.text)
    except errors.APIError as error:
        return texts, told(error)
    return texts, None


def only_row(seen: Told) -> dict[str, Any]:
    """The row of a scenario of one call, which also is the one that went upstream."""
    (row,) = seen.rows
    assert len(seen.asked) == 1
    assert row["attempts"] == 1
    return row


@pytest.mark.parametrize("fault", REFUSALS)
@pytest.mark.parametrize("ask", [whole, pieces])
def test_a_refusal_of_google_comes_through_untouched(
    plainly: Side, proxied: Side, fault: str, ask: Any
) -> None:
    there, here = both(plainly, proxied, lambda side: ask(side, fault))
    assert here.result == there.result
    (straight_answer,), (answer,) = there.wire, here.wire
    assert bytes(answer.body) == bytes(straight_answer.body)
    assert answer.shown()["headers"].items() >= straight_answer.shown()["headers"].items()
    row = only_row(here)
    assert (row["status"], row["outcome"]) == (straight_answer.status, REFUSALS[fault])
    assert row["reason"]
    assert row["response_bytes"] == len(answer.body)
    assert row["output_tokens"] == 0


@pytest.mark.parametrize("fault", ["context-overflow", "penalty-unsupported", "thought-signature-corrupt"])
@pytest.mark.parametrize("ask", [whole, pieces])
def test_a_fault_of_the_request_is_tried_once_with_routing_on(
    plainly: Side, routed: Side, fault: str, ask: Any
) -> None:
    there, here = both(plainly, routed, lambda side: ask(side, fault))
    assert here.result == there.result
    assert bytes(here.wire[0].body) == bytes(there.wire[0].body)
    assert only_row(here)["outcome"] == "refused"


@pytest.mark.parametrize("fault", ["overloaded", "internal", "deadline", "quota-rpm-free", "leaked-key"])
def test_when_no_way_is_left_the_last_word_is_google_s_own(tmp_path: Path, fault: str) -> None:
    """Routing on, and nothing to turn to: after the tries that are allowed the answer is what Google said."""
    with pair(tmp_path, "[routing]\nfallback = false\npatience = 0.001\n") as sides:
        there, here = both(*sides, lambda side: whole(side, fault))
    assert here.result == there.result
    assert bytes(here.wire[0].body) == bytes(there.wire[0].body)
    (row,) = here.rows
    assert (row["status"], row["outcome"]) == (there.wire[0].status, "failed")
    assert row["attempts"] == len(here.asked) >= 1


def test_the_classes_of_errors(proxied: Side) -> None:
    expected = {"context-overflow": 400, "leaked-key": 403, "model-not-found": 404, "quota-rpm-free": 429}
    broken = {"internal": 500, "overloaded": 503, "deadline": 504}
    for fault, code in {**expected, **broken}.items():
        seen = run(proxied, partial(whole, fault=fault)).result
        assert (seen["class"], seen["code"]) == ("ClientError" if code < 500 else "ServerError", code)


def test_a_full_minute_gets_the_retry_after_that_google_does_not_send(plainly: Side, proxied: Side) -> None:
    there, here = both(plainly, proxied, lambda side: whole(side, "quota-rpm-free"))
    assert "retry-after" not in there.wire[0].headers
    details = json.loads(bytes(here.wire[0].body))["error"]["details"]
    (info,) = [item for item in details if item["@type"].endswith("RetryInfo")]
    (quota,) = [item for item in details if item["@type"].endswith("QuotaFailure")]
    assert quota["violations"]
    assert int(here.wire[0].headers["retry-after"]) >= int(info["retryDelay"].removesuffix("s")) > 0


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_answer_is_an_error_of_the_api(proxied: Side, fault: str) -> None:
    seen = run(proxied, lambda side: whole(side, fault))
    assert seen.result is not None, "the SDK took a broken answer for a good one"
    assert (seen.result["class"], seen.result["code"]) == ("ServerError", 502)
    accused(seen)
    row = only_row(seen)
    assert (row["outcome"], row["status"]) == ("failed", 502)


@pytest.mark.parametrize("fault", STILLBORN)
def test_a_stream_that_breaks_before_its_first_event_is_a_plain_error(proxied: Side, fault: str) -> None:
    seen = run(proxied, lambda side: pieces(side, fault))
    texts, error = seen.result
    assert texts == []
    assert error["class"] == "ServerError"
    assert seen.wire[0].status == error["code"] >= 500
    row = only_row(seen)
    assert (row["outcome"], row["status"]) == ("failed", error["code"])


def test_the_sdk_accepts_a_stream_without_an_end_and_the_gateway_does_not(
    plainly: Side, proxied: Side
) -> None:
    there, here = both(plainly, proxied, lambda side: pieces(side, "end-after=2"))
    texts, silence = there.result
    assert silence is None, "the SDK notices by itself by now: this test has lost its point"
    assert here.result[0] == texts
    assert len(texts) == 2
    cut_short(here)


def test_a_cut_stream_raises(proxied: Side) -> None:
    here = run(proxied, lambda side: pieces(side, "cut-after=2"))
    whole_tale = run(proxied, lambda side: pieces(side, ""))
    assert here.result[0] == whole_tale.result[0][:2]
    cut_short(here)


def cut_short(seen: Told) -> None:
    """An error in the stream's own form, and a row that says what happened and what it may have cost."""
    assert seen.result[1]["class"] == "ServerError"
    assert seen.wire[0].status == 200
    assert bytes(seen.wire[0].body).rpartition(b"data: ")[2].startswith(b'{"error"')
    accused(seen)
    row = only_row(seen)
    assert (row["outcome"], row["status"], row["finish"]) == ("cut", 200, None)
    assert row["response_bytes"] == len(seen.wire[0].body)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["estimated_tokens"] == row["input_tokens"] + row["output_tokens"] + row["thoughts_tokens"]


def accused(seen: Told) -> None:
    """The error names our reason and the call, in Google's shape."""
    error = seen.result if isinstance(seen.result, dict) else seen.result[1]
    (info,) = [item for item in error["details"]["error"]["details"] if item["@type"].endswith("ErrorInfo")]
    assert info["domain"] == "gemgate"
    assert info["metadata"]["call"] == seen.wire[0].call_id == seen.rows[0]["call_id"]


@pytest.mark.parametrize("fault", ["in-stream-error=2", "in-stream-error-framed=2"])
def test_an_error_inside_a_stream_is_google_s_own_error(plainly: Side, proxied: Side, fault: str) -> None:
    there, here = both(plainly, proxied, lambda side: pieces(side, fault))
    texts, error = here.result
    # The events before the fault are given when they came before it; with it, the answer is a plain error.
    assert texts == there.result[0][: len(texts)]
    for name in ("class", "code", "status", "message"):
        assert error[name] == there.result[1][name]
    row = only_row(here)
    assert row["outcome"] == ("cut" if texts else "failed")
    assert row["reason"] == "overloaded"
    assert row["output_tokens"] > 0


def test_an_interaction_that_breaks_ends_in_an_error_event(proxied: Side) -> None:
    def ask(side: Side) -> Any:
        talk: Any = side.client("cut-after=4", retry_options=types.HttpRetryOptions(attempts=1)).interactions
        return [event.event_type for event in talk.create(model=FLASH, input="Talk.", stream=True)]

    seen = run(proxied, ask)
    assert seen.result[0] == "interaction.created"
    assert seen.result[-1] == "error"
    assert only_row(seen)["outcome"] == "cut"


def test_the_sdk_s_own_retries_are_calls_of_their_own(plainly: Side, proxied: Side) -> None:
    def ask(side: Side) -> Any:
        side.simulator.set_faults({"simulate": "overloaded", "first": 2})
        retry = types.HttpRetryOptions(attempts=4, initial_delay=0.0, max_delay=0.0, jitter=0.0)
        try:
            return side.client(retry_options=retry).models.generate_content(model=FLASH, contents="Again.")
        finally:
            side.simulator.set_faults()

    there, here = both(plainly, proxied, ask)
    assert here.result == there.result
    assert [row["status"] for row in here.rows] == [503, 503, 200]


def test_an_interaction_over_the_sdk_retries_by_itself(twins: tuple[Side, Side]) -> None:
    """The SDK tries an interaction up to five times; each try is a call, none is hidden or doubled."""

    def ask(side: Side) -> Any:
        side.simulator.set_faults({"simulate": "overloaded", "first": 1, "method": "interactions.create"})
        retry = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01)
        try:
            return side.client(retry_options=retry).interactions.create(model=FLASH, input="Again.")
        finally:
            side.simulator.set_faults()

    there, here = both(*twins, ask)
    assert here.result == there.result
    assert [row["status"] for row in here.rows] == [503, 200]


def test_no_error_tells_a_key(proxied: Side) -> None:
    for fault in (*REFUSALS, *BROKEN):
        seen = run(proxied, partial(whole, fault=fault))
        text = bytes(seen.wire[0].body) + str(seen.wire[0].headers).encode()
        assert DEMO_KEY.encode() not in text
        assert CLIENT_KEY.encode() not in text
