"""Windows of quota and money, in process and on a clock of the test's own: what is let in, and when there is room."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_simulator import catalog, money, quota
from gemini_simulator.http import ApiError
from gemini_simulator.world import Clock, Project, World

START = 1_795_464_000.0  # 2026-11-23 20:00 UTC, noon in California
MODEL = "gemini-3.8-flash"
DOLLARS_PER_MILLION = 0.75
STANDING = 0.0


class Play:
    """A world whose clock stands still until it is moved."""

    def __init__(self, **script: Any) -> None:
        project = {"name": "one", "tier": "tier1", "keys": ["AIzaOne"], **script.pop("project", {})}
        script = {"projects": [project, *script.pop("others", [])], **script}
        self.world = World(Clock(START, STANDING), 0, catalog.load(), script)
        self.at(0)

    def at(self, seconds: float) -> None:
        self.seconds = seconds
        self.world.clock.set(START + seconds, STANDING)

    def project(self, name: str = "one") -> Project:
        return self.world.projects[name]

    def admit(self, tokens: int, project: str = "one") -> ApiError | None:
        """None, or the refusal."""
        try:
            quota.admit(self.world, self.project(project), self.world.catalog[MODEL], tokens)
        except ApiError as error:
            return error
        return None


def quota_id(error: ApiError | None) -> str:
    assert error is not None
    found: str = error.details[1]["violations"][0]["quotaId"]
    return found


def told_delay(error: ApiError) -> float:
    """The seconds of "Please retry in 1h2m3.5s."""
    found = re.search(r"Please retry in (?:(\d+)h)?(?:(\d+)m)?([\d.]+)s\.$", error.message)
    assert found is not None
    return int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + float(found[3])


REQUESTS = st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(1, 70)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(requests=REQUESTS, minutes=st.sampled_from(["rolling", "fixed"]))
def test_no_minute_holds_more_than_its_limits_and_the_named_delay_is_true(
    requests: list[tuple[float, int]], minutes: str
) -> None:
    play = Play(project={"limits": {"*": {"rpm": 5, "tpm": 150}}}, minutes=minutes)
    taken: list[tuple[float, int]] = []
    now = 0.0
    for gap, tokens in requests:
        now += gap
        play.at(now)
        refused = play.admit(tokens)
        if refused is not None:
            now += told_delay(refused) + 0.001
            play.at(now)
            assert play.admit(tokens) is None
        taken.append((now, tokens))
    for moment, _ in taken:
        if minutes == "rolling":
            inside = [size for when, size in taken if moment - 60 < when <= moment]
        else:
            inside = [size for when, size in taken if when // 60 == moment // 60]
        assert len(inside) <= 5
        assert sum(inside) <= 150


def test_a_fixed_minute_lets_in_at_its_turn_what_a_rolling_one_refuses() -> None:
    for minutes, expected in (("rolling", True), ("fixed", False)):
        play = Play(project={"limits": {"*": {"rpm": 2}}}, minutes=minutes)
        play.at(59)
        assert play.admit(1) is play.admit(1) is None
        play.at(61)
        assert (play.admit(1) is not None) is expected


def test_a_refused_request_counts_where_the_script_says_so() -> None:
    for counted in (False, True):
        play = Play(project={"limits": {"*": {"rpm": 1, "rpd": 3}}}, refused_count=counted)
        assert play.admit(1) is None
        assert play.admit(1) is not None
        play.at(59.5)
        assert play.admit(1) is not None
        play.at(60.5)
        assert (play.admit(1) is not None) is counted


@pytest.mark.parametrize(
    ("tier", "name"),
    [
        ("free", "GenerateContentInputTokensPerModelPerDay-FreeTier"),
        ("tier2", "GenerateContentPaidTierInputTokensPerModelPerDay-PaidTier2"),
    ],
)
def test_a_day_of_tokens_ends_at_midnight_in_california(tier: str, name: str) -> None:
    play = Play(project={"tier": tier, "limits": {"*": {"tpd": 100}}})
    assert play.admit(60) is None
    play.at(11 * 3600)
    refused = play.admit(60)
    assert quota_id(refused) == name
    assert refused is not None
    assert "input_token_count" in refused.details[1]["violations"][0]["quotaMetric"]
    if tier != "free":
        assert told_delay(refused) == pytest.approx(3600, abs=1)
    play.at(12 * 3600 + 1)
    assert play.admit(60) is None


def test_money_is_counted_by_billing_account_over_ten_rolling_minutes() -> None:
    other = {"name": "two", "tier": "tier1", "keys": ["AIzaTwo"], "billing_account": "shared"}
    alone = {"name": "three", "tier": "tier1", "keys": ["AIzaThree"]}
    play = Play(
        project={"billing_account": "shared"}, others=[other, alone], spend={"shared": DOLLARS_PER_MILLION}
    )
    assert play.admit(600_000) is None
    play.at(300)
    refused = play.admit(600_000, "two")
    assert refused is not None
    assert refused.payload() == {
        "error": {
            "code": 429,
            "message": "Resource has been exhausted (e.g. check quota).",
            "status": "RESOURCE_EXHAUSTED",
        }
    }
    assert play.admit(600_000, "three") is None
    assert play.admit(400_000, "two") is None
    play.at(599)
    assert play.admit(1_000) is not None
    play.at(602)
    assert play.admit(600_000, "two") is None


def test_a_tier_has_its_own_limit_and_a_free_project_spends_nothing() -> None:
    play = Play(others=[{"name": "free", "tier": "free"}, {"name": "rich", "tier": "tier3"}])
    limits = [money.limit(play.world, play.project(name)) for name in ("one", "rich", "free")]
    assert limits == [10.0, 200.0, None]
    assert money.limit(play.world, Project("own", "tier1", spend=0.5)) == 0.5


def test_prices_have_dates_and_kinds() -> None:
    models = catalog.load()
    flash = models[MODEL]
    assert money.cost(flash, "2026-12-31", {"TEXT": 1_000}, output=100) == 750_000 + 375_000
    assert money.cost(flash, "2027-01-01", {"TEXT": 1_000}, output=100) == 1_500_000 + 750_000
    assert money.cost(flash, "2026-12-31", {"TEXT": 1_000}, cached=400) == 450_000 + 30_000
    assert money.cost(models["gemini-2.5-flash"], "2026-11-23", {"TEXT": 10, "AUDIO": 10}) == 3_000 + 10_000
    pro = models["gemini-3.1-pro-preview"]
    assert money.cost(pro, "2026-11-23", {"TEXT": 200_000}) == 200_000 * 2_000
    assert money.cost(pro, "2026-11-23", {"TEXT": 200_001}) == 200_001 * 4_000
    assert money.cost(models["veo-3.1-generate-001"], "2026-11-23", {"TEXT": 10}) == 0
