"""What a call in parts holds of budgets: all of it from the start, each part its own, and no more for being cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.budget import Budget
from gemgate.core.call import Charged
from gemgate.core.errors import Refused
from gemgate.core.estimate import Estimates
from gemgate.core.routing import Target
from gemgate.core.spending import Share
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini import methods
from gemgate.gateway.brakes import Brakes
from tests.gateway.test_brakes import IN, MODEL, NOON, Call, Hand, Try, attempt, budget, plan, tell

EMBED = methods.match("POST", f"/v1beta/models/{MODEL}:batchEmbedContents")
LEAST, MOST = IN // 4, IN * 5 // 4  # of a call whose model was never seen
OK = Verdict(kind=Kind.OK, status=200, billed=True)
FREE = Verdict(kind=Kind.BUSY, status=503, reason="overloaded")
PAID = Verdict(kind=Kind.BROKEN, status=502, reason="cut", billed=True)
ONE, TWO = Target(MODEL, "one"), Target(MODEL, "two")


class Strange:
    """A board that has not seen a call yet, so that the least and the most lie far apart."""

    def __init__(self) -> None:
        self.estimates = Estimates()


def brakes_with(*budgets: Budget) -> Brakes:
    made = Brakes(Hand(), Strange())
    tell(made, budgets=budgets)
    return made


def batch() -> Call:
    return Call(match=EMBED, output=None)


def sent(brakes: Brakes, call: Call, verdict: Verdict | None, target: Target = ONE) -> tuple[Charged, ...]:
    """One more try of the part that the call is at, and how it ended."""
    trial = Try(len(call.trials) + 1, target, verdict)
    held = brakes.more(call, trial)
    call.trials.append(trial)
    return held


def shares(*weights: int) -> list[Share]:
    return [Share(sum(weights[:at]), weight, sum(weights)) for at, weight in enumerate(weights)]


def held(brakes: Brakes) -> list[int]:
    return [row.held for row in brakes.budgets.state(NOON)]


async def test_each_part_holds_its_own_and_the_call_the_whole() -> None:
    rows = [budget(1, 10**9, unit="tokens"), budget(2, 10**12)]
    brakes, call = brakes_with(*rows), batch()
    entry = await brakes.enter(call, plan(), 0.0)
    whole = {one.budget: one.amount for one in entry.held}
    assert whole[1] == MOST
    sums = {1: 0, 2: 0}
    for call.share in shares(2, 2, 1):
        for row in sent(brakes, call, OK):
            sums[row.budget] += row.amount
        assert held(brakes) == [whole[1], whole[2]]
    assert sums == whole
    parts = [attempt(number, Usage(input=100)) for number in (1, 2, 3)]
    charged = {one.budget: one.amount for one in brakes.settle(call, parts)}
    assert charged[1] == 300
    assert held(brakes) == [0, 0]


async def test_a_call_that_may_be_the_last_of_a_budget_goes_on_to_its_end() -> None:
    brakes, call = brakes_with(budget(1, LEAST + 10, unit="tokens")), batch()
    await brakes.enter(call, plan(), 0.0)  # alone it may go, though its most is beyond the line
    for call.share in shares(1, 1, 1, 1):
        sent(brakes, call, OK)
    assert held(brakes) == [MOST]
    # Now what is paid for twice is beyond what it was given.
    call.trials[-1].verdict = PAID
    with pytest.raises(Refused) as caught:
        sent(brakes, call, OK)
    assert (caught.value.status, caught.value.code) == (402, "BUDGET_SPENT")


async def test_a_part_that_was_not_billed_is_repeated_in_its_own_room() -> None:
    brakes, call = brakes_with(budget(1, MOST, unit="tokens")), batch()
    await brakes.enter(call, plan(), 0.0)
    first, second = shares(1, 1)
    call.share = first
    sent(brakes, call, FREE)
    sent(brakes, call, OK)
    call.share = second
    sent(brakes, call, FREE)
    sent(brakes, call, OK)
    assert held(brakes) == [MOST]


async def test_a_projects_budget_is_asked_for_the_whole_before_the_first_part() -> None:
    rows = [budget(1, LEAST - 1, unit="tokens", scope="project", of="one")]
    brakes, call = brakes_with(*rows), batch()
    await brakes.enter(call, plan(), 0.0)
    call.share = shares(1, 9)[0]
    with pytest.raises(Refused) as caught:
        sent(brakes, call, OK)  # this part alone would fit
    assert caught.value.code == "BUDGET_SPENT"
    assert sent(brakes, call, OK, TWO) == ()  # the other project has no budget


@given(
    st.lists(st.tuples(st.integers(1, 50), st.lists(st.booleans(), max_size=2)), min_size=1, max_size=6),
    st.integers(0, 3 * MOST),
)
async def test_whatever_fails_on_the_way_the_line_holds(
    parts: list[tuple[int, list[bool]]], more: int
) -> None:
    line = MOST + more
    brakes, call = brakes_with(budget(1, line, unit="tokens")), batch()
    await brakes.enter(call, plan(), 0.0)
    other = batch()
    paid = 0
    tries = [
        (share, verdict)
        for share, (_, billed) in zip(shares(*(weight for weight, _ in parts)), parts, strict=True)
        for verdict in [*(PAID if one else FREE for one in billed), OK]
    ]
    for call.share, verdict in tries:
        try:
            (row,) = sent(brakes, call, verdict)
        except Refused:
            # Only what was paid for twice may be too much, and then nothing more is held.
            assert paid
            assert held(brakes)[0] <= MOST + paid
            return
        assert row.amount == call.share.of(MOST)
        assert held(brakes) == [MOST + paid]
        paid += row.amount if verdict is PAID else 0
    # What is left is there for others, and not a token more.
    fits = held(brakes)[0] + MOST <= line
    try:
        await brakes.enter(other, plan(), 0.0)
    except Refused:
        assert not fits
    else:
        assert fits
