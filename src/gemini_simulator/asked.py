"""A generating request, read and judged: what is asked of which model, and how many tokens went in."""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec

from gemini_simulator import catalog, logprobs, messages, quota, signatures, tokens
from gemini_simulator.catalog import Model
from gemini_simulator.http import ApiError
from gemini_simulator.journal import note, note_name
from gemini_simulator.world import Project, World

TIERS = ("standard", "flex", "priority")
BLOCK = 4_096  # bytes of a prefix that implicit caching compares at once: about 1,024 tokens
REMEMBERED_SECONDS = 3_600.0


@dataclass(slots=True)
class Door:
    """By which door a request came: API version, method, faults, and whether quotas count it.

    ``DOOR`` holds the one of the request at hand, for those who generate on the way to something else.
    """

    version: str = "v1beta"
    method: str = "generateContent"
    faults: dict[str, str] = field(default_factory=dict)
    metered: bool = True


DOOR: ContextVar[Door] = ContextVar("DOOR")


@dataclass(slots=True)
class Asked:
    """One request that will be answered by ``model``.

    ``whole`` says that the answer goes out in one piece. ``asked`` is the model by its own name, ``charged`` the
    nano-dollars paid on the way in: None when quotas do not count the request.
    """

    world: World
    project: Project
    model: Model
    body: dict[str, Any]
    faults: dict[str, str]
    digest: str
    prompt: dict[str, int]
    cached: int
    tier: str
    offset: int = 0
    whole: bool = False
    asked: Model | None = None
    charged: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The generationConfig, empty when there is none."""
        config: dict[str, Any] = self.body.get("generationConfig") or {}
        return config

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt, cached ones included."""
        return sum(self.prompt.values())


def ask(world: World, project: Project, name: str, value: dict[str, Any], door: Door) -> Asked:
    """Read a request. Raises ApiError as Google does: 404 model, 400 fields and values, 403 files, 429 quota."""
    asked = catalog.find(world, name, door.version, door.method.replace("streamG", "g"))
    note(model=asked.id)
    model = catalog.served(world, asked)
    body = messages.read("GenerateContentRequest", value)
    _check_contents(body.get("contents") or [])
    _check_config(model, body.get("generationConfig") or {})
    signatures.check(world, project, model, body["contents"])
    _check_calls(body["contents"])
    tier = str(body.get("serviceTier") or "standard").lower().removeprefix("service_tier_")
    if tier not in (*TIERS, "unspecified"):
        raise ApiError(400, f"Invalid service tier: {tier}")
    cache = _cache(world, project, asked, body)
    prompt = tokens.told(count(project, body, world.clock.now(), cache), door.faults)
    if cache:
        held = project.blobs.get(cache["name"], {})
        body |= {name: held[name] for name in ("tools", "toolConfig") if name in held}
    total = sum(prompt.values())
    if total > model.input_limit:
        raise ApiError(
            400, f"The input token count exceeds the maximum number of tokens allowed ({model.input_limit})."
        )
    charged = quota.admit(world, project, asked, total) if door.metered else None
    digest = _digest(model, body)
    cached = (
        int(cache["usageMetadata"]["totalTokenCount"])
        if cache
        else _implicit(world, project, model, body, total)
    )
    if "cached" in door.faults:
        cached = int(door.faults["cached"] or 0)
    tier = door.faults.get("tier") or ("standard" if tier == "unspecified" else tier)
    made = Asked(world, project, model, body, door.faults, digest, prompt, min(cached, total), tier)
    made.asked, made.charged = asked, charged
    if body.get("continuationToken"):
        made.offset = signatures.resume(world, project, model, digest, body["continuationToken"])
    return made


