"""Requests for chat completions as calls of Google's: golden cases, refusals, and laws."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.errors import Refused
from gemgate.dialects.gemini import methods, request
from gemgate.dialects.gemini.signatures import SKIP
from gemgate.dialects.openai import effort, schema
from gemgate.dialects.openai.parameters import Leftovers
from gemgate.dialects.openai.pivot import Signature, model_path
from gemgate.dialects.openai.reading import Read, read

from .cases import CHAT, cases


def asked(body: Any, unsupported: str = "drop") -> Read:
    return read(CHAT, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), unsupported)


def sent(body: Any, signatures: dict[str, Signature] | None = None) -> Any:
    return json.loads(asked(body).pivot(signatures or {}).body)


def hello(**more: Any) -> dict[str, Any]:
    return {"model": "gemini-3.6-flash", "messages": [{"role": "user", "content": "Hi"}]} | more


@pytest.mark.parametrize("case", cases("request"), ids=lambda case: case["name"])
def test_a_request_becomes_googles(case: Any) -> None:
    found = asked(case["request"], case.get("unsupported", "drop"))
    kept = {name: Signature(*given) for name, given in case.get("signatures", {}).items()}
    pivot = found.pivot(kept)
    assert pivot.verb == "POST"
    body = json.loads(pivot.body)
    assert {"path": pivot.path, "query": pivot.query, "body": body} == case["gemini"]
    assert list(found.dropped) == case.get("dropped", [])
    assert list(found.call_ids) == case.get("call_ids", [])
    assert (found.user, found.tags) == (case.get("user", ""), ())
    assert found.model == case["request"]["model"].removeprefix("models/")
    assert found.pivot(kept).body == pivot.body


@pytest.mark.parametrize("case", cases("request"), ids=lambda case: case["name"])
def test_what_leaves_is_an_ordinary_call_of_googles(case: Any) -> None:
    pivot = asked(case["request"], case.get("unsupported", "drop")).pivot(
        {name: Signature(*given) for name, given in case.get("signatures", {}).items()}
    )
    match = methods.match(pivot.verb, pivot.path)
    assert match is not None
    assert match.method in (
        "models.generateContent",
        "models.streamGenerateContent",
        "tunedModels.generateContent",
    )
    seen = request.read(match, {"alt": "sse"} if pivot.query else {}, pivot.body, {})
    assert seen.model == case["request"]["model"].removeprefix("models/")
    assert seen.shape.turns == len(case["gemini"]["body"]["contents"])
    assert match.streaming == bool(case["request"].get("stream"))


PART = [{"type": "text", "text": "a"}]
CALLS = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": ""}, "model"),
        ({"model": "models/"}, "model"),
        ({"model": 5}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "function", "name": "f", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "rumour"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [*PART, {"type": "image_url"}]}]},
            "messages[0].content[1].image_url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "cat.png"}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": "data:;base64,AA"}]}
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "x"}}],
                    }
                ]
            },
            "messages[0].content[0].input_audio.format",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            "messages[0].content[0].file.file_id",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages[0].content[0].file",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": "data:a/b,c"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[0].function_call",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]},
            "messages[0].tool_calls[0].type",
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "["}}],
                    }
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "tool_call_id": "z", "content": "a"}]}, "messages[0].tool_call_id"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 1.5}, "n"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f"}}], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [{"function": {"name": "f"}}], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        (
            {"reasoning_effort": "low", "google": {"thinking_config": {"thinking_budget": 1}}},
            "reasoning_effort",
        ),
        ({"extra_body": {"google": 5}}, "extra_body.google"),
        ({"google": {"thinking_config": {"depth": 1}}}, "google.thinking_config"),
        ({"google": {"cached_content": 1}}, "google.cached_content"),
        ({"stop": 5}, "stop"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_its_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(hello(**change)).pivot({})
    assert (refused.value.status, refused.value.code) == (400, "INVALID_REQUEST")
    assert refused.value.message.startswith(f"Invalid '{field}': ")
    assert not refused.value.retryable


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"model": "m"}', b"[" * 5000])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        asked(body)
    assert refused.value.code == "INVALID_REQUEST"


@pytest.mark.parametrize("name", ["logit_bias", "presence_penalty", "store", "nobodys_own"])
def test_parameters_without_a_like_are_refused_where_the_setting_says_so(name: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(hello(**{name: 1 if name != "store" else True}), "refuse")
    assert (refused.value.code, refused.value.status) == ("UNSUPPORTED_PARAMETER", 400)
    assert f"'{name}'" in refused.value.message


@pytest.mark.parametrize("unsupported", ["drop", "refuse", "send"])
def test_a_parameter_that_says_nothing_is_not_missed(unsupported: str) -> None:
    quiet = hello(
        logit_bias=None,
        metadata={},
        store=False,
        presence_penalty=0,
        parallel_tool_calls=False,
        foo=None,
        stream=None,
        stop=None,
        stream_options=None,
        tools=None,
        tool_choice=None,
        response_format={"type": "text"},
    )
    found = asked(quiet, unsupported)
    assert found.dropped == ()
    assert found.pivot({}).body == asked(hello()).pivot({}).body


def test_names_that_clients_invent_can_stand_in_a_header() -> None:
    names = {f"x{at}": 1 for at in range(100)} | {"a\r\nset-cookie: b": 1, "ü" * 500: 2}
    leftovers = Leftovers("drop")
    for name in ("a\r\nset-cookie: b", "ü" * 500, *names):
        leftovers.note(name)
    assert leftovers.names[:2] == ("a??set-cookie??b", "?" * 64)
    assert len(leftovers.names) == len(asked(hello(**names)).dropped) == 32


@pytest.mark.parametrize(
    ("model", "word", "expected"),
    [
        ("gemini-2.5-flash", "none", ("thinkingBudget", 0)),
        ("gemini-2.5-flash", "minimal", ("thinkingBudget", 1024)),
        ("gemini-2.5-flash", "low", ("thinkingBudget", 1024)),
        ("gemini-2.5-flash", "medium", ("thinkingBudget", 8192)),
        ("gemini-2.5-flash", "high", ("thinkingBudget", 24576)),
        ("gemini-2.5-flash", "xhigh", ("thinkingBudget", 24576)),
        ("gemini-2.5-pro", "none", None),
        ("gemini-3.6-flash", "minimal", ("thinkingLevel", "MINIMAL")),
        ("gemini-3.1-pro-preview", "minimal", ("thinkingLevel", "LOW")),
        ("gemini-4-argon", "xhigh", ("thinkingLevel", "HIGH")),
        ("gemini-4-hydrogen", "max", ("thinkingLevel", "XHIGH")),
        ("gemini-2.0-flash", "high", None),
        ("gemini-2.5-flash-image", "high", None),
        ("gemma-4-31b-it", "high", None),
        ("gemini-3-pro-preview", "none", ("thinkingLevel", "LOW")),
        ("gemini-2.5-flash-preview-01-2031", "low", ("thinkingBudget", 1024)),
        ("gemini-9-quark", "medium", ("thinkingLevel", "MEDIUM")),
        ("fast", "none", ("thinkingBudget", 0)),
        ("fast", "xhigh", ("thinkingLevel", "XHIGH")),
    ],
)
def test_an_effort_becomes_what_the_model_takes(model: str, word: str, expected: Any) -> None:
    assert effort.thinking(model, word) == expected


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3.6-flash", "/v1beta/models/gemini-3.6-flash:generateContent"),
        ("models/x", "/v1beta/models/x:generateContent"),
        ("tunedModels/x y", "/v1beta/tunedModels/x%20y:generateContent"),
        ("team/fast", "/v1beta/models/team%2Ffast:generateContent"),
        ("../files", "/v1beta/models/..%2Ffiles:generateContent"),
    ],
)
def test_a_model_stays_one_word_of_the_path(model: str, path: str) -> None:
    assert model_path(model, "generateContent") == path


def test_a_schema_goes_byte_for_byte_unless_a_constant_is_in_it() -> None:
    raw = '{ "type":"object" , "additionalProperties" : false, "x-odd": [1e2] }'
    head = b'{"model":"m","messages":[{"role":"user","content":"a"}],"response_format":'
    body = head + b'{"type":"json_schema","json_schema":{"name":"n","schema":' + raw.encode() + b"}}}"
    assert raw.encode() in asked(body).pivot({}).body


@given(st.text(max_size=20), st.sampled_from(["{}", "[1]", '{"a": 1.0, "b": 12345678901234567890123}']))
def test_what_a_tool_said_reaches_the_model(text: str, data: str) -> None:
    messages = [{"role": "assistant", "tool_calls": CALLS}]
    for said in (text, data):
        body = hello(messages=[*messages, {"role": "tool", "tool_call_id": "a", "content": said}])
        response = sent(body)["contents"][-1]["parts"][0]["functionResponse"]["response"]
        try:
            meant = json.loads(said)
        except ValueError:
            meant = None
        assert response == (
            meant if isinstance(meant, dict) else {"result": meant if isinstance(meant, list) else said}
        )


turns = st.lists(
    st.tuples(st.integers(1, 4), st.randoms(use_true_random=False), st.booleans(), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(turns, st.sets(st.integers(0, 15)))
def test_each_turn_of_calls_is_answered_in_its_order_and_signed(turns: Any, known: set[int]) -> None:
    """Google's laws: as many responses as calls, in their order, with their ids; a signature in each turn."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
    kept: dict[str, Signature] = {}
    made = 0
    for count, luck, twice, talk in turns:
        ids = [str(made + at) for at in range(count)]
        names = ["same" if twice else f"f{one}" for one in ids]
        calls = [
            {"id": one, "type": "function", "function": {"name": name, "arguments": json.dumps({"of": one})}}
            for one, name in zip(ids, names, strict=True)
        ]
        messages.append({"role": "assistant", "content": "So." if talk else None, "tool_calls": calls})
        kept |= {one: Signature(f"c2ln{one}", f"g{one}", "x") for one in ids if int(one) in known}
        answers = [{"role": "tool", "tool_call_id": one, "content": json.dumps({"of": one})} for one in ids]
        luck.shuffle(answers)
        messages += answers
        made += count
    contents = sent(hello(messages=messages), kept)["contents"]
    assert [content["role"] for content in contents] == ["user"] + ["model", "user"] * len(turns)
    for said, heard in zip(contents[1::2], contents[2::2], strict=True):
        called = [part for part in said["parts"] if "functionCall" in part]
        responses = [part["functionResponse"] for part in heard["parts"]]
        assert [call["functionCall"]["args"] for call in called] == [one["response"] for one in responses]
        for call, response in zip(called, responses, strict=True):
            assert call["functionCall"]["name"] == response["name"]
            assert call["functionCall"].get("id") == response.get("id")
            number = call["functionCall"]["args"]["of"]
            assert call["functionCall"].get("id") == (f"g{number}" if number in kept else None)
        texts = [call.get("thoughtSignature") for call in called]
        if any(call["functionCall"]["args"]["of"] in kept for call in called):
            assert SKIP not in texts
        else:
            assert texts == [SKIP] + [None] * (len(called) - 1)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "messages",
    "tools",
    "tool_choice",
    "response_format",
    "stop",
    "google",
    "extra_body",
    "n",
    "seed",
    "modalities",
    "stream_options",
    "logit_bias",
    "functions",
    "reasoning_effort",
    "service_tier",
    "user",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3), json_values)
