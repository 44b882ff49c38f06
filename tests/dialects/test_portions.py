"""Batches of embeddings are cut into ones that Google takes, and nothing of them is lost on the way."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.dialects.gemini import portions


@given(st.integers(1, 450))
def test_each_portion_is_full_but_the_last_and_the_order_stays(number: int) -> None:
    requests = [
        {"model": "models/m", "content": {"parts": [{"text": f"{at} \u00e9"}]}} for at in range(number)
    ]
    found = [json.loads(body) for body in portions.cut(json.dumps({"requests": requests}).encode())]
    sizes = [len(one["requests"]) for one in found]
    assert all(size == portions.MOST for size in sizes[:-1])
    assert 1 <= sizes[-1] <= portions.MOST
    assert [one for body in found for one in body["requests"]] == requests


def test_a_request_keeps_its_bytes() -> None:
    body = b'{"requests": [ {"a" : 1.0e2, "\\u0061": null} ] }'
    assert portions.cut(body) == [b'{"requests":[{"a" : 1.0e2, "\\u0061": null}]}']


def test_what_is_no_batch_is_not_cut() -> None:
    assert portions.cut(b'{"requests": []}') == []
    with pytest.raises(msgspec.DecodeError):
        portions.cut(b"[]")
