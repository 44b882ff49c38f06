"""Answers are what Google's own message definitions allow, and say what was asked."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from google.ai import generativelanguage_v1beta as google
from google.protobuf import json_format

from tests.simulator.client import Answer, ask, generate, prompt, stream
from tests.simulator.launch import Simulator

WEATHER = {
    "functionDeclarations": [
        {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {
                "type": "OBJECT",
                "properties": {"city": {"type": "STRING"}},
                "required": ["city"],
            },
        },
        {
            "name": "get_time",
            "parametersJsonSchema": {"type": "object", "properties": {"zone": {"type": "string"}}},
        },
    ]
}


def valid(value: dict[str, Any], kind: Any = google.GenerateContentResponse) -> Any:
    """Parse with Google's message, refusing unknown fields but the few that are newer than the published protos."""
    known = copy.deepcopy(value)
    known.get("usageMetadata", {}).pop("serviceTier", None)
    for candidate in known.get("candidates", []):
        candidate.pop("continuationToken", None)
        if candidate.get("finishReason") == "CONTINUATION":
            del candidate["finishReason"]
    return json_format.ParseDict(known, kind.pb()(), ignore_unknown_fields=False)


def counts_add_up(usage: dict[str, Any]) -> bool:
    names = ("promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount")
    return usage["totalTokenCount"] == sum(usage.get(name, 0) for name in names)


@pytest.mark.parametrize(
    "model", ["gemini-3.8-flash", "gemini-2.5-flash", "gemini-4-argon", "gemma-4-31b-it"]
)
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"tools": [WEATHER]},
        {"tools": [{"googleSearch": {}}]},
        {"tools": [{"codeExecution": {}}]},
        {"generationConfig": {"candidateCount": 2, "maxOutputTokens": 500}},
        {"generationConfig": {"responseMimeType": "application/json"}},
        {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "safetySettings": []},
    ],
)
def test_a_unary_answer_is_a_valid_message(upstream: Simulator, model: str, extra: dict[str, Any]) -> None:
    answer = generate(upstream.url, prompt(**extra), model)
    assert answer.status == 200, answer.body
    valid(answer.json())
    assert counts_add_up(answer.json()["usageMetadata"])
    assert answer.json()["modelVersion"] == model


@pytest.mark.parametrize("extra", [{}, {"tools": [WEATHER]}, {"tools": [{"googleSearch": {}}]}])
def test_each_event_of_a_stream_is_valid_and_usage_runs(upstream: Simulator, extra: dict[str, Any]) -> None:
    events = stream(upstream.url, prompt(**extra)).events()
    totals = [event["usageMetadata"]["totalTokenCount"] for event in events]
    for event in events:
        valid(event)
    assert totals == sorted(totals)
    assert [bool(event["candidates"][0].get("finishReason")) for event in events].index(True) == len(
        events
    ) - 1


def test_a_stream_is_framed_in_crlf_and_has_no_done(upstream: Simulator) -> None:
    answer = stream(upstream.url, prompt())
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.count(b"\n") == answer.body.count(b"\r\n")
    assert answer.body.endswith(b"\r\n\r\n")
    assert b"[DONE]" not in answer.body
    assert answer.headers["x-gemini-service-tier"] == "standard"


def test_without_alt_the_stream_is_one_json_array(upstream: Simulator) -> None:
    answer = ask(upstream.url, "/v1/models/gemini-3.8-flash:streamGenerateContent", prompt())
    assert answer.body.startswith(b"[{")
    assert b"\r\n,\r\n{" in answer.body or b",\r\n{" in answer.body
    assert "".join(text_of(one) for one in answer.json()) == generate(upstream.url, prompt()).text()


def text_of(chunk: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in chunk["candidates"][0]["content"].get("parts", []))


def test_the_same_prompt_gives_the_same_answer_to_the_byte(upstream: Simulator) -> None:
    assert generate(upstream.url, prompt()).body == generate(upstream.url, prompt()).body
    assert generate(upstream.url, prompt("Other")).text() != generate(upstream.url, prompt()).text()


def test_max_output_tokens_counts_thoughts_and_cuts(upstream: Simulator) -> None:
    config = {"maxOutputTokens": 10, "thinkingConfig": {"thinkingBudget": 0}}
    answer = generate(upstream.url, prompt(generationConfig=config), "gemini-2.5-flash").json()
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert answer["usageMetadata"]["candidatesTokenCount"] == 10


def test_a_limit_reached_while_thinking_leaves_an_empty_content(upstream: Simulator) -> None:
    answer = generate(upstream.url, prompt(generationConfig={"maxOutputTokens": 3})).json()
    assert answer["candidates"][0] == {"content": {}, "finishReason": "MAX_TOKENS", "index": 0}
    assert "candidatesTokenCount" not in answer["usageMetadata"]
    assert answer["usageMetadata"]["thoughtsTokenCount"] == 3


