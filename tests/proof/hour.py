"""Playing hours of traffic against models with minute limits: what was asked, answered, let in and refused."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.proof import stage
from tests.proof.azure import Arrival
from tests.proof.caller import Answer, Question, play, run
from tests.proof.windows import Limit, Sent, Use

SPEED: Final = 12.0
JUDGED_SPEED: Final = 8.0
"""Where each refusal is judged to the second, a machine's pause of a second must not be taken for ten."""
# Unequal on purpose: the smallest must still be filled to the brim in the busiest minute.
MODELS: Final = {
    "gemini-3.8-flash": 0.4,
    "gemini-3.6-flash": 0.3,
    "gemini-3.5-flash-lite": 0.2,
    "gemini-3.1-flash-lite": 0.1,
}
ALONE: Final = "gemini-3.8-flash"
PATIENCE: Final = 10.0
KEPT: Final = 4
MARGIN: Final = f'[routing]\nmargin = "{KEPT} s"\n'
"""On a clock that runs 12 times as fast, a machine that stops for a third of a second is late by four."""
SLACK: Final = 9.0
"""What the gateway may keep between its own count and Google's: that margin, a tenth of a second for its slots, and
what fast time makes of late wake-ups."""
PAUSE: Final = 1.0
"""By how much a question that goes out late, on the clock of the play, tells of a machine that had stopped."""
LEAD: Final = 0.5  # real seconds before the first call, for the connections of the stage to stand


@dataclass(frozen=True)
class Played:
    """A play that is over. ``begun`` is the clock's unix second at which the arrivals' second 0 was.

    ``lines`` are the simulator's, of generating requests only; ``tries`` the gateway's own rows.
    """

    arrivals: Sequence[Arrival]
    answers: Sequence[Answer]
    clock: stage.Clock
    begun: float
    lines: Sequence[Mapping[str, Any]]
    tries: Sequence[Mapping[str, Any]]

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status; 0 for those that never came."""
        return Counter(answer.status for answer in self.answers)

    @property
    def good(self) -> int:
        """Calls that were answered, whole and with a finish reason."""
        return sum(answer.good for answer in self.answers)

    @property
    def refused(self) -> int:
        """Tries that the simulator refused with 429."""
        return sum(line["status"] == 429 for line in self.lines)

    def let_in(self) -> list[tuple[int, Sent]]:
        """What the simulator let in: the number of its arrival, the clock's time, and its tokens."""
        found = []
        for line in self.lines:
            if line["status"] == 200:
                number = number_of(line)
                found.append((number, Sent(line["time"], self.arrivals[number].input)))
        return found

    def report(self) -> str:
        """The figures in a few lines."""
        durations = Counter(answer.status for answer in self.answers)
        waited = [row["waited"] / 1e6 for row in self.tries if row["number"] == 1]
        return (
            f"calls {len(self.answers)}, by status {dict(durations)}, good {self.good}; "
            f"tries {len(self.lines)}, refused by the simulator {self.refused} "
            f"({self.refused / max(1, len(self.lines)):.2%}); "
            f"longest wait before a first try {max(waited, default=0):.1f} s"
        )


def number_of(line: Mapping[str, Any]) -> int:
    """Which arrival a line of the simulator's log belongs to."""
    return int(str(line["user_agent"]).partition("(")[2].rstrip(")"))


def questions(arrivals: Sequence[Arrival], model: str, *headers: tuple[str, str]) -> list[Question]:
    """The calls of these arrivals to ``model``: every third streams, each has the tokens of its arrival."""
    made = []
    for number, one in enumerate(arrivals):
        method = "streamGenerateContent?alt=sse" if number % 3 == 0 else "generateContent"
        simulate = f"tokens={one.output},thoughts=0,events=4"
        # The record keeps the first word of the user agent; the simulator's log has all of it.
        own = (("user-agent", f"hour ({number})"), ("x-simulate", simulate), *headers)
        made.append(
            Question(
                one.at,
                f"/v1beta/models/{model}:{method}",
                partial(stage.prompt, one.input, f"Question {number}"),
                own,
            )
        )
    return made


def perform(
    folder: Path,
    arrivals: Sequence[Arrival],
    project: stage.Project,
    asked: Sequence[Question],
    *,
    toml: str,
    speed: float,
) -> Played:
    """Play the calls on a stage of one project. The record has proven itself when this returns."""
    clock = stage.Clock(speed)
    with stage.simulator(folder, [project], "--speed", str(speed)) as upstream:
        clock.set(upstream)
        with stage.gateway(folder, upstream, [project], toml, clock) as gateway:
            start = time.time() + LEAD
            answers = run(gateway.url, lambda caller: play(caller, asked, start, speed))
            gateway.stop()
            tries = stage.tries(gateway)
    lines = [line for line in stage.lines(folder) if "enerateContent" in line["path"]]
    return Played(arrivals, answers, clock, clock.at(start), lines, tries)


def shares(limit: Limit, models: Mapping[str, float]) -> dict[str, dict[str, int]]:
    """The limits of several models that together are ``limit``, in these shares (which sum to 1)."""
    made = {
        model: {"rpm": int(limit.requests * share), "tpm": int(limit.tokens * share)}
        for model, share in models.items()
    }
    first = next(iter(made.values()))
    first["rpm"] += limit.requests - sum(one["rpm"] for one in made.values())
    first["tpm"] += limit.tokens - sum(one["tpm"] for one in made.values())
    return made


def say(request: pytest.FixtureRequest, text: str) -> None:
    """Print beside the test's dots, whatever captures the output."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{text}", file=sys.stderr, flush=True)


def refused_rightly(played: Played, limit: Limit) -> None:
    """Each refused call had no room while it could have waited, and has it when it is told to come back."""
    let_in = played.let_in()
    everything = Use(sent for _, sent in let_in)
    arrived = {number: played.begun + one.at for number, one in enumerate(played.arrivals)}
    largest = max(one.input for one in played.arrivals)
    refused = [number for number, answer in enumerate(played.answers) if answer.status == 429]
    assert refused
    roomy, late, early = [], [], []
    # Where Google itself refused a try, its window is closed for the delay that it named: at most a minute.
    shut = [line["time"] for line in played.lines if line["status"] == 429]
    # Where questions themselves went out late, the machine had stopped, and who was to be served was not.
    stopped = [
        at for number, at in arrived.items() if played.clock.at(played.answers[number].asked) - at > PAUSE
    ]
    gave_up = [
        (arrived[number], played.clock.at(played.answers[number].ended))
        for number in refused
        if played.answers[number].seconds * played.clock.speed > PAUSE
    ]
    judged = 0
    for number in refused:
        if any(-SLACK <= arrived[number] - at <= 60 + SLACK for at in (*shut, *stopped)):
            continue
        judged += 1
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
        # Those who waited before it then, and gave up later, it had to count on.
        if any(came < now < left for came, left in gave_up):
            continue
        if gone < now + told - SLACK and before.fits(now + told - SLACK, tokens, limit, 60 + 2):
            late.append(number)
    if judged < len(refused) / 4:
        pytest.skip(f"the machine stopped so often that {judged} of {len(refused)} refusals can be judged")
    share = judged * 0.01
    assert len(roomy) <= share, f"refused though there was room: {roomy[:10]} of {len(refused)}"
    assert len(early) <= share, f"told a time at which there is no room: {early[:10]} of {len(refused)}"
    # At its densest minute about one in a hundred is told some ten seconds too many: the line before it is counted at
    # what its calls may have, which is more than most of them have.
    assert len(late) <= 2 * share, f"told a time long after room comes: {late[:10]} of {len(refused)}"
