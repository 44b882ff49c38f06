"""Call ids, and the folding of what an answer says."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.call import mint, spell, unspell
from gemgate.core.errors import RPC_STATUS, Refused
from gemgate.core.meter import Fault, Meter, Seen
from gemgate.core.usage import Usage

moments = st.integers(0, (1 << 48) * 1000 - 1)


@given(moments, st.binary(min_size=10, max_size=10))
def test_a_call_id_is_a_uuid_of_version_7(now: int, chance: bytes) -> None:
    call_id = mint(now, chance)
    read = uuid.UUID(bytes=call_id)
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(call_id[:6], "big") == now // 1000
    assert spell(call_id) == str(read)
    assert unspell(spell(call_id)) == call_id


@given(moments, moments, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_call_ids_sort_by_time(one: int, other: int, chance: bytes, luck: bytes) -> None:
    if abs(one - other) > 1:
        assert (mint(one, chance) < mint(other, luck)) == (one < other)


@pytest.mark.parametrize("text", ["", "12", "x" * 32, "0" * 34])
def test_what_is_no_call_id(text: str) -> None:
    with pytest.raises(ValueError):
        unspell(text)


def test_the_meter_keeps_the_first_name_and_the_last_usage() -> None:
    meter = Meter()
    first = Fault(503, "UNAVAILABLE", "one")
    for seen in (
        Seen(usage=Usage(input=5, output=1), model="a", response="r1", tier="priority", parts=True),
        Seen(usage=Usage(input=4, output=9), model="b", response="r2", tier="standard", finish="STOP"),
        Seen(fault=first),
        Seen(fault=Fault(500, "INTERNAL", "two")),
    ):
        meter.add(seen)
    assert meter.usage == Usage(input=4, output=9)
    assert (meter.model, meter.response, meter.tier, meter.finish) == ("a", "r1", "standard", "STOP")
    assert (meter.fault, meter.events, meter.ended, meter.empty) == (first, 4, True, False)


def test_the_meter_keeps_grounding_that_came_before_or_without_usage() -> None:
    meter = Meter()
    meter.add(Seen(searches=2, grounded=True))
    assert meter.usage is None
    meter.add(Seen(usage=Usage(input=1)))
    meter.add(Seen(usage=Usage(input=2), maps=1))
    assert meter.usage == Usage(input=2, searches=2, grounded=True, maps=1)


@pytest.mark.parametrize("status", sorted(RPC_STATUS))
def test_a_refusal_knows_its_rpc_name_and_whether_to_repeat(status: int) -> None:
    refused = Refused(status, "CODE", "text")
    assert refused.rpc == RPC_STATUS[status]
    assert refused.retryable == (status in (408, 429) or (status >= 500 and status != 501))
    assert str(refused) == "text"
