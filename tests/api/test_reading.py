"""Queries and bodies: each fault is named by its place, in words that say what would do."""

from __future__ import annotations

from typing import get_args

import pytest
from werkzeug.datastructures import MultiDict

from gemgate.api import reading
from gemgate.api.calls import CallsQuery
from gemgate.api.prices import PriceQuery
from gemgate.api.problems import Problem
from gemgate.api.route_words import NewRoute
from gemgate.api.wanted import Ending
from gemgate.core.call import Outcome


def faults(body: bytes) -> dict[str, str]:
    with pytest.raises(Problem) as found:
        reading.body(NewRoute, body)
    assert found.value.code == "BAD_BODY"
    return found.value.errors


def test_every_fault_of_a_nested_body_is_named_by_its_place() -> None:
    found = faults(
        b'{"name": "x", "target": [{"modle": 1, "model": 2, "weight": "a"}, {}], "balance": "fair",'
        b' "when": {"media": ["image", "q"], "tools": 3}, "patience": "long", "limits": {"rpd": 1}}'
    )
    assert found == {
        "target[0].modle": "There is no such field; known here: model, project, projects, weight, when.",
        "target[0].model": "Expected text, got a whole number.",
        "target[0].weight": "Expected a whole number or null, got text.",
        "target[1].model": "Missing.",
        "balance": "Expected one of: ordered, weighted.",
        "when.media[1]": "Expected one of: image, audio, video, document.",
        "when.tools": "Expected true or false or null, got a whole number.",
        "patience": "Expected a number or null, got text.",
        "limits.rpd": "There is no such field; known here: rpm, tpm.",
    }


def test_a_body_of_nothing_but_faults_is_told_in_part() -> None:
    assert len(faults(b'{"name": "x", "targets": [' + b", ".join([b"1"] * 150) + b"]}")) == 20


def test_calls_end_in_the_ways_of_the_record() -> None:
    assert list(get_args(Ending)) == [one.value for one in Outcome]


def test_the_form_of_a_text_is_said_by_what_it_looks_like() -> None:
    for shape, given, said in (
        (PriceQuery, {"at": "lately"}, {"at": "Expected text like 2026-12-01."}),
        (CallsQuery, {"status": "bad"}, {"status": "Expected text like 429 or 4xx."}),
        (
            CallsQuery,
            {"outcome": "bogus"},
            {"outcome": "Expected one of: ok, refused, failed, cut, cancelled, interrupted."},
        ),
    ):
        with pytest.raises(Problem) as found:
            reading.query(shape, MultiDict(given))
        assert found.value.errors == said
