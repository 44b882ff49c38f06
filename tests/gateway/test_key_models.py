"""A key for some models gets to no other one, and to none that cannot be read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.keyed import token
from tests.gateway.launch import Gateway
from tests.gateway.raw import Upstream, whole
from tests.proof.braked import key, put

FLASH, PRO = "gemini-2.5-flash", "gemini-2.5-pro"
GENERATE = f"/v1beta/models/{FLASH}:generateContent"
VIDEOS, BATCHES, TUNING = "/v1beta/openai/videos", "/v1beta/openai/batches", "/v1beta/tunedModels"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
}
BATCH = {"input_file_id": "", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
FORM = b'--s\r\ncontent-disposition: form-data; name="model"\r\n\r\n%s\r\n--s--\r\n' % FLASH.encode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """It answers everything well."""
    text = whole(json.dumps(ANSWER).encode())
    with Upstream(lambda conn, asked: text) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It knows a key for one model, one for every model, and one without such a limit."""
    folder = tmp_path_factory.mktemp("gateway")
    Path(folder / "data").mkdir()
    sees = frozenset({"shared"})  # things are kept apart by a rule of its own
    put(
        folder / "data",
        [key("narrow", routes=(FLASH,), rights=sees), key("all", routes=("*",), rights=sees), key("free")],
    )
    with Gateway(folder, upstream.url) as running:
        yield running


def ask(gateway: Gateway, name: str, path: str, body: Any, **headers: str) -> tuple[int, str]:
    """Status and code of an answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.post(gateway.url + path, content=raw, headers={"x-goog-api-key": token(name), **headers})
    codes = [code for code in ("MODEL_NOT_ALLOWED", "ENCODED_BODY") if code in answer.text.upper()]
    return answer.status_code, "".join(codes)


@pytest.mark.parametrize(
    ("path", "body", "headers", "refusal"),
    [
        (VIDEOS, {"model": PRO, "prompt": "x"}, {}, (403, "MODEL_NOT_ALLOWED")),
        (VIDEOS, {"prompt": "x"}, {}, (403, "MODEL_NOT_ALLOWED")),
        (VIDEOS, FORM, {"content-type": "multipart/form-data; boundary=s"}, (403, "MODEL_NOT_ALLOWED")),
        (TUNING, {"baseModel": f"models/{PRO}"}, {}, (403, "MODEL_NOT_ALLOWED")),
        (BATCHES, BATCH, {}, (403, "MODEL_NOT_ALLOWED")),
        (BATCHES, {**BATCH, "model": FLASH}, {}, (403, "MODEL_NOT_ALLOWED")),
        ("/v1beta/interactions", {"model": 5, "input": "x"}, {}, (403, "MODEL_NOT_ALLOWED")),
        (
            "/v1beta/openai/chat/completions",
            gzip.compress(json.dumps({"model": PRO}).encode(), mtime=0),
            {"content-encoding": "gzip"},
            (415, "ENCODED_BODY"),
        ),
        (
            GENERATE,
            gzip.compress(json.dumps(ASK).encode(), mtime=0),
            {"content-encoding": "GZIP"},
            (415, "ENCODED_BODY"),
        ),
    ],
)
def test_a_key_for_one_model_uses_none_that_it_does_not_name(
    gateway: Gateway,
    upstream: Upstream,
    path: str,
    body: Any,
    headers: dict[str, str],
    refusal: tuple[int, str],
) -> None:
    before = len(upstream.asked)
    assert ask(gateway, "narrow", path, body, **headers) == refusal
    assert len(upstream.asked) == before


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("narrow", GENERATE, ASK),
        ("narrow", VIDEOS, {"model": FLASH, "prompt": "x"}),
        ("narrow", TUNING, {"baseModel": f"models/{FLASH}"}),
        ("narrow", "/v1beta/fileSearchStores", {"displayName": "x"}),
        ("all", BATCHES, BATCH),
        ("all", VIDEOS, {"prompt": "x"}),
        ("all", TUNING, {"baseModel": f"models/{PRO}"}),
        ("free", VIDEOS, {"prompt": "x"}),
    ],
)
def test_what_is_its_own_goes_on(gateway: Gateway, name: str, path: str, body: Any) -> None:
    status, code = ask(gateway, name, path, body)
    assert (status, code) == (200, "")
