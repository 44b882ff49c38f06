"""Nothing is passed over in silence: what has no like at Google is named, or refused, at whatever depth it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.errors import Refused
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.reading import Read, read

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "x-odd": 1}}}
FUNCTION = {"name": "f", "description": "d", "strict": True, "parameters": SCHEMA}
CALL = {"id": "c", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}"}}


def asked(door: str, body: dict[str, Any], how: str = "drop") -> Read:
    whole = {"model": "gemini-3.8-flash", **body}
    return read(Door(door, action="create"), {}, json.dumps(whole).encode(), how)


def chat(how: str = "drop", **body: Any) -> Read:
    return asked("chat.completions", {"messages": [{"role": "user", "content": "x"}], **body}, how)


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*messages, {"role": "user", "content": "x"}]}


def told(*items: dict[str, Any]) -> dict[str, Any]:
    return {"input": [*items, {"role": "user", "content": "x"}]}


CACHE = {"cache_control": {"type": "ephemeral"}}
WILD = {"wild": 1}
FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
CHATS: list[tuple[dict[str, Any], str]] = [
    ({"web_search_options": {}}, "web_search_options"),
    ({"audio": {}}, "audio"),
    ({"prediction": {}}, "prediction"),
    ({"prompt_cache_options": {}}, "prompt_cache_options"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"top_logprobs": 3, "logprobs": False}, "top_logprobs"),
    ({"reasoning_effort": "none"}, "reasoning_effort"),
    ({"reasoning_effort": "none", "model": "gemini-2.5-pro"}, "reasoning_effort"),
    (said({"role": "user", "content": "x", "name": "bob"}), "messages[].name"),
    (said({"role": "system", "content": "x", "name": "bob"}), "messages[].name"),
    (said({"role": "assistant", "content": "x", "audio": {"id": "audio_1"}}), "messages[].audio"),
    (
        said({"role": "assistant", "content": "x", "images": [{"image_url": {"url": "data:"}}]}),
        "messages[].images",
    ),
    (said({"role": "user", "content": "x", **CACHE}), "messages[].cache_control"),
    (
        said({"role": "user", "content": [{"type": "text", "text": "x", **CACHE}]}),
        "messages[].content[].cache_control",
    ),
    (
        said(
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:a/b,c", **WILD}}]}
        ),
        "messages[].content[].image_url.wild",
    ),
    (said({"role": "assistant", "tool_calls": [{**CALL, **WILD}]}), "messages[].tool_calls[].wild"),
    (
        said({"role": "assistant", "content": "x", "extra_content": {"other": {"a": 1}}}),
        "messages[].extra_content.other",
    ),
    ({"tools": [{"type": "function", "function": FUNCTION, **CACHE}]}, "tools[].cache_control"),
    ({"tools": [{"type": "function", "function": {**FUNCTION, **WILD}}]}, "tools[].function.wild"),
    (
        {
            "tools": [{"function": FUNCTION}],
            "tool_choice": {"type": "function", "function": {"name": "f", **WILD}},
        },
        "tool_choice.function.wild",
    ),
    (
        {"response_format": {**FORMAT, "json_schema": {"name": "n", "schema": SCHEMA, **WILD}}},
        "response_format.json_schema.wild",
    ),
    ({"response_format": {"type": "json_object", "schema": SCHEMA}}, "response_format.schema"),
    ({"stream_options": WILD}, "stream_options.wild"),
]
RESPONSES: list[tuple[dict[str, Any], str]] = [
    ({"include": ["file_search_call.results"]}, "include"),
    ({"include": ["reasoning.encrypted_content", "wild"], "store": False}, "include"),
    ({"reasoning": {"effort": "none"}}, "reasoning.effort"),
    ({"reasoning": {"mode": "x"}}, "reasoning.mode"),
    ({"service_tier": "scale"}, "service_tier"),
    (told({"role": "user", "content": "x", **CACHE}), "input[].cache_control"),
    (
        told({"role": "user", "content": [{"type": "input_text", "text": "x", **CACHE}]}),
        "input[].content[].cache_control",
    ),
    ({"tools": [{"type": "function", **FUNCTION, "defer_loading": True}]}, "tools[].defer_loading"),
    (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, **WILD}}},
        "text.format.wild",
    ),
]
EACH = [("chat.completions", *one) for one in CHATS] + [("responses", *one) for one in RESPONSES]


def whole(door: str, body: dict[str, Any]) -> dict[str, Any]:
    default = (
        {"messages": [{"role": "user", "content": "x"}]} if door == "chat.completions" else {"input": "x"}
    )
    return default | body


@pytest.mark.parametrize(("door", "body", "name"), EACH, ids=[f"{one[0]}:{one[2]}" for one in EACH])
def test_what_has_no_like_is_named_and_refused_where_the_setting_says_so(
    door: str, body: dict[str, Any], name: str
) -> None:
    for how in ("drop", "send"):
        assert asked(door, whole(door, body), how).dropped == (name,)
    with pytest.raises(Refused) as refused:
        asked(door, whole(door, body), "refuse")
    assert (refused.value.status, refused.value.code) == (400, "UNSUPPORTED_PARAMETER")
    assert f"'{name}'" in refused.value.message


QUIET: list[tuple[str, dict[str, Any]]] = [
    ("chat.completions", {"metadata": {}, "logit_bias": {}, "web_search_options": None, "top_logprobs": 0}),
    ("chat.completions", {"reasoning_effort": "none", "model": "gemini-2.5-flash"}),
    ("chat.completions", {"reasoning_effort": "none", "model": "gemini-3.6-flash"}),
    ("chat.completions", {"tools": [{"type": "function", "function": FUNCTION, "cache_control": None}]}),
    ("chat.completions", {"response_format": FORMAT, "stream_options": {"include_obfuscation": True}}),
    (
        "chat.completions",  # an answer of our own as the SDK writes it down again
        said(
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "reasoning_content": "Hm.",
                "extra_content": {"google": {"thought_signature": "c2ln"}},
                "tool_calls": [CALL],
            },
            {"role": "tool", "tool_call_id": "c", "content": "{}", "name": "f"},
        ),
    ),
    (
        "responses",
        told(
            {
                "type": "reasoning",
                "id": "rs_1",
                "status": None,
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": None,
            },
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x", "annotations": [], "logprobs": []}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "status": "completed",
                "call_id": "c",
                "name": "f",
                "arguments": "{}",
            },
            {"type": "function_call_output", "call_id": "c", "output": "{}", "id": None},
        ),
    ),
    (
        "responses",
        {"tools": [{"type": "function", **FUNCTION}], "stream_options": {"include_obfuscation": False}},
    ),
    ("responses", {"include": ["reasoning.encrypted_content"], "service_tier": "fast"}),
]


@pytest.mark.parametrize(("door", "body"), QUIET)
def test_what_asks_for_nothing_more_is_no_loss(door: str, body: dict[str, Any]) -> None:
    assert asked(door, whole(door, body), "refuse").dropped == ()


WORDS = st.sampled_from(["a", "tools[]", "ü", "null"])
ODD = st.dictionaries(
    WORDS, st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2), max_size=3
)


@given(ODD, ODD, ODD)
def test_members_that_are_taken_out_change_nothing_else(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    def body(*odd: dict[str, Any]) -> dict[str, Any]:
        part = {"type": "text", "text": "x"} | odd[0]
        function = FUNCTION | odd[1]
        return {
            "messages": [{"role": "user", "content": [part]}],
            "tools": [{"type": "function", "function": function}],
            **odd[2],
        }

    plain, wild = chat(**body({}, {}, {})), chat(**body(one, two, three))
    assert wild.pivot({}).body == plain.pivot({}).body
    assert len(wild.dropped) == sum(value is not None for odd in (one, two, three) for value in odd.values())


def test_a_schema_beside_an_unknown_member_goes_byte_for_byte() -> None:
    raw = b'{ "properties":{"a":{}} , "x-odd": [1e2, 12345678901234567890123] }'
    tool = b'{"type":"function","function":{"name":"f","wild":1,"parameters":%b}}' % raw
    body = b' \n{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[%b]}' % tool
    found = read(Door("chat.completions", action="create"), {}, body, "drop")
    assert found.dropped == ("tools[].function.wild",)
    assert raw in found.pivot({}).body


def test_what_is_refused_is_so_in_its_own_words_also_beside_an_unknown_member() -> None:
    for change in ({"temperature": "hot"}, {"tools": [{"type": "mcp", "server_url": "x"}]}):
        with pytest.raises(Refused) as refused:
            chat("refuse", wild=1, **change)
        assert refused.value.code == "INVALID_REQUEST"


def test_a_description_beside_a_schema_goes_into_it() -> None:
    for own, expected in ({}, "beside"), ({"description": "within"}, "within"):
        given = SCHEMA | own
        form = {"name": "n", "schema": given, "description": "beside"}
        found = chat("refuse", response_format={"type": "json_schema", "json_schema": form})
        config = json.loads(found.pivot({}).body)["generationConfig"]
        assert config["responseJsonSchema"] == SCHEMA | {"description": expected}
        text = {"format": {"type": "json_schema", **form}}
        other = asked("responses", {"input": "x", "text": text, "store": False}, "refuse").pivot({})
        config = json.loads(other.body)["generationConfig"]
        assert config["responseJsonSchema"] == SCHEMA | {"description": expected}


def test_a_tier_means_the_same_at_each_door() -> None:
    tiers = []
    for door in ("chat.completions", "responses"):
        pivot = asked(door, whole(door, {"service_tier": "fast", "store": False})).pivot({})
        tiers.append(json.loads(pivot.body)["serviceTier"])
    assert tiers == ["priority", "priority"]
