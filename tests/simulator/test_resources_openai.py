"""Google's OpenAI layer, byte by byte where it differs from OpenAI's own."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.client import Answer, ask, generate, prompt
from tests.simulator.launch import Simulator

ROOT = "/v1beta/openai"
MODEL = "gemini-3.8-flash"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator("--instant") as running:
        yield running


def call(simulator: Simulator, path: str, body: Any = None, verb: str = "", **headers: str) -> Answer:
    """As OpenAI's SDKs call: the key is a bearer token."""
    bearer = {"authorization": "Bearer AIzaOpenAiLayer", **headers}
    return ask(simulator.url, ROOT + path, body, verb, bearer, key="")


def chat(simulator: Simulator, text: str = "Tell me about rivers.", **more: Any) -> Answer:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}
    return call(simulator, "/chat/completions", body)


def chunks(answer: Answer) -> list[dict[str, Any]]:
    lines = [line for line in answer.body.decode().split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def error_of(answer: Answer) -> dict[str, Any]:
    """The error in the array of one that this layer wraps it in."""
    (wrapped,) = answer.json()
    found: dict[str, Any] = wrapped["error"]
    return found


def test_a_completion_says_what_generate_content_says(simulator: Simulator) -> None:
    answer = chat(simulator).json()
    (choice,) = answer["choices"]
    assert answer["object"] == "chat.completion"
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == generate(simulator.url, prompt()).text()
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream_repeats_usage_and_ends_with_done(simulator: Simulator) -> None:
    whole = chat(simulator).json()
    streamed = chunks(chat(simulator, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed)
    assert text == whole["choices"][0]["message"]["content"]
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"
    assert all("usage" in chunk for chunk in streamed)
    assert streamed[-1]["usage"] == whole["usage"]
    assert not any("usage" in chunk for chunk in chunks(chat(simulator, stream=True)))


def test_tool_calls_have_no_index_in_a_stream_and_end_with_stop(simulator: Simulator) -> None:
    asked = "What is the weather in Paris?"
    streamed = chunks(chat(simulator, asked, tools=[WEATHER], stream=True))
    calls = [one for chunk in streamed for one in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert calls
    assert all("index" not in one for one in calls)
    assert "city" in json.loads(calls[0]["function"]["arguments"])
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"
    whole = chat(simulator, asked, tools=[WEATHER]).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["tool_calls"][0]["extra_content"]["google"]["thought_signature"]


def test_a_signature_must_come_back(simulator: Simulator) -> None:
    question = {"role": "user", "content": "What is the weather in Paris?"}
    said = chat(simulator, question["content"], tools=[WEATHER]).json()["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": one["id"], "content": '{"sky": "clear"}'}
        for one in said["tool_calls"]
    ]
    body = {"model": MODEL, "tools": [WEATHER], "messages": [question, said, *results]}
    done = call(simulator, "/chat/completions", body).json()
    assert done["choices"][0]["message"]["content"]
    bare = [
        {name: value for name, value in one.items() if name != "extra_content"} for one in said["tool_calls"]
    ]
    body["messages"] = [question, {**said, "tool_calls": bare}, *results]
    refused = call(simulator, "/chat/completions", body)
    assert refused.status == 400
    assert "thought_signature" in error_of(refused)["message"]


def test_thoughts_stand_between_tags(simulator: Simulator) -> None:
    extra = {"google": {"thinking_config": {"include_thoughts": True}}}
    streamed = chunks(chat(simulator, stream=True, extra_body=extra))
    marked = [
        chunk["choices"][0]["delta"] for chunk in streamed if "extra_content" in chunk["choices"][0]["delta"]
    ]
    assert marked
    for delta in marked:
        assert delta["extra_content"] == {"google": {"thought": True}}
        assert delta["content"].startswith("<thought>")
        assert delta["content"].endswith("</thought>")


def test_json_and_limits(simulator: Simulator) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    answer = chat(simulator, response_format=form).json()
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["name"], str)
    short = chat(simulator, max_tokens=3).json()
    assert short["choices"][0]["finish_reason"] == "length"
    assert [choice["index"] for choice in chat(simulator, n=2).json()["choices"]] == [0, 1]


def test_pictures_and_sound_go_in(simulator: Simulator) -> None:
    data = base64.b64encode(b"x" * 64_000).decode()
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]
    plain = chat(simulator, "What is this?").json()["usage"]["prompt_tokens"]
    body = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
    full = call(simulator, "/chat/completions", body).json()["usage"]["prompt_tokens"]
    assert full > plain + 258


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"frequency_penalty": 1}, 400),
        ({"seed": 1}, 400),
        ({"model": "gpt-4o"}, 404),
        ({"messages": []}, 400),
        ({"messages": [{"role": "nobody", "content": "x"}]}, 400),
        ({"reasoning_effort": "none"}, 400),
        (
            {
                "reasoning_effort": "low",
                "extra_body": {"google": {"thinking_config": {"thinking_level": "low"}}},
            },
            400,
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}, 400),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_come_in_an_array_of_one(
    simulator: Simulator, more: dict[str, Any], status: int, stream: bool
) -> None:
    answer = chat(simulator, stream=stream, **more)
    assert answer.status == status
    assert error_of(answer)["code"] == status


