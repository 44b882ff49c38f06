"""The commands that explain: the story of a call, quota, and what a route would do, on real files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sampled import START, attempt, identity, intent, record
from served import environment

from gemgate.core.call import Attempt, Outcome, Record, spell
from gemgate.core.verdict import Kind
from gemgate.store import connection, ledger, migrate

COMMAND = (sys.executable, "-m", "gemgate.cli.main")


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gemgate` on that folder."""
    return subprocess.run(
        [*COMMAND, arguments[0], "--data", str(data), *arguments[1:]],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def keep(data: Path, records: Sequence[Record]) -> None:
    """Record these calls as the gateway does."""
    conn = connection.writer(data / "gemgate.db")
    conn.execute("BEGIN IMMEDIATE")
    ledger.settle(conn, records)
    conn.keep()
    conn.close()


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an empty record."""
    data = tmp_path_factory.mktemp("explain") / "data"
    migrate.upgrade(data / "gemgate.db")
    return data


FLASH, LITE = "gemini-2.5-flash", "gemini-2.5-flash-lite"


def tried(*tries: dict[str, object], **call: object) -> Record:
    """A call with these tries, one after the other at 10 ms each."""
    of = intent(identity(), model=FLASH)
    made: list[Attempt] = []
    for at, changes in enumerate(tries):
        changes = {"sent_at": START + 10_000 * at, "duration": 10_000, "usage": None, **changes}
        made.append(attempt(of, number=at + 1, **changes))
    return record(of, attempts=made, **call)


def told(data: Path, one: Record) -> str:
    """What `gemgate call` says of it."""
    keep(data, [one])
    done = run(data, "call", spell(one.call_id))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


BUSY = {"verdict": Kind.BUSY, "status": 429, "reason": "quota_minute", "project": "a", "credential": "a/1"}


def test_a_call_that_went_another_way_is_told_step_by_step(blank: Path) -> None:
    text = told(
        blank,
        tried(
            BUSY | {"model": FLASH, "why": "first choice", "retry_after": 34_000_000},
            BUSY | {"model": FLASH, "project": "b", "why": "same model, next project", "waited": 1_500_000},
            {"model": LITE, "project": "b", "why": "fallback: newest flash-lite"},
            route="fast",
        ),
    )
    assert "route    fast" in text
    first, second, third = text.split("  Attempt ")[1:]
    assert first.startswith(f"1: {FLASH} on project a, credential a/1\n    why    first choice\n")
    assert "the requests of this minute are used up there; it named 34.00 s to wait" in first
    assert "then   the same model was tried on project b: attempt 2" in first
    assert "waited" not in first
    assert "waited 1.50 s before it" in second
    assert f"then   another model was tried, {LITE}: attempt 3" in second
    assert "why    fallback: newest flash-lite" in third
    assert third.rstrip().endswith("then   its answer went to the client")


def test_repeats_and_keys_are_told_apart(blank: Path) -> None:
    key = {
        "verdict": Kind.REFUSED,
        "status": 400,
        "reason": "key_invalid",
        "credential": "a/1",
        "project": "a",
    }
    text = told(
        blank,
        tried(
            key,
            {
                "verdict": Kind.BUSY,
                "status": 503,
                "reason": "overloaded",
                "credential": "a/2",
                "project": "a",
            },
            {"credential": "a/2", "project": "a"},
        ),
    )
    assert "then   another key of the same project was tried: attempt 2" in text
    assert "then   the same target was tried again: attempt 3" in text


def test_of_a_race_the_winner_is_told_and_what_the_loser_was(blank: Path) -> None:
    slow = {"verdict": Kind.CANCELLED, "status": 0, "reason": "hedged", "duration": 30_000, "estimated": True}
    fast = {"project": "b", "hedge": True, "why": "same model, next project"}
    text = told(blank, tried(slow, fast))
    first, second = text.split("  Attempt ")[1:]
    assert "the other try of the race answered first, and it was cancelled" in first
    assert "then   nothing of it was used" in first
    assert "why    same model, next project; a second try beside a slow one (hedge)" in second
    assert "then   its answer went to the client" in second
    # The first one won: nothing followed from its end.
    loser = {**slow, "project": "b", "hedge": True, "duration": 5_000}
    text = told(blank, tried({"duration": 30_000}, loser, answered=1))
    first, second = text.split("  Attempt ")[1:]
    assert "then   its answer went to the client" in first
    assert "then   nothing of it was used" in second


@pytest.mark.parametrize(
    ("tries", "call", "words"),
    [
        (
            [BUSY, BUSY | {"project": "b"}],
            {"outcome": Outcome.FAILED, "status": 429},
            "then   no other way was left: the client got status 429",
        ),
        (
            [BUSY, {"verdict": Kind.REFUSED, "status": 404, "reason": "model_unknown", "project": "b"}],
            {"outcome": Outcome.FAILED, "status": 429, "answered": 1},
            "then   the later tries brought nothing better: the client got status 429",
        ),
        (
            [{"verdict": Kind.REFUSED, "status": 400, "reason": "invalid"}],
            {"outcome": Outcome.REFUSED, "status": 400},
            "then   no other way would have helped: its answer went to the client",
        ),
        (
            [{"verdict": Kind.CUT, "status": 200, "reason": "stall"}],
            {"outcome": Outcome.CUT, "status": 200},
            "then   what had come went to the client, closed by an error",
        ),
        (
            [{"verdict": Kind.CANCELLED, "status": 0}],
            {"outcome": Outcome.CANCELLED, "status": 499},
            "then   the call ended as cancelled",
        ),
        ([], {"outcome": Outcome.REFUSED, "status": 429}, "attempts none: it never went upstream"),
    ],
)
def test_the_end_is_told_as_it_was(
    blank: Path, tries: list[dict[str, object]], call: dict[str, object], words: str
) -> None:
    assert words in told(blank, tried(*tries, **call))


def test_what_is_told_cannot_move_the_cursor(blank: Path) -> None:
    evil = "\x1b[31mred"
    text = told(
        blank,
        tried(
            BUSY | {"model": evil, "why": evil, "project": evil, "message": evil}, {"model": evil}, route=evil
        ),
    )
    assert "\x1b" not in text
