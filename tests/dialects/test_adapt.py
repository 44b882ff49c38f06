"""A request fitted to another model: what is meant changes, and not one byte beside it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemgate.dialects.gemini import adapt, spans
from gemgate.dialects.gemini.methods import Match, match
from gemgate.dialects.gemini.request import read

SKIP = "skip_thought_signature_validator"


def at(path: str) -> Match:
    found = match("POST", path)
    assert found is not None
    return found


GENERATE = at("/v1/models/old:generateContent")
CHAT = at("/v1beta/openai/chat/completions")
TALK = at("/v1/interactions")


class Slot:
    """A value that a change is about: what stands there before, and after."""

    def __init__(self, before: str, after: str) -> None:
        self.before = before
        self.after = after


def written(value: object, chance: random.Random, after: bool) -> str:
    """JSON with space at random, the same for the same seed; of each slot one of its two values."""
    gap = [chance.choice(["", " ", "\n  ", "\t", "\r\n"]) for _ in range(4)]
    if isinstance(value, Slot):
        return value.after if after else value.before
    if isinstance(value, dict):
        rows = [
            f"{chance.choice(['', ' '])}{json.dumps(name)}{gap[0]}:{gap[1]}{written(inner, chance, after)}"
            for name, inner in value.items()
        ]
        return "{" + gap[2] + f"{gap[3]},".join(rows) + gap[3] + "}"
    if isinstance(value, list):
        return "[" + gap[2] + f"{gap[3]},".join(written(one, chance, after) for one in value) + gap[3] + "]"
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


NASTY = st.text(st.sampled_from('a"\\{}[],:\n é€\u2028 model'), max_size=12)
NAMES = st.one_of(
    st.sampled_from(["model", "thoughtSignature", "thinkingBudget", "parts", "contents", "x"]), NASTY
)
ANYTHING: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-1e9, 1e9), NASTY),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES, inner, max_size=3),
    ),
    max_leaves=10,
)


@st.composite
def around(draw: st.DrawFn, **slots: object) -> dict[str, object]:
    """An object with the slots and random members beside, before and after them."""
    others = draw(st.dictionaries(NASTY.map(lambda name: "x" + name), ANYTHING, max_size=3))
    rows = draw(st.permutations([*slots.items(), *others.items()]))
    return dict(rows)


def check(asked: Match, tree: object, seed: int, model: str, *changes: str) -> None:
    before = written(tree, random.Random(seed), after=False).encode()
    after = written(tree, random.Random(seed), after=True).encode()
    json.loads(before)
    assert adapt.adapt(asked, before, model, changes) == after


@settings(max_examples=25)
@given(st.data(), st.integers(0, 2**32))
def test_only_the_model_changes(data: st.DataObject, seed: int) -> None:
    plain = data.draw(around(model=Slot('"old"', '"new"'), contents=data.draw(ANYTHING)))
    for asked in (CHAT, TALK):
        check(asked, plain, seed, "new", "model")
    full = data.draw(around(model=Slot('"models/old"', '"models/new"'), input=data.draw(ANYTHING)))
    for asked in (GENERATE, CHAT, TALK, at("/v1/cachedContents")):
        check(asked, full, seed, "new", "model")


@settings(max_examples=25)
@given(st.data(), st.integers(0, 2**32))
def test_only_signatures_of_parts_change(data: st.DataObject, seed: int) -> None:
    named = data.draw(st.sampled_from(["thoughtSignature", "thought_signature"]))
    call = {"name": "f", "args": data.draw(ANYTHING)}
    words = data.draw(st.sampled_from([SKIP, "context_engineering_is_the_way_to_go", ""]))
    parts = [
        data.draw(around(**{named: Slot('"Ab+/c=="', f'"{SKIP}"'), "text": "thoughtSignature"})),
        data.draw(around(**{named: Slot('"Ab\\u003d"', f'"{SKIP}"'), "functionCall": call})),
        data.draw(around(**{named: words})),
        data.draw(ANYTHING.filter(lambda one: not (isinstance(one, dict) and "thoughtSignature" in one))),
    ]
    turn = data.draw(around(parts=parts, role="model"))
    check(GENERATE, data.draw(around(contents=[turn, turn])), seed, "m", "signatures")


@settings(max_examples=25)
@given(st.data(), st.integers(0, 2**32))
def test_only_the_setting_of_thinking_changes(data: st.DataObject, seed: int) -> None:
    snake = data.draw(st.booleans())
    level, budget = ("thinking_level", "thinking_budget") if snake else ("thinkingLevel", "thinkingBudget")
    outer, inner = (
        ("generation_config", "thinking_config") if snake else ("generationConfig", "thinkingConfig")
    )

    def body(**settings: object) -> object:
        thinking = data.draw(around(**settings, includeThoughts=True))
        return data.draw(around(contents=[], **{outer: data.draw(around(**{inner: thinking}))}))

    check(GENERATE, body(**{level: Slot('"HIGH"', '"LOW"')}), seed, "m", "thinking:level:low")
    check(GENERATE, body(**{level: Slot('"high"', '"low"')}), seed, "m", "thinking:level:low")
    check(GENERATE, body(**{budget: Slot("-1", "8192")}), seed, "m", "thinking:budget:8192")


def thinking(settings: str) -> bytes:
    return b'{"generationConfig":{ "thinkingConfig" :{%b}, "topK":1 }}' % settings.encode()


@pytest.mark.parametrize(
    ("settings", "change", "left"),
    [
        ('"thinkingBudget" : 0 ', "thinking:level:minimal", '"thinkingLevel" : "MINIMAL" '),
        ('"thinkingLevel": "HIGH"', "thinking:budget:24576", '"thinkingBudget": 24576'),
        ('"thinking_level": "HIGH"', "thinking:budget:24576", '"thinking_budget": 24576'),
        ('"thinkingBudget":-1,"includeThoughts":true', "thinking:drop", '"includeThoughts":true'),
        ('"includeThoughts":true , "thinkingBudget":-1', "thinking:drop", '"includeThoughts":true '),
        ('"thinkingLevel":"LOW", "thinkingBudget":1', "thinking:drop", ""),
        ('"thinkingLevel":"LOW", "a":1, "thinkingBudget":1', "thinking:drop", '"a":1'),
        ('"thinkingBudget":1,"thinkingLevel":"LOW"', "thinking:level:high", '"thinkingLevel":"HIGH"'),
        ('"includeThoughts":true', "thinking:level:low", '"includeThoughts":true'),
        ('"thinkingLevel":"LOW"', "model", '"thinkingLevel":"LOW"'),
    ],
)
def test_levels_and_budgets(settings: str, change: str, left: str) -> None:
    got = adapt.adapt(GENERATE, thinking(settings), "m", (change,))
    assert got == thinking(left)
    json.loads(got)


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({"reasoning_effort": "none"}, "thinking:level:low", {"reasoning_effort": "low"}),
        ({"reasoning_effort": "high"}, "thinking:budget:24576", {"reasoning_effort": "high"}),
        ({"reasoning_effort": "high", "n": 1}, "thinking:drop", {"n": 1}),
        (
            {"extra_body": {"google": {"thinking_config": {"thinking_budget": 5}}}},
            "thinking:level:low",
            {"extra_body": {"google": {"thinking_config": {"thinking_level": "low"}}}},
        ),
        (
            {"google": {"thinking_config": {"thinking_level": "low"}}},
            "thinking:budget:1024",
            {"google": {"thinking_config": {"thinking_budget": 1024}}},
        ),
    ],
)
def test_thinking_in_googles_openai_layer(before: object, change: str, after: object) -> None:
    assert json.loads(adapt.adapt(CHAT, json.dumps(before).encode(), "m", (change,))) == after


def test_thinking_and_signatures_of_interactions() -> None:
    steps = [{"type": "thought", "signature": "Ab=="}, {"type": "model_output", "content": "signature"}]
    body = {"model": "a", "input": steps, "generation_config": {"thinking_level": "high"}}
    changes = ("model", "thinking:level:minimal", "signatures")
    got = json.loads(adapt.adapt(TALK, json.dumps(body).encode(), "b", changes))
    assert got["input"] == [{"type": "thought", "signature": SKIP}, steps[1]]
    assert (got["model"], got["generation_config"]) == ("b", {"thinking_level": "minimal"})


def test_signatures_of_a_chat() -> None:
    extra = {"google": {"thought_signature": "Ab=="}}
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}, "extra_content": extra}
    body = {"model": "a", "messages": [{"role": "assistant", "tool_calls": [call], "extra_content": extra}]}
    got = adapt.adapt(CHAT, json.dumps(body).encode(), "a", ("signatures",))
    assert got == json.dumps(body).encode().replace(b"Ab==", SKIP.encode())
    assert got.count(SKIP.encode()) == 2


def test_every_place_that_names_the_model() -> None:
    old, new = '"models/old"', '"models/new"'
    inner: Any = {"model": Slot(old, new), "contents": [{"model": "models/old"}]}
    check(at("/v1/models/old:countTokens"), {"generateContentRequest": inner}, 1, "new", "model")
    vectors = {"requests": [{"model": Slot(old, new), "content": {}}] * 3}
    check(at("/v1/models/old:batchEmbedContents"), vectors, 2, "new", "model")
    requests = {"requests": {"requests": [{"request": inner}, {"request": inner}]}}
    batch = {"batch": {"model": Slot(old, new), "inputConfig": requests}}
    check(at("/v1/models/old:batchGenerateContent"), batch, 3, "new", "model")
    check(GENERATE, {"model": Slot(old, '"tunedModels/t"')}, 4, "tunedModels/t", "model")
    check(at("/v1/tunedModels"), {"baseModel": Slot(old, new), "displayName": "old"}, 5, "new", "model")
    assert adapt.adapt(GENERATE, rb'{"mod\u0065l":"old"}', "new", ("model",)) == rb'{"mod\u0065l":"new"}'
    check(GENERATE, {"model": 3}, 6, "new", "model")


@pytest.mark.parametrize(
    "body", [b"", b"\x1f\x8b\x08", b"[1]", b"{", b'{"model"', b'{"model":"old"', b"null"]
)
def test_what_is_no_object_stays_as_it_is(body: bytes) -> None:
    changes = ("model", "thinking:drop", "signatures")
    assert adapt.adapt(CHAT, body, "new", changes) == body


@given(st.binary(max_size=60))
def test_nothing_raises(body: bytes) -> None:
    for asked in (GENERATE, CHAT, TALK):
        adapt.adapt(asked, b'{"model":' + body, "new", ("model", "thinking:level:low", "signatures"))


@given(ANYTHING, st.integers(0, 2**32))
def test_members_stand_where_they_are_said_to(value: object, seed: int) -> None:
    body = written({"a": value, "b": [value]}, random.Random(seed), after=False).encode()
    found = spans.members(body, 0)
    assert [member.key for member in found] == ["a", "b"]
    assert [json.loads(body[member.start : member.end]) for member in found] == [value, [value]]


def test_deep_nesting_is_walked_past() -> None:
    body = b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b',"model":"old"}'
    assert adapt.adapt(CHAT, body, "new", ("model",)).endswith(b',"model":"new"}')


@pytest.mark.parametrize(
    ("raw", "new", "left"),
    [
        ("/v1/models/old:generateContent", "new-1.5", "/v1/models/new-1.5:generateContent"),
        ("/v1beta/models/models/old:countTokens", "new", "/v1beta/models/new:countTokens"),
        ("//v1//models/old%3AgenerateContent", "new", "//v1//models/new%3AgenerateContent"),
        ("/v1/models//old:countTokens", "new", "/v1/models/new:countTokens"),
        ("/v1/models%2Fold%3AgenerateContent", "new", "/v1/models/new:generateContent"),
        ("/v1/models/old:generateContent", "tunedModels/t", "/v1/tunedModels/t:generateContent"),
        ("/v1/models/older:generateContent", "new", "/v1/models/older:generateContent"),
        ("/v1/models/old", "new", "/v1/models/new"),
    ],
)
def test_paths(raw: str, new: str, left: str) -> None:
    assert adapt.path(raw, "old", new) == left


def test_a_tuned_model_gives_way_to_a_plain_one() -> None:
    raw = "/v1/tunedModels/t-1:generateContent"
    found = at(raw)
    assert adapt.path(raw, found.model, "g") == "/v1/models/g:generateContent"


@given(st.from_regex(r"[a-z][a-z0-9.\-]{0,20}", fullmatch=True), st.sampled_from(["countTokens", "predict"]))
def test_the_changed_path_means_the_new_model(model: str, action: str) -> None:
    raw = f"/v1/models/gemini-2.5-pro:{action}"
    found = at(adapt.path(raw, at(raw).model, model))
    assert (found.model, found.method) == (model, f"models.{action}")


def test_an_adapted_request_reads_as_one_of_the_other_model() -> None:
    body = b'{"model":"a","input":"x","generation_config":{"thinking_level":"high"},"stream":true}'
    asked = read(TALK, {}, adapt.adapt(TALK, body, "b", ("model", "thinking:level:low")), {})
    assert (asked.model, asked.shape.thinking) == ("b", "level:low")