def test_thinking_is_switched_off_where_it_can_be(simulator: Simulator) -> None:
    body = {"model": "gemini-2.5-flash-lite", "messages": [{"role": "user", "content": "x"}]}
    none = call(simulator, "/chat/completions", {**body, "reasoning_effort": "none"}).json()
    assert "completion_tokens_details" not in none["usage"]
    high = call(simulator, "/chat/completions", {**body, "reasoning_effort": "high"}).json()
    assert high["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_embeddings_as_floats_and_as_base64(simulator: Simulator) -> None:
    body = {"model": "gemini-embedding-001", "input": ["one", "two"], "dimensions": 64}
    floats = [item["embedding"] for item in call(simulator, "/embeddings", body).json()["data"]]
    packed = call(simulator, "/embeddings", {**body, "encoding_format": "base64"}).json()["data"]
    for values, item in zip(floats, packed, strict=True):
        found = struct.unpack("<64f", base64.b64decode(item["embedding"]))
        assert found == pytest.approx(values, abs=1e-6)
    assert call(simulator, "/embeddings", {**body, "input": []}).status == 400


def test_models_have_their_prefix(simulator: Simulator) -> None:
    listed = call(simulator, "/models").json()["data"]
    assert all(item["id"].startswith("models/") for item in listed)
    one = call(simulator, f"/models/models/{MODEL}").json()
    assert one == call(simulator, f"/models/{MODEL}").json()
    assert one in listed
    assert call(simulator, "/models/gpt-4o").status == 404


def test_images(simulator: Simulator) -> None:
    body = {"model": "gemini-3.1-flash-image", "prompt": "A sea", "n": 2, "quality": "ignored"}
    data = call(simulator, "/images/generations", body).json()["data"]
    assert len(data) == 2
    assert base64.b64decode(data[0]["b64_json"]).startswith(b"\x89PNG")
    assert call(simulator, "/images/generations", {"prompt": "A sea", "model": MODEL}).status == 400


def test_a_video_from_a_form(simulator: Simulator) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nA sea\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    begun = call(simulator, "/videos", form, "POST", **headers).json()
    done = call(simulator, f"/videos/{begun['id']}").json()
    assert done["status"] == "completed"
    path = done["url"].removeprefix("https://generativelanguage.googleapis.com")
    assert ask(simulator.url, path, key="AIzaOpenAiLayer").body[4:8] == b"ftyp"
    assert call(simulator, "/videos/none").status == 404


def test_a_batch_of_chats(simulator: Simulator) -> None:
    bodies = [{"model": MODEL, "messages": [{"role": "user", "content": text}]} for text in ("a", "b")]
    bodies.append({"model": "gpt-4o", "messages": [{"role": "user", "content": "c"}]})
    lines = [
        json.dumps({"custom_id": f"c{at}", "method": "POST", "url": "/v1/chat/completions", "body": body})
        for at, body in enumerate(bodies)
    ]
    headers = {"x-goog-upload-protocol": "raw", "content-type": "application/jsonl"}
    key = "AIzaOpenAiLayer"
    source = ask(simulator.url, "/upload/v1beta/files", "\n".join(lines).encode(), "POST", headers, key=key)
    body = {"input_file_id": source.json()["file"]["name"], "endpoint": "/v1/chat/completions"}
    begun = call(simulator, "/batches", {**body, "completion_window": "24h"}).json()
    assert begun["status"] == "validating"
    done = call(simulator, f"/batches/{begun['id']}").json()
    assert done["status"] == "completed"
    assert done["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    found = ask(simulator.url, f"/v1beta/{done['output_file_id']}:download?alt=media", key=key)
    results = [json.loads(line) for line in found.body.splitlines()]
    assert [(line["custom_id"], line["response"]["status_code"]) for line in results] == [
        ("c0", 200),
        ("c1", 200),
        ("c2", 404),
    ]
    assert call(simulator, "/batches/none").status == 404
