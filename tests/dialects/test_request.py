"""What requests ask for, in both spellings, and which bodies are refused before they cost a call."""

from __future__ import annotations

import json
import mmap
import pathlib
from typing import cast

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


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1beta/openai/videos", {"model": "veo-3.1", "prompt": "x"}, "veo-3.1"),
        ("/v1beta/openai/videos", b' \n{"model": "models/veo-3.1"}', "veo-3.1"),
        ("/v1beta/openai/videos", b'--sign\r\ncontent-disposition: form-data; name="model"', ""),
        ("/v1beta/openai/videos", b"", ""),
        ("/v1beta/openai/videos", {"model": 5}, ""),
        ("/v1beta/decisions", {"model": "gemini-3.8-flash", "input": "x"}, "gemini-3.8-flash"),
        ("/v1beta/tunedModels", {"baseModel": "models/gemini-2.5-pro"}, "gemini-2.5-pro"),
        ("/v1beta/tunedModels", {"base_model": "gemini-2.5-pro"}, "gemini-2.5-pro"),
        ("/v1beta/tunedModels", {"tunedModelSource": {"tunedModel": "tunedModels/a"}}, "tunedModels/a"),
        ("/v1beta/tunedModels", {"model": "gemini-2.5-flash", "displayName": "x"}, ""),
    ],
)
def test_the_model_is_found_in_bodies_that_make_something(path: str, body: object, model: str) -> None:
    assert asked(path, body).model == model


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


def signed(*texts: str, name: str = "thoughtSignature", role: str = "model") -> dict[str, object]:
    return {"role": role, "parts": [{"text": "x"}, *({"text": "", name: text} for text in texts)]}


def contents(*turns: object) -> Asked:
    return asked("/v1/models/m:generateContent", {"contents": list(turns)})


USER = {"role": "user", "parts": [{"text": "thoughtSignature"}]}


@pytest.mark.parametrize("name", ["thoughtSignature", "thought_signature"])
def test_the_signatures_of_the_last_turn_that_has_any(name: str) -> None:
    call = {"role": "model", "parts": [{"functionCall": {"name": "f"}, name: "QQ=="}, {"functionCall": {}}]}
    answer = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {name: "no"}}}]}
    assert contents(USER, signed("old1", "old2", name=name), USER, call, answer).signatures == (b"QQ",)
    assert contents(USER, signed("a", "b", name=name), USER, signed(), USER).signatures == (b"a", b"b")
    assert contents(USER, signed(), USER).signatures == ()


def test_both_alphabets_of_base64_are_one_signature() -> None:
    # Google writes "+/", its Python SDK sends "-_" back.
    assert contents(signed("Ab+/cd==")).signatures == contents(signed("Ab-_cd")).signatures == (b"Ab+/cd",)
    raw = rb'{"contents":[{"parts":[{"thoughtSignature":"Ab+\/cd\u003d\u003d"}]}]}'
    assert asked("/v1/models/m:generateContent", raw).signatures == (b"Ab+/cd",)


