"""Budgets count what they are made for, in their own periods, and say in time that they run out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.launch import Gateway, until
from tests.proof import braked, stage
from tests.proof.braked import INPUT, MODEL, Call, all_at_once, budget, code, cost, key, named, put
from tests.proof.caller import Answer
from tests.simulator.launch import Simulator

OUTPUT, FIT, MANY = 50, 5, 12
EACH = cost(INPUT, OUTPUT)
ONE, TWO = stage.Project("one"), stage.Project("two")
Headers = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Two projects without limits."""
    with stage.simulator(tmp_path_factory.mktemp("upstream"), [ONE, TWO], "--speed", "20") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a budget of each scope, each for five calls but that of all."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    limits = [
        budget("by key", FIT * EACH, scope="key", of="ann"),
        budget("by tag", FIT * EACH, scope="tag", of="night"),
        budget("by own tag", FIT * EACH, scope="tag", of="team:red"),
        budget("by route", FIT * EACH, scope="route", of="quick"),
        budget("tokens by key", FIT * (INPUT + OUTPUT), unit="tokens", scope="key", of="tess"),
        budget("by project", FIT * EACH, scope="project", of="one"),
        budget("all", 1_000 * EACH),
        budget("nobody's", 1, scope="key", of="nobody"),
    ]
    keys = [key("ann"), key("ben"), key("tess"), key("red", tags=("team:red",))]
    put(folder / "data", keys, limits)
    toml = stage.route("quick", [f"{MODEL}@two"])
    with stage.gateway(folder, upstream, [ONE, TWO], toml) as running:
        yield running


def at_once(gateway: Gateway, who: str, *headers: tuple[str, str], model: str = MODEL) -> dict[int, int]:
    """Twelve calls of a key; how many had which status. What is refused is refused for its budget."""
    calls = [
        Call(f"{who} {number}", OUTPUT, form=form, headers=(*named(who), *headers), slow=1.0, model=model)
        for number, form in zip(range(MANY), ("whole", "events", "chat") * MANY, strict=False)
    ]
    answers = all_at_once(gateway, calls)
    assert {code(answer) for answer in answers} <= {"", "BUDGET_SPENT"}
    return dict(braked.statuses(answers))


ELSEWHERE = ("x-gemgate-project", "two")
CASES: list[tuple[str, str, Sequence[tuple[str, str]], dict[str, Any]]] = [
    ("by key", "ann", [ELSEWHERE], {}),
    ("by tag", "ben", [ELSEWHERE, ("x-gemgate-tags", "night, other")], {}),
    ("by own tag", "red", [ELSEWHERE], {}),
    ("by route", "ben", [], {"model": "quick"}),
    ("tokens by key", "tess", [ELSEWHERE], {}),
    ("by project", "ben", [("x-gemgate-project", "one")], {}),
]


@pytest.mark.parametrize(("name", "who", "headers", "more"), CASES, ids=[case[0] for case in CASES])
def test_a_budget_counts_what_it_is_made_for(
    gateway: Gateway, name: str, who: str, headers: Sequence[tuple[str, str]], more: dict[str, Any]
) -> None:
    before = braked.spent(gateway)
    assert before[name] == 0
    assert at_once(gateway, who, *headers, **more) == {200: FIT, 402: MANY - FIT}
    after = braked.spent(gateway)
    each = INPUT + OUTPUT if name.startswith("tokens") else EACH
    moved = {one: after[one] - before[one] for one in after if after[one] != before[one]}
    assert moved == {name: FIT * each, "all": FIT * EACH}


def test_where_one_projects_budget_is_spent_another_serves(gateway: Gateway) -> None:
    if braked.spent(gateway)["by project"] < FIT * EACH:
        at_once(gateway, "ben", ("x-gemgate-project", "one"))
    before = braked.spent(gateway)
    assert at_once(gateway, "ben") == {200: MANY}
    after = braked.spent(gateway)
    assert after["by project"] == before["by project"]
    assert after["all"] - before["all"] == MANY * EACH