def test_a_stop_sequence_ends_the_text(upstream: Simulator) -> None:
    text = generate(upstream.url, prompt()).text()
    stop = text.split()[5]
    cut = generate(upstream.url, prompt(generationConfig={"stopSequences": [stop]})).text()
    assert cut == text[: text.index(stop)]


def test_json_fits_its_schema(upstream: Simulator) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 18, "maximum": 30},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2},
            "home": {"$ref": "#/$defs/place"},
        },
        "required": ["name", "age", "tags", "home"],
        "$defs": {
            "place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        },
    }
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    value = json.loads(generate(upstream.url, prompt(generationConfig=config)).text())
    assert set(value) == {"name", "age", "tags", "home"}
    assert 18 <= value["age"] <= 30
    assert len(value["tags"]) == 2
    assert set(value["tags"]) <= {"a", "b"}
    assert isinstance(value["home"]["city"], str)


def test_an_enum_answer_is_one_of_its_values(upstream: Simulator) -> None:
    schema = {"type": "STRING", "enum": ["red", "green"]}
    config = {"responseMimeType": "text/x.enum", "responseSchema": schema}
    assert generate(upstream.url, prompt(generationConfig=config)).text() in ("red", "green")


def calls(answer: Answer) -> list[dict[str, Any]]:
    return [part for part in answer.json()["candidates"][0]["content"]["parts"] if "functionCall" in part]


def test_parallel_calls_carry_one_signature_on_the_first(upstream: Simulator) -> None:
    found = calls(generate(upstream.url, prompt("Weather and time?", tools=[WEATHER])))
    assert [part["functionCall"]["name"] for part in found] == ["get_weather", "get_time"]
    assert ["thoughtSignature" in part for part in found] == [True, False]


def test_function_calling_modes(upstream: Simulator) -> None:
    def asked(**config: Any) -> dict[str, Any]:
        return prompt("Hm", tools=[WEATHER], toolConfig={"functionCallingConfig": config})

    assert not calls(generate(upstream.url, asked(mode="NONE")))
    forced = calls(generate(upstream.url, asked(mode="ANY", allowedFunctionNames=["get_time"])))
    assert [part["functionCall"]["name"] for part in forced] == ["get_time"]
    assert isinstance(
        calls(generate(upstream.url, asked(mode="VALIDATED")))[0]["functionCall"]["args"]["city"], str
    )


def second_turn(first: Answer) -> dict[str, Any]:
    """The request that answers the function calls of ``first``."""
    content = first.json()["candidates"][0]["content"]
    replies = [
        {"functionResponse": {"id": call["id"], "name": call["name"], "response": {"ok": True}}}
        for call in (part["functionCall"] for part in content["parts"])
    ]
    start = prompt("Weather in Rome?", tools=[WEATHER])
    return {**start, "contents": [*start["contents"], content, {"role": "user", "parts": replies}]}


def test_the_second_turn_needs_the_genuine_signature(upstream: Simulator) -> None:
    first = generate(upstream.url, prompt("Weather in Rome?", tools=[WEATHER]))
    body = second_turn(first)
    assert generate(upstream.url, body).text()

    part = body["contents"][1]["parts"][0]
    genuine = part.pop("thoughtSignature")
    missing = generate(upstream.url, body)
    assert missing.status == 400
    assert "Function call is missing a thought_signature in functionCall parts." in missing.error()["message"]
    assert "`default_api:get_weather` , position 2." in missing.error()["message"]
    assert generate(upstream.url, body, "gemini-2.5-flash").status == 200

    part["thoughtSignature"] = genuine[:-6] + "AAAA=="
    assert generate(upstream.url, body).error()["message"] == "Corrupted thought signature."
    part["thoughtSignature"] = genuine
    other = ask(
        upstream.url, "/v1/models/gemini-3.8-flash:generateContent", body, key="AIzaAnotherProject0001"
    )
    assert other.error()["message"] == "Corrupted thought signature."
    assert (
        generate(upstream.url, body, "gemini-3.6-flash").error()["message"] == "Corrupted thought signature."
    )
    part["thoughtSignature"] = "skip_thought_signature_validator"
    assert generate(upstream.url, body).status == 200


