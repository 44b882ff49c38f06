"""Models at OpenAI's door: ids that can be asked for, routes first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types import Model

from gemgate.core.errors import Refused
from gemgate.dialects.openai import models
from gemgate.dialects.openai.doors import Door, match

CASES = Path(__file__).parents[2] / "cases" / "openai" / "models"


@pytest.mark.parametrize("file", sorted(CASES.glob("*.json")), ids=lambda file: file.stem)
def test_a_case(file: Path) -> None:
    case = json.loads(file.read_text(encoding="utf-8"))
    door = match("GET", case["asked"]["path"], True)
    assert door is not None
    read = models.read(door, {}, b"", "drop")
    pivot = read.pivot({})
    wanted = ("GET", case["google"]["path"], case["google"]["query"], b"")
    assert (pivot.verb, pivot.path, pivot.query, pivot.body) == wanted
    rendering: Any = pivot.rendering(b"\0" * 16, read.model, 1_790_000_000)
    rendering.routes = tuple(case["routes"])
    answer = json.loads(rendering.whole(json.dumps(case["google_answer"]).encode()))
    assert answer == case["answer"]
    for one in answer.get("data", [answer]):
        Model.model_validate(one)


@pytest.mark.parametrize("action", ["list", "get"])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"models": [{}], "name": 7}'])
def test_an_answer_that_is_none_is_an_error(action: str, body: bytes) -> None:
    pivot = models.read(Door("models", "m", action), {}, b"", "drop").pivot({})
    with pytest.raises(Refused) as caught:
        pivot.rendering(b"\0" * 16, "m", 0).whole(body)
    assert (caught.value.status, caught.value.code) == (502, "UNREADABLE_ANSWER")


def test_a_key_sees_the_models_that_it_may_use() -> None:
    rendering: Any = models.read(Door("models", "", "list"), {}, b"", "drop").pivot({}).rendering(b"", "", 0)
    rendering.routes = ("fast",)
    google = b'{"models": [{"name": "models/gemini-3.8-flash"}, {"name": "models/gemini-2.5-pro"}]}'
    shown: list[list[str]] = []
    for may in (None, lambda name: name == "gemini-2.5-pro", lambda name: False):
        rendering.may = may
        shown.append([one["id"] for one in json.loads(rendering.whole(google))["data"]])
    assert shown == [["fast", "gemini-3.8-flash", "gemini-2.5-pro"], ["fast", "gemini-2.5-pro"], ["fast"]]