def count(
    project: Project, body: dict[str, Any], now: float, cache: dict[str, Any] | None = None
) -> dict[str, int]:
    """Tokens of a request by modality: contents, system instruction, tools, and the cached content it names."""
    system = [body["systemInstruction"]] if body.get("systemInstruction") else []
    prompt = tokens.count(
        system + (body.get("contents") or []), file_sizes(project, body.get("contents") or [], now)
    )
    declared = [tool for tool in body.get("tools") or [] if tool.get("functionDeclarations")]
    if declared:
        prompt["TEXT"] = prompt.get("TEXT", 0) + tokens.of_text(msgspec.json.encode(declared).decode())
    if cache:
        prompt["TEXT"] = prompt.get("TEXT", 0) + int(cache["usageMetadata"]["totalTokenCount"])
    return prompt


def file_sizes(project: Project, contents: list[dict[str, Any]], now: float) -> dict[str, int]:
    """Bytes of the uploaded files that a request names. Raises ApiError 403 for one that is not the project's."""
    sizes: dict[str, int] = {}
    for content in contents:
        for part in content.get("parts", []):
            uri = (part.get("fileData") or {}).get("fileUri", "")
            if "/files/" not in uri and not uri.startswith("files/"):
                continue
            own = uri.rpartition("/files/")[2].removeprefix("files/").partition("?")[0].partition(":")[0]
            note_name(f"files/{own}")
            file = project.collection("files").get(f"files/{own}")
            if file is None or _unix(file.get("expirationTime", "")) <= now:
                raise ApiError(
                    403, f"You do not have permission to access the File {own} or it may not exist."
                )
            if file.get("state") == "FAILED" or project.blobs.get(f"ready:files/{own}", 0.0) > now:
                message = f"The File {own} is not in an ACTIVE state and usage is not allowed."
                raise ApiError(400, message, "FAILED_PRECONDITION")
            sizes[uri] = int(file.get("sizeBytes", 0))
    return sizes


