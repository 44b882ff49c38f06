"""The judges of the proofs, judged themselves: what is right passes, and each kind of wrong is seen."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest

from tests.proof import azure, stage
from tests.proof.caller import Answer, quantile
from tests.proof.hour import PATIENCE, Played, refused_rightly
from tests.proof.windows import Limit, Sent, Use, served

LIMIT = Limit(100, 60_000)
ARRIVALS = [
    azure.Arrival(at, size, 1)
    for dice in [random.Random(3)]
    for at, size in sorted((dice.uniform(0, 600), dice.randint(50, 1_500)) for _ in range(1_500))
]


def refusal(told: float) -> bytes:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{told:.3f}s"}
    return json.dumps({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]}}).encode()


def queued(told: Callable[[float], float] = float, chance: float = 0.0) -> Played:
    """What a perfect queue would do; ``told`` spoils the times it names, ``chance`` refuses calls for no reason."""
    clock = stage.Clock(1.0)
    begun = clock.at(clock.epoch)
    dice = random.Random(5)
    out: list[Sent] = []
    answers, lines = [], []
    for number, one in enumerate(ARRIVALS):
        start = max(one.at, out[-1].at if out else 0.0)
        use = Use(out)
        while not use.fits(start, one.input, LIMIT):
            start = min(sent.at + 60 for sent in out if sent.at + 60 > start) + 1e-6
        answer = Answer(asked=clock.epoch + one.at, ended=clock.epoch + one.at)
        if start - one.at > PATIENCE or dice.random() < chance:
            left = told(max(1.0, start - one.at))
            answer.status, answer.body = 429, refusal(left)
            answer.headers = {"retry-after": str(math.ceil(left))}
        else:
            out.append(Sent(start, one.input))
            answer.status = 200
            lines.append({"status": 200, "user_agent": f"hour ({number})", "time": begun + start})
        answers.append(answer)
    return Played(ARRIVALS, answers, clock, begun, lines, [])


def test_a_perfect_queue_passes_and_serves_what_its_model_says() -> None:
    played = queued()
    refused_rightly(played, LIMIT)
    assert played.statuses[429] > 100
    assert played.statuses[200] == served([Sent(one.at, one.input) for one in ARRIVALS], LIMIT, PATIENCE)


@pytest.mark.parametrize(
    ("told", "chance", "said"),
    [
        (lambda seconds: seconds / 3, 0.0, "at which there is no room"),
        (lambda seconds: seconds + 30, 0.0, "long after room comes"),
        (float, 0.1, "though there was room"),
    ],
)
def test_a_wrong_time_and_a_needless_refusal_are_seen(
    told: Callable[[float], float], chance: float, said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        refused_rightly(queued(told, chance), LIMIT)


def test_a_window_is_what_lies_within_its_last_minute() -> None:
    use = Use([Sent(0.0, 10), Sent(30.0, 20), Sent(59.0, 30)])
    assert use.at(59.0) == (3, 60)
    assert use.at(60.0) == (2, 50)
    assert not use.fits(59.5, 41, Limit(9, 100))
    assert use.fits(60.0, 41, Limit(9, 100))
    assert not use.fits(60.0, 1, Limit(2, 100))


def test_the_hour_that_is_drawn_has_the_figures_of_the_one_that_was_recorded() -> None:
    drawn = azure.drawn(1)
    assert len(drawn) == sum(calls for calls, _, _ in azure.MINUTES) == 19_366
    assert sum(one.input for one in drawn) == pytest.approx(22_361_870, rel=0.001)
    assert azure.peak(drawn).calls == pytest.approx(522, rel=0.05)


def test_a_quantile_is_a_measured_value() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile(range(1, 101), 0.99) == 99
    assert quantile([5.0], 0.5) == 5.0
