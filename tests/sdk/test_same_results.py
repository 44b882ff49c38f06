"""The official Python SDK through the gateway: what it returns, what went over the wire, what is on record.

Each scenario is one function that is played straight to a simulator and through the gateway to its twin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import types

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


@pytest.mark.parametrize("ending", ["", "/"])
def test_the_environment_s_base_url_is_all_it_takes(
    twins: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """No transport of ours, no option: two variables, as a user sets them."""

    def ask(side: Side) -> Any:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", side.url + ending)
        monkeypatch.setenv("GOOGLE_API_KEY", side.key)
        with genai.Client() as client:
            whole = client.models.generate_content(model=talking.FLASH, contents="Who are you?")
            pieces = list(client.models.generate_content_stream(model=talking.FLASH, contents="And I?"))
        return [whole, pieces]

    there, here = both(*twins, ask)
    assert here.result == there.result
    assert here.asked == there.asked
    recorded_as_asked(here)


def test_the_client_s_timeout_goes_up(twins: tuple[Side, Side]) -> None:
    """As X-Server-Timeout, in seconds."""
    there, here = both(*twins, talking.generate_with_a_timeout)
    assert here.asked[0]["x_server_timeout"] == there.asked[0]["x_server_timeout"] == "30"


def test_each_leg_of_an_upload_leads_through_the_gateway(twins: tuple[Side, Side]) -> None:
    side = twins[1]
    told = both(*twins, keeping.large_file)[1]
    start, *legs = told.wire[:4]
    for name in ("x-goog-upload-url", "x-goog-upload-control-url"):
        assert start.headers[name].startswith(f"{side.url}/upload/v1/files?upload_id=")
    assert [leg.headers["x-goog-upload-status"] for leg in legs] == ["active", "active", "final"]
    assert [row["request_bytes"] for row in told.rows[1:4]] == [8 << 20, 8 << 20, 4 << 20]


def test_a_passing_fault_is_retried_where_the_sdk_does_not_see_it(twins: tuple[Side, Side]) -> None:
    """One call with two tries: without the gateway the same program meets an error."""

    def ask(side: Side) -> Any:
        side.simulator.set_faults({"simulate": "overloaded", "first": 1, "method": "interactions.create"})
        once = types.HttpRetryOptions(attempts=1)
        try:
            made = side.client(retry_options=once).interactions.create(model=talking.FLASH, input="Again.")
        except Exception as error:
            if not hasattr(error, "status_code"):
                raise
            return error.status_code
        finally:
            side.simulator.set_faults()
        return made.status

    there, here = both(*twins, ask)
    assert (there.result, here.result) == (503, "completed")
    assert [line["status"] for line in there.asked] == [503]
    assert [line["status"] for line in here.asked] == [503, 200]
    (row,) = here.rows
    assert (row["status"], row["outcome"], row["attempts"]) == (200, "ok", 2)