def test_the_documented_words_are_no_signatures() -> None:
    turn = signed("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
    assert contents(turn).signatures == ()
    assert contents(signed("skip_thought_signature_validator", "Ab")).signatures == (b"Ab",)


def test_of_many_signatures_the_first_and_the_last_are_kept() -> None:
    got = contents(signed(*(f"s{at}" for at in range(100)))).signatures
    assert got == (b"s0", b"s1", b"s2", b"s3", b"s96", b"s97", b"s98", b"s99")


def test_signatures_of_chats_and_interactions() -> None:
    call = {"id": "c", "extra_content": {"google": {"thought_signature": "Ab=="}}}
    messages = [{"role": "assistant", "tool_calls": [{**call, "id": "b"}]}, {"role": "user", "content": "x"}]
    chat = {"model": "g", "messages": [*messages, {"role": "assistant", "tool_calls": [call]}, {}]}
    assert asked("/v1beta/openai/chat/completions", chat).signatures == (b"Ab",)
    steps = [
        {"type": "thought", "signature": "old"},
        {"type": "user_input", "content": '"signature": "no"'},
        {"type": "thought", "signature": "Ab-_"},
        {"type": "function_call", "name": "f", "signature": "Cd=="},
        {"type": "function_result", "result": 1},
    ]
    assert asked("/v1/interactions", {"model": "g", "input": steps}).signatures == (b"Ab+/", b"Cd")


def test_continuation_tokens_and_previous_interactions() -> None:
    for name in ("continuationToken", "continuation_token"):
        assert asked("/v1/models/m:generateContent", {name: "To-k=="}).continuation == b"To+k"
    got = asked("/v1/interactions", {"previous_interaction_id": "i7", "continuation_token": "tok"})
    assert (got.previous, got.continuation, got.refers) == ("interactions/i7", b"tok", ("interactions/i7",))
    assert asked("/v1/interactions", {"input": "x"}).previous == ""


@pytest.mark.parametrize(
    "name", ["presencePenalty", "presence_penalty", "frequencyPenalty", "frequency_penalty"]
)
@pytest.mark.parametrize(
    ("value", "set_"), [(0.5, True), (-1, True), ("0.5", True), (0, False), (0.0, False)]
)
def test_penalties(name: str, value: object, set_: bool) -> None:
    body = {"generationConfig": {name: value}}
    assert asked("/v1/models/m:generateContent", body).penalties is set_
    if "_" in name:
        assert asked("/v1beta/openai/chat/completions", {name: value}).penalties is set_


def test_kinds_of_media() -> None:
    mimes = ["image/png", "audio/mp3", "video/mp4", "application/pdf", "image/jpeg", "text/plain"]
    parts: list[object] = [{"inlineData": {"mimeType": mime, "data": "AAAA"}} for mime in mimes]
    assert contents({"parts": parts}).media == ("image", "audio", "video", "document")
    film = {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}}
    assert contents({"parts": [film]}).media == ("video",)
    items = [{"type": "audio", "data": "AA", "mime_type": "audio/wav"}, {"type": "text", "text": "image"}]
    assert asked("/v1/interactions", {"input": items}).media == ("audio",)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    chat = {"messages": [{"role": "user", "content": [picture, {"type": "text", "text": "x"}]}]}
    assert asked("/v1beta/openai/chat/completions", chat).media == ("image",)
    assert contents(USER).media == ()


FILE = {"fileData": {"mimeType": "image/png", "fileUri": "https://h/v1beta/files/f1"}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/m:generateContent", {"systemInstruction": {"parts": [FILE]}}),
        ("/v1/models/m:generateContent", {"contents": [{"parts": [{"functionResponse": {"parts": [FILE]}}]}]}),
        ("/v1/models/m:countTokens", {"generateContentRequest": {"contents": [{"parts": [FILE]}]}}),
        (
            "/v1/models/m:batchGenerateContent",
            {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"contents": [{"parts": [FILE]}]}}]}}}},
        ),
        ("/v1/models/m:asyncBatchEmbedContent", {"batch": {"input_config": {"file_name": "files/f1"}}}),
        ("/v1/models/v:predictLongRunning", {"instances": [{"video": {"uri": "https://h/v1/files/f1"}}]}),
        ("/v1/fileSearchStores/s:importFile", {"fileName": "files/f1"}),
        ("/v1beta/openai/batches", {"input_file_id": "files/f1"}),
        # Read as far as it goes: Google may yet take what we did not foresee.
        ("/v1/models/m:generateContent", {"contents": [{"parts": [FILE]}], "generationConfig": 3}),
    ],
)  # fmt: skip
def test_a_file_is_found_wherever_it_stands(path: str, body: object) -> None:
    assert asked(path, body).refers == ("files/f1",)


def test_what_somebody_wrote_of_files_names_none() -> None:
    text = json.dumps({"fileUri": "files/no", "cachedContent": "cachedContents/no"})
    batch = {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"text": text}}]}}}}
    assert asked("/v1/models/m:batchGenerateContent", batch).refers == ()
    assert contents({"parts": [{"text": text}]}).refers == ()


