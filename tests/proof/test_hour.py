"""An hour of real traffic against models whose limits it just fits, and against one that it does not fit.

Gateway and simulator stand on one clock that runs 24 times as fast as ours. The simulator counts rolling minutes
and refuses what exceeds them; what it refused is read from its own log.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.proof import azure, stage
from tests.proof.hour import Played, perform, questions, shares
from tests.proof.windows import Limit, Sent, Use, served

SPEED = 24.0
# Unequal on purpose: the smallest must still be filled to the brim in the busiest minute.
MODELS = {
    "gemini-3.8-flash": 0.4,
    "gemini-3.6-flash": 0.3,
    "gemini-3.5-flash-lite": 0.2,
    "gemini-3.1-flash-lite": 0.1,
}
ALONE = "gemini-3.8-flash"
PATIENCE = 10.0
# What the gateway may keep between its own count and Google's: a second for the way, a tenth for its slots, and
# what fast time makes of a busy machine's late wake-ups.
SLACK = 6.0


def say(request: pytest.FixtureRequest, text: str) -> None:
    """Print beside the test's dots, whatever captures the output."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{text}", file=sys.stderr, flush=True)


def test_an_hour_finds_room_on_four_models_whose_limits_add_up_to_its_busiest_minute(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The four rpm add up to the most calls in any 60 seconds of the hour, the four tpm to the most tokens."""
    arrivals = azure.hour()
    most = azure.peak(arrivals)
    project = stage.Project("hour", shares(Limit(most.calls, most.tokens), MODELS))
    played = perform(
        tmp_path,
        arrivals,
        project,
        questions(arrivals, "azure"),
        toml=stage.route("azure", [f"{model}@hour" for model in MODELS]),
        speed=SPEED,
    )
    say(request, f"the hour on four models: {played.report()}")
    assert played.statuses[429] == 0
    assert played.good >= 0.99 * len(arrivals)
    assert played.refused <= 0.01 * len(played.lines)
    assert len(played.tries) == len(played.lines)


def test_of_what_one_model_cannot_take_each_call_is_told_the_right_time(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The hour's busiest twenty minutes on one model of 60 % of their busiest minute, without fallback."""
    arrivals = azure.span(azure.hour(), 16 * 60, 36 * 60)
    most = azure.peak(arrivals)
    limit = Limit(int(most.calls * 0.6), int(most.tokens * 0.6))
    project = stage.Project("alone", {ALONE: {"rpm": limit.requests, "tpm": limit.tokens}})
    played = perform(
        tmp_path,
        arrivals,
        project,
        questions(arrivals, ALONE, ("x-gemgate-fallback", "off")),
        toml=f'[routing]\npatience = "{PATIENCE:g}s"\n',
        speed=SPEED,
    )
    fit = served([Sent(one.at, one.input) for one in arrivals], limit, PATIENCE)
    say(request, f"twenty minutes on one model: {played.report()}; a perfect queue serves {fit}")
    assert set(played.statuses) == {200, 429}
    assert played.statuses[200] == played.good
    assert played.good >= 0.95 * fit
    assert played.refused <= 0.01 * len(played.lines)
    assert len(played.tries) == len(played.lines)
    refused_rightly(played, limit)


def refused_rightly(played: Played, limit: Limit) -> None:
    """Each refused call had no room while it could have waited, and has it when it is told to come back."""
    let_in = played.let_in()
    everything = Use(sent for _, sent in let_in)
    arrived = {number: played.begun + one.at for number, one in enumerate(played.arrivals)}
    largest = max(one.input for one in played.arrivals)
    refused = [number for number, answer in enumerate(played.answers) if answer.status == 429]
    assert refused
    roomy, late, early = [], [], []
    for number in refused:
        answer, tokens = played.answers[number], played.arrivals[number].input
        told = answer.retry_after
        assert int(answer.headers["retry-after"]) >= told > 0
        assert answer.error()["status"] == "RESOURCE_EXHAUSTED"
        now = played.clock.at(answer.ended)
        # While it could have waited, what went out left no room: the window, wider by the slack, was full. Room that
        # the next in line is too large for is no room for those behind it.
        moments = [arrived[number] + step for step in range(int(PATIENCE) + 1)]
        if any(everything.fits(moment, tokens + largest, limit, 60 + SLACK) for moment in moments):
            roomy.append(number)
        # Those who came before it are the ones it has to wait for, even where they go out later than now.
        ahead = [sent for other, sent in let_in if arrived[other] < now]
        before, gone = Use(ahead), max(sent.at for sent in ahead)
        if not before.fits(now + told + SLACK, tokens, limit):
            early.append(number)
        if gone < now + told - SLACK and before.fits(now + told - SLACK, tokens, limit, 60 + 2):
            late.append(number)
    share = len(refused) * 0.01
    assert len(roomy) <= share, f"refused though there was room: {roomy[:10]} of {len(refused)}"
    assert len(early) <= share, f"told a time at which there is no room: {early[:10]} of {len(refused)}"
    assert len(late) <= share, f"told a time long after room comes: {late[:10]} of {len(refused)}"