SPEED = 300.0  # seconds of the play in one of ours
MIDNIGHT = stage.START + 1_800.0
"""Midnight in Kolkata, half an hour after the start."""


def one(gateway: Gateway, name: str, *headers: tuple[str, str]) -> Answer:
    """One call."""
    return all_at_once(gateway, [Call(name, OUTPUT, headers=headers)])[0]


def test_a_day_ends_at_midnight_in_its_zone_and_a_span_rolls_on(tmp_path: Path) -> None:
    limits = [
        budget("day", FIT * EACH, scope="tag", of="day", zone="Asia/Kolkata"),
        budget("span", FIT * EACH, scope="tag", of="span", period="rolling", seconds=600),
    ]
    put(tmp_path / "data", [], limits)
    clock = stage.Clock(SPEED)
    day, span = ("x-gemgate-tags", "day"), ("x-gemgate-tags", "span")
    with (
        stage.simulator(tmp_path, [ONE], "--instant") as upstream,
        stage.gateway(tmp_path, upstream, [ONE], clock=clock) as gateway,
    ):
        clock.set(upstream)
        for tag in (day, span):
            fits = [one(gateway, f"{tag} {number}", tag).status for number in range(FIT + 1)]
            assert fits == [200] * FIT + [402]
        began = clock.at(time.time())
        refused = one(gateway, "day again", day)
        assert refused.status == 402
        assert "Saturday, 21 November 2026 at 00:00:00 (Asia/Kolkata)" in refused.body.decode()
        assert began < MIDNIGHT, "the machine was too slow: the day is over already"
        # The span has room once its first call has left it, with the ten seconds of its grain.
        until(lambda: one(gateway, "span again", span).status == 200, "room in the span")
        assert clock.at(time.time()) >= stage.START + 600
        assert one(gateway, "day still", day).status == 402
        until(lambda: clock.at(time.time()) > MIDNIGHT, "midnight")
        fits = [one(gateway, f"tomorrow {number}", day).status for number in range(FIT + 1)]
        assert fits == [200] * FIT + [402]
        slots = gateway.rows(
            "SELECT slot, spent FROM budget_spends WHERE budget_id = (SELECT id FROM budgets WHERE name = 'day')"
            " ORDER BY slot"
        )
        assert [row["spent"] for row in slots] == [FIT * EACH] * 2
        assert slots[1]["slot"] == MIDNIGHT * 1e6
        assert slots[1]["slot"] - slots[0]["slot"] == 86_400 * 1e6


def test_the_soft_line_is_told_to_clients_and_once_to_those_who_watch(tmp_path: Path) -> None:
    limit = budget("soft", 10 * EACH, soft=0.5, zone="Asia/Kolkata")
    put(tmp_path / "data", [], [limit, budget("hushed", 10 * EACH, soft=1.0)])
    clock = stage.Clock(1.0)  # no midnight comes
    with (
        stage.simulator(tmp_path, [ONE], "--instant") as upstream,
        stage.gateway(tmp_path, upstream, [ONE], clock=clock) as gateway,
    ):
        clock.set(upstream)
        told = [one(gateway, f"call {n}").headers.get("x-gemgate-budget", "") for n in range(7)]
        assert told == [""] * 5 + ["soft; spent=0.50", "soft; spent=0.60"]
        (event,) = braked.events(gateway, "budget_soft")
        assert event["subject"] == "soft"
        gateway.kill()
        gateway.start()
        assert one(gateway, "after the kill").headers["x-gemgate-budget"] == "soft; spent=0.70"
        assert len(braked.events(gateway, "budget_soft")) == 1, "told again after a restart"
        answers = all_at_once(gateway, [Call(f"last {number}", OUTPUT) for number in range(6)])
        assert braked.statuses(answers) == {200: 2, 402: 4}
        refused = next(answer for answer in answers if answer.status == 402)
        assert {event["subject"] for event in braked.events(gateway, "budget_spent")} <= {"soft", "hushed"}
        assert "is spent" in refused.body.decode()
        assert len(braked.events(gateway, "budget_soft")) == 1
