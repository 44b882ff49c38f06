"""An hour of conversation calls as a large provider saw them: 19,366 arrivals with their token counts.

The trace itself (Azure/AzurePublicDataset, LLM inference trace 2023, conversation; CC BY 4.0) is not part of this
repository. Where it lies beside it as ``../shared/traces/replay_azure2023_conv.csv``, or where GEMGATE_AZURE_TRACE
says, it is played as it is. Elsewhere an hour is drawn from the figures below: the same calls and tokens in each
minute, and tokens per call that are spread alike.
"""

from __future__ import annotations

import csv
import os
import random
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT.parent / "shared" / "traces" / "replay_azure2023_conv.csv"

# Each minute's calls, and its thousands of input and of output tokens.
MINUTES: Final[tuple[tuple[int, int, int], ...]] = (
    (21, 12, 2),
    (236, 220, 61),
    (265, 249, 76),
    (347, 369, 83),
    (328, 386, 72),
    (321, 397, 97),
    (256, 291, 73),
    (267, 328, 77),
    (289, 332, 82),
    (308, 410, 70),
    (294, 367, 70),
    (305, 404, 78),
    (304, 382, 69),
    (337, 415, 78),
    (326, 396, 73),
    (277, 295, 82),
    (274, 305, 77),
    (290, 297, 79),
    (315, 300, 79),
    (355, 413, 81),
    (339, 387, 66),
    (352, 428, 82),
    (360, 442, 81),
    (406, 588, 71),
    (406, 537, 70),
    (394, 577, 66),
    (380, 547, 64),
    (433, 617, 69),
    (502, 708, 73),
    (467, 673, 57),
    (435, 611, 52),
    (478, 653, 63),
    (489, 710, 64),
    (462, 633, 62),
    (379, 370, 59),
    (409, 378, 69),
    (455, 370, 71),
    (432, 338, 61),
    (320, 289, 73),
    (314, 302, 71),
    (321, 279, 71),
    (344, 282, 73),
    (353, 304, 66),
    (328, 434, 66),
    (333, 420, 61),
    (348, 442, 71),
    (375, 443, 75),
    (299, 350, 63),
    (246, 284, 69),
    (236, 243, 66),
    (248, 257, 68),
    (273, 259, 71),
    (268, 258, 66),
    (272, 261, 70),
    (244, 225, 65),
    (242, 239, 68),
    (258, 232, 73),
    (243, 227, 68),
    (201, 191, 55),
    (7, 6, 3),
)
# Tokens of a call at each tenth of all calls, from the smallest to the largest.
INPUT_TENTHS: Final = (2, 207, 387, 403, 703, 1020, 1071, 1130, 1315, 2735, 4142)
OUTPUT_TENTHS: Final = (7, 54, 77, 91, 103, 129, 177, 384, 400, 424, 601)


class Arrival(NamedTuple):
    """One call: seconds after the hour's start, and its tokens."""

    at: float
    input: int
    output: int


def hour(seed: int = 1) -> list[Arrival]:
    """The hour's arrivals in their order: the trace where there is one, else drawn with ``seed``."""
    file = Path(os.environ.get("GEMGATE_AZURE_TRACE", "") or FILE)
    return read(file) if file.exists() else drawn(seed)


def read(file: Path) -> list[Arrival]:
    """The trace. Raises OSError, KeyError or ValueError for a file that is none."""
    with file.open(newline="", encoding="utf-8") as source:
        return sorted(
            Arrival(float(row["offset_s"]), int(row["input_tokens"]), int(row["output_tokens"]))
            for row in csv.DictReader(source)
        )


def drawn(seed: int) -> list[Arrival]:
    """An hour with the minutes' calls and tokens, at random moments in each minute."""
    dice = random.Random(seed)
    made: list[Arrival] = []
    for minute, (calls, thousand_in, thousand_out) in enumerate(MINUTES):
        inputs = _scaled([_tokens(dice, INPUT_TENTHS) for _ in range(calls)], thousand_in * 1000)
        outputs = _scaled([_tokens(dice, OUTPUT_TENTHS) for _ in range(calls)], thousand_out * 1000)
        for one_in, one_out in zip(inputs, outputs, strict=True):
            made.append(Arrival(minute * 60 + dice.uniform(0, 60), one_in, one_out))
    return sorted(made)


def _tokens(dice: random.Random, tenths: Sequence[int]) -> float:
    low, high = dice.choice(list(pairwise(tenths)))
    return dice.uniform(low, high)


def _scaled(values: Sequence[float], total: int) -> list[int]:
    factor = total / sum(values)
    return [max(1, round(value * factor)) for value in values]


class Peak(NamedTuple):
    """The most calls, and the most input tokens, in any 60 seconds."""

    calls: int
    tokens: int


def peak(arrivals: Iterable[Arrival]) -> Peak:
    """The busiest rolling minute by calls and by tokens, which need not be the same one."""
    recent: deque[Arrival] = deque()
    tokens, most_calls, most_tokens = 0, 0, 0
    for one in arrivals:
        recent.append(one)
        tokens += one.input
        while recent[0].at <= one.at - 60:
            tokens -= recent.popleft().input
        most_calls, most_tokens = max(most_calls, len(recent)), max(most_tokens, tokens)
    return Peak(most_calls, most_tokens)


def span(arrivals: Iterable[Arrival], first: float, last: float) -> list[Arrival]:
    """The arrivals of the seconds from ``first`` to ``last``, counted from ``first``."""
    return [one._replace(at=one.at - first) for one in arrivals if first <= one.at < last]
