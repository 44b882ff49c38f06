"""The answer of a model as it comes: chunks of GenerateContentResponse with a running usageMetadata."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from gemini_simulator import logprobs, money, quota, tokens
from gemini_simulator.asked import DOOR, Asked, Door, ask
from gemini_simulator.plan import Plan, Run, decide
from gemini_simulator.world import Project, World

Chunk = dict[str, Any]
TOOL_USE_TOKENS = 96
EVENT_TOKENS = 24


async def produce(
    world: World, project: Project, model_id: str, request_body: dict[str, Any], door: Door | None = None
) -> AsyncIterator[Chunk]:
    """Answer ``request_body`` as ``model_id`` would, at its speed, in simulated time.

    The first step raises ApiError for what Google refuses; ``door`` says by which method it came and which faults
    it is to suffer, and is that of the request at hand when it is left out.
    """
    asked = ask(world, project, model_id, request_body, door or DOOR.get(Door()))
    async for chunk in speak(asked):
        yield chunk


@dataclass(slots=True)
class Usage:
    """The running count of one answer."""

    asked: Asked
    thoughts: int = 0
    said: dict[str, int] | None = None

    def add(self, run_modality: str, number: int) -> None:
        """Count ``number`` tokens of answer."""
        self.said = self.said or {}
        self.said[run_modality] = self.said.get(run_modality, 0) + number

    def metadata(self) -> dict[str, Any]:
        """usageMetadata as it stands; counts of zero are left out, as Google does."""
        asked, said = self.asked, self.said or {}
        made: dict[str, Any] = {"promptTokenCount": asked.prompt_tokens}
        candidates = sum(said.values())
        if candidates:
            made["candidatesTokenCount"] = candidates
        tools = tool_use(asked)
        made["totalTokenCount"] = asked.prompt_tokens + candidates + tools + self.thoughts
        if asked.cached:
            made["cachedContentTokenCount"] = asked.cached
        made["promptTokensDetails"] = tokens.details(asked.prompt)
        if asked.cached:
            made["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": asked.cached}]
        if set(said) - {"TEXT"}:
            made["candidatesTokensDetails"] = tokens.details(said)
        if tools:
            made["toolUsePromptTokenCount"] = tools
            made["toolUsePromptTokensDetails"] = [{"modality": "TEXT", "tokenCount": tools}]
        if self.thoughts:
            made["thoughtsTokenCount"] = self.thoughts
        made["serviceTier"] = asked.tier
        return made


def tool_use(asked: Asked) -> int:
    """Tokens that Google's own tools put into the prompt."""
    names = {name for tool in asked.body.get("tools") or [] for name in tool}
    return TOOL_USE_TOKENS * len(
        names & {"googleSearch", "urlContext", "codeExecution", "fileSearch", "googleMaps"}
    )


async def speak(asked: Asked) -> AsyncIterator[Chunk]:
    """The chunks of an answer to a request that has been let in; what was said is paid, also when nobody heard it."""
    usage = Usage(asked)
    try:
        async for chunk in _spoken(asked, usage):
            yield chunk
    finally:
        if asked.charged is not None:
            output = sum((usage.said or {}).values()) + usage.thoughts
            day = asked.world.clock.pacific_date()
            nano = money.cost(asked.model, day, asked.prompt, asked.cached, output)
            nano = round(nano * money.FACTORS.get(asked.tier, 1.0)) - asked.charged
            quota.settle(asked.world, asked.project, asked.asked or asked.model, nano, output)


