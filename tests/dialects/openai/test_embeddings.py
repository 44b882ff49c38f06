"""Embeddings at OpenAI's door: Google's batch there, OpenAI's vectors back."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from gemgate.core.errors import Refused
from gemgate.dialects.gemini import methods, request
from gemgate.dialects.openai import embeddings
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.pivot import Pivot, Read, Rendering

CASES = Path(__file__).parents[2] / "cases" / "openai" / "embeddings"
DOOR = Door("embeddings", action="create")
MODEL = "gemini-embedding-001"
NUMBER = st.floats(width=32, allow_nan=False, allow_infinity=False)


def asked(unsupported: str = "drop", **body: Any) -> Read:
    whole = {"model": MODEL, "input": "x", **body}
    return embeddings.read(DOOR, {}, json.dumps(whole).encode(), unsupported)


def back(pivot: Pivot, model: str = MODEL) -> Rendering:
    return pivot.rendering(b"\0" * 16, model, 1_790_000_000)


@pytest.mark.parametrize("file", sorted(CASES.glob("*.json")), ids=lambda file: file.stem)
def test_a_case(file: Path) -> None:
    case = json.loads(file.read_text(encoding="utf-8"))
    read = embeddings.read(DOOR, {}, json.dumps(case["asked"]).encode(), "drop")
    assert (read.user, list(read.dropped)) == (case.get("user", ""), case.get("dropped", []))
    assert (read.call_ids, read.tags) == ((), ())
    pivot = read.pivot({})
    assert (pivot.verb, pivot.path, pivot.query) == ("POST", case["google"]["path"], "")
    assert json.loads(pivot.body) == case["google"]["body"]
    rendering = back(pivot, read.model)
    answer = json.loads(rendering.whole(json.dumps(case["google_answer"], indent=2).encode()))
    assert answer == case["answer"]
    if case["asked"].get("encoding_format") != "base64":  # the SDK's type is that of the vectors it unpacks
        CreateEmbeddingResponse.model_validate(answer)
    assert (rendering.media, rendering.kept) == ("application/json", ())


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"input": [1, 2, 3]}, "token numbers"),
        ({"input": [[1, 2], [3]]}, "token numbers"),
        ({"input": []}, "1 to 2048"),
        ({"input": ["x"] * 2049}, "1 to 2048"),
        ({"input": ""}, "'input': it is empty"),
        ({"input": ["x", ""]}, "'input[1]': it is empty"),
        ({"input": ["x", None]}, "'input[1]'"),
        ({"input": {"text": "x"}}, "'input'"),
        ({"input": None}, "'input'"),
        ({"model": ""}, "'model'"),
        ({"model": None}, "'model'"),
        ({"dimensions": 0}, "'dimensions'"),
        ({"dimensions": "many"}, "'dimensions'"),
        ({"encoding_format": "int8"}, "'encoding_format'"),
        ({"user": 7}, "'user'"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_its_name(body: dict[str, Any], word: str) -> None:
    with pytest.raises(Refused) as caught:
        asked(**body)
    assert (caught.value.status, caught.value.code) == (400, "INVALID_REQUEST")
    assert word in caught.value.message


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"model": "m"}', b'{"input": "x"}', b'{"model": "m", "input": "\xff"}']
)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        embeddings.read(DOOR, {}, raw, "drop")
    assert caught.value.status == 400


def test_a_foreign_parameter_is_refused_where_the_setting_says_so() -> None:
    with pytest.raises(Refused) as caught:
        asked("refuse", input_type="query")
    assert (caught.value.status, caught.value.code) == (400, "UNSUPPORTED_PARAMETER")
    assert asked("refuse", dimensions=8, user="ann", encoding_format="float").dropped == ()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"embeddings": [{"values": ["a"]}, {"values": [1]}]}',
        b'{"embeddings": [{"values": [1]}]}',
        b'{"embeddings": [{"values": [1e60]}, {"values": [1]}]}',
        b"{}",
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_vectors(answer: bytes) -> None:
    rendering = back(asked(input=["a", "b"], encoding_format="base64").pivot({}))
    with pytest.raises(Refused) as caught:
        rendering.whole(answer)
    assert (caught.value.status, caught.value.code) == (502, "UNREADABLE_ANSWER")


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_each_form_holds_every_number_in_order(vectors: list[list[float]]) -> None:
    google = json.dumps({"embeddings": [{"values": one} for one in vectors]}).encode()
    texts = [str(at) for at in range(len(vectors))]
    for form in ("float", "base64"):
        pivot = asked(input=texts, encoding_format=form).pivot({})
        data = msgspec.json.decode(back(pivot).whole(google))["data"]
        assert [one["index"] for one in data] == list(range(len(vectors)))
        found = [one["embedding"] for one in data]
        if form == "base64":
            raw = [base64.b64decode(one) for one in found]
            found = [list(struct.unpack(f"<{len(one) // 4}f", one)) for one in raw]
        assert found == vectors


def answer(start: int, number: int, count: int | None = None) -> bytes:
    """Google's answer to a portion, whose vectors tell their place; as Google lays it out."""
    whole: dict[str, Any] = {"embeddings": [{"values": [at, 0.5]} for at in range(start, start + number)]}
    if count is not None:
        whole["usageMetadata"] = {"promptTokenCount": count}
    return json.dumps(whole, indent=2).encode()


