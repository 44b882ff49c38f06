"""The request messages of Google's API, as far as their fields go, and the strict reader that Google has.

A message is a line of ``name:type``. Types: ``s`` text, ``i`` int32, ``n`` number, ``b`` boolean, ``y`` base64
bytes, ``o`` any object, ``a`` anything at all, ``e(A|B)`` enum, ``Name`` a message; a leading ``*`` repeats, a
leading ``#`` is a map.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import cache
from typing import Any

from gemini_simulator.http import ApiError

SPEC = {
    "GenerateContentRequest": (
        "model:s contents:*Content systemInstruction:Content tools:*Tool toolConfig:ToolConfig "
        "safetySettings:*SafetySetting generationConfig:GenerationConfig cachedContent:s "
        "serviceTier:s continuationToken:y store:b labels:#s"
    ),
    "Content": "role:s parts:*Part",
    "Part": (
        "text:s inlineData:Blob fileData:FileData functionCall:FunctionCall "
        "functionResponse:FunctionResponse executableCode:o codeExecutionResult:o toolCall:o "
        "toolResponse:o thought:b thoughtSignature:s videoMetadata:o partMetadata:o "
        "mediaResolution:o audioTranscription:a mediaProcessing:a speechMetadata:a "
        "documentMetadata:a spreadsheetMetadata:a audioMetadata:a"
    ),
    "Blob": "mimeType:s data:y displayName:s",
    "FileData": "mimeType:s fileUri:s displayName:s",
    "FunctionCall": "id:s name:s args:o partialArgs:a willContinue:b",
    "FunctionResponse": "id:s name:s response:o parts:a willContinue:b scheduling:s",
    "Tool": (
        "functionDeclarations:*FunctionDeclaration googleSearch:o googleSearchRetrieval:o "
        "codeExecution:o urlContext:o computerUse:o fileSearch:o googleMaps:o mcpServers:a"
    ),
    "FunctionDeclaration": (
        "name:s description:s parameters:Schema parametersJsonSchema:o response:Schema "
        "responseJsonSchema:o behavior:s"
    ),
    "ToolConfig": (
        "functionCallingConfig:FunctionCallingConfig retrievalConfig:o includeServerSideToolInvocations:b"
    ),
    "FunctionCallingConfig": (
        "mode:e(MODE_UNSPECIFIED|AUTO|ANY|NONE|VALIDATED) allowedFunctionNames:*s "
        "streamFunctionCallArguments:b"
    ),
    "SafetySetting": "category:s threshold:s",
    "GenerationConfig": (
        "candidateCount:i stopSequences:*s maxOutputTokens:i temperature:n topP:n topK:n seed:i "
        "responseMimeType:s responseSchema:Schema responseJsonSchema:o responseFormat:a "
        "presencePenalty:n frequencyPenalty:n responseLogprobs:b logprobs:i "
        "enableEnhancedCivicAnswers:b responseModalities:*s speechConfig:o "
        "thinkingConfig:ThinkingConfig imageConfig:o mediaResolution:s audioTranscriptionConfig:a "
        "translationConfig:a responseJsonSchemaOrdered:a"
    ),
    "ThinkingConfig": (
        "includeThoughts:b thinkingBudget:i "
        "thinkingLevel:e(THINKING_LEVEL_UNSPECIFIED|MINIMAL|LOW|MEDIUM|HIGH|XHIGH)"
    ),
    "Schema": (
        "type:s format:s title:s description:s nullable:b enum:*s items:Schema maxItems:a "
        "minItems:a properties:#Schema required:*s minProperties:a maxProperties:a minimum:n "
        "maximum:n minLength:a maxLength:a pattern:s example:a anyOf:*Schema propertyOrdering:*s "
        "default:a additionalProperties:a defs:a ref:s"
    ),
    "CountTokensRequest": "model:s contents:*Content generateContentRequest:GenerateContentRequest",
    "EmbedContentRequest": (
        "model:s content:Content taskType:s title:s outputDimensionality:i embedContentConfig:o"
    ),
    "BatchEmbedContentsRequest": "requests:*EmbedContentRequest",
    "PredictRequest": "instances:a parameters:a",
    "GenerateTextRequest": (
        "prompt:TextPrompt temperature:n candidateCount:i maxOutputTokens:i topP:n topK:i "
        "safetySettings:*SafetySetting stopSequences:*s"
    ),
    "TextPrompt": "text:s",
    "EmbedTextRequest": "model:s text:s",
    "BatchEmbedTextRequest": "texts:*s requests:*EmbedTextRequest",
    "CountTextTokensRequest": "prompt:TextPrompt",
    "MessagePrompt": "context:s examples:a messages:*Message",
    "Message": "author:s content:s citationMetadata:a",
    "GenerateMessageRequest": "prompt:MessagePrompt temperature:n candidateCount:i topP:n topK:i",
    "CountMessageTokensRequest": "prompt:MessagePrompt",
    "GenerateAnswerRequest": (
        "inlinePassages:a semanticRetriever:a contents:*Content answerStyle:s "
        "safetySettings:*SafetySetting temperature:n"
    ),
}
SCALARS = {"s": "TYPE_STRING", "i": "TYPE_INT32", "n": "TYPE_DOUBLE", "b": "TYPE_BOOL", "y": "TYPE_BYTES"}
PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1beta."


@cache
def fields(message: str) -> dict[str, str]:
    """Field name, in camelCase and snake_case, -> ``camelName:type``."""
    found: dict[str, str] = {}
    for item in SPEC[message].split():
        name = item.partition(":")[0]
        found[name] = found[snake(name)] = item
    return found


@cache
def snake(name: str) -> str:
    """maxOutputTokens -> max_output_tokens."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