async def _spoken(asked: Asked, usage: Usage) -> AsyncIterator[Chunk]:
    faults, clock = asked.faults, asked.world.clock
    tail = {"modelVersion": asked.model.id, "responseId": f"resp{asked.digest[:18]}"}
    if "slow_first_byte" not in faults:
        await clock.sleep(asked.model.first_token_s * (0.7 if asked.tier == "priority" else 1.0))
    if "blocked" in faults:
        yield {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": usage.metadata(),
            **tail,
        }
        return
    if "empty" in faults:
        candidate = {"content": {"role": "model"}, "index": 0}
        yield {"candidates": [candidate], "usageMetadata": usage.metadata(), **tail}
        return
    if "max_tokens_thinking" in faults:
        usage.thoughts = int(asked.config.get("maxOutputTokens") or 3)
        candidate = {"content": {}, "finishReason": "MAX_TOKENS", "index": 0}
        yield {"candidates": [candidate], "usageMetadata": usage.metadata(), **tail}
        return
    speed = float(faults.get("tokens_per_second") or asked.model.tokens_per_s)
    owed = 0.0
    for index in range(asked.config.get("candidateCount") or 1):
        plan = decide(asked, index)
        usage.thoughts += plan.thoughts
        for candidate, modality, number in steps(asked, plan):
            candidate["index"] = index
            if number:
                usage.add(modality, number)
                owed += number / speed
            if not asked.whole:
                owed = -await clock.sleep(owed)
                yield {"candidates": [candidate], "usageMetadata": usage.metadata(), **tail}
            else:
                yield {"candidates": [candidate], "usageMetadata": {}, **tail}
    if asked.whole:
        # Nobody sees the pieces of a unary answer: one wait and one count do.
        await clock.sleep(owed)
        yield {"usageMetadata": usage.metadata()}


def steps(asked: Asked, plan: Plan) -> list[tuple[dict[str, Any], str, int]]:
    """The candidate's chunks with the modality and number of tokens that each adds."""
    made: list[tuple[dict[str, Any], str, int]] = []
    if plan.summary:
        made.append((_parts({"text": plan.summary, "thought": True}), "TEXT", 0))
    signature, likely = plan.signature, bool(asked.config.get("responseLogprobs"))
    for run in plan.runs:
        if run.part:
            part = dict(run.part)
            if signature and "functionCall" in part:
                part["thoughtSignature"], signature = signature, ""
            made.append((_parts(part), run.modality, run.tokens))
            continue
        size = _event_size(asked, run)
        for at in range(0, len(run.pieces), size):
            some = run.pieces[at : at + size]
            made.append((_parts({"text": "".join(some)}), run.modality, len(some)))
            if likely:
                told = logprobs.result(asked.config, asked.digest, some, at)
                made[-1][0].update({"logprobsResult": told, "avgLogprobs": logprobs.average(told)})
    if not any(number for _, _, number in made):
        made.append(({"content": {}}, "TEXT", 0))
    elif signature:
        _sign_text(asked, made, signature)
    made[-1][0].update({"finishReason": plan.finish, **plan.extra})
    return made


def _sign_text(asked: Asked, made: list[tuple[dict[str, Any], str, int]], signature: str) -> None:
    """Put the signature of a text answer on its last part, or, for every other prompt, on an empty part after it."""
    last = made[-1][0]["content"]["parts"][0]
    if "text" in last and int(asked.digest[:2], 16) % 2:
        last["thoughtSignature"] = signature
    else:
        made.append((_parts({"text": "", "thoughtSignature": signature}), "TEXT", 0))


def _parts(part: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"parts": [part], "role": "model"}}


def _event_size(asked: Asked, run: Run) -> int:
    """Tokens per event: Google sends few large chunks."""
    if asked.whole:
        return max(1, run.tokens)
    if "events" in asked.faults:
        return max(1, -(-run.tokens // max(1, int(asked.faults["events"] or 1))))
    return max(1, min(EVENT_TOKENS, -(-run.tokens // 3)), run.tokens // 400)


def merged(chunks: list[Chunk]) -> Chunk:
    """One response from its chunks, as a unary call answers: texts joined, an empty signed text folded into the text
    before it."""
    answer: Chunk = {}
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for candidate in chunk.get("candidates", []):
            known = candidates.setdefault(candidate["index"], {"content": {}})
            for part in candidate["content"].get("parts", []):
                _join(known["content"].setdefault("parts", []), part)
            if "role" in candidate["content"]:
                known["content"]["role"] = candidate["content"]["role"]
            told = {name: item for name, item in candidate.items() if name != "content"}
            if "logprobsResult" in told and "logprobsResult" in known:
                told["logprobsResult"] = logprobs.joined(known["logprobsResult"], told["logprobsResult"])
                told["avgLogprobs"] = logprobs.average(told["logprobsResult"])
            known.update(told)
        answer.update(chunk)
    if candidates:
        answer["candidates"] = [candidates[index] for index in sorted(candidates)]
    return answer


def _join(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    last = parts[-1] if parts else {}
    same = "text" in last and "text" in part and last.get("thought") == part.get("thought")
    if same and "thoughtSignature" not in last:
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(dict(part))