def test_nothing_but_a_refusal_comes_of_odd_requests(change: dict[str, Any], content: Any) -> None:
    for body in (hello(**change), hello(messages=[{"role": "user", "content": content}]), content):
        try:
            asked(body).pivot({})
        except Refused as fault:
            refused = fault
        else:
            continue
        assert refused.status == 400


@given(json_values)
def test_no_schema_is_too_odd(value: Any) -> None:
    body = hello(tools=[{"type": "function", "function": {"name": "f", "parameters": value}}])
    declared = sent(body)["tools"][0]["functionDeclarations"][0]
    assert declared["name"] == "f"


@given(
    st.recursive(
        st.sampled_from([{"const": "a"}, {"type": "string"}, {"enum": [{"const": 1}]}]),
        lambda inner: st.builds(
            lambda name, one: {"properties": {name: one}, "anyOf": [one]},
            st.sampled_from(["const", "x"]),
            inner,
        ),
        max_leaves=6,
    )
)
def test_a_constant_becomes_an_enum_of_one_and_names_stay(value: dict[str, Any]) -> None:
    def expected(one: Any) -> Any:
        if "properties" in one:
            return {
                "properties": {name: expected(inner) for name, inner in one["properties"].items()},
                "anyOf": [expected(inner) for inner in one["anyOf"]],
            }
        return {"enum": [one["const"]]} if "const" in one else one

    body = hello(response_format={"type": "json_schema", "json_schema": {"schema": value}})
    assert sent(body)["generationConfig"]["responseJsonSchema"] == expected(value)


def test_parameters_that_say_nothing_are_left_out() -> None:
    def empty(text: str) -> bool:
        return schema.is_empty(msgspec.Raw(text.encode()))

    assert all(map(empty, ["", "null", "{}", '{"type":"object"}', '{"type":"object","properties":{}}']))
    assert not any(map(empty, ['{"$ref":"#/a"}', '{"properties":{"a":{}}}', '{"type":"string"}', "5", "[]"]))
