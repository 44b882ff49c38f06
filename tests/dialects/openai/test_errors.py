"""Errors in OpenAI's form, as its SDKs read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai._streaming import SSEDecoder

from gemgate.core import fingerprint
from gemgate.core.errors import Refused
from gemgate.dialects.gemini import errors as google
from gemgate.dialects.openai import errors, parameters
from gemgate.dialects.sse import Feed

REFUSALS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "cases" / "refusals.json").read_text()
)
REFUSED = Refused(429, "KEY_RATE", "Slow down, key AIzaSyA-0123456789.", hint="Wait.", retry_after=1.5)


def rendered(refused: Refused, call: str = "") -> Any:
    return json.loads(errors.render(google.from_refused(refused), call))["error"]


def translated(status: int, body: bytes) -> Any:
    said = errors.from_google(status, body)
    assert said is not None
    return json.loads(said)["error"]


def test_our_own_error_has_openais_members_and_what_to_do() -> None:
    assert rendered(REFUSED, "call-1") == {
        "message": "Slow down, key [redacted].",
        "type": "rate_limit_error",
        "param": None,
        "code": "key_rate",
        "retryable": True,
        "hint": "Wait.",
        "call": "call-1",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "insufficient_quota"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "invalid_request_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_the_type_follows_the_status(status: int, kind: str) -> None:
    assert rendered(Refused(status, "CODE", "text"))["type"] == kind


def test_the_field_at_fault_is_the_param() -> None:
    assert rendered(parameters.invalid("messages[0].content", "no."))["param"] == "messages[0].content"
    assert rendered(Refused(404, "ELSE", "'messages' is not it"))["param"] is None
    with pytest.raises(Refused) as refused:
        parameters.Leftovers("refuse").note("logit_bias")
    assert rendered(refused.value)["param"] == "logit_bias"
    assert rendered(refused.value)["code"] == "unsupported_parameter"


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("wrap", ["%s", "[%s]", " [\n%s]\n"])
def test_every_known_error_of_googles_keeps_its_words(case: dict[str, Any], wrap: str) -> None:
    said = case["body"][0] if isinstance(case["body"], list) else case["body"]
    error = translated(case["status"], (wrap % json.dumps(said)).encode())
    theirs = said["error"]
    assert error["type"] == errors.kind(case["status"])
    assert error.get("status") == theirs.get("status")
    assert error.get("details") == theirs.get("details")
    assert error["code"] == error["code"].lower() != ""
    assert error["retryable"] == (case["status"] in (408, 429) or case["status"] >= 500)
    assert error["message"] == fingerprint.redact(theirs["message"])


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (404, {"message": "models/x is not found for API version v1beta."}, "model_not_found"),
        (404, {"message": "File files/x does not exist.", "status": "NOT_FOUND"}, "not_found"),
        (
            400,
            {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."},
            "context_length_exceeded",
        ),
        (429, {"message": "m", "details": [{"reason": "RATE_LIMIT_EXCEEDED"}]}, "rate_limit_exceeded"),
        (400, {"message": "m", "details": [{"reason": "API_KEY_INVALID"}]}, "api_key_invalid"),
        (401, {"message": "m"}, "invalid_api_key"),
        (418, {"message": "m"}, None),
    ],
)
def test_the_code_is_the_word_that_clients_look_for(
    status: int, error: dict[str, Any], expected: str | None
) -> None:
    assert translated(status, json.dumps({"error": error}).encode())["code"] == expected


def test_a_field_violation_is_the_param() -> None:
    detail = {"@type": "x/BadRequest", "fieldViolations": [{"description": "d"}, {"field": "contents"}]}
    body = json.dumps({"error": {"code": 400, "message": "m", "details": [detail]}}).encode()
    assert translated(400, body)["param"] == "contents"


def test_our_own_error_in_googles_form_is_the_same_as_in_openais() -> None:
    complaint = google.from_refused(REFUSED)
    there = translated(429, google.render(complaint, "call-1"))
    here = json.loads(errors.render(complaint, "call-1"))["error"]
    assert here == {name: there[name] for name in here}


def test_details_of_another_form_go_on_as_they_are() -> None:
    error = translated(400, b'{"error": {"code": 400, "message": "m", "details": [{"reason": 5}, 7]}}')
    assert error["details"] == [{"reason": 5}, 7]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>",
        b'{"candidates": []}',
        b'{"error": "text"}',
        b"\xff",
        errors.render(google.from_refused(REFUSED), ""),
    ],
)
def test_what_is_no_error_of_googles(body: bytes) -> None:
    assert errors.from_google(500, body) is None


def test_an_error_within_a_stream_states_its_own_status() -> None:
    assert translated(0, b'{"error": {"code": 503, "message": "m"}}')["type"] == "server_error"
    assert translated(200, b'{"error": {"code": 429, "message": "m"}}')["type"] == "rate_limit_error"
    assert translated(0, b'{"error": {"code": "x", "message": "m"}}')["type"] == "server_error"


def test_a_broken_stream_ends_in_an_error_that_openais_decoder_reads() -> None:
    body = json.dumps(json.loads(errors.render(google.from_refused(REFUSED), "c")), indent=2).encode()
    for stream in (errors.stream_error(body), errors.responses_error(body)):
        (event,) = Feed().feed(stream)
        (again,) = SSEDecoder().iter_bytes(iter([stream]))
        assert json.loads(event.data) == again.json()
        assert again.json()["error"]["code"] == "key_rate"
    assert (again.event, again.json()["type"], again.json()["code"]) == ("error", "error", "key_rate")
    assert again.json()["message"] == "Slow down, key [redacted]."
