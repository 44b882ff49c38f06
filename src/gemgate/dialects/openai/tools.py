"""OpenAI's tools and the choice among them as Google's functions.

``strict`` asks for arguments that fit the schema; Gemini's fit without being asked, so it changes nothing.
"""

from __future__ import annotations

from typing import Any

from gemgate.dialects.openai import schema
from gemgate.dialects.openai.bodies import Choice, Tool
from gemgate.dialects.openai.parameters import invalid

_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}


def declarations(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    """Google's functionDeclarations. Raises ``Refused`` (400) for a tool that is no function."""
    found = []
    for at, tool in enumerate(tools):
        if tool.function is None or tool.type not in (None, "function"):
            raise invalid(
                f"tools[{at}].type",
                f"{tool.type or 'a tool without function'} is not served, only function is.",
            )
        function = tool.function
        declared: dict[str, Any] = {"name": function.name}
        if function.description is not None:
            declared["description"] = function.description
        if not schema.is_empty(function.parameters):
            declared["parametersJsonSchema"] = schema.passed(function.parameters)
        found.append(declared)
    return found


def choose(
    choice: Choice | str | None, declared: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The functions to declare and Google's functionCallingConfig (None: its default).

    Of ``allowed_tools`` in mode ``auto`` only the allowed functions are declared: Google takes a list of names
    only together with the duty to call one. Raises ``Refused`` (400).
    """
    if choice is None:
        return declared, None
    if isinstance(choice, str):
        mode = _MODES.get(choice)
        if mode is None:
            raise invalid("tool_choice", f"it must be none, auto, required or an object, not {choice!r}.")
        return declared, None if mode == "AUTO" else {"mode": mode}
    if choice.type == "function" and choice.function is not None:
        return declared, {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    allowed = choice.allowed_tools
    if choice.type != "allowed_tools" or allowed is None or allowed.mode not in ("auto", "required"):
        raise invalid("tool_choice.type", "only function and allowed_tools (auto or required) are served.")
    names = [tool.function.name for tool in allowed.tools if tool.function is not None]
    if allowed.mode == "required":
        return declared, {"mode": "ANY", "allowedFunctionNames": names}
    return [one for one in declared if one["name"] in names], None
