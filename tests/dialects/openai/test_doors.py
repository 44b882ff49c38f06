"""Which paths are OpenAI's, and what is behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.errors import Refused
from gemgate.dialects.openai.doors import Door, match
from gemgate.dialects.openai.reading import read

CHAT = Door("chat.completions", action="create")
NONE = Door("")


@pytest.mark.parametrize(
    ("verb", "path", "door"),
    [
        ("POST", "/openai/v1/chat/completions", CHAT),
        ("POST", "/openai/v1/chat/completions/", CHAT),
        ("POST", "//openai//v1/chat/completions", CHAT),
        ("POST", "/v1/chat/completions", CHAT),
        ("POST", "/openai/v1/embeddings", Door("embeddings", action="create")),
        ("POST", "/v1/embeddings", Door("embeddings", action="create")),
        ("POST", "/v1/responses", Door("responses", action="create")),
        ("GET", "/v1/responses/resp_1", Door("responses", "resp_1", "get")),
        ("DELETE", "/openai/v1/responses/resp_1", Door("responses", "resp_1", "delete")),
        ("POST", "/openai/v1/responses/resp_1/cancel", Door("responses", "resp_1", "cancel")),
        ("GET", "/openai/v1/responses/resp_1/input_items", Door("responses", "resp_1", "input_items")),
        ("GET", "/openai/v1/models", Door("models", action="list")),
        ("GET", "/openai/v1/models/gemini-3.6-flash", Door("models", "gemini-3.6-flash", "get")),
        ("GET", "/openai/v1/models/models%2Fgemini-3.6-flash", Door("models", "gemini-3.6-flash", "get")),
        ("GET", "/openai/v1/models/models/gemini-3.6-flash", Door("models", "gemini-3.6-flash", "get")),
        ("GET", "/openai/v1/models/tunedModels%2Fmine", Door("models", "tunedModels/mine", "get")),
        ("GET", "/openai/v1/models/team/fast", Door("models", "team/fast", "get")),
    ],
)
def test_a_path_of_openais_leads_to_its_door(verb: str, path: str, door: Door) -> None:
    assert match(verb, path, bearer_only=True) == door


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/openai/v1/chat/completions"),
        ("POST", "/openai/v1/completions"),
        ("GET", "/openai/v1"),
        ("GET", "/openai/v1/"),
        ("POST", "/openai/v1/models"),
        ("DELETE", "/openai/v1/models/x"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/openai/v1/responses"),
        ("POST", "/openai/v1/responses/resp_1/else"),
        ("GET", "/openai/v1/models/../files"),
        ("POST", "/openai/v1/responses/%2e%2e/cancel"),
    ],
)
def test_what_is_not_served_is_still_openais(verb: str, path: str) -> None:
    assert match(verb, path, bearer_only=False) == NONE
    with pytest.raises(Refused) as refused:
        read(NONE, {}, b"", "drop")
    assert (refused.value.status, refused.value.code) == (404, "UNKNOWN_PATH")


@pytest.mark.parametrize("bearer_only", [True, False])
@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/v1/models/gemini-3.6-flash:generateContent"),
        ("POST", "/v1beta/models/gemini-3.6-flash:generateContent"),
        ("POST", "/v1beta/openai/chat/completions"),
        ("GET", "/v1beta/models"),
        ("GET", "/v1beta/openai/models"),
        ("GET", "/v1/models/x/operations/y"),
        ("GET", "/v1/files"),
        ("POST", "/v1/interactions"),
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/v1"),
        ("GET", "/openai/v12/models"),
        ("GET", "/openai"),
        ("POST", "/v1/chatter"),
    ],
)
def test_googles_paths_stay_googles(verb: str, path: str, bearer_only: bool) -> None:
    assert match(verb, path, bearer_only) is None


def test_under_v1_the_credential_tells_whose_list_of_models_is_meant() -> None:
    assert match("GET", "/v1/models", bearer_only=True) == Door("models", action="list")
    assert match("GET", "/v1/models/x", bearer_only=True) == Door("models", "x", "get")
    assert match("GET", "/v1/models", bearer_only=False) is None
    assert match("GET", "/v1/models/x", bearer_only=False) is None


@given(st.sampled_from(["GET", "POST", "DELETE"]), st.text(max_size=40), st.booleans())
def test_any_path_under_openai_v1_is_openais(verb: str, rest: str, bearer_only: bool) -> None:
    found = match(verb, f"/openai/v1/{rest}", bearer_only)
    assert found is not None
    assert not found.action or found.name
