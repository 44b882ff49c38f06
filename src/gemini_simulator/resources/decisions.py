"""Decisions: questions of a fixed form about an input, answered with probabilities."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gemini_simulator import catalog, tokens
from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources.naming import refuse_unknown, require, text_of


def chances(seed: str, names: list[str]) -> dict[str, float]:
    """A probability for each name, the same for the same seed; they sum to 1 within rounding."""
    weights = [1 + hashlib.sha256(f"{seed}:{name}".encode()).digest()[0] for name in names]
    return {name: round(weight / sum(weights), 4) for name, weight in zip(names, weights, strict=True)}


def answer(seed: str, name: str, question: Any) -> dict[str, Any]:
    """The answer to one question. Raises ApiError 400 for a question of no known form."""
    kind = question.get("type") if isinstance(question, dict) else None
    if kind == "choice" and isinstance(question.get("criteria"), dict) and question["criteria"]:
        found = chances(f"{seed}:{name}", list(question["criteria"]))
        choice = max(found, key=lambda key: found[key])
        return {"type": kind, "choice": choice, "confidence": found[choice], "probabilities": found}
    if kind == "score" and isinstance(question.get("criteria"), list) and question["criteria"]:
        legend = {str(at): text for at, text in enumerate(question["criteria"])}
        found = chances(f"{seed}:{name}", list(legend))
        mean = sum(int(step) * chance for step, chance in found.items())
        return {
            "type": kind,
            "score": round(mean, 4),
            "confidence": max(found.values()),
            "legend": legend,
            "probabilities": found,
        }
    if kind == "noul":
        found = chances(f"{seed}:{name}", ["true", "false"])
        return {"type": kind, "noul": found["true"], "confidence": max(found.values())}
    raise ApiError(400, f"Question '{name}' needs a type of choice, score or noul, and its criteria.")


async def create(request: Request) -> Reply:
    """decisions.create."""
    body = await request.json()
    refuse_unknown(body, {"input", "model", "questions"})
    require(body, ("input", "model", "questions"), "CreateDecisionRequest")
    catalog.find(request.world, text_of(body, "model"), request.version, "generateContent")
    questions = body["questions"]
    if not isinstance(questions, dict):
        raise ApiError(400, "Invalid value at 'questions' (Map)")
    seed = f"{request.world.seed}:{msgspec.json.encode(body['input']).decode()}"
    answers = {name: answer(seed, name, question) for name, question in questions.items()}
    asked = tokens.of_text(msgspec.json.encode([body["input"], questions]).decode())
    said = tokens.of_text(msgspec.json.encode(answers).decode())
    usage = {"total_input_tokens": asked, "total_output_tokens": said, "total_tokens": asked + said}
    return Reply({"answers": answers, "usage": usage})


HANDLERS: dict[str, Handler] = {"decisions.create": create}
