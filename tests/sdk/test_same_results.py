"""The official Python SDK through the gateway: what it returns, what went over the wire, what is on record.

Each scenario is one function that is played straight to a simulator and through the gateway to its twin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk import keeping, talking
from tests.sdk.recorded import recorded_as_asked
from tests.sdk.sides import Side, both

SCENARIOS = [*talking.SCENARIOS, *keeping.SCENARIOS]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*experimental:google.genai._common.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_scenario_gives_the_same_through_the_gateway(
    twins: tuple[Side, Side], scenario: Callable[[Side], Any]
) -> None:
    there, here = both(*twins, scenario)
    assert here.result == there.result
    assert [spoken.shown() for spoken in here.wire] == [spoken.shown() for spoken in there.wire]
    assert here.asked == there.asked, "the upstream was asked something else"
    assert here.asked, "nothing was asked at all"
    (own,) = there.credentials[0]
    assert {tuple(found) for found in here.credentials} == {(own,)}, (
        "one credential, the gateway's own, each time"
    )
    recorded_as_asked(here)
