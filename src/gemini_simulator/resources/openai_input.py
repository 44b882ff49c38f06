"""From an OpenAI chat request to a generateContent body, with the limits of Google's layer. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gemini_simulator.catalog import Model
from gemini_simulator.http import ApiError
from gemini_simulator.resources.naming import refuse_unknown, require
from gemini_simulator.resources.shapes import CHAT, hold

FIELDS = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format", "reasoning_effort",
    "max_tokens", "max_completion_tokens", "n", "stop", "temperature", "top_p", "service_tier", "extra_body",
    "google", "user", "parallel_tool_calls", "modalities", "audio", "store", "metadata",
}  # fmt: skip
EFFORTS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576}
_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)
Part = dict[str, Any]


def generate_body(body: dict[str, Any], model: Model) -> dict[str, Any]:
    """The generateContent body for a chat request to ``model``. Raises ApiError 400."""
    refuse_unknown(body, FIELDS)
    hold(body, CHAT)
    require(body, ("messages",), "ChatCompletionRequest")
    made = _turns(body["messages"])
    config = _config(body)
    thinking = _thinking(body, model)
    if thinking:
        config["thinkingConfig"] = thinking
    if config:
        made["generationConfig"] = config
    functions = [_declaration(tool) for tool in body.get("tools") or []]
    if functions:
        made["tools"] = [{"functionDeclarations": functions}]
        if body.get("tool_choice"):
            made["toolConfig"] = {"functionCallingConfig": _choice(body["tool_choice"])}
    if body.get("service_tier") in ("flex", "priority"):
        made["serviceTier"] = body["service_tier"]
    cached = _google(body).get("cached_content")
    if cached:
        made["cachedContent"] = cached
    return made


def _google(body: dict[str, Any]) -> dict[str, Any]:
    """The extras of Google: ``extra_body.google``, as the raw key or as the SDKs spread it."""
    extra = body.get("extra_body") or {}
    found = extra.get("google") or body.get("google") or {}
    return found if isinstance(found, dict) else {}


def _turns(messages: Any) -> dict[str, Any]:
    if not isinstance(messages, list):
        raise ApiError(400, "Invalid value at 'messages' (type list)")
    system: list[Part] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role in ("system", "developer"):
            system += _parts(message.get("content"))
            continue
        if role == "assistant":
            turn = {"role": "model", "parts": _spoken(message, names)}
        elif role == "user":
            turn = {"role": "user", "parts": _parts(message.get("content"))}
        elif role == "tool":
            turn = {"role": "user", "parts": [_result(message, names)]}
        else:
            raise ApiError(400, f"Invalid value at 'messages[{at}].role': {role!r}.")
        if contents and contents[-1]["role"] == turn["role"]:
            contents[-1]["parts"] += turn["parts"]
        else:
            contents.append(turn)
    made: dict[str, Any] = {"contents": contents}
    if system:
        made["systemInstruction"] = {"parts": system}
    return made


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [{"text": content}]
    parts = []
    for item in content if isinstance(content, list) else []:
        kind = item.get("type")
        if kind == "text":
            parts.append({"text": item.get("text") or ""})
        elif kind == "image_url":
            parts.append(_image(str((item.get("image_url") or {}).get("url", ""))))
        elif kind == "input_audio":
            audio = item.get("input_audio") or {}
            mime = f"audio/{audio.get('format') or 'wav'}"
            parts.append({"inlineData": {"mimeType": mime, "data": audio.get("data") or ""}})
        else:
            raise ApiError(400, f"Invalid content part type: {kind!r}.")
    return parts


def _image(url: str) -> Part:
    found = _DATA_URL.fullmatch(url)
    if found:
        return {"inlineData": {"mimeType": found[1], "data": found[2]}}
    return {"fileData": {"mimeType": "image/jpeg", "fileUri": url}}


def _spoken(message: dict[str, Any], names: dict[str, str]) -> list[Part]:
    parts = _parts(message.get("content")) if message.get("content") else []
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        names[call.get("id") or ""] = function.get("name") or ""
        try:
            arguments = msgspec.json.decode(function.get("arguments") or "{}")
        except msgspec.DecodeError as error:
            raise ApiError(400, f"Invalid JSON in tool_calls.function.arguments: {error}") from None
        part = {
            "functionCall": {"id": call.get("id", ""), "name": function.get("name", ""), "args": arguments}
        }
        signature = ((call.get("extra_content") or {}).get("google") or {}).get("thought_signature")
        if signature:
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _result(message: dict[str, Any], names: dict[str, str]) -> Part:
    call_id = str(message.get("tool_call_id", ""))
    name = message.get("name") or names.get(call_id)
    if not name:
        raise ApiError(400, f"tool_call_id '{call_id}' matches no tool call.")
    text = "".join(part.get("text", "") for part in _parts(message.get("content")))
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    response = value if isinstance(value, dict) else {"result": value}
    return {"functionResponse": {"id": call_id, "name": name, "response": response}}


def _declaration(tool: Any) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type") != "function":
        raise ApiError(400, "Only tools of type function are supported.")
    declared = {"name": function.get("name", ""), "description": function.get("description", "")}
    parameters = function.get("parameters")
    if parameters:
        if parameters.get("type") == "object" and not parameters.get("properties"):
            name = function.get("name", "")
            raise ApiError(
                400,
                f"* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties: should be "
                f"non-empty for OBJECT type (function '{name}')\n",
            )
        declared["parametersJsonSchema"] = parameters
    return declared


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, dict):
        return {"mode": "ANY", "allowedFunctionNames": [(choice.get("function") or {}).get("name") or ""]}
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    if choice not in modes:
        raise ApiError(400, f"Invalid value at 'tool_choice': {choice!r}.")
    return {"mode": modes[choice]}


def _config(body: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for theirs, ours in (("temperature", "temperature"), ("top_p", "topP"), ("n", "candidateCount")):
        if body.get(theirs) is not None:
            config[ours] = body[theirs]
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit:
        config["maxOutputTokens"] = limit
    if body.get("stop"):
        config["stopSequences"] = [body["stop"]] if isinstance(body["stop"], str) else body["stop"]
    form = body.get("response_format") or {}
    if form.get("type") in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
    if form.get("type") == "json_schema":
        config["responseJsonSchema"] = (form.get("json_schema") or {}).get("schema") or {}
    return config


def _thinking(body: dict[str, Any], model: Model) -> dict[str, Any]:
    """thinkingConfig from ``reasoning_effort`` or from Google's extra. Raises ApiError 400 for both."""
    own = _google(body).get("thinking_config") or {}
    effort = body.get("reasoning_effort")
    if effort and ("thinking_level" in own or "thinking_budget" in own):
        raise ApiError(400, "reasoning_effort and thinking_config cannot be used together.")
    renamed = {
        "thinkingLevel": str(own["thinking_level"]).upper() if own.get("thinking_level") else None,
        "thinkingBudget": own.get("thinking_budget"),
        "includeThoughts": own.get("include_thoughts"),
    }
    thinking = {name: value for name, value in renamed.items() if value is not None}
    if not effort or not model.thinks:
        return thinking
    if effort == "none":
        if not model.budget or model.id.endswith("-pro"):
            raise ApiError(400, f"Thinking cannot be turned off for {model.id}.")
        return {**thinking, "thinkingBudget": 0}
    if effort not in EFFORTS:
        raise ApiError(400, f"Invalid value at 'reasoning_effort': {effort!r}.")
    if not model.levels:
        return {**thinking, "thinkingBudget": EFFORTS[effort]}
    level = effort if effort in model.levels else "low"
    return {**thinking, "thinkingLevel": level.upper()}
