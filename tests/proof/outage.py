"""Playing an outage of a route's first target: the load before, during and after it, and what became of it.

The play, in seconds of its clock: from 0 all is well; from ``FALL`` on the first target answers 503 to every new
request, for ``OUTAGE`` seconds; then it is well again, and a trickle of calls shows when it is found so. Streams that
began on it shortly before the fall break off after it, when they have long been committed. All the time some calls
go to the second target alone: they show its own times on the same machine at the same moments.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.proof import stage
from tests.proof.caller import Answer, Question, play, quantile, run

FIRST: Final = "gemini-3.8-flash"
SECOND: Final = "gemini-3.6-flash"
RATE: Final = 50  # calls per second
OWN_RATE: Final = 10  # calls per second to the second target alone
FALL: Final = 8.0
OUTAGE: Final = 60.0
AFTER: Final = 40.0
TRICKLE: Final = 4  # calls per second after the outage
LEAD: Final = 0.5  # real seconds
# Streams of 300 tokens in ten events at 180 tokens a second, whose eighth event is an error: they begin with their
# model's first token after 1.2 s and break 2.5 s after they were asked.
BREAKING: Final = "in-stream-error=7,tokens=300,events=10"
ANSWER: Final = "tokens=60,thoughts=0,events=4"


@dataclass(frozen=True)
class Outage:
    """What happened: answers by their part of the play, the record's tries, the simulator's lines."""

    own: Sequence[Answer]
    before: Sequence[Answer]
    during: Sequence[Answer]
    after: Sequence[Answer]
    tries: Sequence[Mapping[str, Any]]
    lines: Sequence[Mapping[str, Any]]
    fell: float
    speed: float
    first: str = FIRST

    @property
    def everyone(self) -> list[Answer]:
        """All answers."""
        return [*self.own, *self.before, *self.during, *self.after]

    @property
    def broken(self) -> list[Answer]:
        """Streams that ended in an error."""
        return [answer for answer in self.before if answer.status == 200 and not answer.good]

    @property
    def dead(self) -> list[Mapping[str, Any]]:
        """The record's tries that the dead target refused, in their order."""
        return [row for row in self.tries if row["model"] == FIRST and row["verdict"] == "busy"]

    @property
    def back(self) -> float:
        """When the first of them had come back (clock's µs; a duration on record is in real ones)."""
        return min(row["sent_at"] + row["duration"] * self.speed for row in self.dead)

    @property
    def struck(self) -> list[Mapping[str, Any]]:
        """The simulator's lines of the same."""
        return [line for line in self.lines if FIRST in line["path"] and line["status"] == 503]

    @property
    def p99(self) -> float:
        """Of the calls asked in the outage, whole, in seconds of the play."""
        return quantile((answer.seconds for answer in self.during), 0.99) * self.speed

    @property
    def own_p99(self) -> float:
        """Of calls to the second target alone, meanwhile."""
        return quantile((answer.seconds for answer in self.own), 0.99) * self.speed

    def report(self) -> str:
        """The figures in a few lines."""
        back = [answer.asked for answer in self.after if answer.model == FIRST]
        good = sum(answer.good for answer in self.everyone)
        return (
            f"{len(self.during)} calls in {OUTAGE:.0f} s, good {sum(answer.good for answer in self.during)}; "
            f"of all {len(self.everyone)} good {good}, committed streams broken {len(self.broken)}; "
            f"tries on the dead target {len(self.struck)}; "
            f"p99 {self.p99:.2f} s, the second target's own {self.own_p99:.2f} s; "
            f"calls after it that the first target served: {len(back)} of {len(self.after)}"
        )


def _questions(model: str, first: float, last: float, rate: float, *more: tuple[str, str]) -> list[Question]:
    """Calls at even gaps, unary and streams in turn."""
    made = []
    for number in range(int((last - first) * rate)):
        method = "streamGenerateContent?alt=sse" if number % 2 == 0 else "generateContent"
        body = partial(stage.prompt, 60, f"{model} {first} {number}")
        made.append(Question(first + number / rate, f"/v1beta/models/{model}:{method}", body, more))
    return made


def _due(asked: tuple[Question, int]) -> float:
    return asked[0].at


def _rules(fall: float) -> list[dict[str, Any]]:
    """The simulator's faults; ``fall`` is in its seconds from when it is told."""
    streaming = {"model": FIRST, "method": "models.streamGenerateContent"}
    return [
        {"simulate": ANSWER},
        {"simulate": BREAKING, **streaming, "from": fall - 2.2, "until": fall - 1.4},
        {"simulate": "overloaded", "model": FIRST, "from": fall, "until": fall + OUTAGE},
    ]


def perform(folder: Path, speed: float) -> Outage:
    """Play it. The record has proven itself when this returns."""
    project = stage.Project("two")
    clock = stage.Clock(speed)
    own = _questions(SECOND, FALL, FALL + OUTAGE, OWN_RATE, ("x-gemgate-fallback", "off"))
    before = _questions("main", 0.0, FALL, RATE)
    during = _questions("main", FALL, FALL + OUTAGE, RATE)
    after = _questions("main", FALL + OUTAGE, FALL + OUTAGE + AFTER, TRICKLE)
    parts = (own, before, during, after)
    order = sorted(((question, at) for at, part in enumerate(parts) for question in part), key=_due)
    everything = [question for question, _ in order]
    with stage.simulator(folder, [project], "--speed", str(speed)) as upstream:
        clock.set(upstream)
        toml = stage.route("main", [f"{FIRST}@two", f"{SECOND}@two"])
        with stage.gateway(folder, upstream, [project], toml, clock) as gateway:
            start = time.time() + LEAD
            upstream.set_faults(*_rules(FALL + (start - time.time()) * speed))
            answers = run(gateway.url, lambda caller: play(caller, everything, start, speed))
            gateway.stop()
            tries = stage.tries(gateway)
    cut: list[list[Answer]] = [[] for _ in parts]
    for (_, at), one in zip(order, answers, strict=True):
        cut[at].append(one)
    lines = [line for line in stage.lines(folder) if "enerateContent" in line["path"]]
    return Outage(cut[0], cut[1], cut[2], cut[3], tries, lines, clock.at(start) + FALL, speed)
