"""The page of OpenAI's door says what the code does: each parameter, each finish reason, each type of error."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from gemgate.core.errors import Refused
from gemgate.dialects.openai import answered, doors, embeddings, errors, reading
from gemgate.dialects.openai.bodies import Chat
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.effort import EFFORTS
from gemgate.dialects.openai.responses import form

PAGE = (Path(__file__).parents[3] / "docs" / "openai.md").read_text("utf-8")
MESSAGES = [{"role": "user", "content": "x"}]
FUNCTION = {"type": "function", "function": {"name": "f"}}
# A value of each parameter that asks for something.
CHAT: dict[str, Any] = {
    "messages": MESSAGES,
    "model": "gemini-3.8-flash",
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "n": 2,
    "stop": ["x"],
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "seed": 7,
    "tools": [FUNCTION],
    "tool_choice": "required",
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 2,
    "service_tier": "flex",
    "modalities": ["text", "image"],
    "user": "ann",
    "safety_identifier": "ann",
    "google": {"cached_content": "cachedContents/x"},
    "extra_body": {"google": {"thinking_config": {"thinking_budget": 5}}},
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "parallel_tool_calls": False,
    "store": True,
    "audio": {"voice": "x", "format": "wav"},
    "logit_bias": {"1": 1},
    "metadata": {"a": "b"},
    "moderation": {"model": "x"},
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
    "prompt_cache_key": "x",
    "prompt_cache_options": {"x": 1},
    "prompt_cache_retention": "24h",
    "functions": [{"name": "f"}],
    "function_call": "auto",
}
RESPONSES: dict[str, Any] = {
    "input": "x",
    "model": "gemini-3.8-flash",
    "instructions": "x",
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "temperature": 0.5,
    "top_p": 0.5,
    "max_output_tokens": 5,
    "store": False,
    "previous_response_id": "resp_v1_x",
    "background": True,
    "tools": [{"type": "function", "name": "f"}],
    "tool_choice": "required",
    "text": {"format": {"type": "json_object"}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "top_logprobs": 2,
    "service_tier": "flex",
    "user": "ann",
    "safety_identifier": "ann",
    "parallel_tool_calls": False,
    "truncation": "auto",
    "metadata": {"a": "b"},
    "access_programs": {"x": 1},
    "background_options": {"x": 1},
    "context_management": [{"type": "compaction"}],
    "image": {"x": 1},
    "max_tool_calls": 3,
    "moderation": {"model": "x"},
    "prompt_cache_key": "x",
    "prompt_cache_options": {"x": 1},
    "prompt_cache_retention": "24h",
    "prompt": {"id": "pmpt_x"},
    "conversation": "conv_x",
}
EMBEDDINGS: dict[str, Any] = {
    "model": "gemini-embedding-001",
    "input": ["x"],
    "dimensions": 5,
    "encoding_format": "base64",
    "user": "ann",
}
# What a parameter needs beside it to mean anything.
WITH: dict[str, tuple[str, ...]] = {
    "parallel_tool_calls": ("tools",),
    "tool_choice": ("tools",),
    "top_logprobs": ("logprobs", "store"),
}


def table(heading: str) -> list[list[str]]:
    """The rows of the last table under a heading of the page, without its head."""
    (part,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    marks = [at for at, row in enumerate(rows) if set(row[0]) <= {"-"}]
    return [[cell.strip() for cell in row] for row in rows[marks[-1] + 1 :]]


def words(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def told(heading: str) -> dict[str, str]:
    """Each parameter with what the page says of it."""
    return {name: row[1] for row in table(heading) for name in words(row[0])}


def left_out(door: str, body: dict[str, Any], how: str = "drop") -> tuple[str, ...]:
    """What a request lost on its way."""
    return reading.read(Door(door, action="create"), {}, json.dumps(body).encode(), how).dropped


def found(door: str, known: dict[str, Any], name: str) -> str:
    """What the code does with a parameter, in the words of the page."""
    names = {"messages", "input", "model", name, *WITH.get(name, ())}
    body = {one: known[one] for one in known if one in names}
    try:
        dropped = left_out(door, body)
    except Refused as refused:
        return "refused" if refused.code == "INVALID_REQUEST" else refused.code
    if name not in dropped:
        return "translated"
    with pytest.raises(Refused) as caught:
        left_out(door, body, "refuse")
    assert caught.value.code == "UNSUPPORTED_PARAMETER"
    return "left out" if name in left_out(door, body, "send") else "sent on demand"


DOORS = (
    (doors.CHAT, "Parameters of chat completions", CHAT),
    (doors.RESPONSES, "Parameters of responses", RESPONSES),
    (doors.EMBEDDINGS, "Embeddings", EMBEDDINGS),
)


@pytest.mark.parametrize(
    ("door", "heading", "known", "name"),
    [(door, heading, known, name) for door, heading, known in DOORS for name in known],
    ids=[f"{door}:{name}" for door, _, known in DOORS for name in known],
)
def test_the_page_says_what_becomes_of_a_parameter(
    door: str, heading: str, known: dict[str, Any], name: str
) -> None:
    assert told(heading)[name] == found(door, known, name)


def test_the_page_has_all_parameters_of_openais_sdk_and_no_others() -> None:
    chat, responses = completion_create_params, response_create_params
    theirs = {*chat.CompletionCreateParamsBase.__annotations__, "stream"}
    assert set(told("Parameters of chat completions")) == {*theirs, *Chat.__struct_fields__}
    assert set(told("Parameters of responses")) == {
        *responses.ResponseCreateParamsBase.__annotations__,
        "stream",
    }
    assert set(told("Embeddings")) == set(embedding_create_params.EmbeddingCreateParams.__annotations__)
    assert [set(known) for _, _, known in DOORS] == [set(told(heading)) for _, heading, _ in DOORS]


@pytest.mark.parametrize("row", table("Finish reasons"), ids=lambda row: str(words(row[0])[0]))
def test_the_page_says_how_answers_end(row: list[str]) -> None:
    for reason in words(row[0]):
        assert answered.finish(reason, called=False) == words(row[1])[0]
        assert answered.finish(reason, called=True) == words(row[1])[-1]
        ending = form.ended(reason, "")
        why = ending.incomplete or ending.error[0]
        assert row[2] == ending.status + (f" ({why})" if why else "")


def test_the_page_says_the_type_of_each_status() -> None:
    rows = {int(number): words(row[1])[0] for row in table("Errors") for number in re.findall(r"\d+", row[0])}
    assert {status: errors.kind(status) for status in rows} == rows
    assert {400, 401, 402, 403, 404, 413, 429, 500} <= set(rows)


def test_the_page_says_how_much_effort_is() -> None:
    efforts = {
        name: int(row[1].replace(",", "")) for row in table("Reasoning effort") for name in words(row[0])
    }
    assert tuple(efforts) == EFFORTS
    for effort, budget in efforts.items():
        body = {"model": "gemini-2.5-flash", "messages": MESSAGES, "reasoning_effort": effort}
        read = reading.read(Door(doors.CHAT, action="create"), {}, json.dumps(body).encode(), "drop")
        config = json.loads(read.pivot({}).body)["generationConfig"]["thinkingConfig"]
        assert config == {"thinkingBudget": budget}


def test_the_page_says_how_many_texts_are_taken() -> None:
    (part,) = re.findall(r"^## Embeddings\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    assert f"{embeddings.MOST:,}" in part