class _Reader:
    """Walks one request, collecting faults as Google's parser words them."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def message(self, kind: str, value: Any, path: str) -> dict[str, Any]:
        """A message of the given kind."""
        if not isinstance(value, dict):
            self.wrong(path, PACKAGE + kind, value)
            return {}
        known, made = fields(kind), {}
        for name, item in value.items():
            spec = known.get(name)
            if spec is None:
                place = f" at '{path}'" if path else ""
                self.faults.append((path, f'Unknown name "{name}"{place}: Cannot find field.'))
                continue
            camel, _, form = spec.partition(":")
            if item is not None:
                made[camel] = self.value(form, item, f"{path}.{snake(camel)}" if path else snake(camel))
        return made

    def value(self, form: str, value: Any, path: str) -> Any:
        """A field of the given form."""
        if form[0] == "*":
            items = value if isinstance(value, list) else [value]
            return [self.value(form[1:], item, f"{path}[{at}]") for at, item in enumerate(items)]
        if form[0] == "#":
            if isinstance(value, dict):
                return {key: self.value(form[1:], item, f"{path}.{key}") for key, item in value.items()}
            self.wrong(path, "Map", value)
            return {}
        if form == "a" or (form == "o" and isinstance(value, dict)):
            return value
        if form == "o":
            self.wrong(path, "type.googleapis.com/google.protobuf.Struct", value)
            return {}
        if form.startswith("e("):
            return self.enum(form[2:-1].split("|"), value, path)
        if form in SCALARS:
            return self.scalar(form, value, path)
        return self.message(form, value, path)

    def enum(self, names: list[str], value: Any, path: str) -> str:
        """One of the names, given as name or number."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return names[value]
        if isinstance(value, str) and value.upper() in names:
            return value.upper()
        self.wrong(path, PACKAGE + path.rpartition(".")[2].title().replace("_", ""), value)
        return names[0]

    def scalar(self, form: str, value: Any, path: str) -> Any:
        """A text, number, boolean or bytes."""
        good, made = False, value
        if form == "s":
            good = isinstance(value, str)
        elif form == "b":
            good, made = isinstance(value, bool) or value in ("true", "false"), value in (True, "true")
        elif form == "y":
            good = isinstance(value, str) and _is_base64(value)
        else:
            made = _number(value, form == "i")
            good = made is not None
        if not good:
            self.wrong(path, SCALARS[form], value)
        return made

    def wrong(self, path: str, kind: str, value: Any) -> None:
        """Note a value of the wrong type."""
        shown = f'"{value}"' if isinstance(value, str) else value
        prefix = f"Invalid value at '{path}' ({kind})"
        shape = "" if isinstance(value, dict | list) else f", {shown}"
        self.faults.append((path, prefix + shape))


def _number(value: Any, whole: bool) -> float | int | None:
    """``value`` as a number, which proto JSON lets stand in quotes; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if whole:
        return int(number) if number == int(number) and abs(number) < 2**31 else None
    return number


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def read(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """The request with camelCase names. Raises ApiError 400 that lists each unknown field and wrong type.

    ``thoughtSignature`` may be any text: Google documents literals that are no signature at all.
    """
    reader = _Reader()
    made = reader.message(kind, value, "")
    if reader.faults:
        texts = [
            f"Invalid JSON payload received. {text}" if text.startswith("Unknown") else text
            for _, text in reader.faults
        ]
        violations = [
            {"field": path, "description": text} if path else {"description": text}
            for (path, _), text in zip(reader.faults, texts, strict=True)
        ]
        detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
        raise ApiError(400, "\n".join(texts), details=[detail])
    return made
