"""Each exception class of OpenAI's own client, raised by what Google or the gateway says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import DefaultHttpxClient, OpenAI

from tests.gateway.launch import Gateway, until
from tests.sdk.openai.asking import FLASH, Stage, user
from tests.sdk.sides import CLIENT_KEY, CLOCK
from tests.simulator.launch import Simulator

MESSAGES: Any = [user("Tell me about rivers.")]
ROBOT: Any = [{"role": "robot", "content": "x"}]
CLASSES = [
    ("context-overflow", openai.BadRequestError, 400, "invalid_request_error", "context_length_exceeded"),
    ("api-key-auth-key-rejected", openai.AuthenticationError, 401, "authentication_error", None),
    ("leaked-key", openai.PermissionDeniedError, 403, "permission_error", None),
    ("model-not-found", openai.NotFoundError, 404, "not_found_error", "model_not_found"),
    ("status=409", openai.ConflictError, 409, "invalid_request_error", None),
    ("status=422", openai.UnprocessableEntityError, 422, "invalid_request_error", None),
    ("quota-rpm-free", openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    ("exhausted-bare", openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    ("internal", openai.InternalServerError, 500, "server_error", None),
    ("overloaded", openai.InternalServerError, 503, "server_error", None),
    ("deadline", openai.InternalServerError, 504, "server_error", None),
    ("garbage", openai.InternalServerError, 502, "server_error", None),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("fault", "kind", "status", "type_", "code"), CLASSES, ids=[row[0] for row in CLASSES]
)
def test_a_refusal_raises_its_class(
    once: OpenAI,
    faulty: Stage,
    fault: str,
    kind: type[openai.APIStatusError],
    status: int,
    type_: str,
    code: str | None,
    stream: bool,
) -> None:
    with faulty.struck(fault), pytest.raises(kind) as caught:
        once.chat.completions.create(model=FLASH, messages=MESSAGES, stream=stream)
    error = caught.value
    assert (error.status_code, error.type) == (status, type_)
    assert error.code
    assert code is None or error.code == code
    assert isinstance(error.body, dict)
    assert error.body["message"]
    assert "Error code" in str(error)


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda client: client.embeddings.create(model="gemini-embedding-001", input="x"), 503),
        (lambda client: client.models.list(), 503),
        (lambda client: client.responses.create(model=FLASH, input="x"), 503),
        (lambda client: client.responses.create(model=FLASH, input="x", store=False), 503),
    ],
    ids=["embeddings", "models", "responses", "responses_stateless"],
)
def test_every_door_speaks_errors(
    once: OpenAI, faulty: Stage, ask: Callable[[OpenAI], Any], status: int
) -> None:
    with faulty.struck("overloaded"), pytest.raises(openai.InternalServerError) as caught:
        ask(once)
    assert (caught.value.status_code, caught.value.type) == (status, "server_error")


@pytest.mark.parametrize(
    "fault", ["cut-after=2", "end-after=2", "in-stream-error=2", "in-stream-error-framed=2"]
)
def test_a_stream_that_breaks_raises_and_never_finishes(once: OpenAI, faulty: Stage, fault: str) -> None:
    chunks: list[Any] = []

    def ask() -> None:
        asked = once.chat.completions.create(
            model=FLASH, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks.extend(asked)

    with faulty.struck(f"{fault},tokens=200"), pytest.raises(openai.APIError) as caught:
        ask()
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert {choice.finish_reason for choice in choices} <= {None}
    assert {chunk.usage for chunk in chunks} <= {None}
    if chunks:
        assert "".join(choice.delta.content or "" for choice in choices)
    else:  # what broke in its first read has a status still
        assert isinstance(caught.value, openai.InternalServerError)
    assert caught.value.message
    assert caught.value.code


def test_what_the_door_does_not_have(faulty: Stage) -> None:
    url = faulty.gateway.url + "/openai/v1"
    with OpenAI(base_url=url, api_key=CLIENT_KEY) as client, pytest.raises(openai.NotFoundError) as caught:
        client.moderations.create(input="x")
    assert caught.value.code == "unknown_path"


def test_a_request_that_cannot_be_understood(once: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        once.chat.completions.create(model=FLASH, messages=ROBOT)
    assert "messages" in caught.value.message


def test_a_timeout(once: OpenAI, faulty: Stage) -> None:
    with faulty.struck("stall-after=0"), pytest.raises(openai.APITimeoutError):
        once.with_options(timeout=0.4).chat.completions.create(model=FLASH, messages=MESSAGES, stream=True)


def test_a_gateway_that_dies_is_a_connection_error(tmp_path: Path) -> None:
    with Simulator(*CLOCK) as simulator, Gateway(tmp_path, simulator.url) as gateway:
        simulator.set_faults({"simulate": "stall-after=0"})
        url = gateway.url + "/openai/v1"
        found: list[Exception] = []

        def ask() -> None:
            with OpenAI(base_url=url, api_key=CLIENT_KEY, max_retries=0) as client:
                try:
                    client.chat.completions.create(model=FLASH, messages=MESSAGES, stream=True)
                except openai.APIError as error:
                    found.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: len(simulator.log()) == 1, "the call at the upstream")
        gateway.kill()
        asking.join(20)
        assert [type(error) for error in found] == [openai.APIConnectionError]
        gateway.start()
        assert [row["outcome"] for row in gateway.calls()] == ["interrupted"]


@pytest.mark.parametrize("fault", ["context-overflow", "leaked-key", "status=409"])
def test_what_cannot_heal_is_asked_once(faulty: Stage, fault: str) -> None:
    asked: list[str] = []
    hooks: Any = {"request": [lambda request: asked.append(str(request.url))]}
    with (
        DefaultHttpxClient(event_hooks=hooks) as http,
        OpenAI(base_url=faulty.gateway.url + "/v1", api_key=CLIENT_KEY, http_client=http) as client,
        faulty.struck(fault),
        pytest.raises(openai.APIStatusError),
    ):
        client.chat.completions.create(model=FLASH, messages=MESSAGES)
    assert len(asked) == 1
