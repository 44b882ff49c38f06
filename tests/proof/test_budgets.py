"""Promise P6, budgets: whatever comes at once, however long, and however the gateway ends, the line holds.

The bound that is shown: what the simulator counted, times the price book, is never above what was charged; what was
charged passes the line by the error of one call's estimate at most. Neither a kill nor a restart adds to it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.launch import until
from tests.proof import braked, stage
from tests.proof.braked import FORMS, INPUT, Call, all_at_once, budget, code, cost, put

SPEED = "20"
OUTPUT = 100
FIT, MANY = 50, 200
PROJECT = stage.Project("one")


def fixed(number: int, form: str = "", slow: float = 2.0, **more: Any) -> Call:
    """A call whose answer has exactly the tokens that it allows."""
    return Call(f"Call {number}", OUTPUT, form=form or FORMS[number % len(FORMS)], slow=slow, **more)


@pytest.mark.parametrize("unit", ["money", "tokens"])
def test_a_budget_for_fifty_serves_fifty_of_two_hundred(unit: str, tmp_path: Path) -> None:
    each = cost(INPUT, OUTPUT) if unit == "money" else INPUT + OUTPUT
    put(tmp_path / "data", [], [budget("line", FIT * each, unit=unit)])
    with (
        stage.simulator(tmp_path, [PROJECT], "--speed", SPEED) as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT]) as gateway,
    ):
        answers = all_at_once(gateway, [fixed(number) for number in range(MANY)])
        assert braked.statuses(answers) == {200: FIT, 402: MANY - FIT}
        assert {code(answer) for answer in answers if answer.status == 402} == {"BUDGET_SPENT"}
        assert not any(answer.headers.get("retry-after") for answer in answers)
        lines = stage.lines(tmp_path)
        assert [line["status"] for line in lines] == [200] * FIT, "the simulator was asked more often"
        assert braked.taken(upstream) == (FIT * INPUT, FIT * OUTPUT)
        assert braked.spent(gateway) == {"line": FIT * each}
        assert braked.billed(gateway) == FIT * cost(INPUT, OUTPUT)
        assert len(gateway.rows("SELECT seq FROM calls")) == MANY, "each call has its row, refused ones too"
        assert braked.held(gateway) == {}


def test_answers_of_any_length_pass_the_line_by_one_estimates_error_at_most(tmp_path: Path) -> None:
    """Nobody knows before how long an answer gets: the line falls in the middle of the calls."""
    dice = random.Random(4)
    calls = [
        Call(
            f"Call {number}",
            most := dice.randint(20, 400),
            dice.randint(1, most),
            dice.choice(FORMS),
            slow=1.0,
        )
        for number in range(MANY)
    ]
    truth = [cost(INPUT, call.said) for call in calls]
    amount = sum(truth) // 3
    put(tmp_path / "data", [], [budget("line", amount)])
    with (
        stage.simulator(tmp_path, [PROJECT], "--speed", SPEED) as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT]) as gateway,
    ):
        answers = all_at_once(gateway, calls)
        assert set(braked.statuses(answers)) == {200, 402}
        spent = cost(*braked.taken(upstream))
        served = [nano for nano, answer in zip(truth, answers, strict=True) if answer.status == 200]
        assert spent == sum(served) == braked.spent(gateway)["line"] == braked.billed(gateway)
        error = max(braked.bound(call.output).error for call in calls)
        assert spent <= amount + error
        # The line is no pretext: what is left of it is less than the largest call might have taken.
        assert spent > amount - max(braked.bound(call.output).most for call in calls)


def test_without_patience_nobody_waits_for_what_others_hold(tmp_path: Path) -> None:
    each = cost(INPUT, OUTPUT)
    put(tmp_path / "data", [], [budget("line", FIT * each)])
    hasty = (("x-gemgate-patience", "0"),)
    with (
        stage.simulator(tmp_path, [PROJECT], "--speed", SPEED) as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT]) as gateway,
    ):
        answers = all_at_once(gateway, [fixed(number, headers=hasty) for number in range(MANY)])
        found = braked.statuses(answers)
        assert set(found) <= {200, 402, 429}
        assert 0 < found[200] <= FIT
        told = [answer for answer in answers if answer.status == 429]
        assert {code(answer) for answer in told} == {"BUDGET_HELD"}
        assert all(answer.retry_after > 0 for answer in told)
        # Those who come again later find what is left.
        while {code(answer) for answer in answers} != {"BUDGET_SPENT"}:
            answers = all_at_once(gateway, [fixed(number, headers=hasty) for number in range(4)])
            assert set(braked.statuses(answers)) <= {200, 402, 429}
        assert braked.taken(upstream) == (FIT * INPUT, FIT * OUTPUT)
        assert braked.spent(gateway) == {"line": FIT * each}


@pytest.mark.parametrize("unit", ["money", "tokens"])
def test_a_kill_in_the_middle_and_a_restart_add_nothing_to_the_bound(unit: str, tmp_path: Path) -> None:
    each = cost(INPUT, OUTPUT) if unit == "money" else INPUT + OUTPUT
    amount, most = FIT * each, braked.bound(OUTPUT, money=unit == "money")
    put(tmp_path / "data", [], [budget("line", amount, unit=unit)])
    with (
        stage.simulator(tmp_path, [PROJECT], "--speed", SPEED) as upstream,
        stage.gateway(tmp_path, upstream, [PROJECT]) as gateway,
    ):

        def kill() -> None:
            """End it while calls are under way and some were answered."""
            until(lambda: bool(braked.spent(gateway)["line"] and upstream.state()["in_progress"]), "a middle")
            gateway.kill()

        calls = [fixed(number, slow=1.0 + number % 7) for number in range(MANY)]
        before = all_at_once(gateway, calls, kill)
        answered = [answer for answer in before if answer.status == 200 and answer.whole]
        under_way, charged = braked.held(gateway)["line"], braked.spent(gateway)["line"]
        assert under_way
        assert charged >= len(answered) * each, "an answer left before its charge was on record"
        gateway.start()
        # What the dead process held is charged, whatever became of it: Google may have billed it all.
        assert braked.spent(gateway) == {"line": charged + under_way}
        assert braked.held(gateway) == {}
        lost = gateway.rows("SELECT * FROM calls AS c WHERE NOT " + braked.FINISHED)
        assert lost
        assert all(row["estimated"] > INPUT // 4 + OUTPUT for row in lost), "output counts too"
        assert under_way <= len(lost) * most.most
        after = all_at_once(gateway, [fixed(MANY + number) for number in range(MANY)])
        assert set(braked.statuses(after)) == {200, 402}
        input_, output = braked.taken(upstream)
        truth = cost(input_, output) if unit == "money" else input_ + output
        spent = braked.spent(gateway)["line"]
        assert truth <= spent <= amount + most.error
        # What the kill cost is what was held for answers that nobody got, no more.
        assert spent - truth <= under_way
        assert charged + under_way + sum(answer.status == 200 for answer in after) * each == spent
        if unit == "money":
            assert spent == braked.billed(gateway, braked.FINISHED) + under_way
