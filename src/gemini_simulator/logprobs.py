"""Log probabilities of the tokens of an answer: made up, below zero, and the same for the same prompt.

Google tells them in ``logprobsResult`` of a candidate: ``chosenCandidates``, one per token of text, and
``topCandidates``, the likeliest tokens of each step with the chosen one among them. The published messages say
nothing of which models have them, so every model of text has them here.
"""

from __future__ import annotations

from typing import Any

from gemini_simulator import prose
from gemini_simulator.http import ApiError

MOST = 20
VOCABULARY = 262_144


def check(config: dict[str, Any]) -> None:
    """Look at the settings. Raises ApiError 400 for a number without ``responseLogprobs``, or above 20."""
    number = config.get("logprobs")
    if number is None:
        return
    if not config.get("responseLogprobs"):
        raise ApiError(400, "Setting logprobs requires response_logprobs to be true.")
    if not 0 <= number <= MOST:
        raise ApiError(400, f"logprobs must be in the range [0, {MOST}].")


def result(config: dict[str, Any], seed: str, pieces: list[str], start: int) -> dict[str, Any]:
    """The ``logprobsResult`` of ``pieces``, which begin at token ``start`` of the answer that ``seed`` names."""
    number = config.get("logprobs") or 0
    chosen, top = [], []
    for at, piece in enumerate(pieces, start):
        dice = prose.Dice(f"{seed}:logprob:{at}")
        likeliest = -(1 + dice.below(2_000)) / 10_000
        own = _candidate(piece, likeliest)
        chosen.append(own)
        if number:
            others = [word for word in prose.SPACED if word != piece][dice.below(40) :][: number - 1]
            steps = (likeliest - (1 + rank) * 0.75 for rank in range(number))
            top.append({"candidates": [own, *map(_candidate, others, steps)]})
    made: dict[str, Any] = {"chosenCandidates": chosen}
    if top:
        made["topCandidates"] = top
    return made


def _candidate(token: str, probability: float) -> dict[str, Any]:
    known = sum((at + 1) * byte for at, byte in enumerate(token.encode())) % VOCABULARY
    return {"token": token, "tokenId": known, "logProbability": round(probability, 6)}


def average(found: dict[str, Any]) -> float:
    """The ``avgLogprobs`` of a candidate, from its ``logprobsResult``."""
    chosen: list[dict[str, float]] = found["chosenCandidates"]
    return round(sum(one["logProbability"] for one in chosen) / max(1, len(chosen)), 6)


def joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two results that follow one another, as one."""
    names = [name for name in ("chosenCandidates", "topCandidates") if name in first or name in second]
    return {name: first.get(name, []) + second.get(name, []) for name in names}
