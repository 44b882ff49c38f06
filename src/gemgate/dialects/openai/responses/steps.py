"""From a request to the body of Google's interaction, or of its generateContent.

Interactions: an input of steps, ``generation_config`` in small letters, tools with their types [google-genai 3.4.0,
_gaos/types/interactions]. generateContent: Gemini's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gemgate.dialects.openai.pivot import Signature
from gemgate.dialects.openai.responses import request
from gemgate.dialects.openai.responses.items import Turns
from gemgate.dialects.openai.responses.media import content_of
from gemgate.dialects.openai.responses.request import Asked, Body

Json = dict[str, Any]


def interaction(asked: Asked, signatures: Mapping[str, Signature]) -> bytes:
    """The body of ``POST interactions``. Raises ``Refused`` (400)."""
    body = asked.body
    turns = _turns(asked, signatures, loose=True)
    made: Json = {"model": asked.model}
    if isinstance(body.input, str) and body.input:
        made["input"] = body.input
    elif turns.contents:
        made["input"] = _steps(turns.contents)
    if turns.system:
        made["system_instruction"] = "\n\n".join(part["text"] for part in turns.system)
    if body.previous_response_id:
        made["previous_interaction_id"] = body.previous_response_id.removeprefix("resp_")
    functions, calling = request.functions(body)
    if functions:
        made["tools"] = [_tool(one) for one in functions]
    config = _generation_config(asked)
    if calling:
        mode, names = calling["mode"].lower(), calling.get("allowedFunctionNames")
        config["tool_choice"] = {"allowed_tools": {"mode": mode, "tools": names}} if names else mode
    if config:
        made["generation_config"] = config
    wanted, schema = request.json_schema(body)
    if wanted:
        form: Json = {"type": "text", "mime_type": "application/json"}
        made["response_format"] = form | ({"schema": schema} if schema else {})
    tier = request.tier(body)
    if tier:
        made["service_tier"] = tier
    if body.store is False:
        made["store"] = False
    for name in ("stream", "background"):
        if getattr(body, name):
            made[name] = True
    return msgspec.json.encode(made)


def generation(asked: Asked, signatures: Mapping[str, Signature]) -> bytes:
    """The body of ``generateContent``. Raises ``Refused`` (400)."""
    body = asked.body
    turns = _turns(asked, signatures, loose=False)
    made: Json = {"contents": turns.contents}
    if turns.system:
        made["systemInstruction"] = {"parts": turns.system}
    functions, calling = request.functions(body)
    if functions:
        made["tools"] = [{"functionDeclarations": functions}]
    if calling:
        made["toolConfig"] = {"functionCallingConfig": calling}
    config = _config(asked)
    if config:
        made["generationConfig"] = config
    tier = request.tier(body)
    if tier:
        made["serviceTier"] = tier
    return msgspec.json.encode(made)


def _turns(asked: Asked, signatures: Mapping[str, Signature], *, loose: bool) -> Turns:
    turns = Turns(signatures, loose=loose)
    if asked.body.instructions:
        turns.system.append({"text": asked.body.instructions})
    turns.add(asked.body.input or [])
    return turns


def _config(asked: Asked) -> Json:
    body = asked.body
    config: Json = {
        "temperature": body.temperature,
        "topP": body.top_p,
        "maxOutputTokens": body.max_output_tokens,
    }
    config = {name: value for name, value in config.items() if value is not None}
    found = request.thinking(body)
    if found is not None or asked.summary:
        thinking: Json = {} if found is None else {found[0]: found[1]}
        config["thinkingConfig"] = thinking | ({"includeThoughts": True} if asked.summary else {})
    if asked.logprobs:
        config["responseLogprobs"] = True
        if body.top_logprobs:
            config["logprobs"] = body.top_logprobs
    wanted, schema = request.json_schema(body)
    if wanted:
        config["responseMimeType"] = "application/json"
        if schema:
            config["responseJsonSchema"] = schema
    return config


def _generation_config(asked: Asked) -> Json:
    body = asked.body
    config: Json = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_output_tokens": body.max_output_tokens,
    }
    config = {name: value for name, value in config.items() if value is not None}
    if asked.summary:
        config["thinking_summaries"] = "auto"
    found = request.thinking(body)
    if found is not None:
        kind, value = found
        level = str(value).lower() if kind == "thinkingLevel" else _level(body)
        config["thinking_level"] = level
    return config


def _level(body: Body) -> str:
    """The level for a model that knows budgets only, into which Google turns it; there is none for not at all."""
    wanted = body.reasoning.effort if body.reasoning is not None else None
    return {"none": "minimal", "xhigh": "high", "max": "high"}.get(wanted or "", wanted or "")


def _tool(declared: Json) -> Json:
    """A function's declaration as a tool of interactions."""
    made: Json = {"type": "function", "name": declared["name"]}
    if "description" in declared:
        made["description"] = declared["description"]
    if "parametersJsonSchema" in declared:
        made["parameters"] = declared["parametersJsonSchema"]
    return made


def _steps(contents: list[Json]) -> list[Json]:
    """The turns as steps: what a user said, what a function gave back, and what the model said, thought, called."""
    steps: list[Json] = []
    for turn in contents:
        said: list[Json] = []
        spoken = "user_input" if turn["role"] == "user" else "model_output"
        for part in turn["parts"]:
            signature = part.get("thoughtSignature")
            step = _step(part)
            if (signature or step is not None) and said:
                steps.append({"type": spoken, "content": said})
                said = []
            if signature:
                # A signature stands in a thought before what it belongs to.
                steps.append({"type": "thought", "signature": signature})
            if step is None:
                said.append(content_of(part))
            else:
                steps.append(step)
        if said:
            steps.append({"type": spoken, "content": said})
    return steps


def _step(part: Json) -> Json | None:
    """The step that a function's call or its result is; None for what is merely said."""
    call = part.get("functionCall")
    if call is not None:
        return {
            "type": "function_call",
            "id": call["id"],
            "name": call["name"],
            "arguments": call["args"],
        }
    found = part.get("functionResponse")
    if found is None:
        return None
    response: Any = found["response"]
    if isinstance(response.get("result"), str):  # ours: what a client wrote itself is raw
        response = response["result"]
    others = found.get("parts")
    if others:
        said = response if isinstance(response, str) else msgspec.json.encode(response).decode()
        response = [{"type": "text", "text": said}, *(content_of(one) for one in others)]
    step: Json = {"type": "function_result", "call_id": found["id"], "result": response}
    if found["name"]:
        step["name"] = found["name"]
    return step
