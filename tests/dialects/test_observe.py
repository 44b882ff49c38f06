"""What answers say, in each of Google's dialects."""

from __future__ import annotations

import json

import pytest

from gemgate.core.meter import Meter, Seen
from gemgate.core.usage import Detail, Usage
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.observe import observe


def seen(reading: Reading, value: object, name: str = "") -> Seen:
    return observe(reading, json.dumps(value).encode(), name)


def test_a_whole_answer() -> None:
    got = seen(
        Reading.GENERATE,
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": "Hi"}], "role": "model"},
                    "finishReason": "STOP",
                    "groundingMetadata": {
                        "webSearchQueries": ["a", "b"],
                        "groundingChunks": [{"web": {"uri": "x"}}, {"maps": {}}],
                    },
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 1000,
                "cachedContentTokenCount": 100,
                "candidatesTokenCount": 50,
                "thoughtsTokenCount": 30,
                "toolUsePromptTokenCount": 7,
                "totalTokenCount": 1087,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 700},
                    {"modality": "AUDIO", "tokenCount": 300},
                ],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
                "serviceTier": "flex",
            },
            "modelVersion": "gemini-3.8-flash",
            "responseId": "r1",
        },
    )
    assert (got.finish, got.model, got.response, got.tier) == ("STOP", "gemini-3.8-flash", "r1", "flex")
    assert (got.parts, got.searches, got.maps, got.grounded) == (True, 2, 1, True)
    assert got.usage == Usage(
        1000, 100, 50, 30, 7, (Detail("input", "audio", 300), Detail("cached", "audio", 20))
    )
    assert got.usage.total == 1087


def test_usage_of_a_stream_is_the_last_and_keeps_the_grounding() -> None:
    meter = Meter()
    for count, ground in ((2, {}), (4, {"groundingMetadata": {"webSearchQueries": ["q"]}}), (4, {})):
        meter.add(
            seen(
                Reading.GENERATE,
                {
                    "candidates": [{"content": {"parts": [{"text": "x"}]}, **ground}],
                    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": count},
                },
            )
        )
    assert meter.usage == Usage(input=9, output=4, searches=1, grounded=True)


@pytest.mark.parametrize(
    "body",
    [
        {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}], "usageMetadata": {}},
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 12}},
    ],
)
def test_legitimate_answers_without_parts(body: object) -> None:
    meter = Meter()
    meter.add(seen(Reading.GENERATE, body))
    assert not meter.empty
    assert meter.ended


def test_interactions() -> None:
    usage = {
        "total_input_tokens": 10,
        "total_output_tokens": 5,
        "total_thought_tokens": 3,
        "total_cached_tokens": 2,
        "total_tool_use_tokens": 1,
        "input_tokens_by_modality": [{"modality": "audio", "tokens": 4}],
        "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "google_maps", "count": 1}],
    }
    whole = {"id": "i1", "model": "gemini-3.8-flash", "status": "completed", "steps": [{}], "usage": usage}
    want = Usage(10, 2, 5, 3, 1, (Detail("input", "audio", 4),), 3, True, 1)
    got = seen(Reading.INTERACTION, whole)
    assert (got.usage, got.finish, got.model, got.response) == (want, "completed", "gemini-3.8-flash", "i1")
    assert got.parts
    begun = seen(
        Reading.INTERACTION,
        {
            "event_type": "interaction.created",
            "interaction": {"id": "i1", "status": "in_progress", "model": "m"},
        },
        "interaction.created",
    )
    assert (begun.finish, begun.model, begun.response) == ("", "m", "i1")
    assert seen(Reading.INTERACTION, {"event_type": "step.delta", "index": 0, "delta": {}}).parts
    ended = seen(Reading.INTERACTION, {"event_type": "interaction.completed", "interaction": whole})
    assert (ended.finish, ended.usage, ended.grounded) == ("completed", want, True)
    assert observe(Reading.INTERACTION, b"[DONE]", "done").done


def test_the_openai_layer() -> None:
    body = {
        "id": "c1",
        "model": "gemini-3.8-flash",
        "choices": [{"finish_reason": None, "delta": {"content": "x"}}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 8,
            "total_tokens": 18,
            "completion_tokens_details": {"reasoning_tokens": 3},
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }
    got = seen(Reading.OPENAI, body)
    assert (got.usage, got.finish, got.parts) == (Usage(10, 4, 5, 3), "", True)
    assert observe(Reading.OPENAI, b"[DONE]").done
    vectors = seen(Reading.OPENAI, {"data": [{"embedding": []}], "usage": {"prompt_tokens": 3}})
    assert (vectors.done, vectors.usage) == (True, Usage(input=3))


@pytest.mark.parametrize(
    ("usage", "output", "thoughts"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 8, "total_tokens": 20}, 8, 11),
        ({"prompt_tokens": 1, "completion_tokens": 8, "total_tokens": 9}, 8, 0),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 8,
                "total_tokens": 12,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            8,
            3,
        ),
    ],
)
def test_thinking_in_the_openai_layer(usage: dict[str, object], output: int, thoughts: int) -> None:
    got = seen(Reading.OPENAI, {"choices": [], "usage": usage}).usage
    assert got is not None
    assert (got.output, got.thoughts) == (output, thoughts)


