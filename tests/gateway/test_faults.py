"""Each named fault of the upstream: the right client error, the right row, the upstream connection closed.

The table at the end of this file is printed by ``pytest -s``; its rows are what the client saw.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.gateway.launch import Gateway
from tests.simulator.launch import Simulator

ROUTED = False  # one try at one target; tests/proof has these faults at every place of a route

MODEL = "/v1beta/models/gemini-2.5-flash"
FORMS = {
    "unary": MODEL + ":generateContent",
    "sse": MODEL + ":streamGenerateContent?alt=sse",
    "array": MODEL + ":streamGenerateContent",
}
ASK = {"contents": [{"role": "user", "parts": [{"text": "Tell me about harbours."}]}]}

# fault -> (status, outcome, reason): refused or failed before anything could be given to the client
BEFORE: dict[str, tuple[int, str, str]] = {
    "api-key-invalid": (400, "failed", "key_invalid"),
    "api-key-auth-key-rejected": (401, "failed", "unauthenticated"),
    "leaked-key": (403, "failed", "key_leaked"),
    "consumer-suspended": (403, "failed", "project_suspended"),
    "failed-precondition-region": (400, "failed", "region"),
    "prepay-depleted": (402, "failed", "prepaid"),
    "context-overflow": (400, "refused", "context_overflow"),
    "penalty-unsupported": (400, "refused", "invalid"),
    "thought-signature-missing": (400, "refused", "signature_missing"),
    "thought-signature-corrupt": (400, "refused", "signature_corrupt"),
    "model-not-found": (404, "refused", "model_unknown"),
    "model-closed-to-new-users": (404, "refused", "model_closed"),
    "quota-rpd-free": (429, "failed", "quota_day"),
    "quota-rpm-free": (429, "failed", "quota_minute"),
    "quota-tpm-free": (429, "failed", "quota_tokens"),
    "quota-limit-zero": (429, "failed", "quota_zero"),
    "quota-rpd-paid": (429, "failed", "quota_day"),
    "quota-tpm-paid-tier1": (429, "failed", "quota_tokens"),
    "exhausted-bare": (429, "failed", "exhausted"),
    "overloaded": (503, "failed", "overloaded"),
    "internal": (500, "failed", "internal"),
    "deadline": (504, "failed", "deadline"),
    "cancelled": (499, "failed", "cancelled"),
    "reset": (502, "failed", "disconnected"),
    "half-headers": (502, "failed", "disconnected"),
    "garbage": (502, "failed", "garbage"),
    "empty": (502, "failed", "empty_answer"),
    "slow-first-byte=900": (504, "failed", "first_byte_timeout"),
}
ONLY_UNARY = {"truncated-json": (502, "failed", "cut")}
# fault -> reason: broken after the first event was given to the client
AFTER = {
    "cut-after=2": "cut",
    "end-after=2": "cut",
    "stall-after=2": "stall_timeout",
    "in-stream-error=2": "overloaded",
    "in-stream-error-framed=2": "overloaded",
}
# fault -> reason: broken in a stream before its first event, so an HTTP error as if unary
BEFORE_FIRST = {"cut-after=0": 502, "in-stream-error=0": 503, "in-stream-error-framed=0": 503}
RETRY_AFTER = {
    "quota-rpd-paid": "68934",
    "quota-rpm-free": "57",
    "quota-tpm-free": "27",
    "quota-tpm-paid-tier1": "46",
}
OURS = {"reset", "half-headers", "garbage", "empty", "slow-first-byte=900", "truncated-json"}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The google.rpc.Status in an answer, whatever its form."""
    body = answer.json()
    if isinstance(body, list):
        body = body[-1]
    error: dict[str, Any] = body["error"]
    return error


def ours(error: dict[str, Any]) -> dict[str, Any]:
    """The ErrorInfo of domain gemgate."""
    (info,) = [one for one in error["details"] if one.get("domain") == "gemgate"]
    assert isinstance(info, dict)
    return info


def ask(client: httpx.Client, form: str, fault: str) -> httpx.Response:
    return client.post(FORMS[form], json=ASK, headers={"x-simulate": fault})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", BEFORE)
