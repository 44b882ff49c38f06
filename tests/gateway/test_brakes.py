"""The brakes of the gateway under a hand-driven clock: nobody overtakes, nothing is overshot, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemgate.config import BrakesSettings, Settings
from gemgate.config.book import load_book
from gemgate.core import pricing
from gemgate.core.access import Key, Keys
from gemgate.core.budget import Budget
from gemgate.core.call import Attempt, Charged, Cost, Event, Shape
from gemgate.core.errors import Refused
from gemgate.core.estimate import Estimates
from gemgate.core.routing import Plan, Target
from gemgate.core.spending import Share
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini import methods
from gemgate.dialects.gemini.request import Asked
from gemgate.gateway.brakes import Brakes
from gemgate.gateway.clock import Clock
from gemgate.gateway.entry import Entry
from gemgate.gateway.snapshot import Snapshot

SECOND = 1_000_000
MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
NOON = 1_795_003_200 * SECOND  # 2026-11-18 12:00 UTC, a Wednesday
MODEL = "gemini-2.5-flash"
SNAPSHOT = Snapshot(Settings(data=Path("nowhere")), load_book(), "", None)
GENERATE = methods.match("POST", f"/v1beta/models/{MODEL}:generateContent")
COUNT = methods.match("POST", f"/v1beta/models/{MODEL}:countTokens")
PREDICT = methods.match("POST", "/v1beta/models/imagen-4:predict")
IN, OUT = 1_000, 500
PRICE = SNAPSHOT.book.price(SNAPSHOT.book.routed(MODEL, NOON), "", NOON)
USED = Usage(IN, 0, OUT)
EACH = pricing.cost(PRICE, USED).billed or 0
assert EACH


class Hand(Clock):
    """A clock that is moved by hand; patience ends after a hundredth of its time, unless what it waits for comes."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOON

    def now(self) -> int:
        return self.at

    def real(self, seconds: float) -> float:
        return seconds / 100


class Knows:
    """What the board knows."""

    def __init__(self) -> None:
        self.estimates = Estimates()
        self.estimates.learn(MODEL, IN, IN)


class Try:
    """One try of a call."""

    def __init__(self, number: int, target: Target, verdict: Verdict | None = None) -> None:
        self.number, self.target, self.verdict, self.output_estimate = number, target, verdict, 0


class Call:
    """A ticket as far as the brakes know it."""

    numbers = 0

    def __init__(self, key: Key | None = None, *, match: Any = GENERATE, output: int | None = OUT) -> None:
        Call.numbers += 1
        self.call_id = b"%d" % Call.numbers
        self.key, self.match, self.snapshot = key, match, SNAPSHOT
        self.tags: tuple[str, ...] = ()
        self.route = ""
        self.asked: Asked | None = Asked(model=MODEL, input_estimate=IN, shape=Shape(max_output=output))
        self.waited = 0
        self.marks: list[tuple[bytes, bytes]] = []
        self.events: tuple[Event, ...] = ()
        self.entry: Entry | None = None
        self.share: Share | None = None
        self.trials: list[Try] = []


def attempt(number: int = 1, usage: Usage | None = USED, project: str = "one", **fields: Any) -> Attempt:
    cost = pricing.cost(PRICE, usage) if usage is not None else Cost()
    plain: dict[str, Any] = {"cost": cost, "verdict": Kind.OK, "status": 200}
    return Attempt(
        number=number,
        model=MODEL,
        project=project,
        credential="one/1",
        sent_at=NOON,
        first_byte=1,
        duration=2,
        usage=usage,
        **(plain | fields),
    )


def plan(*projects: str) -> Plan:
    return Plan(tuple(Target(MODEL, project) for project in projects or ("one",)))


def budget(number: int = 1, amount: int = 50 * EACH, **fields: Any) -> Budget:
    plain: dict[str, Any] = {"scope": "all", "unit": "money", "period": "day", "name": f"b{number}"}
    return Budget(id=number, amount=amount, **(plain | fields))


def made(
    keys: Sequence[Key] = (),
    budgets: Sequence[Budget] = (),
    spent: Sequence[Charged] = (),
    runaway: str = "off",
) -> tuple[Brakes, Hand]:
    clock = Hand()
    brakes = Brakes(clock, Knows())
    tell(brakes, keys, budgets, spent, runaway)
    return brakes, clock


