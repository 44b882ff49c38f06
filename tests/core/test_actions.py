"""Every verdict leads to one action, and each kind keeps to what it means."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.actions import KINDS, RULES, Action, is_quota, rule, surely_not_executed
from gemgate.core.verdict import Kind, Verdict

SOURCES = pathlib.Path(__file__).parents[2] / "src" / "gemgate"
REFUSALS: list[dict[str, Any]] = json.loads(
    (pathlib.Path(__file__).parents[1] / "cases" / "refusals.json").read_text()
)

verdicts = st.builds(
    Verdict,
    kind=st.sampled_from(list(Kind)),
    status=st.integers(0, 599),
    reason=st.one_of(st.sampled_from(sorted(RULES)), st.text(max_size=3)),
    billed=st.booleans(),
)


@given(verdicts)
def test_every_verdict_has_an_action_that_fits_its_kind(verdict: Verdict) -> None:
    found = rule(verdict)
    assert found.sentence
    assert (found.repeats > 0) == (found.action in (Action.AGAIN, Action.KEY))
    if verdict.kind in (Kind.OK, Kind.CUT, Kind.CANCELLED):
        assert found.action is Action.ANSWER
    if verdict.kind is Kind.SPENT:
        assert found.action is Action.NEXT
    if verdict.kind is Kind.REFUSED:
        assert found.action is not Action.AGAIN


@given(verdicts)
def test_what_may_have_been_billed_may_have_been_executed(verdict: Verdict) -> None:
    if verdict.billed or verdict.status >= 500 or verdict.status in (200, 408, 499):
        assert not surely_not_executed(verdict) or verdict.reason in ("connect", "connect_timeout", "tls")
    if verdict.billed:
        assert not surely_not_executed(verdict)


def test_what_the_table_does_not_name_follows_its_kind() -> None:
    for kind in Kind:
        assert rule(Verdict(kind=kind, reason="brand_new")) is KINDS[kind]


def test_a_full_store_of_files_is_no_window() -> None:
    assert is_quota(Verdict(kind=Kind.BUSY, reason="quota_minute"))
    assert is_quota(Verdict(kind=Kind.SPENT, reason="quota_zero"))
    assert not is_quota(Verdict(kind=Kind.REFUSED, reason="quota_storage"))
    assert not is_quota(Verdict(kind=Kind.BUSY, reason="exhausted"))


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: str(case["name"]))
def test_the_table_names_every_reason_of_googles_refusals(case: dict[str, Any]) -> None:
    assert case["reason"] in RULES


def test_the_table_names_every_reason_that_the_code_gives() -> None:
    """Each ``Kind.X, "reason"`` and ``reason="…"`` of a failed try in the dialect and the transport."""
    texts = [
        (SOURCES / "dialects" / "gemini" / "verdict.py").read_text("utf-8"),
        (SOURCES / "upstream" / "client.py").read_text("utf-8"),
    ]
    found: set[str] = set()
    for text in texts:
        found |= set(re.findall(r'Kind\.(?:BUSY|SPENT|BROKEN|REFUSED), "(\w+)"', text))
        found |= set(re.findall(r'\breason(?:, message)? = "(\w+)"', text))
    assert {"overloaded", "quota_day", "connect_timeout", "empty_answer", "denied"} <= found
    assert found <= set(RULES), found - set(RULES)
