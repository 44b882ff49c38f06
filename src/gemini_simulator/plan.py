"""What the model will say to a request, before any of it is sent: decided once, from the seed and the prompt."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gemini_simulator import prose, signatures, tokens
from gemini_simulator.asked import Asked
from gemini_simulator.http import ApiError

THINKING = {
    "minimal": (0, 0),
    "low": (40, 120),
    "medium": (120, 400),
    "high": (400, 1200),
    "xhigh": (900, 2600),
}
IMAGE_TOKENS = 1290
AUDIO_TOKENS = 160
LONG = re.compile(r"\b(\d{1,7})[ -](?:words?|tokens?)\b")
HOP_TOKENS = 65_536


@dataclass(slots=True)
class Run:
    """A stretch of the answer: text in tokens that may be sent apart, or one whole part."""

    tokens: int
    modality: str = "TEXT"
    pieces: list[str] = field(default_factory=list)
    part: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """One candidate: its thoughts, what it says, how it ends, and what hangs on its last chunk."""

    thoughts: int
    runs: list[Run]
    finish: str
    signature: str = ""
    summary: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def thoughts(asked: Asked, dice: prose.Dice) -> int:
    """Thinking tokens, from the level or budget that is asked, or the model's default."""
    if "thoughts" in asked.faults:
        return int(asked.faults["thoughts"] or 0)
    if "output" in asked.faults:
        return 0
    if not asked.model.thinks:
        return 0
    thinking = asked.config.get("thinkingConfig") or {}
    budget = thinking.get("thinkingBudget")
    if budget == 0:
        return 0
    level = (thinking.get("thinkingLevel") or asked.model.level or "medium").lower()
    low, high = THINKING.get(level, THINKING["medium"])
    number = dice.between(low, high)
    return min(number, budget) if budget and budget > 0 else number


