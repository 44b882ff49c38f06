"""Quickness over the API: quantiles with their error, and nothing where nothing was measured."""

from __future__ import annotations

import msgspec
import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle
from sampled import attempt, identity, intent, record

from gemgate.api import context
from gemgate.core.call import Outcome, Record
from gemgate.core.usage import Usage

MINUTE = 60_000_000
SECOND = 1_000_000


def made(at: int, place: int) -> Record:
    """One call that took so many seconds, of which its try took all but 2 ms."""
    one = intent(identity(), received_at=at, sent_at=at + 1_000)
    took = (place + 1) * SECOND
    tried = attempt(
        one, duration=took - 2_000, usage=Usage(input=5, output=(took - 2_000) // 10_000, thoughts=0)
    )
    return record(one, tried, duration=took, first_byte=took // 2)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    settings = blank(tmp_path_factory.mktemp("performance"))
    start = context.now() - 200 * MINUTE
    rows = [made(start + place * MINUTE, place) for place in range(100)]
    failed = msgspec.structs.replace(
        made(start, 5_000), outcome=Outcome.FAILED, status=503, reason="overloaded"
    )
    settle(settings, [*rows, failed])
    return build(settings).test_client()


def test_quantiles_are_within_their_error(client: FlaskClient) -> None:
    found = client.get("/api/v1/performance", query_string={"from": "-6h", "group": "model"}).get_json()
    assert found["error"] <= 0.01
    total = found["total"]
    assert (total["calls"], total["ok"], total["duration"]["count"]) == (101, 100, 100)
    for name, rank in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        assert total["duration"][name] == pytest.approx(rank * SECOND, rel=found["error"])
        assert total["first_byte"][name] == pytest.approx(rank * SECOND / 2, rel=found["error"])
        assert total["overhead"][name] == pytest.approx(2_000, rel=found["error"])
        # A token each 10 ms.
        assert total["rate"][name] == pytest.approx(100, rel=0.02)
    assert found["groups"][0]["total"] == total
    assert sum(point["duration"]["count"] for point in found["series"]) == 100


def test_nothing_measured_is_none(client: FlaskClient) -> None:
    found = client.get("/api/v1/performance", query_string={"from": "-30m", "compare": "true"}).get_json()
    nothing = {"count": 0, "p50": None, "p90": None, "p95": None, "p99": None}
    assert found["total"]["duration"] == found["before"]["rate"] == nothing
