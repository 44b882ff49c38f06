"""The official Python SDK through the gateway: what it returns, what went over the wire, what is on record.

Each scenario is one function that is played straight to a simulator and through the gateway to its twin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk import keeping, talking
from tests.sdk.sides import Side, Told, both

SCENARIOS = [*talking.SCENARIOS, *keeping.SCENARIOS]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*experimental:google.genai._common.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_scenario_gives_the_same_through_the_gateway(
    plainly: Side, proxied: Side, scenario: Callable[[Side], Any]
) -> None:
    there, here = both(plainly, proxied, scenario)
    assert here.result == there.result
    assert [spoken.shown() for spoken in here.wire] == [spoken.shown() for spoken in there.wire]
    assert here.asked == there.asked, "the upstream was asked something else"
    assert here.asked, "nothing was asked at all"
    (own,) = there.credentials[0]
    assert {tuple(found) for found in here.credentials} == {(own,)}, (
        "one credential, the gateway's own, each time"
    )
    recorded_as_asked(here)


def recorded_as_asked(told: Told) -> None:
    """Each request of the SDK has one row, under its method's name, with what went over the wire."""
    rows = told.rows
    asked = [(line["method"], line["status"]) for line in told.asked]
    assert [(row["method"], row["status"]) for row in rows] == asked
    assert [row["request_bytes"] for row in rows] == [line["body_size"] for line in told.asked]
    assert [row["version"] for row in rows] == [version_of(line["path"]) for line in told.asked]
    assert [row["client"] for row in rows] == [line["user_agent"].split(" ")[0] for line in told.asked]
    assert {row["attempts"] for row in rows} == {1}
    for row in rows:
        assert row["outcome"] == ("ok" if row["status"] < 400 else "refused")
        assert row["project"] == "default"
        assert row["first_byte_ms"] <= row["duration_ms"]
    by_id = {row["call_id"]: row for row in rows}
    for spoken in told.wire:
        assert by_id[spoken.call_id]["status"] == spoken.status
        if spoken.whole:
            assert by_id[spoken.call_id]["response_bytes"] == len(spoken.body)


def version_of(path: str) -> str:
    """The version that a path names, behind ``/upload`` or ``/download`` too."""
    return next(part for part in path.split("/") if part.startswith("v1"))