def decide(asked: Asked, index: int) -> Plan:
    """The candidate number ``index``."""
    seed = f"{asked.world.seed}:{asked.model.id}:{asked.digest}:{index}"
    dice = prose.Dice(seed)
    spent = thoughts(asked, dice) if asked.offset == 0 else 0
    calls = _calls(asked, dice)
    runs = calls or _says(asked, seed, dice)
    plan = Plan(spent, runs, "STOP")
    if (asked.config.get("thinkingConfig") or {}).get("includeThoughts") and spent:
        plan.summary = "".join(prose.pieces(seed + ":thought", 0, max(8, spent // 8)))
    if (spent and (asked.model.signs or calls)) or (calls and asked.model.signs):
        plan.signature = signatures.make(asked.world, asked.project, asked.model, seed)
    if not calls:
        plan.extra |= _grounding(asked, runs, dice)
    _limit(asked, plan)
    if "finish" in asked.faults:
        plan.finish = asked.faults["finish"].upper() or "OTHER"
    return plan


def _limit(asked: Asked, plan: Plan) -> None:
    """Cut the plan at stop sequences, at maxOutputTokens, and at the length of one hop."""
    for stop in asked.config.get("stopSequences") or []:
        _stop_at(plan.runs, stop)
    whole = sum(run.tokens for run in plan.runs)
    most = asked.config.get("maxOutputTokens") or (
        1_048_576 if asked.model.generation >= 4 else asked.model.output_limit
    )
    left = most - asked.offset - plan.thoughts
    if left <= 0:
        plan.thoughts = min(plan.thoughts, most)
    hop = int(asked.faults.get("continue_after") or HOP_TOKENS) if asked.model.generation >= 4 else most
    room = max(0, min(left, hop))
    if whole <= room:
        return
    plan.runs = _cut(plan.runs, room)
    plan.finish = "MAX_TOKENS" if left <= hop else "CONTINUATION"
    plan.extra.pop("groundingMetadata", None)
    if asked.model.generation >= 4 and room:
        offset = asked.offset + room
        token = signatures.continuation(asked.world, asked.project, asked.model, asked.digest, offset)
        plan.extra["continuationToken"] = token


def _stop_at(runs: list[Run], stop: str) -> None:
    """End the text where ``stop`` first occurs."""
    for number, run in enumerate(runs):
        text = "".join(run.pieces)
        at = text.find(stop) if stop else -1
        if at < 0:
            continue
        kept: list[str] = []
        for piece in run.pieces:
            if at <= 0:
                break
            kept.append(piece[:at])
            at -= len(piece)
        runs[number:] = [Run(len(kept), run.modality, kept)]
        return


def _cut(runs: list[Run], room: int) -> list[Run]:
    kept = []
    for run in runs:
        if run.tokens <= room:
            kept.append(run)
            room -= run.tokens
            continue
        if run.pieces and room:
            kept.append(Run(room, run.modality, run.pieces[:room]))
        break
    return kept


def last_text(asked: Asked) -> str:
    """What the user said last."""
    for content in reversed(asked.body["contents"]):
        if content.get("role", "user") == "user":
            return " ".join(part["text"] for part in content["parts"] if "text" in part)
    return ""


def shaped(schema: dict[str, Any], dice: prose.Dice) -> Any:
    """A value that fits ``schema``. Raises ApiError 400 for what is no schema."""
    try:
        return prose.value_for(schema, dice)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ApiError(400, f"The schema is not valid: {error}") from error


def _says(asked: Asked, seed: str, dice: prose.Dice) -> list[Run]:
    """The answer that is no function call: media, JSON or prose."""
    modalities = [name.upper() for name in asked.config.get("responseModalities") or []]
    if asked.model.kind == "image" and (not modalities or "IMAGE" in modalities):
        words = prose.pieces(seed, 0, dice.between(6, 20)) if modalities != ["IMAGE"] else []
        blob = {"mimeType": "image/png", "data": base64.b64encode(png(dice.below(1 << 24))).decode()}
        return [Run(len(words), pieces=words)] * bool(words) + [
            Run(IMAGE_TOKENS, "IMAGE", part={"inlineData": blob})
        ]
    if asked.model.kind in ("tts", "music"):
        sound = base64.b64encode(b"\x00\x00" * 1200).decode()
        blob = {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": sound}
        return [Run(AUDIO_TOKENS, "AUDIO", part={"inlineData": blob})]
    mime = asked.config.get("responseMimeType", "")
    schema = asked.config.get("responseJsonSchema") or asked.config.get("responseSchema")
    if mime in ("application/json", "text/x.enum"):
        value = shaped(schema or {"type": "object", "properties": {"answer": {"type": "string"}}}, dice)
        plain = mime == "text/x.enum" and isinstance(value, str)
        text = value if plain else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        pieces = prose.slices(text)[asked.offset :]
        return [Run(len(pieces), pieces=pieces)]
    length = _length(asked, dice)
    words = prose.pieces(seed, asked.offset, max(0, min(length - asked.offset, HOP_TOKENS + 1)))
    runs = [Run(len(words), pieces=words)]
    if any("codeExecution" in tool for tool in asked.body.get("tools") or []):
        code = {"language": "PYTHON", "code": "print(6 * 7)"}
        result = {"outcome": "OUTCOME_OK", "output": "42\n"}
        runs = [Run(12, part={"executableCode": code}), Run(4, part={"codeExecutionResult": result}), *runs]
    return runs


def _length(asked: Asked, dice: prose.Dice) -> int:
    """How many tokens the whole text has: as a fault says, as the user asks, or a likely number."""
    told = asked.faults.get("output") or asked.faults.get("tokens")
    if told:
        return int(told)
    wanted = LONG.search(last_text(asked))
    return int(wanted[1]) if wanted else dice.between(24, 160)


def _declared(asked: Asked) -> list[dict[str, Any]]:
    """The functions that may be called this turn. Raises ApiError 400 for ANY without any."""
    functions = [
        one for tool in asked.body.get("tools") or [] for one in tool.get("functionDeclarations") or []
    ]
    calling = (asked.body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = calling.get("mode", "AUTO")
    if mode == "ANY" and not functions:
        raise ApiError(400, "Function calling mode is ANY but no function_declarations are given.")
    allowed = calling.get("allowedFunctionNames")
    if allowed:
        unknown = [name for name in allowed if name not in {one.get("name") for one in functions}]
        if unknown:
            raise ApiError(400, f"allowed_function_names: {unknown[0]} is not declared.")
        functions = [one for one in functions if one.get("name") in allowed]
    enough = answered_turns(asked) >= int(asked.faults.get("tool_turns") or 1)
    if mode == "NONE" or {"no_call", "output"} & asked.faults.keys() or (enough and mode != "ANY"):
        return []
    return functions


def answered_turns(asked: Asked) -> int:
    """How many turns of function calls were answered since the user last spoke."""
    turns = 0
    for content in reversed(asked.body["contents"]):
        if content.get("role") == "model":
            continue
        if not any("functionResponse" in part for part in content["parts"]):
            break
        turns += 1
    return turns


def _calls(asked: Asked, dice: prose.Dice) -> list[Run]:
    """Function calls: those whose names the user mentions, else the first, or the first two of several."""
    functions = _declared(asked)
    if not functions or asked.offset:
        return []
    said = last_text(asked).lower()
    chosen = [one for one in functions if _mentioned(one.get("name", ""), said)] or functions[:2]
    if "parallel_calls" in asked.faults:
        number = int(asked.faults["parallel_calls"] or 2)
        chosen = [chosen[at % len(chosen)] for at in range(number)]
    runs = []
    for number, function in enumerate(chosen):
        schema = function.get("parametersJsonSchema") or function.get("parameters") or {"type": "object"}
        call: dict[str, Any] = {"name": function.get("name", ""), "args": shaped(schema, dice)}
        if asked.model.generation >= 3:
            call = {"id": f"call{asked.digest[:10]}{number}", **call}
        runs.append(Run(tokens.of_text(msgspec.json.encode(call).decode()), part={"functionCall": call}))
    return runs


def _mentioned(name: str, said: str) -> bool:
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if len(word) > 3]
    return any(word in said for word in words)


def _grounding(asked: Asked, runs: list[Run], dice: prose.Dice) -> dict[str, Any]:
    """groundingMetadata when a search tool is given."""
    tools = asked.body.get("tools") or []
    if not any("googleSearch" in tool or "googleSearchRetrieval" in tool for tool in tools):
        return {}
    topic = " ".join(last_text(asked).split()[:6]) or "news"
    queries = [topic, f"{topic} {prose.WORDS[dice.below(len(prose.WORDS))]}"][: dice.between(1, 2)]
    text = "".join(piece for run in runs for piece in run.pieces)
    chunk = {
        "web": {
            "uri": "https://vertexaisearch.cloud.google.com/grounding-api-redirect/a1",
            "title": "example.com",
        }
    }
    segment = {"endIndex": min(40, len(text.encode())), "text": text[:40]}
    metadata = {
        "searchEntryPoint": {"renderedContent": "<div>Search suggestions</div>"},
        "groundingChunks": [chunk],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        "webSearchQueries": queries,
    }
    return {"groundingMetadata": metadata}


def png(colour: int) -> bytes:
    """A PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        """One chunk of the file with its checksum."""
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"\0" + colour.to_bytes(3, "big")))
        + chunk(b"IEND", b"")
    )
