"""What requests ask for, in both spellings, and which bodies are refused before they cost a call."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.call import Shape, Streaming
from gemgate.core.errors import Refused
from gemgate.dialects.gemini.methods import match
from gemgate.dialects.gemini.request import Asked, read


def asked(
    path: str, body: object, verb: str = "POST", headers: dict[str, str] | None = None, **query: str
) -> Asked:
    found = match(verb, path)
    assert found is not None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(found, query, raw, headers or {})


PARTS = [
    {"text": "hello"},
    {"inlineData": {"mimeType": "image/png", "data": "A" * 4000}},
    {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.org/v1beta/files/abc-1"}},
]
CAMEL = {
    "contents": [{"role": "user", "parts": PARTS}, {"role": "model", "parts": [{"text": "hm"}]}],
    "tools": [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}, {"googleSearch": {}}],
    "generationConfig": {
        "maxOutputTokens": 99,
        "responseMimeType": "application/json",
        "thinkingConfig": {"thinkingLevel": "HIGH"},
    },
    "cachedContent": "cachedContents/c1",
    "serviceTier": "FLEX",
}
SNAKE = {
    "contents": [
        {
            "parts": [
                {"text": "hello"},
                {"inline_data": {"mime_type": "image/png", "data": "A" * 4000}},
                {"file_data": {"mime_type": "video/mp4", "file_uri": "files/abc-1"}},
            ]
        },
        {"parts": [{"text": "hm"}]},
    ],
    "tools": [{"function_declarations": [{"name": "a"}, {"name": "b"}]}, {"google_search": {}}],
    "generation_config": {
        "max_output_tokens": 99,
        "response_json_schema": {},
        "thinking_config": {"thinking_level": "high"},
    },
    "cached_content": "cachedContents/c1",
    "service_tier": "flex",
}


@pytest.mark.parametrize("body", [CAMEL, SNAKE], ids=["camel", "snake"])
def test_generate_in_both_spellings(body: object) -> None:
    got = asked("/v1/models/m1:generateContent", body)
    assert (got.model, got.tier, got.streaming) == ("m1", "flex", Streaming.NONE)
    assert got.refers == ("files/abc-1", "cachedContents/c1")
    assert got.shape == Shape(
        tools=3,
        turns=2,
        media=2,
        max_output=99,
        thinking="level:high",
        json_output=True,
        cached_content=True,
    )
    assert 19_000 < got.input_estimate < 19_500


def test_nulls_are_absent_fields() -> None:
    body = {
        "contents": [{"parts": [{"text": "x", "inlineData": None}]}],
        "tools": None,
        "serviceTier": "flex",
    }
    got = asked("/v1/models/m:generateContent", body)
    assert (got.tier, got.shape.turns) == ("flex", 1)


def test_the_form_of_the_answer() -> None:
    path = "/v1/models/m:streamGenerateContent"
    assert asked(path, {}, alt="sse").streaming is Streaming.SSE
    assert asked(path, {}, **{"$alt": "SSE"}).streaming is Streaming.SSE
    assert asked(path, {}).streaming is Streaming.ARRAY
    assert asked(path, {}, alt="json").streaming is Streaming.ARRAY
    assert asked("/v1/interactions", {"stream": True}).streaming is Streaming.SSE
    assert asked("/v1/interactions", {"stream": False}).streaming is Streaming.NONE
    assert asked("/v1/interactions/i", b"", "GET", stream="true").streaming is Streaming.SSE
    assert asked("/v1beta/openai/chat/completions", {"stream": True}).streaming is Streaming.SSE
    assert asked("/v1/models/m:generateContent", {"stream": True}, alt="sse").streaming is Streaming.NONE


def test_thinking_budgets() -> None:
    for name in ("thinkingBudget", "thinking_budget"):
        body = {"generationConfig": {"thinkingConfig": {name: 0}}}
        assert asked("/v1/models/m:generateContent", body).shape.thinking == "budget:0"


def test_interactions() -> None:
    body = {
        "model": "models/gemini-3.8-flash",
        "input": [{"type": "text", "text": "x"}, {"type": "image", "uri": "https://h/v1/files/f9"}],
        "previous_interaction_id": "i7",
        "tools": [{"type": "google_search"}],
        "generation_config": {"max_output_tokens": 5, "thinking_level": "low"},
        "service_tier": "priority",
    }
    got = asked("/v1/interactions", body)
    assert (got.model, got.tier) == ("gemini-3.8-flash", "priority")
    assert got.refers == ("files/f9", "interactions/i7")
    assert (got.shape.turns, got.shape.tools, got.shape.max_output) == (2, 1, 5)
    assert got.shape.thinking == "level:low"
    assert asked("/v1/interactions", {"agent": "deep-research", "input": "x"}).model == "deep-research"


def test_other_bodies() -> None:
    chat = {
        "model": "models/g",
        "messages": [{}, {}],
        "max_tokens": 7,
        "response_format": {"type": "json_schema"},
    }
    got = asked("/v1beta/openai/chat/completions", chat)
    assert (got.model, got.shape.turns, got.shape.max_output, got.shape.json_output) == ("g", 2, 7, True)
    vectors = {"requests": [{"model": "models/e", "content": {"parts": [{"text": "x"}]}}] * 3}
    assert asked("/v1/models/e:batchEmbedContents", vectors).shape.turns == 3
    assert asked("/v1/cachedContents", {"model": "models/g", "contents": []}).model == "g"
    batch = {"batch": {"inputConfig": {"fileName": "files/b1"}}}
    assert asked("/v1/models/g:batchGenerateContent", batch).refers == ("files/b1",)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"contents": [}', b"\xff", b"[1]", b"12", b"null", b'{"a": 1} x']
)
@pytest.mark.parametrize(
    "path", ["/v1/models/m:generateContent", "/v1/interactions", "/v1/models/m:embedContent"]
)
def test_what_is_no_json_object_is_refused_in_googles_words(path: str, body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        asked(path, body)
    assert (refused.value.status, refused.value.code) == (400, "MALFORMED_JSON")
    assert refused.value.message.startswith("Invalid JSON payload received. ")


def test_an_object_of_unexpected_fields_is_googles_to_judge() -> None:
    got = asked("/v1/models/m:streamGenerateContent", {"contents": "hello", "generationConfig": 3}, alt="sse")
    assert (got.model, got.streaming, got.shape) == ("m", Streaming.SSE, Shape())
    assert asked("/v1/interactions", {"model": "m", "tools": "?"}).model == "m"
    assert asked("/v1/interactions", {"model": 5}).model == ""


def test_encoded_and_uninspected_bodies_pass_unread() -> None:
    packed = asked("/v1/models/m:generateContent", b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert packed.model == "m"
    assert asked("/upload/v1/files", b"\x00").model == ""


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode)))
def test_nothing_but_a_refusal_is_raised(body: bytes) -> None:
    wrong = False
    try:
        got = asked("/v1/models/m:generateContent", body)
    except Refused:
        wrong = True
    if not wrong:
        assert got.model == "m"
        assert body.strip()[:1] == b"{"
