"""Playing hours of traffic against models with minute limits: what was asked, answered, let in and refused."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.proof import stage
from tests.proof.azure import Arrival
from tests.proof.caller import Answer, Question, play, run
from tests.proof.windows import Limit, Sent

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
