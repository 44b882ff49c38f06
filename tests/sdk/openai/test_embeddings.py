"""Embeddings and models with OpenAI's own client."""

from __future__ import annotations

import math

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.sdk.openai.asking import EMBEDDER, FLASH, Stage


def test_one_text(client: OpenAI) -> None:
    # The SDK asks for base64 by itself and unpacks it.
    answer = client.embeddings.create(model=EMBEDDER, input="A river.")
    (vector,) = answer.data
    assert (answer.object, answer.model, vector.index) == ("list", EMBEDDER, 0)
    assert len(vector.embedding) == 3072
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 2


def test_many_texts_in_both_forms(client: OpenAI) -> None:
    texts = ["first", "second", "first"]
    packed = client.embeddings.create(model=EMBEDDER, input=texts, dimensions=64)
    plain = client.embeddings.create(model=EMBEDDER, input=texts, dimensions=64, encoding_format="float")
    assert [one.index for one in plain.data] == [0, 1, 2]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert len(one.embedding) == 64
        assert all(
            math.isclose(a, b, abs_tol=1e-6) for a, b in zip(one.embedding, other.embedding, strict=True)
        )
    assert plain.data[0].embedding == plain.data[2].embedding != plain.data[1].embedding


def test_more_texts_than_google_takes_at_once(client: OpenAI) -> None:
    texts = [f"text {at}" for at in range(101)]
    answer = client.embeddings.create(model="gemini-embedding-2", input=texts, dimensions=8)
    last = client.embeddings.create(model="gemini-embedding-2", input=texts[-1], dimensions=8)
    assert [one.index for one in answer.data] == list(range(101))
    assert answer.data[-1].embedding == last.data[0].embedding


def test_googles_own_count_is_told(client: OpenAI, stage: Stage) -> None:
    raw = client.embeddings.with_raw_response.create(model="gemini-embedding-2", input=["a", "b"])
    assert raw.parse().usage.prompt_tokens == 2
    (row,) = stage.gateway.rows("SELECT * FROM call_log WHERE call_id = ?", raw.headers["x-gemgate-call"])
    assert (row["method"], row["door"], row["outcome"]) == ("models.batchEmbedContents", "embeddings", "ok")


def test_what_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="token numbers") as caught:
        client.embeddings.create(model=EMBEDDER, input=[[1, 2], [3]])
    assert (caught.value.code, caught.value.type) == ("invalid_request", "invalid_request_error")
    with pytest.raises(BadRequestError, match="1 to 2048 texts"):
        client.embeddings.create(model=EMBEDDER, input=["x"] * 2049)
    with pytest.raises(NotFoundError):
        client.embeddings.create(model=FLASH, input="x")


def test_the_list_of_models(client: OpenAI) -> None:
    found = client.models.list().data
    ids = [model.id for model in found]
    assert {FLASH, EMBEDDER} <= set(ids)
    assert len(set(ids)) == len(ids)
    assert not [name for name in ids if name.startswith("models/")]
    flash = next(model for model in found if model.id == FLASH)
    assert (flash.object, flash.owned_by) == ("model", "google")
    assert flash.created > 1_700_000_000


def test_a_route_is_a_model_like_any(client: OpenAI) -> None:
    first = client.models.list().data[0]
    assert (first.id, first.owned_by) == ("fast", "gemgate")
    assert client.models.retrieve("fast") == first
    answer = client.responses.create(model="fast", input="Tell me about rivers.", store=False)
    assert answer.model == FLASH


def test_one_model(client: OpenAI) -> None:
    assert client.models.retrieve(FLASH).id == FLASH
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("gemini-99-flash")
    assert caught.value.code == "model_not_found"