def test_thoughts_are_shown_when_asked(upstream: Simulator) -> None:
    config = {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"}}
    parts = generate(upstream.url, prompt(generationConfig=config)).json()["candidates"][0]["content"][
        "parts"
    ]
    assert parts[0]["thought"] is True
    assert "thought" not in parts[1]


def test_media_count_by_modality(upstream: Simulator) -> None:
    parts = [
        {"text": "What is this?"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
    ]
    usage = generate(upstream.url, {"contents": [{"parts": parts}]}).json()["usageMetadata"]
    kinds = {item["modality"]: item["tokenCount"] for item in usage["promptTokensDetails"]}
    assert kinds.keys() == {"TEXT", "IMAGE", "AUDIO", "DOCUMENT"}
    assert sum(kinds.values()) == usage["promptTokenCount"]


def test_a_repeated_long_prefix_is_cached(upstream: Simulator) -> None:
    text = "A very long story about harbours and lights. " * 800
    first = generate(upstream.url, prompt(text + "One?")).json()["usageMetadata"]
    again = generate(upstream.url, prompt(text + "Two?")).json()["usageMetadata"]
    assert "cachedContentTokenCount" not in first
    assert 4_096 <= again["cachedContentTokenCount"] < again["promptTokenCount"]


def test_grounding_names_its_queries(upstream: Simulator) -> None:
    answer = generate(upstream.url, prompt(tools=[{"googleSearch": {}}])).json()
    assert answer["candidates"][0]["groundingMetadata"]["webSearchQueries"]
    assert answer["usageMetadata"]["toolUsePromptTokenCount"] > 0


def test_a_long_answer_of_gemini_4_goes_on_by_token(upstream: Simulator) -> None:
    body = prompt("Write 90 words.")
    whole = generate(upstream.url, body, "gemini-4-argon").text()
    hops, token, turns = "", "", 0
    while turns < 9:
        asked = {**body, **({"continuationToken": token} if token else {})}
        candidate = generate(upstream.url, asked, "gemini-4-argon", "continue-after=40").json()["candidates"][
            0
        ]
        hops += candidate["content"]["parts"][0]["text"]
        turns += 1
        if candidate["finishReason"] == "STOP":
            break
        assert candidate["finishReason"] == "CONTINUATION"
        token = candidate["continuationToken"]
    assert (hops, turns) == (whole, 3)
    foreign = {**prompt("Another prompt"), "continuationToken": token}
    assert generate(upstream.url, foreign, "gemini-4-argon").status == 400


def test_an_image_model_draws(upstream: Simulator) -> None:
    answer = generate(upstream.url, prompt(), "gemini-nano-banana-2.1").json()
    valid(answer)
    assert any(
        part.get("inlineData", {}).get("mimeType") == "image/png"
        for part in answer["candidates"][0]["content"]["parts"]
    )
    assert {"modality": "IMAGE", "tokenCount": 1290} in answer["usageMetadata"]["candidatesTokensDetails"]


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_embeddings(upstream: Simulator, model: str) -> None:
    def values(text: str, **more: Any) -> list[float]:
        body = {"content": {"parts": [{"text": text}]}, **more}
        answer = ask(upstream.url, f"/v1/models/{model}:embedContent", body).json()
        answer.pop("usageMetadata", None)
        return list(valid(answer, google.EmbedContentResponse).embedding.values)

    assert len(values("river")) == 3072
    assert values("river") == values("river") != values("stone")
    assert len(values("river", outputDimensionality=768)) == 768


def test_batch_embeddings_are_in_order(upstream: Simulator) -> None:
    name = "models/gemini-embedding-001"
    requests = [
        {"model": name, "content": {"parts": [{"text": text}]}, "outputDimensionality": 8} for text in "ab"
    ]
    batch = ask(upstream.url, f"/v1/{name}:batchEmbedContents", {"requests": requests}).json()
    valid(batch, google.BatchEmbedContentsResponse)
    single = [ask(upstream.url, f"/v1/{name}:embedContent", one).json()["embedding"] for one in requests]
    assert batch["embeddings"] == single


def test_count_tokens_is_the_prompt_count(upstream: Simulator) -> None:
    counted = ask(upstream.url, "/v1/models/gemini-3.8-flash:countTokens", prompt()).json()
    valid(counted, google.CountTokensResponse)
    assert (
        counted["totalTokens"] == generate(upstream.url, prompt()).json()["usageMetadata"]["promptTokenCount"]
    )


PALM = [
    ("text-bison-001:generateText", {"prompt": {"text": "hi"}}, google.GenerateTextResponse),
    ("text-bison-001:countTextTokens", {"prompt": {"text": "hi"}}, google.CountTextTokensResponse),
    ("embedding-gecko-001:embedText", {"text": "hi"}, google.EmbedTextResponse),
    ("embedding-gecko-001:batchEmbedText", {"texts": ["hi", "ho"]}, google.BatchEmbedTextResponse),
    (
        "chat-bison-001:generateMessage",
        {"prompt": {"messages": [{"content": "hi"}]}},
        google.GenerateMessageResponse,
    ),
    (
        "chat-bison-001:countMessageTokens",
        {"prompt": {"messages": [{"content": "hi"}]}},
        google.CountMessageTokensResponse,
    ),
    (
        "aqa:generateAnswer",
        {"contents": [{"parts": [{"text": "hi"}]}], "answerStyle": "ABSTRACTIVE"},
        google.GenerateAnswerResponse,
    ),
    ("gemini-nano-banana-2.1:predict", {"instances": [{"prompt": "cat"}]}, google.PredictResponse),
]


@pytest.mark.parametrize(("path", "body", "kind"), PALM)
def test_the_old_methods_answer_too(upstream: Simulator, path: str, body: dict[str, Any], kind: Any) -> None:
    answer = ask(upstream.url, f"/v1beta/models/{path}", body)
    assert answer.status == 200, answer.body
    assert valid(answer.json(), kind).ByteSize() > 0
