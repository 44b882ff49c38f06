"""Real traffic against four models whose limits it just fits: the 26 busiest minutes of an hour.

``bench/hour.py`` plays the whole hour in real time. Here gateway and simulator stand on one clock that runs twelve
times as fast as ours: on a faster one a machine that is slow for a moment is late by more than the windows' margin.
The simulator counts rolling minutes and refuses what exceeds them; what it refused is read from its own log.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof import azure, stage
from tests.proof.hour import MARGIN, MODELS, SPEED, perform, questions, say, shares
from tests.proof.windows import Limit


def test_the_busiest_minutes_find_room_on_four_models_whose_limits_add_up_to_the_busiest_of_all(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The four rpm add up to the most calls in any 60 seconds of the hour, the four tpm to the most tokens."""
    most = azure.peak(azure.hour())
    arrivals = azure.span(azure.hour(), 14 * 60, 40 * 60)
    project = stage.Project("hour", shares(Limit(most.calls, most.tokens), MODELS))
    played = perform(
        tmp_path,
        arrivals,
        project,
        questions(arrivals, "azure"),
        toml=MARGIN + stage.route("azure", [f"{model}@hour" for model in MODELS]),
        speed=SPEED,
    )
    say(request, f"the 26 busiest minutes on four models: {played.report()}")
    assert played.statuses[429] == 0
    assert played.good >= 0.99 * len(arrivals)
    assert played.refused <= 0.01 * len(played.lines)
    assert len(played.tries) == len(played.lines)