def _check_contents(contents: list[dict[str, Any]]) -> None:
    if not contents:
        raise ApiError(400, "* GenerateContentRequest.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        place = f"GenerateContentRequest.contents[{at}]"
        if content.get("role", "user") not in ("user", "model", "function", ""):
            raise ApiError(400, "Please use a valid role: user, model.")
        if not content.get("parts"):
            raise ApiError(400, f"* {place}.parts: contents.parts must not be empty.\n")
        for number, part in enumerate(content["parts"]):
            if not part.keys() - {
                "thought",
                "thoughtSignature",
                "videoMetadata",
                "partMetadata",
                "mediaResolution",
            }:
                text = f"* {place}.parts[{number}].data: required oneof field 'data' must have one "
                text += "initialized field\n"
                if "thoughtSignature" not in part:
                    raise ApiError(400, text)


def _check_calls(contents: list[dict[str, Any]]) -> None:
    """A turn of function calls must be answered at once by as many responses.

    A response that has an id must have that of one of the calls: not seen refused, but Google says to send it back.
    """
    for content, after in pairwise(contents):
        calls = sum("functionCall" in part for part in content["parts"])
        if calls and content.get("role") == "model":
            given = sum("functionResponse" in part for part in after["parts"])
            if given != calls:
                raise ApiError(
                    400,
                    "Please ensure that the number of function response parts is equal to the number of function "
                    "call parts of the function call turn.",
                )
            _check_ids(content, after)


def _check_ids(content: dict[str, Any], after: dict[str, Any]) -> None:
    known = {part["functionCall"].get("id") for part in content["parts"] if "functionCall" in part}
    if None in known or "" in known:
        return
    for part in after["parts"]:
        found = (part.get("functionResponse") or {}).get("id")
        if found and found not in known:
            raise ApiError(
                400, f"Function response id '{found}' matches no function call of the turn before."
            )


def _check_config(model: Model, config: dict[str, Any]) -> None:
    if model.generation >= 3 and (config.get("presencePenalty") or config.get("frequencyPenalty")):
        raise ApiError(400, "Penalty is not enabled for this model")
    logprobs.check(config)
    if not 1 <= config.get("candidateCount", 1) <= 8:
        raise ApiError(400, "Only candidate counts from 1 to 8 are supported.")
    if config.get("maxOutputTokens", 1) <= 0:
        raise ApiError(400, "max_output_tokens must be positive.")
    if not 0 <= config.get("temperature", 1) <= 2:
        place = "* GenerateContentRequest.generation_config.temperature"
        raise ApiError(400, f"{place}: temperature must be in the range [0.0, 2.0].\n")
    if (config.get("responseSchema") or config.get("responseJsonSchema")) and config.get("responseMimeType") not in (
        "application/json", "text/x.enum",
    ):  # fmt: skip
        raise ApiError(400, "response_schema requires response_mime_type application/json or text/x.enum.")
    thinking = config.get("thinkingConfig") or {}
    level, budget = thinking.get("thinkingLevel", ""), thinking.get("thinkingBudget")
    if level and budget is not None:
        raise ApiError(400, "You can only set only one of thinking budget and thinking level.")
    if (thinking.get("includeThoughts") or level or budget) and not model.thinks and model.kind == "text":
        raise ApiError(400, "Thinking is not enabled for this model.")
    if level and level != "THINKING_LEVEL_UNSPECIFIED" and level.lower() not in model.levels:
        raise ApiError(400, f"Thinking level {level} is not supported for this model.")
    if budget == 0 and model.id.endswith("-pro"):
        raise ApiError(400, "Budget 0 is invalid. This model only works in thinking mode.")


def _cache(world: World, project: Project, asked: Model, body: dict[str, Any]) -> dict[str, Any] | None:
    """The cached content that the request names. Raises ApiError 403 when it is gone, 400 for another model."""
    name = body.get("cachedContent")
    if not name:
        return None
    note_name(str(name))
    cache = project.collection("cachedContents").get(name)
    if cache is None or _unix(cache.get("expireTime", "")) <= world.clock.now():
        raise ApiError(403, "CachedContent not found (or permission denied)")
    if cache.get("model", "").removeprefix("models/") not in (asked.id, *asked.aliases):
        request = f"GenerateContent request (models/{asked.id})"
        raise ApiError(
            400, f"Model used by {request} and CachedContent ({cache['model']}) has to be the same."
        )
    if body.get("systemInstruction") or body.get("tools") or body.get("toolConfig"):
        raise ApiError(
            400,
            "CachedContent can not be used with GenerateContent request setting system_instruction, tools or "
            "tool_config.\n\nProposed fix: move those values to CachedContent from GenerateContent request.",
        )
    return cache


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else float("inf")


def _digest(model: Model, body: dict[str, Any]) -> str:
    """A name for the prompt: what decides the answer, and not how much of it is wanted."""
    config = {
        name: item
        for name, item in (body.get("generationConfig") or {}).items()
        if name not in ("maxOutputTokens", "stopSequences", "candidateCount")
    }
    kept = [body.get(name) for name in ("contents", "systemInstruction", "tools", "cachedContent")]
    return hashlib.sha256(msgspec.json.encode([model.id, config, kept])).hexdigest()[:24]


def _implicit(world: World, project: Project, model: Model, body: dict[str, Any], total: int) -> int:
    """Tokens of the longest prefix that this project sent to this model before; remembers this one's prefixes."""
    if total < model.cache_min:
        return 0
    head = [body.get("systemInstruction"), body.get("tools")]
    raw = msgspec.json.encode([head, body.get("contents")])
    now, best = world.clock.now(), 0
    running = hashlib.sha256(model.id.encode())
    for at in range(BLOCK, len(raw), BLOCK):
        running.update(raw[at - BLOCK : at])
        name = running.hexdigest()
        if project.seen.get(name, 0) > now:
            best = at // 4
        project.seen[name] = now + REMEMBERED_SECONDS
    return best if best >= model.cache_min else 0