def test_embeddings_and_counts() -> None:
    got = seen(Reading.EMBED, {"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 7}})
    assert (got.usage, got.parts, got.done) == (Usage(input=7), True, True)
    assert seen(Reading.EMBED, {"embeddings": [{"values": []}]}).parts
    counted = seen(Reading.COUNT, {"totalTokens": 31})
    assert (counted.usage, counted.done) == (None, True)


@pytest.mark.parametrize("reading", list(Reading))
def test_errors_are_faults_in_every_dialect(reading: Reading) -> None:
    body = {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
    for value in (body, [body]):
        fault = seen(reading, value).fault
        assert fault is not None
        assert (fault.code, fault.status, fault.message) == (503, "UNAVAILABLE", "m")
        assert json.loads(fault.raw) == value


@pytest.mark.parametrize("data", [b"", b"<html>", b"[1", b'"text"', b"12", b"\xff\xfe"])
def test_garbage(data: bytes) -> None:
    assert observe(Reading.GENERATE, data).garbage


def test_nulls_are_absent_fields() -> None:
    got = seen(
        Reading.GENERATE,
        {
            "candidates": [{"finishReason": "STOP", "content": {"parts": None}, "groundingMetadata": None}],
            "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": None},
            "modelVersion": "m",
            "responseId": None,
            "error": None,
        },
    )
    assert (got.usage, got.finish, got.model, got.parts) == (Usage(input=4), "STOP", "m", False)
    error = {"error": {"code": 503, "message": None, "status": "UNAVAILABLE"}}
    fault = seen(Reading.GENERATE, error).fault
    assert fault is not None
    assert (fault.code, json.loads(fault.raw)) == (503, error)


def test_a_field_of_an_unexpected_type_does_not_hide_the_others() -> None:
    got = seen(
        Reading.GENERATE,
        {
            "candidates": [{"finishReason": "STOP", "content": {"parts": "?"}}],
            "usageMetadata": {"promptTokenCount": 4},
            "modelVersion": "m",
        },
    )
    assert (got.usage, got.model, got.garbage, got.parts) == (Usage(input=4), "m", False, True)


def part(signature: str, **more: object) -> dict[str, object]:
    return {"text": "", "thoughtSignature": signature, **more}


def signed(*signatures: str) -> object:
    return {"candidates": [{"content": {"parts": [{"text": "x"}, *map(part, signatures)]}}]}


def test_signatures_on_whatever_part_they_stand() -> None:
    call = {"functionCall": {"name": "f", "args": {"thoughtSignature": "no"}}, "thoughtSignature": "Cd=="}
    body = {"candidates": [{"content": {"parts": [part("Ab+/"), call, {"functionCall": {}}]}}]}
    assert seen(Reading.GENERATE, body).signatures == (b"Ab+/", b"Cd")
    escaped = rb'{"candidates":[{"content":{"parts":[{"thoughtSignature":"Ab\u003d\u003d"}]}}]}'
    assert observe(Reading.GENERATE, escaped).signatures == (b"Ab",)


def test_a_meter_keeps_the_first_two_and_the_last_two_signatures() -> None:
    meter = Meter()
    meter.add(seen(Reading.GENERATE, signed("s0")))
    assert meter.signatures == (b"s0",)
    for at in range(1, 9):
        meter.add(seen(Reading.GENERATE, signed(f"s{at}")))
        meter.add(seen(Reading.GENERATE, signed()))
    assert meter.signatures == (b"s0", b"s1", b"s7", b"s8")
    whole = Meter()
    whole.add(seen(Reading.GENERATE, signed(*(f"s{at}" for at in range(9)))))
    assert whole.signatures == meter.signatures


def test_signatures_of_a_chat_and_of_an_interaction() -> None:
    call = {"id": "c", "extra_content": {"google": {"thought_signature": "Ab=="}}}
    for field in ("delta", "message"):
        chat = {"choices": [{field: {"tool_calls": [call]}}]}
        assert seen(Reading.OPENAI, chat).signatures == (b"Ab",)
    delta = {"event_type": "step.delta", "delta": {"type": "thought_signature", "signature": "Cd-_"}}
    assert seen(Reading.INTERACTION, delta).signatures == (b"Cd+/",)
    whole = {"id": "i", "status": "completed", "steps": [{"type": "thought", "signature": "Ef"}]}
    assert seen(Reading.INTERACTION, whole).signatures == (b"Ef",)
    said = {"event_type": "step.delta", "delta": {"type": "text", "text": '"signature": "no"'}}
    assert seen(Reading.INTERACTION, said).signatures == ()


def test_continuation_tokens() -> None:
    meter = Meter()
    meter.add(seen(Reading.GENERATE, {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}))
    ended = {"candidates": [{"finishReason": "CONTINUATION", "continuationToken": "To_k=="}]}
    meter.add(seen(Reading.GENERATE, ended))
    meter.add(seen(Reading.GENERATE, {"usageMetadata": {"promptTokenCount": 1}}))
    assert (meter.continuation, meter.finish) == (b"To/k", "CONTINUATION")
    stored = {"id": "i", "status": "requires_continuation", "continuation_token": "tok"}
    assert seen(Reading.INTERACTION, stored).continuation == b"tok"
    assert seen(Reading.INTERACTION, {"id": "i", "continuation_token": None}).continuation == b""