def test_caches_and_stores_are_found_wherever_they_stand() -> None:
    cached = {"extra_body": {"google": {"cached_content": "cachedContents/c"}}}
    got = asked("/v1beta/openai/chat/completions", cached)
    assert (got.refers, got.shape.cached_content) == (("cachedContents/c",), True)
    tools = [{"type": "file_search", "file_search_store_names": ["fileSearchStores/a", "fileSearchStores/b"]}]
    stores = asked("/v1/interactions", {"input": "fileSearchStores/no", "tools": tools})
    assert stores.refers == ("fileSearchStores/a", "fileSearchStores/b")
    odd = {"contents": "?", "cachedContent": "cachedContents/c"}
    assert asked("/v1/models/m:generateContent", odd).refers == ("cachedContents/c",)


FIELDS = ["contents", "parts", "fileData", "fileUri", "inlineData", "thoughtSignature", "functionResponse"]
FIELDS += ["tools", "fileSearch", "generationConfig", "thinkingConfig", "presencePenalty", "model", "input"]
FIELDS += [
    "messages",
    "extra_body",
    "google",
    "continuationToken",
    "generateContentRequest",
    "signature",
    "type",
]
ODD: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.just("files/f1")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=15,
)
PATHS = ["/v1/models/m:generateContent", "/v1/models/m:countTokens", "/v1/models/m:batchEmbedContents"]
PATHS += ["/v1/interactions", "/v1beta/openai/chat/completions", "/v1/models/m:batchGenerateContent"]


@given(st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=5), st.sampled_from(PATHS))
def test_an_object_of_any_fields_is_passed_on(body: dict[str, object], path: str) -> None:
    got = asked(path, body)
    assert got.input_estimate >= 0
    assert all(isinstance(name, str) for name in got.refers)


@pytest.mark.parametrize(
    "body", [{**CAMEL, "contents": CAMEL["contents"]}, {**CAMEL, "tools": None}, {"contents": 3}]
)
def test_a_large_body_is_read_from_its_file_like_bytes(
    body: dict[str, object], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "body"
    file.write_bytes(json.dumps(body).encode())
    found = match("POST", "/v1/models/m1:generateContent")
    assert found is not None
    with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
        got = read(found, {}, cast(bytes, view), {})
    assert got == asked("/v1/models/m1:generateContent", body)


@given(st.integers() | st.sampled_from([-1, 0, 8, 10**30]), st.integers() | st.just(10**30))
def test_counts_that_mean_nothing_bound_nothing(count: int, most: int) -> None:
    config = {"candidateCount": count, "maxOutputTokens": most}
    chat = {"model": "m", "n": count, "max_tokens": most}
    for got in (
        asked("/v1/models/m:generateContent", {"contents": [], "generationConfig": config}),
        asked("/v1beta/openai/chat/completions", chat),
    ):
        assert 1 <= got.candidates <= 128
        assert got.shape.max_output is None or 0 < got.shape.max_output < 2**31
        if 1 <= count <= 128 and 0 < most < 2**31:
            assert (got.candidates, got.shape.max_output) == (count, most)


def test_what_stands_elsewhere_is_named() -> None:
    film = "https://www.youtube.com/watch?v=1"
    parts = [
        {"fileData": {"fileUri": film}},
        {"fileData": {"fileUri": "files/f"}},
        {"fileData": {"fileUri": film}},
    ]
    body = {"contents": [{"parts": parts}], "cachedContent": "cachedContents/c"}
    got = asked("/v1/models/m:generateContent", body)
    assert got.held == ("files/f", "cachedContents/c", film)
    item = {"type": "video", "uri": film + "x" * 500}
    body = {"model": "m", "input": [item], "previous_interaction_id": "i7"}
    assert asked("/v1beta/interactions", body).held == ("interactions/i7", item["uri"][:200])
    store = {"tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a"]}}]}
    assert asked("/v1/models/m:generateContent", store).held == ()
