"""The proofs of quota and fallback in real time: the real hour, and the real minute of an outage.

    python -m bench.hour four       the Azure hour on four models whose limits add up to its busiest minute
    python -m bench.hour one        the same hour on one model of 60 % of that, without fallback
    python -m bench.hour outage     sixty seconds without the first target, at fifty calls a second

Run it in the root of the repository. ``--speed 30`` plays an hour in two minutes, as the tests do; ``--minutes 10``
only its busiest part. It needs the project's ``[dev]`` and nothing else, and prints what was seen; the tests under
``tests/proof`` say what must be so. Without the trace (``--trace FILE``) an hour of the same figures is drawn.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.proof import azure, outage, stage
from tests.proof.hour import ALONE, MODELS, PATIENCE, perform, questions, refused_rightly, shares
from tests.proof.windows import Limit, Sent, served

BUSIEST = 30.0  # the minute of the hour in whose neighbourhood most is asked


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description="Play the hour or the outage in real time.")
    parser.add_argument("part", choices=("four", "one", "outage"))
    parser.add_argument("--speed", type=float, default=1.0, help="the stage's seconds in one of ours")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="only so much of the hour, its busiest part"
    )
    parser.add_argument(
        "--trace", default="", help="the trace, as CSV with offset_s, input_tokens, output_tokens"
    )
    return parser.parse_args()


def arrivals(minutes: float) -> list[azure.Arrival]:
    """The hour, or so much of its busiest part."""
    first = min(max(0.0, BUSIEST - minutes / 2), 60.0 - min(60.0, minutes)) * 60
    return azure.span(azure.hour(), first, first + minutes * 60)


def four(folder: Path, speed: float, minutes: float) -> str:
    """The hour on four models."""
    asked = arrivals(minutes)
    most = azure.peak(asked)
    project = stage.Project("hour", shares(Limit(most.calls, most.tokens), MODELS))
    toml = stage.route("azure", [f"{model}@hour" for model in MODELS])
    return perform(folder, asked, project, questions(asked, "azure"), toml=toml, speed=speed).report()


def one(folder: Path, speed: float, minutes: float) -> str:
    """The hour on one model, which cannot take it."""
    asked = arrivals(minutes)
    most = azure.peak(asked)
    limit = Limit(int(most.calls * 0.6), int(most.tokens * 0.6))
    project = stage.Project("alone", {ALONE: {"rpm": limit.requests, "tpm": limit.tokens}})
    calls = questions(asked, ALONE, ("x-gemgate-fallback", "off"))
    toml = f'[routing]\npatience = "{PATIENCE:g}s"\n'
    played = perform(folder, asked, project, calls, toml=toml, speed=speed)
    refused_rightly(played, limit)
    fit = served([Sent(arrival.at, arrival.input) for arrival in asked], limit, PATIENCE)
    return f"{played.report()}; a perfect queue serves {fit}; every refusal named the right time"


def main() -> None:
    """Play what was asked."""
    asked = arguments()
    if asked.trace:
        os.environ["GEMGATE_AZURE_TRACE"] = asked.trace
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.part == "outage":
            print(outage.perform(folder, asked.speed).report())
        else:
            print((four if asked.part == "four" else one)(folder, asked.speed, asked.minutes))


if __name__ == "__main__":
    main()
