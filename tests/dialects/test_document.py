"""Each body of Google's leads to the action it asks for, and the page of errors says what the code does."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from gemgate.core.actions import RULES, Action, rule
from gemgate.core.health import Health, Standing
from gemgate.core.pursuit import End, Met, Move, Terms, Told, Try, Wait, pursue
from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini.document import CASES, Case, judged, markdown
from gemgate.dialects.gemini.verdict import judge_error

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors-and-actions.md"
REFUSALS: list[dict[str, Any]] = json.loads((ROOT / "tests" / "cases" / "refusals.json").read_text())
# The research that the project was built on; a clone of the project alone has it not.
RESEARCH = ROOT.parent / "shared" / "gemini" / "errors.jsonl"

S = 1_000_000
A, A2, B = Target("gemini-x", "one"), Target("gemini-x", "two"), Target("gemini-y", "one")
OK = Verdict(kind=Kind.OK, status=200)
NAMED = {case.name: case for case in CASES}


def test_the_page_is_made_from_the_code() -> None:
    assert PAGE.read_text("utf-8") == markdown()


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal["name"]))
def test_our_short_bodies_are_read_as_googles_own(refusal: dict[str, Any]) -> None:
    ours = judged(NAMED[refusal["name"]])
    theirs = judge_error(refusal["status"], json.dumps(refusal["body"]).encode())
    assert (ours.kind, ours.status, ours.reason, ours.scope, ours.quota) == (
        theirs.kind,
        theirs.status,
        theirs.reason,
        theirs.scope,
        theirs.quota,
    )
    assert ours.retry_after == pytest.approx(theirs.retry_after, abs=0.1)


def test_every_reason_of_a_case_is_in_the_table() -> None:
    for case in CASES:
        found = judged(case)
        assert found.ok or found.kind is Kind.CUT or found.reason in RULES, case.name


class Sight:
    """Real breakers and keys, and windows that close for the delay that a refusal names."""

    def __init__(self, keys: int) -> None:
        self.health = Health(known=lambda _model: False)
        self.now = 0.0
        self.closed: dict[Target, float] = {}
        self.keys = keys

    def standing(self, target: Target) -> Standing:
        closed = self.closed.get(target, 0.0)
        if closed > self.now:
            return Standing(closed - self.now, "quota:rpm", room=True)
        now = S + round(self.now * S)
        at, why = self.health.open_at(target, now)
        key = min(self.health.key_at(f"{target.project}/{number}", now) for number in range(self.keys))
        return Standing((max(at, key) - now) / S, why or "closed" * (key > now))

    def met(self, target: Target, verdict: Verdict) -> None:
        now = S + round(self.now * S)
        if rule(verdict).action is Action.KEY:
            fresh = (f"{target.project}/{number}" for number in range(self.keys))
            self.health.met_key(
                next(key for key in fresh if self.health.key_at(key, now) <= now), verdict, now
            )
        elif verdict.reason.startswith("quota_"):
            self.closed[target] = self.now + (verdict.retry_after or 80_000.0)
        else:
            self.health.met(target, verdict, now - S // 10, now, self.chance())

    def hedge_after(self, target: Target) -> float | None:
        return None

    def chance(self) -> float:
        return 0.5


def followed(
    verdict: Verdict, *targets: Target, heals: bool = False, keys: int = 1
) -> tuple[list[Move], End]:
    """What follows when the first target always fails so (with ``heals`` only once) and the others answer."""
    sight = Sight(keys)
    moves: list[Move] = []
    pursuit = pursue(Plan(targets), Terms(patience=120.0), sight)
    told: Told | None = None
    while True:
        try:
            move = next(pursuit) if told is None else pursuit.send(told)
        except StopIteration as stop:
            end: End = stop.value
            return moves, end
        moves.append(move)
        if isinstance(move, Wait):
            sight.now += move.seconds
            told = Told(sight.now)
            continue
        assert isinstance(move, Try)
        found = verdict if move.target == A and not (heals and moves.count(Try(A)) > 1) else OK
        if not found.ok:
            sight.met(move.target, found)
        told = Told(sight.now, (Met(move.target, found),))


def waits_for_the_delay(verdict: Verdict) -> None:
    """Another project at once; alone, the same again when the delay is over, not before."""
    assert followed(verdict, A, B, A2)[0][:2] in ([Try(A), Try(A2)], [Try(A), Try(B)])
    moves, end = followed(verdict, A, heals=True)
    assert moves == [Try(A), Wait(verdict.retry_after, (A,)), Try(A)]
    assert end.reason == "answered"


def leaves_the_target(verdict: Verdict) -> None:
    """Never the same target again in this call, and the next one at once."""
    assert followed(verdict, A, A2)[0] == [Try(A), Try(A2)] or verdict.reason == "model_unknown"
    moves, end = followed(verdict, A)
    assert moves == [Try(A)]
    assert end.reason in ("no_way", "no_room")


def backs_off(verdict: Verdict) -> None:
    """Another target at once; alone, again after a pause."""
    assert followed(verdict, A, B, A2)[0][1] in (Try(A2), Try(B))
    moves, end = followed(verdict, A, heals=True)
    assert [type(move) for move in moves] == [Try, Wait, Try]
    assert end.reason == "answered"


def few_times(verdict: Verdict) -> None:
    """As a passing fault, but two or three tries and no more."""
    backs_off(verdict)
    assert 2 <= followed(verdict, A)[0].count(Try(A)) <= 3


def once_more(verdict: Verdict) -> None:
    """As a passing fault, but two tries and no more."""
    backs_off(verdict)
    assert followed(verdict, A)[0].count(Try(A)) == 2


def next_key(verdict: Verdict) -> None:
    """Another key of the project at once; without one the next target."""
    assert followed(verdict, A, heals=True, keys=2)[0] == [Try(A), Try(A)]
    assert followed(verdict, A, A2, keys=1)[0][-1] == Try(A2)


def is_told(verdict: Verdict) -> None:
    """The client gets it."""
    moves, end = followed(verdict, A, A2, B)
    assert moves == [Try(A)]
    assert end.met == Met(A, verdict)


# What each body asks for, by name; the words are those of the research where it has any.
ASKED = {
    "quota_rpm_free": ("wait_retryDelay_or_use_other_project", waits_for_the_delay),
    "quota_tpm_free": ("wait_retryDelay_or_shrink_prompt", waits_for_the_delay),
    "quota_tpm_paid_tier1": ("wait_retryDelay_or_use_other_project", waits_for_the_delay),
    "quota_rpd_free": ("cool_down_model_on_project_until_midnight_pacific", leaves_the_target),
    "quota_rpd_paid": (
        "cool_down_model_on_project_for_retryDelay_max_midnight_pacific",
        leaves_the_target,
    ),
    "quota_limit_zero": ("mark_model_unavailable_on_project", leaves_the_target),
    "openai_429_array": ("as quota_rpd_free", leaves_the_target),
    "exhausted_bare": ("backoff_with_jitter_unknown_scope", backs_off),
    "overloaded_new": ("backoff_with_jitter_or_fallback_model", backs_off),
    "internal_long": ("retry_few_times", few_times),
    "deadline": ("retry_once_with_larger_timeout_or_stream", once_more),
    "cancelled": ("do_not_retry_if_client_left", once_more),
    "prepay_depleted": ("do_not_retry_disable_project", leaves_the_target),
    "api_key_invalid": ("disable_key", next_key),
    "api_key_auth_key_rejected": ("disable_key_or_fix_auth", next_key),
    "leaked_key": ("disable_key_permanently", next_key),
    "multiple_credentials": ("gateway_bug", is_told),
    "consumer_suspended": ("disable_project", leaves_the_target),
    "failed_precondition_region": ("do_not_retry", leaves_the_target),
    "model_not_found": ("do_not_retry_map_model", leaves_the_target),
    "model_closed_to_new_users": ("mark_model_unavailable_on_project", leaves_the_target),
    "context_overflow": ("do_not_retry_client_error", is_told),
    "thought_signature_missing": ("do_not_retry_client_or_gateway_bug", is_told),
    "thought_signature_corrupt": ("retry_on_original_key_or_strip", is_told),
    "penalty_unsupported": ("drop_parameter", is_told),
    "openai_unknown_field": ("drop_field_and_retry", is_told),
    "storage_full": ("", leaves_the_target),
    "proxy_502": ("", backs_off),
    "proxy_503": ("", backs_off),
    "proxy_429": ("", backs_off),
    "permission_denied": ("", next_key),
    "file_not_found": ("", is_told),
    "first_event_error": ("", backs_off),
    "mid_stream_bare": ("emit data:-framed error; retry only if nothing was sent", is_told),
    "stream_truncated": ("treat as failure: no finishReason seen", is_told),
    "stream_empty": ("", once_more),
    "blocked_prompt": ("do_not_retry_not_an_error", is_told),
    "interactions_error_event": ("as the HTTP error of the same code", backs_off),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_body_leads_to_the_action_it_asks_for(case: Case) -> None:
    ASKED[case.name][1](judged(case))


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal["name"]))
def test_so_do_googles_own_bodies(refusal: dict[str, Any]) -> None:
    ASKED[refusal["name"]][1](judge_error(refusal["status"], json.dumps(refusal["body"]).encode()))


@pytest.mark.skipif(not RESEARCH.exists(), reason="the research lies beside the project, not in it")
def test_the_actions_are_those_that_the_research_found() -> None:
    rows = [json.loads(line) for line in RESEARCH.read_text("utf-8").splitlines()]
    assert rows
    for row in rows:
        if row["endpoint"] != "live-websocket":
            assert ASKED[row["id"]][0] == row["gateway_action"]
