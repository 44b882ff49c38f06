"""The same traffic on one model that it does not fit, without fallback: see ``test_hour``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof import azure, stage
from tests.proof.hour import (
    ALONE,
    JUDGED_SPEED,
    KEPT,
    MARGIN,
    PATIENCE,
    perform,
    questions,
    refused_rightly,
    say,
)
from tests.proof.windows import Limit, Sent, served


def test_of_what_one_model_cannot_take_each_call_is_told_the_right_time(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The hour's ten busiest minutes on one model of 60 % of the busiest of them, without fallback."""
    arrivals = azure.span(azure.hour(), 20 * 60, 30 * 60)
    most = azure.peak(arrivals)
    limit = Limit(int(most.calls * 0.6), int(most.tokens * 0.6))
    project = stage.Project("alone", {ALONE: {"rpm": limit.requests, "tpm": limit.tokens}})
    played = perform(
        tmp_path,
        arrivals,
        project,
        questions(arrivals, ALONE, ("x-gemgate-fallback", "off")),
        toml=f'{MARGIN}patience = "{PATIENCE:g}s"\n',
        speed=JUDGED_SPEED,
    )
    fit = served([Sent(one.at, one.input) for one in arrivals], limit, PATIENCE)
    say(request, f"ten minutes on one model: {played.report()}; a perfect queue serves {fit}")
    assert set(played.statuses) == {200, 429}
    assert played.statuses[200] == played.good
    # The margin is kept from every window: with it a minute takes that much longer.
    assert played.good >= 0.95 * fit * 60 / (60 + KEPT)
    assert played.refused <= 0.01 * len(played.lines)
    assert len(played.tries) == len(played.lines)
    refused_rightly(played, limit)
