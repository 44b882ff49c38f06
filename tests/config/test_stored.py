"""Stored routes and limits: read as the file's own are, and left out where they cannot be meant."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.config.routes import read_routes
from gemgate.config.settings import Project, Routing
from gemgate.config.stored import Around, join_limits, join_routes, read_stored_route
from gemgate.core.catalog import Catalog
from gemgate.core.routes import Route, RouteTarget
from gemgate.core.windows import Limits

CATALOG = Catalog.load()
ONE = Project("one", limits=(("gemini-2.5-flash", Limits(rpm=5)),))
TWO = Project("two")
AROUND = Around((ONE, TWO), Routing(), CATALOG)
FLASH, LITE = "gemini-2.5-flash", "gemini-2.5-flash-lite"


def test_a_route_means_what_it_would_mean_in_the_file() -> None:
    text = f"""
    [[route]]
    name = "fast"
    balance = "weighted"
    patience = 3
    limits = {{ rpm = 7 }}
    when = {{ methods = ["generate"], tools = true }}
    [[route.target]]
    model = "{FLASH}"
    projects = ["two", "one"]
    weight = 4
    """
    tables = tomllib.loads(text)["route"]
    faults: list[object] = []
    (wanted,) = read_routes(tables, (ONE, TWO), True, CATALOG, faults.append)
    body = {key: value for key, value in tables[0].items() if key != "name"}
    assert read_stored_route("fast", body, [], AROUND) == (wanted, {})
    assert faults == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "targets"),
        ({"targets": [FLASH, f"{LITE}@three"]}, "targets[1]"),
        ({"targets": [FLASH], "target": [{"model": LITE}]}, "targets"),
        ({"target": [{"model": FLASH, "weight": 0}]}, "target[0].weight"),
        ({"targets": [FLASH], "limits": {"rpd": 3}}, "limits.rpd"),
        ({"targets": [FLASH], "when": {"methods": ["sing"]}}, "when.methods"),
        ({"targets": [FLASH], "patience": "soon"}, "patience"),
        ({"targets": [FLASH], "pace": 3}, "pace"),
        ({"targets": [FLASH, "gemini-embedding-001"]}, "targets"),
        ({"targets": ["other"]}, "targets"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(body: dict[str, Any], field: str) -> None:
    other = Route("other", (RouteTarget(FLASH),))
    route, wrong = read_stored_route("fast", body, [other], AROUND)
    assert route is None
    assert list(wrong) == [field]
    assert wrong[field].startswith("Expected ")


def test_a_name_that_no_model_could_have_is_no_route() -> None:
    route, wrong = read_stored_route("a b", {"targets": [FLASH]}, [], AROUND)
    assert (route, list(wrong)) == (None, ["name"])


def test_the_file_s_routes_stay_and_what_cannot_be_meant_is_left_out() -> None:
    own = (Route("filed", (RouteTarget(FLASH),)),)
    stored = [
        ("filed", {"targets": [LITE]}),
        ("good", {"targets": [LITE]}),
        ("torn", None),
        ("lost", {"targets": [f"{LITE}@gone"]}),
        ("chained", {"targets": ["good"]}),
        ("also", {"targets": [FLASH]}),
    ]
    routes, bad = join_routes(own, stored, AROUND)
    assert [route.name for route in routes] == ["filed", "good", "also"]
    assert routes[0] is own[0]
    assert list(bad) == ["filed", "torn", "lost", "chained"]
    assert bad["lost"].startswith("targets[0]: Expected a project that is configured")


def test_the_file_s_limits_hold_for_the_whole_family() -> None:
    stored = [
        ("one", FLASH, Limits(rpm=1)),
        ("one", "*", Limits(rpm=2)),
        ("two", FLASH, Limits(tpm=3)),
        ("gone", FLASH, Limits(rpm=4)),
    ]
    (one, two), bad = join_limits((ONE, TWO), stored, CATALOG)
    assert one.limits == ((FLASH, Limits(rpm=5)), ("*", Limits(rpm=2)))
    assert two.limits == ((FLASH, Limits(tpm=3)),)
    assert list(bad) == [f"{FLASH} on one", f"{FLASH} on gone"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["targets", "target", "balance", "fallback", "patience", "when", "limits", "hedge", "name", "signatures"]
)


@given(st.dictionaries(WORDS, JSON, max_size=4))
def test_whatever_is_stored_is_a_route_or_a_reason(body: dict[str, Any]) -> None:
    route, wrong = read_stored_route("any", body, [], AROUND)
    assert (route is None) == bool(wrong)
    routes, bad = join_routes((), [("any", body)], AROUND)
    assert len(routes) + len(bad) == 1