def test_a_fault_before_the_answer(
    fault: str, form: str, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    status, outcome, reason = BEFORE[fault]
    simulator.clear()
    answer = ask(client, form, fault)
    assert answer.status_code == status
    error = error_of(answer)
    assert error["code"] == status
    assert error["message"]
    if fault in OURS:
        assert ours(error)["metadata"]["call"] == answer.headers["x-gemgate-call"]
    if fault in RETRY_AFTER:
        assert answer.headers["retry-after"] == RETRY_AFTER[fault]
    row = gateway.call(answer)
    assert (row["outcome"], row["status"], row["reason"]) == (outcome, status, reason)
    assert row["attempts"] == 1
    if fault != "empty":
        assert row["output_tokens"] == 0
    (line,) = simulator.wait_for(1)
    assert line["finished"]


@pytest.mark.parametrize("fault", ONLY_UNARY)
def test_a_body_cut_in_the_middle_is_no_answer(
    fault: str, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    status, outcome, reason = ONLY_UNARY[fault]
    simulator.clear()
    answer = ask(client, "unary", fault)
    assert answer.status_code == status
    assert ours(error_of(answer))["reason"] == reason.upper()
    row = gateway.call(answer)
    assert (row["outcome"], row["status"], row["reason"]) == (outcome, status, reason)
    assert row["estimated_tokens"] > 0
    simulator.wait_for(1)


@pytest.mark.parametrize("form", ["sse", "array"])
@pytest.mark.parametrize("fault", BEFORE_FIRST)
def test_a_stream_that_breaks_before_its_first_event_is_an_http_error(
    fault: str, form: str, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    simulator.clear()
    answer = ask(client, form, fault)
    assert answer.status_code == BEFORE_FIRST[fault]
    assert error_of(answer)["code"] == BEFORE_FIRST[fault]
    row = gateway.call(answer)
    assert row["outcome"] == "failed"
    simulator.wait_for(1)


def answered_until_it_broke(
    client: httpx.Client, form: str, fault: str, gateway: Gateway, simulator: Simulator
) -> httpx.Response:
    """The first answer whose break came after its first event had been given.

    A machine that pauses between the upstream's writes hands the gateway events and error in one read. Then nothing
    has been given yet, and the error is rightly an HTTP error: checked here, and asked again.
    """
    for _ in range(5):
        simulator.clear()
        answer = ask(client, form, fault)
        if answer.status_code == 200:
            return answer
        assert error_of(answer)["code"] == answer.status_code >= 500
        assert gateway.call(answer)["outcome"] == "failed"
    raise AssertionError(f"{fault} was never cut after its first event")


@pytest.mark.parametrize("form", ["sse", "array"])
@pytest.mark.parametrize("fault", AFTER)
def test_a_stream_that_breaks_ends_in_an_error_of_its_own_form(
    fault: str, form: str, client: httpx.Client, gateway: Gateway, simulator: Simulator
) -> None:
    answer = answered_until_it_broke(client, form, f"{fault},events=5", gateway, simulator)
    if form == "sse":
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        assert all(line.startswith("data: ") or not line for line in answer.text.splitlines())
    else:
        events = answer.json()
    assert [bool(event.get("candidates")) for event in events] == [True, True, False]
    error = events[-1]["error"]
    if "in-stream" in fault:
        assert error["code"] == 503
        assert error["status"] == "UNAVAILABLE"
    else:
        assert ours(error)["reason"] == AFTER[fault].upper()
    row = gateway.call(answer)
    assert (row["outcome"], row["reason"]) == ("cut", AFTER[fault])
    seen = events[1]["usageMetadata"]
    assert row["output_tokens"] == seen["candidatesTokenCount"]
    assert row["estimated_tokens"] > 0
    assert row["list_dollars"] > 0
    assert row["finish"] is None
    assert row["response_bytes"] == len(answer.content)
    (line,) = simulator.wait_for(1)
    assert line["finished"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("fault", "finish", "block"),
    [
        ("blocked", None, "PROHIBITED_CONTENT"),
        ("max-tokens-thinking", "MAX_TOKENS", None),
        ("finish=SAFETY", "SAFETY", None),
    ],
)
def test_a_legitimate_answer_without_text_is_no_fault(
    fault: str, finish: str | None, block: str | None, form: str, client: httpx.Client, gateway: Gateway
) -> None:
    answer = ask(client, form, fault)
    assert answer.status_code == 200
    row = gateway.call(answer)
    assert (row["outcome"], row["finish"], row["block"]) == ("ok", finish, block)
    assert row["estimated_tokens"] == 0


def test_an_error_of_google_passes_with_its_quota_details_intact(
    client: httpx.Client, simulator: Simulator
) -> None:
    through = ask(client, "unary", "quota-rpd-free")
    with httpx.Client(base_url=simulator.url) as direct:
        straight = direct.post(
            FORMS["unary"],
            json=ASK,
            headers={"x-simulate": "quota-rpd-free", "x-goog-api-key": "AIzaDirect0000000"},
        )
    assert through.content == straight.content
    assert b"PerDay" in through.content
    assert "retry-after" not in straight.headers