@pytest.mark.parametrize("form", ["float", "base64"])
def test_the_answers_to_portions_make_one_in_order(form: str) -> None:
    rendering = back(asked(input=["four"] * 150 + ["eight888"] * 100, encoding_format=form).pivot({}))
    assert isinstance(rendering, embeddings.Vectors)
    rendering.take(answer(0, 100))  # not counted by Google: 100 texts of one token
    rendering.take(answer(100, 100, 777))
    found = json.loads(rendering.whole(answer(200, 50)))  # 50 texts of two
    assert [one["index"] for one in found["data"]] == list(range(250))
    vectors = [one["embedding"] for one in found["data"]]
    if form == "base64":
        vectors = [list(struct.unpack("<2f", base64.b64decode(one))) for one in vectors]
    assert vectors == [[at, 0.5] for at in range(250)]
    assert found["usage"] == {"prompt_tokens": 977, "total_tokens": 977}


@pytest.mark.parametrize("number", [0, 99, 101])
def test_a_portion_with_another_number_of_vectors_is_an_error(number: int) -> None:
    rendering = back(asked(input=["x"] * 250).pivot({}))
    assert isinstance(rendering, embeddings.Vectors)
    with pytest.raises(Refused) as caught:
        rendering.take(answer(0, number))
    assert (caught.value.status, caught.value.code) == (502, "UNREADABLE_ANSWER")


def test_the_last_portion_has_no_more_than_what_is_left() -> None:
    rendering = back(asked(input=["x"] * 150).pivot({}))
    assert isinstance(rendering, embeddings.Vectors)
    rendering.take(answer(0, 100))
    with pytest.raises(Refused):
        rendering.whole(answer(100, 100))


def test_floats_keep_googles_digits_on_one_line() -> None:
    google = b'{"embeddings": [\n {"values": [\n  0.10,\r\n\t-1.5e-07,\n  3\n ]}\n]}'
    body = back(asked(encoding_format="float").pivot({})).whole(google)
    assert b'"embedding":[0.10,-1.5e-07,3]' in body
    assert not any(white in body for white in (b" ", b"\n", b"\r", b"\t"))
    for odd in (b'"x"', b"{}", b"7", b"null"):
        with pytest.raises(Refused):
            back(asked(encoding_format="float").pivot({})).whole(b'{"embeddings": [{"values": %b}]}' % odd)


@given(st.lists(st.text(min_size=1).filter(lambda text: text.isprintable()), min_size=1, max_size=5))
def test_texts_keep_their_order_and_every_character(texts: list[str]) -> None:
    body = json.loads(asked(input=texts).pivot({}).body)
    assert [one["content"]["parts"][0]["text"] for one in body["requests"]] == texts


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20), st.none() | st.integers(1, 3072))
def test_the_record_estimates_what_the_client_is_told(texts: list[str], dimensions: int | None) -> None:
    pivot = asked(input=texts, dimensions=dimensions).pivot({})
    match = methods.match(pivot.verb, pivot.path)
    assert match is not None
    seen = request.read(match, {}, pivot.body, {}).input_estimate
    assert seen == sum(-(-len(text.encode()) // 4) for text in texts)
    if len(texts) <= 100:
        told = json.loads(back(pivot).whole(answer(0, len(texts))))
        assert told["usage"]["prompt_tokens"] == seen
