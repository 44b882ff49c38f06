"""From an interaction's request to the generateContent body that the simulated model understands. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gemini_simulator.http import ApiError

Content = dict[str, Any]
MEDIA = ("image", "audio", "document", "video")
GENERATION = {
    "temperature": "temperature",
    "top_p": "topP",
    "seed": "seed",
    "stop_sequences": "stopSequences",
    "max_output_tokens": "maxOutputTokens",
    "speech_config": "speechConfig",
}
SERVER_TOOLS = {
    "google_search": "googleSearch",
    "code_execution": "codeExecution",
    "url_context": "urlContext",
    "google_maps": "googleMaps",
    "file_search": "fileSearch",
    "computer_use": "computerUse",
}
# Steps that only report what Google's own tools did: the model needs no reminder of them.
REPORTED = frozenset(
    f"{tool}_{end}"
    for tool in (
        "code_execution", "file_search", "google_maps", "google_search", "mcp_server_tool", "processing",
        "retrieval", "tool_search", "url_context",
    )
    for end in ("call", "result")
)  # fmt: skip
STEPS = frozenset({"user_input", "model_output", "thought", "function_call", "function_result"}) | REPORTED


def contents_of(given: Any, history: list[Content]) -> list[Content]:
    """The turns that ``input`` adds to ``history``. Raises ApiError 400 for an input of no known form."""
    if isinstance(given, str):
        return [{"role": "user", "parts": [{"text": given}]}]
    items = [given] if isinstance(given, dict) else given
    if not isinstance(items, list) or not items:
        raise ApiError(400, "input is required: a text, a content, or a list of contents or steps.")
    names = call_names(history)
    turns: list[Content] = []
    signature = ""
    for at, item in enumerate(items):
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in REPORTED:
            continue
        if kind == "thought":
            signature = str(item.get("signature") or "")
            continue
        if kind not in STEPS and kind != "text" and kind not in MEDIA:
            raise ApiError(400, f"Invalid value at 'input[{at}].type': {kind!r}.")
        role, parts = _turn(item, names)
        if signature and role == "model" and parts:
            parts[0]["thoughtSignature"] = signature
            signature = ""
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    return turns


def _turn(item: dict[str, Any], names: dict[str, str]) -> tuple[str, list[dict[str, Any]]]:
    """Role and parts of one step or content; ``names`` learns the names of function calls by id."""
    kind = item["type"]
    if kind == "function_call":
        names[str(item.get("id", ""))] = str(item.get("name", ""))
        call = {"id": item.get("id", ""), "name": item.get("name", ""), "args": item.get("arguments", {})}
        return "model", [{"functionCall": call}]
    if kind == "function_result":
        call_id = str(item.get("call_id", ""))
        name = str(item.get("name") or names.get(call_id, ""))
        if not name:
            raise ApiError(400, f"function_result.call_id '{call_id}' matches no function call.")
        result = item.get("result")
        response = (
            result if isinstance(result, dict) else {"error" if item.get("is_error") else "result": result}
        )
        return "user", [{"functionResponse": {"id": call_id, "name": name, "response": response}}]
    if kind in ("user_input", "model_output"):
        held = item.get("content")
        contents = held if isinstance(held, list) else [held]
        return ("user" if kind == "user_input" else "model"), [_part(content) for content in contents]
    return "user", [_part(item)]


def _part(content: Any) -> dict[str, Any]:
    if isinstance(content, str):
        return {"text": content}
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "text" and isinstance(content.get("text"), str):
        return {"text": content["text"]}
    if kind in MEDIA and content.get("uri"):
        file = {"fileUri": content["uri"], "mimeType": content.get("mime_type", "")}
        return {"fileData": {name: value for name, value in file.items() if value}}
    if kind in MEDIA and content.get("data"):
        return {"inlineData": {"mimeType": content.get("mime_type", ""), "data": content["data"]}}
    raise ApiError(400, f"Invalid content of type {kind!r} in input.")


def call_names(history: list[Content]) -> dict[str, str]:
    """The names of the function calls in ``history`` by their ids."""
    return {
        part["functionCall"].get("id", ""): part["functionCall"].get("name", "")
        for content in history
        for part in content.get("parts", [])
        if "functionCall" in part
    }


def generate_body(body: Mapping[str, Any], contents: list[Content]) -> dict[str, Any]:
    """The generateContent body for an interaction's ``body`` and all its turns. Raises ApiError 400."""
    made: dict[str, Any] = {"contents": contents}
    if body.get("system_instruction"):
        made["systemInstruction"] = {"parts": [{"text": body["system_instruction"]}]}
    tools = _tools(body.get("tools") or [])
    if tools:
        made["tools"] = tools
    config = _generation(body)
    if config:
        made["generationConfig"] = config
    choice = (body.get("generation_config") or {}).get("tool_choice")
    if choice and tools:
        made["toolConfig"] = {"functionCallingConfig": _choice(choice)}
    tier = body.get("service_tier")
    if tier:
        made["serviceTier"] = "flex" if tier == "deferred" else tier
    for ours, theirs in (("cached_content", "cachedContent"), ("continuation_token", "continuationToken")):
        if body.get(ours):
            made[theirs] = body[ours]
    return made


def _tools(tools: list[Any]) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in tools:
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind == "function":
            declared = {"name": tool.get("name", ""), "description": tool.get("description", "")}
            if tool.get("parameters"):
                declared["parametersJsonSchema"] = tool["parameters"]
            functions.append(declared)
        elif kind in SERVER_TOOLS:
            others.append({SERVER_TOOLS[kind]: {}})
        elif kind not in ("mcp_server", "retrieval", "tool_search"):
            raise ApiError(400, f"Invalid value at 'tools.type': {kind!r}.")
    return ([{"functionDeclarations": functions}] if functions else []) + others


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"mode": choice.upper()}
    allowed = choice.get("allowed_tools") or {}
    made: dict[str, Any] = {"mode": str(allowed.get("mode") or "auto").upper()}
    if allowed.get("tools"):
        made["allowedFunctionNames"] = allowed["tools"]
    return made


def _generation(body: Mapping[str, Any]) -> dict[str, Any]:
    asked = body.get("generation_config") or {}
    config = {GENERATION[name]: value for name, value in asked.items() if name in GENERATION}
    thinking: dict[str, Any] = {}
    if asked.get("thinking_level"):
        thinking["thinkingLevel"] = str(asked["thinking_level"]).upper()
    if asked.get("thinking_summaries") == "auto":
        thinking["includeThoughts"] = True
    if thinking:
        config["thinkingConfig"] = thinking
    image = asked.get("image_config")
    if image:
        renamed = {"aspectRatio": image.get("aspect_ratio"), "imageSize": image.get("image_size")}
        config["imageConfig"] = {name: value for name, value in renamed.items() if value}
    if body.get("response_modalities"):
        config["responseModalities"] = [str(name).upper() for name in body["response_modalities"]]
    formats = body.get("response_format") or []
    for form in formats if isinstance(formats, list) else [formats]:
        if (form.get("type") or "text") == "text":
            config["responseMimeType"] = form.get("mime_type") or "application/json"
            if form.get("schema"):
                config["responseJsonSchema"] = form["schema"]
    if body.get("response_mime_type"):
        config["responseMimeType"] = body["response_mime_type"]
    return config
