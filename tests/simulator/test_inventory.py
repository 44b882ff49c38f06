"""Every method of Google's inventory is routed and answered under each version."""

from __future__ import annotations

import pytest

from gemini_simulator.routes import ROUTES, match
from tests.simulator.inventory import steps, walk
from tests.simulator.launch import Simulator


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_the_walk(upstream: Simulator, version: str) -> None:
    upstream.clear()
    asked = []
    for step, answer in walk(upstream.url, version):
        assert answer.status in step.expect, (step.id, answer.status, answer.body[:400])
        asked.append(step.id)
    assert [line["method"] for line in upstream.log()] == asked


def test_the_walk_leaves_no_method_out() -> None:
    assert {route.id for route in ROUTES} == {step.id for step in steps()}


def test_a_path_is_matched_with_its_placeholders() -> None:
    found = match("GET", "/v1beta/environments/e1/files/a/b%20c.txt")
    assert found is not None
    assert (found.id, found.version) == ("environments.files.get", "v1beta")
    assert found.params == {"environment": "e1", "path": "a/b c.txt"}
    assert match("POST", "/v1/models/gemini-3.8-flash:generateContent:x") is None
    assert match("GET", "/v1/models/gemini-3.8-flash:generateContent") is None