def tell(
    brakes: Brakes,
    keys: Sequence[Key] = (),
    budgets: Sequence[Budget] = (),
    spent: Sequence[Charged] = (),
    runaway: str = "off",
) -> None:
    settings = Settings(data=Path("nowhere"), brakes=BrakesSettings(runaway=runaway))
    brakes.reload(Keys(keys, ()), budgets, spent, settings)


async def outcome(brakes: Brakes, call: Call, patience: float, *, usage: Usage = USED, late: int = 0) -> str:
    """One call from its entry to its row: ``ok`` or the code of its refusal."""
    try:
        await brakes.enter(call, plan(), patience)
        brakes.more(call, Try(1, plan().targets[0]))
        for _ in range(late):
            await asyncio.sleep(0)
    except Refused as refused:
        return refused.code
    brakes.settle(call, [attempt(usage=usage)])
    return "ok"


async def refused(brakes: Brakes, call: Call, patience: float = 0.0, which: Plan | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        await brakes.enter(call, which or plan(), patience)
    assert call.entry is None
    return caught.value


async def test_two_hundred_calls_at_once_on_a_budget_that_fits_fifty() -> None:
    brakes, _ = made(budgets=[budget()])
    ended = await asyncio.gather(*(outcome(brakes, Call(), 60.0, late=3) for _ in range(200)))
    assert (ended.count("ok"), ended.count("BUDGET_SPENT")) == (50, 150)
    assert brakes.shown()["budgets"] == [
        {
            "name": "b1",
            "unit": "money",
            "amount": 50 * EACH,
            "spent": 50 * EACH,
            "held": 0,
            "resets_at": _midnight(),
        }
    ]


def _midnight() -> int:
    return NOON // DAY * DAY + DAY


async def test_fifty_even_when_the_first_guess_of_the_input_is_far_too_high() -> None:
    brakes, _ = made(budgets=[budget()])
    small = Usage(10, 0, OUT)
    fits = 50 * (pricing.cost(PRICE, small).billed or 0)
    tell(brakes, budgets=[budget(amount=fits)])
    ended = await asyncio.gather(*(outcome(brakes, Call(), 60.0, usage=small, late=2) for _ in range(200)))
    spent = brakes.budgets.state(NOON)[0].spent
    assert ended.count("ok") + ended.count("BUDGET_SPENT") == 200
    assert spent <= fits + EACH  # the stated error: no call may take more than was held for it
    assert ended.count("ok") >= 49


async def test_a_spent_budget_is_terminal_and_names_the_day() -> None:
    rows = [budget(zone="Europe/Berlin", name="team", period="month")]
    brakes, clock = made(budgets=rows)
    start = brakes.budgets.slot(rows[0], clock.at)
    tell(brakes, budgets=[budget(2)], spent=())
    tell(brakes, budgets=rows, spent=[Charged(1, start, 50 * EACH)])
    call = Call()
    found = await refused(brakes, call, 600.0)
    assert (found.status, found.code, found.retryable, found.retry_after) == (402, "BUDGET_SPENT", False, 0.0)
    assert "'team' is spent" in found.message
    assert found.message.endswith("It resets on Tuesday, 1 December 2026 at 00:00:00 (Europe/Berlin).")
    assert [(event.kind, event.subject) for event in call.events] == [("budget_spent", "team")]
    again = Call()
    await refused(brakes, again)
    assert again.events == ()  # once in a period
    clock.at += 20 * DAY
    assert await outcome(brakes, Call(), 0.0) == "ok"


async def test_what_is_only_held_is_waited_for() -> None:
    brakes, _ = made(budgets=[budget(amount=EACH)])
    first, second = Call(), Call()
    await brakes.enter(first, plan(), 0.0)
    found = await refused(brakes, Call())
    assert (found.status, found.code, found.retryable, found.retry_after) == (429, "BUDGET_HELD", True, 1.0)
    waiting = asyncio.create_task(brakes.enter(second, plan(), 600.0))
    await asyncio.sleep(0)
    assert brakes.shown()["waiting"] == 1
    brakes.leave(first)
    await waiting
    assert second.entry is not None
    assert second.entry.held == (Charged(1, NOON // DAY * DAY, EACH),)
    brakes.leave(first)  # told twice, freed once
    assert brakes.budgets.state(NOON)[0].held == EACH


async def test_those_in_line_learn_at_once_that_the_budget_is_spent() -> None:
    brakes, _ = made(budgets=[budget(amount=EACH)])
    first = Call()
    await brakes.enter(first, plan(), 0.0)
    tasks = [asyncio.create_task(outcome(brakes, Call(), 600.0)) for _ in range(20)]
    await asyncio.sleep(0)
    assert brakes.settle(first, [attempt()]) == (Charged(1, NOON // DAY * DAY, EACH),)
    assert await asyncio.gather(*tasks) == ["BUDGET_SPENT"] * 20


async def test_concurrency_goes_by_the_order_of_arrival() -> None:
    key = Key(id=1, name="app", concurrency=2)
    brakes, _ = made([key])
    under_way: list[int] = []
    order: list[int] = []

    async def one(number: int) -> None:
        call = Call(key)
        await brakes.enter(call, plan(), 600.0)
        under_way.append(number)
        order.append(number)
        assert len(under_way) <= 2
        for _ in range(number % 3 + 1):
            await asyncio.sleep(0)
        under_way.remove(number)
        brakes.settle(call, [attempt()])

    await asyncio.gather(*(one(number) for number in range(30)))
    assert order == sorted(order)
    assert brakes.shown()["busy"] == {}


async def test_a_busy_key_is_told_so_and_others_are_not_kept() -> None:
    keys = [
        Key(id=1, name="app", concurrency=1),
        Key(id=2, name="other", concurrency=1),
        Key(id=3, name="none", concurrency=0),
    ]
    brakes, _ = made(keys)
    await brakes.enter(Call(keys[0]), plan(), 0.0)
    found = await refused(brakes, Call(keys[0]))
    assert (found.status, found.code, found.retryable) == (429, "KEY_BUSY", True)
    assert found.retry_after >= 1.0
    assert await outcome(brakes, Call(keys[1]), 0.0) == "ok"
    never = await refused(brakes, Call(keys[2]))
    assert (never.code, never.retryable, never.retry_after) == ("KEY_BUSY", False, 0.0)


async def test_calls_a_minute_with_an_exact_delay() -> None:
    key = Key(id=1, name="app", rpm=3)
    brakes, clock = made([key])
    for _ in range(3):
        assert await outcome(brakes, Call(key), 0.0) == "ok"
        clock.at += SECOND
    found = await refused(brakes, Call(key), 5.0)
    assert (found.status, found.code, found.retryable) == (429, "KEY_RATE", True)
    assert found.retry_after == pytest.approx(57.1)  # the first leaves its minute, and its tenth of a second
    clock.at += round(found.retry_after * SECOND) - 1
    assert (await refused(brakes, Call(key))).retry_after < 0.01
    clock.at += 1
    assert await outcome(brakes, Call(key), 0.0) == "ok"


async def test_whoever_has_patience_waits_for_the_minute_in_order() -> None:
    key = Key(id=1, name="app", rpm=2)
    brakes, clock = made([key])
    order: list[int] = []

    async def one(number: int) -> str:
        found = await outcome(brakes, call := Call(key), 200.0)
        order.append(number)
        assert found != "ok" or number < 2 or call.waited > 0
        return found

    tasks = [asyncio.create_task(one(number)) for number in range(6)]
    while not all(task.done() for task in tasks):
        clock.at += 10 * SECOND
        tell(brakes, [key])  # which looks at the line, as its own tick would
        for _ in range(5):
            await asyncio.sleep(0)
    assert order == sorted(order)
    assert [task.result() for task in tasks] == ["ok"] * 6


async def test_tokens_a_minute_fit_exactly_fifty() -> None:
    key = Key(id=1, name="app", tpm=50 * (IN + OUT))
    brakes, _ = made([key])
    ended = await asyncio.gather(*(outcome(brakes, Call(key), 5.0, late=2) for _ in range(200)))
    assert (ended.count("ok"), ended.count("KEY_RATE")) == (50, 150)


async def test_a_call_larger_than_its_minute_never_goes_and_a_boundless_one_goes_alone() -> None:
    key = Key(id=1, name="app", tpm=IN)
    brakes, _ = made([key])
    assert await outcome(brakes, Call(key), 0.0, usage=Usage(IN)) == "KEY_RATE"
    found = await refused(brakes, Call(key), 100.0)
    assert (found.retryable, found.retry_after) == (False, 0.0)
    wide = Key(id=1, name="app", tpm=IN + 100)
    tell(brakes, [wide])
    assert await outcome(brakes, Call(wide, output=None), 0.0, usage=Usage(IN, 0, 20)) == "ok"
    assert (await refused(brakes, Call(wide, output=None))).code == "KEY_RATE"


@pytest.mark.parametrize("what", ["concurrency", "budget", "minute"])
async def test_what_is_freed_goes_to_the_line_and_not_to_whoever_comes_in_that_moment(what: str) -> None:
    limit = {"concurrency": {"concurrency": 1}, "budget": {}, "minute": {"rpm": 1}}[what]
    key = Key(id=1, name="app", **limit)
    brakes, _ = made([key], [budget(amount=EACH)] if what == "budget" else [])
    first, second = Call(key), Call(key)
    await brakes.enter(first, plan(), 0.0)
    waiting = asyncio.create_task(brakes.enter(second, plan(), 600.0))
    await asyncio.sleep(0)
    brakes.leave(first)
    assert (await refused(brakes, Call(key))).status == 429
    await waiting
    assert second.entry is not None


async def test_a_large_call_in_line_is_not_passed_by_small_ones() -> None:
    brakes, _ = made(budgets=[budget(amount=4 * EACH)])
    calls = [Call() for _ in range(3)]
    for call in calls:
        await brakes.enter(call, plan(), 0.0)
    large, small = Call(output=3 * OUT), Call(output=1)
    waiting = [asyncio.create_task(brakes.enter(call, plan(), 600.0)) for call in (large, small)]
    await asyncio.sleep(0)
    brakes.leave(calls[0])
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)  # there is room for the small one, which stands behind
    brakes.leave(calls[1])
    brakes.leave(calls[2])
    await asyncio.gather(*waiting)


async def test_a_client_that_leaves_the_line_leaves_nothing_behind() -> None:
    key = Key(id=1, name="app", concurrency=1, rpm=100)
    brakes, _ = made([key], [budget(amount=2 * EACH)])
    first = Call(key)
    await brakes.enter(first, plan(), 0.0)
    gone, granted = (asyncio.create_task(brakes.enter(Call(key), plan(), 600.0)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    brakes.settle(first, [attempt(usage=None, verdict=Kind.REFUSED)])
    await asyncio.sleep(0)
    assert brakes.shown()["busy"] == {"app": 1}
    granted.cancel()  # its room was taken in this very turn of the loop
    with pytest.raises(asyncio.CancelledError):
        await granted
    assert brakes.shown()["busy"] == {}
    assert brakes.budgets.state(NOON)[0].held == 0
    assert await outcome(brakes, Call(key), 0.0) == "ok"


async def test_a_call_holds_all_or_nothing_and_patience_ends() -> None:
    key = Key(id=1, name="app", concurrency=5, tpm=10**6)
    rows = [budget(1, 2 * EACH), budget(2, EACH, scope="key", of="app")]
    brakes, _ = made([key], rows)
    await brakes.enter(Call(key), plan(), 0.0)
    assert await outcome(brakes, Call(key), 20.0) == "BUDGET_HELD"
    assert [row.held for row in brakes.budgets.state(NOON)] == [EACH, EACH]
    assert brakes.shown()["busy"] == {"app": 1}
    assert await outcome(brakes, Call(), 0.0) == "ok"


async def test_what_costs_nothing_passes_a_spent_budget_and_what_nobody_can_price_does_not() -> None:
    brakes, _ = made(budgets=[budget(amount=1)])
    free = Call(match=COUNT)
    assert (await brakes.enter(free, plan(), 0.0)).held == ()
    assert brakes.more(free, Try(1, plan().targets[0])) == ()
    assert brakes.settle(free, [attempt(usage=None)]) == ()
    for match in (PREDICT, None):
        found = await refused(brakes, Call(match=match))
        assert (found.status, found.code, found.retryable) == (403, "UNPRICED_MODEL", False)
    tell(brakes, budgets=[budget(amount=1, unpriced=True)])
    await brakes.enter(Call(match=PREDICT), plan(), 0.0)


async def test_a_further_try_holds_what_the_first_may_have_cost_too() -> None:
    brakes, _ = made(budgets=[budget(amount=2 * EACH)])
    one, two = plan("one", "two").targets
    call = Call()
    await brakes.enter(call, plan("one", "two"), 0.0)
    first, second, third = Try(1, one), Try(2, two), Try(3, one)
    slot = NOON // DAY * DAY
    assert brakes.more(call, first) == (Charged(1, slot, EACH),)
    assert first.output_estimate == OUT
    first.verdict = Verdict(kind=Kind.BUSY, status=503)
    call.trials.append(first)
    assert brakes.more(call, second) == (Charged(1, slot, EACH),)
    assert brakes.budgets.state(NOON)[0].held == EACH  # Google counts nothing for the first
    second.verdict = Verdict(kind=Kind.BROKEN, status=500, billed=True)
    call.trials.append(second)
    assert brakes.more(call, third) == (Charged(1, slot, EACH),)
    assert brakes.budgets.state(NOON)[0].held == 2 * EACH
    call.trials.append(third)
    with pytest.raises(Refused) as caught:
        brakes.more(call, Try(4, two))
    assert caught.value.code == "BUDGET_SPENT"
    charged = brakes.settle(
        call,
        [attempt(1, None, verdict=Kind.BUSY), attempt(2, estimated=True, verdict=Kind.BROKEN), attempt(3)],
    )
    assert charged == (Charged(1, slot, 2 * EACH),)
    assert brakes.settle(call, [attempt()]) == ()


async def test_the_budget_of_a_project_bars_tries_there_only() -> None:
    rows = [budget(1, EACH, scope="project", of="one"), budget(2, 10 * EACH, scope="project", of="two")]
    brakes, _ = made(budgets=rows)
    one, two = plan("one", "two").targets
    call, slot = Call(), NOON // DAY * DAY
    await brakes.enter(call, plan("one", "two"), 0.0)
    assert brakes.bar(call, one) is None
    assert brakes.more(call, Try(1, one)) == (Charged(1, slot, EACH),)
    assert brakes.barred(call, one) is None  # what it holds itself is no bar to a further try
    assert brakes.barred(Call(), one) == 1.0
    assert brakes.refusal(Call(), one).code == "BUDGET_HELD"
    assert brakes.refusal(Call(), two).status == 429  # it has got room meanwhile
    assert brakes.settle(call, [attempt()]) == (Charged(1, slot, EACH),)
    after = Call()
    await brakes.enter(after, plan("one", "two"), 0.0)
    assert (bar := brakes.bar(after, one)) is not None
    assert bar.final
    assert brakes.bar(after, two) is None
    assert brakes.barred(after, one) == (_midnight() - NOON) / SECOND
    assert brakes.refusal(after, one).code == "BUDGET_SPENT"
    with pytest.raises(Refused) as caught:
        brakes.more(after, Try(1, one))
    assert caught.value.code == "BUDGET_SPENT"
    assert brakes.more(after, Try(2, two)) == (Charged(2, slot, EACH),)
    assert brakes.settle(after, [attempt(2, project="two")]) == (Charged(2, slot, EACH),)


async def test_tokens_without_a_price_are_charged_as_held() -> None:
    rows = [budget(1), budget(2, 10**6, unit="tokens")]
    brakes, _ = made(budgets=rows)
    call = Call()
    await brakes.enter(call, plan(), 0.0)
    brakes.more(call, Try(1, plan().targets[0]))
    charged = brakes.settle(call, [attempt(usage=Usage(IN, 0, 7), cost=Cost(total=None, billed=None))])
    assert [row.amount for row in charged] == [EACH, IN + 7]


async def test_an_answer_that_comes_later_is_charged_as_held() -> None:
    key = Key(id=1, name="app", tpm=2 * (IN + OUT))
    rows = [budget(1), budget(2, 10**6, unit="tokens"), budget(3, 10**6, scope="project", of="two")]
    brakes, _ = made([key], rows)
    call = Call(key)
    await brakes.enter(call, plan(), 0.0)
    brakes.more(call, Try(1, plan().targets[0]))
    charged = brakes.settle(call, [attempt(usage=None, cost=Cost(total=None, billed=None))])
    assert [row.amount for row in charged] == [EACH, IN + OUT]
    assert await outcome(brakes, Call(key), 0.0) == "ok"
    assert await outcome(brakes, Call(key), 0.0) == "KEY_RATE"


async def test_the_soft_line_is_told_to_clients_and_once_on_record() -> None:
    brakes, _ = made(budgets=[budget(amount=4 * EACH, soft=0.5, name="team"), budget(2, 400 * EACH)])
    calls = [Call() for _ in range(4)]
    for call in calls:
        assert await outcome(brakes, call, 0.0) == "ok"
    assert [call.marks for call in calls] == [
        [],
        [],
        [(b"x-gemgate-budget", b"team; spent=0.50")],
        [(b"x-gemgate-budget", b"team; spent=0.75")],
    ]
    assert [[event.kind for event in call.events] for call in calls] == [[], ["budget_soft"], [], []]
    assert calls[1].events[0].sentence.startswith("50% of $")


async def test_a_restart_tells_no_soft_line_again_and_knows_the_minute() -> None:
    key = Key(id=1, name="app", rpm=3, tpm=10**6)
    brakes, clock = made([key])
    brakes.restore([(1, NOON - 10 * SECOND, 2, 500), (9, NOON - 5 * SECOND, 7, 7)])
    row = budget(amount=10 * EACH, soft=0.5)
    tell(brakes, [key], [row], [Charged(1, brakes.budgets.slot(row, NOON), 6 * EACH)])
    call = Call(key)
    assert await outcome(brakes, call, 0.0) == "ok"
    assert call.events == ()
    assert (await refused(brakes, Call(key))).code == "KEY_RATE"
    clock.at += 51 * SECOND
    assert await outcome(brakes, Call(key), 0.0) == "ok"


async def test_a_runaway_key_is_stopped_before_the_store_knows() -> None:
    key = Key(id=1, name="app")
    brakes, _ = made([key], runaway="stop")
    brakes.restore((), [(1, NOON - hours * 3600 * SECOND, 10**7) for hours in range(9, 0, -1)])
    dear = attempt(cost=Cost(total=10**10, billed=10**10))
    call = Call(key)
    await brakes.enter(call, plan(), 0.0)
    brakes.settle(call, [dear])
    assert [(event.kind, event.subject) for event in call.events] == [("runaway_spend", "app")]
    assert [(number, at) for number, at, _ in brakes.stops] == [(1, NOON)]
    found = await refused(brakes, Call(key))
    assert (found.status, found.code) == (403, "KEY_STOPPED")
    tell(brakes, [key], runaway="stop")  # the store does not know yet
    assert (await refused(brakes, Call(key))).code == "KEY_STOPPED"
    tell(brakes, [Key(id=1, name="app", stopped_at=NOON)], runaway="stop")
    tell(brakes, [key], runaway="stop")  # an administrator has let it go on
    assert await outcome(brakes, Call(key), 0.0) == "ok"


async def test_a_key_that_is_stopped_leaves_the_line() -> None:
    key = Key(id=1, name="app", concurrency=1)
    brakes, _ = made([key], runaway="stop")
    brakes.restore((), [(1, NOON - hours * 3600 * SECOND, 10**7) for hours in range(9, 0, -1)])
    call = Call(key)
    await brakes.enter(call, plan(), 0.0)
    waiting = [asyncio.create_task(outcome(brakes, Call(key), 600.0)) for _ in range(5)]
    await asyncio.sleep(0)
    brakes.settle(call, [attempt(cost=Cost(total=10**10, billed=10**10))])
    assert await asyncio.gather(*waiting) == ["KEY_STOPPED"] * 5


async def test_the_same_call_repeated_is_told_and_no_more_where_only_warnings_are_asked_for() -> None:
    key = Key(id=1, name="app")
    brakes, _ = made([key], runaway="warn")
    kinds = []
    for _ in range(102):
        call = Call(key)
        await brakes.enter(call, plan(), 0.0)
        brakes.settle(call, [attempt()], 77)
        kinds += [event.kind for event in call.events]
    assert kinds == ["runaway_repeat"]
    assert brakes.stops == []


async def test_without_keys_and_budgets_nothing_applies() -> None:
    brakes, _ = made()
    assert not brakes.apply(Call())
    assert brakes.apply(Call(Key(id=1, name="app")))
    tell(brakes, budgets=[budget()])
    assert brakes.apply(Call())
    call = Call()
    assert brakes.more(call, Try(1, plan().targets[0])) == ()
    assert brakes.settle(call, [attempt()]) == ()


async def test_a_negative_count_of_candidates_opens_no_budget() -> None:
    brakes, _ = made(budgets=[budget(amount=2 * EACH)])
    for candidates in (-1, -100_000, 0):
        call = Call()
        call.asked = Asked(model=MODEL, input_estimate=IN, shape=Shape(max_output=OUT), candidates=candidates)
        await brakes.enter(call, plan(), 0.0)
        assert call.entry is not None
        assert call.entry.held[0].amount == EACH
        brakes.settle(call, [])


async def test_what_google_holds_is_held_too_and_goes_one_at_a_time_while_nobody_knows_its_size() -> None:
    brakes, _ = made(budgets=[budget(amount=20 * EACH)])
    many = Usage(IN + 5_000, 0, OUT)
    asked = Asked(model=MODEL, input_estimate=IN, shape=Shape(max_output=OUT), refers=("files/f",))

    def call() -> Call:
        made = Call()
        made.asked = asked
        return made

    first = call()
    await brakes.enter(first, plan(), 0.0)
    assert first.entry is not None
    assert first.entry.estimate.tokens_most == 1_048_576 + OUT
    assert (await refused(brakes, call())).code == "BUDGET_HELD"
    brakes.settle(first, [attempt(usage=many)])
    brakes._estimates.learn_held(asked.held, many, IN)
    each = pricing.cost(PRICE, many).billed or 0
    ended = await asyncio.gather(*(outcome(brakes, call(), 60.0, usage=many, late=2) for _ in range(40)))
    assert ended.count("ok") + 1 == 20 * EACH // each
    assert brakes.budgets.state(NOON)[0].spent <= 20 * EACH


async def test_a_body_that_was_not_read_may_hold_as_much_as_the_model_takes() -> None:
    brakes, _ = made(budgets=[budget(amount=20 * EACH)])
    for asked in (None, Asked(model=MODEL)):
        call = Call()
        call.asked = asked
        await brakes.enter(call, plan(), 0.0)
        assert call.entry is not None
        assert call.entry.estimate.tokens_most > 1_048_576
        brakes.settle(call, [])


async def test_a_dearer_target_without_room_is_passed_over_for_a_cheaper_one() -> None:
    brakes, _ = made(budgets=[budget(amount=3 * EACH)])
    flash, pro, lite = (Target(name, "one") for name in (MODEL, "gemini-2.5-pro", "gemini-2.5-flash-lite"))
    other, call = Call(), Call()
    await brakes.enter(other, plan(), 0.0)
    await brakes.enter(call, Plan((flash, pro, lite)), 0.0)
    assert brakes.barred(call, flash) is None
    assert brakes.barred(call, pro) == 1.0  # the other call holds what it would need
    assert brakes.barred(call, lite) is None
    first = Try(1, flash)
    brakes.more(call, first)
    first.verdict = Verdict(kind=Kind.BROKEN, status=500, billed=True)
    call.trials.append(first)
    assert brakes.barred(call, flash) is None  # its own and another one fit
    brakes.settle(other, [attempt(usage=Usage(2 * IN, 0, 2 * OUT))])
    assert brakes.barred(call, flash) == brakes.barred(call, pro) == (_midnight() - NOON) / SECOND
    assert brakes.refusal(call, flash).code == "BUDGET_SPENT"
    held = brakes.budgets.state(NOON)[0].held
    tell(brakes, budgets=[budget(amount=4 * EACH)])
    assert brakes.barred(call, lite) is None
    assert brakes.budgets.state(NOON)[0].held == held  # looking changes nothing


async def test_a_key_that_is_no_longer_good_does_not_get_in_from_the_line() -> None:
    key = Key(id=1, name="app")
    brakes, clock = made([key], [budget(amount=EACH)])
    for changed, code in (
        (Key(id=1, name="app", disabled_at=NOON), "KEY_DISABLED"),
        (Key(id=1, name="app", stopped_at=NOON), "KEY_STOPPED"),
        (Key(id=1, name="app", expires_at=NOON), "KEY_EXPIRED"),
        (Key(id=1, name="app", concurrency=0), "KEY_BUSY"),
    ):
        tell(brakes, [key], [budget(amount=EACH)])
        first = Call()
        await brakes.enter(first, plan(), 0.0)
        waiting = asyncio.create_task(outcome(brakes, Call(key), 60.0))
        await asyncio.sleep(0)
        tell(brakes, [changed], [budget(amount=EACH)])
        brakes.leave(first)
        assert await waiting == code
        assert brakes.budgets.state(NOON)[0].held == 0
    assert clock.at == NOON


async def test_a_budget_that_is_removed_lets_those_in_its_line_go() -> None:
    brakes, _ = made(budgets=[budget(amount=EACH)])
    await brakes.enter(Call(), plan(), 0.0)
    waiting = [asyncio.create_task(outcome(brakes, Call(), 600.0)) for _ in range(3)]
    await asyncio.sleep(0)
    tell(brakes, budgets=[budget(amount=EACH, disabled_at=NOON)])
    assert await asyncio.gather(*waiting) == ["ok"] * 3


async def test_an_idle_gateway_shows_the_same_while_time_goes_by() -> None:
    rows = [budget(1, period="rolling", seconds=60), budget(2)]
    brakes, clock = made(budgets=rows)
    before = brakes.shown()
    clock.at += 30 * SECOND
    assert brakes.shown() == before


async def test_a_stop_that_is_on_record_is_forgotten_here() -> None:
    key = Key(id=1, name="app")
    brakes, _ = made([key], runaway="stop")
    brakes.restore((), [(1, NOON - hours * 3600 * SECOND, 10**7) for hours in range(9, 0, -1)])
    call = Call(key)
    await brakes.enter(call, plan(), 0.0)
    brakes.settle(call, [attempt(cost=Cost(total=10**10, billed=10**10))])
    tell(brakes, [key], runaway="stop")  # it was written, and enabled again before the next look
    assert (await refused(brakes, Call(key))).code == "KEY_STOPPED"
    brakes.stopped_on_record([1])
    assert await outcome(brakes, Call(key), 0.0) == "ok"


plans = st.lists(
    st.tuples(
        st.integers(0, 2),  # which key
        st.integers(0, 4),  # turns of the loop that it takes
        st.integers(0, 2),  # how it ends: answered, refused by Google, the client leaves
        st.integers(0, 3),  # turns before it comes
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(plans)
@example([(0, 2, 0, 0), (0, 2, 0, 0), (1, 0, 0, 1), (0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
def test_whatever_comes_nothing_is_overshot_overtaken_or_left(calls: list[tuple[int, int, int, int]]) -> None:
    asyncio.run(_crowd(calls))


async def _crowd(calls: list[tuple[int, int, int, int]]) -> None:
    keys = [
        Key(id=1, name="one", concurrency=2),
        Key(id=2, name="two", concurrency=3, rpm=1_000),
        Key(id=3, name="three"),
    ]
    rows = [
        budget(1, 10 * EACH),
        budget(2, 6 * EACH, scope="key", of="one"),
        budget(3, 4 * EACH, scope="key", of="two"),
    ]
    brakes, _ = made(keys, rows)
    came: dict[int, list[int]] = {1: [], 2: [], 3: []}
    went: dict[int, list[int]] = {1: [], 2: [], 3: []}
    answered = 0
    numbered: dict[bytes, int] = {}
    inside: Any = brakes
    admit = inside._admit

    def told(entry: Entry, place: int, now: int) -> Any:
        """Note who is let in, at that moment: those from the line wake a turn of the loop later."""
        found = admit(entry, place, now)
        if found is None and entry.key is not None:
            went[entry.key.id].append(numbered[entry.call])
        return found

    inside._admit = inside._line._admit = told

    async def one(number: int, which: int, turns: int, end: int) -> None:
        nonlocal answered
        call = Call(keys[which])
        came[which + 1].append(number)
        numbered[call.call_id] = number
        try:
            await brakes.enter(call, plan(), 600.0)
        except Refused as error:
            assert error.code == "BUDGET_SPENT"  # noqa: PT017 - all have patience enough for what heals
            return
        brakes.more(call, Try(1, plan().targets[0]))
        for _ in range(turns):
            busy = brakes.shown()["busy"]
            assert isinstance(busy, dict)
            assert busy.get("one", 0) <= 2
            assert busy.get("two", 0) <= 3
            for row in brakes.budgets.state(NOON):
                assert row.spent + row.held <= row.budget.amount
            await asyncio.sleep(0)
        if end == 2:
            brakes.leave(call)
        else:
            answered += end == 0
            brakes.settle(call, [attempt(usage=USED if end == 0 else None)])

    tasks = []
    for number, (which, turns, end, before) in enumerate(calls):
        for _ in range(before):
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(one(number, which, turns, end)))
    await asyncio.gather(*tasks)
    for key, numbers in went.items():
        assert numbers == [number for number in came[key] if number in numbers]
    assert [row.held for row in brakes.budgets.state(NOON)] == [0, 0, 0]
    assert brakes.budgets.state(NOON)[0].spent == answered * EACH
    assert brakes.shown()["busy"] == {}
    assert brakes.shown()["waiting"] == 0
