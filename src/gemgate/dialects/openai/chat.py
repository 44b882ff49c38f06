"""Requests for chat completions as calls of generateContent.

What has a like at Google is translated; what has none is noted in ``Leftovers``, and so are fields that nobody
documents: nothing is passed over in silence. Ranges of values are left to Google to judge.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from gemgate.dialects.openai import bodies, effort, members, schema, tools
from gemgate.dialects.openai.chunks import Completion, Form
from gemgate.dialects.openai.counts import TIERS
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.history import History
from gemgate.dialects.openai.parameters import Leftovers, invalid, misread
from gemgate.dialects.openai.pivot import Pivot, Signature, model_path

_encode = msgspec.json.Encoder().encode
_NULL = b"null"
_MAPS = ("logit_bias", "metadata")  # empty they say nothing; other objects turn something on
_INT32 = 1 << 31
_LONGEST_NAME = 256
_PLAIN = (
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("n", "candidateCount"),
)
_PENALTIES = (("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty"))
_THINKING = {
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
    "include_thoughts": "includeThoughts",
}


class Chat:
    """A request for a chat completion that was understood; see ``pivot.Read``."""

    __slots__ = ("_body", "_history", "_stream", "_usage", "call_ids", "dropped", "model", "tags", "user")

    def __init__(self, asked: bodies.Chat, unknown: tuple[str, ...], leftovers: Leftovers) -> None:
        self.model = asked.model.removeprefix("models/")
        self.user = asked.user or asked.safety_identifier or ""
        self.tags: tuple[str, ...] = ()
        if not self.model:
            raise invalid("model", "name the model.")
        if len(self.model) > _LONGEST_NAME:
            raise invalid("model", f"a name of more than {_LONGEST_NAME} characters is no model's.")
        history = History(leftovers)
        for at, message in enumerate(asked.messages):
            history.add(at, message)
        history.whole()
        if not history.contents:
            raise invalid("messages", "there is no message.")
        self._history = history
        self.call_ids = history.call_ids
        self._stream = bool(asked.stream)
        self._usage = bool(asked.stream_options and asked.stream_options.include_usage)
        self._body = _body(asked, history, self.model, leftovers)
        for name in unknown:
            leftovers.note(name)
        self.dropped = leftovers.names

    def pivot(self, signatures: Mapping[str, Signature]) -> Pivot:
        """The call of generateContent, or of streamGenerateContent; see ``pivot.Read``."""
        self._history.sign(signatures)
        action = "streamGenerateContent" if self._stream else "generateContent"
        return Pivot(
            verb="POST",
            path=model_path(self.model, action),
            query="alt=sse" if self._stream else "",
            body=_encode(self._body),
            rendering=functools.partial(_rendering, Form(stream=self._stream, usage=self._usage)),
        )


def read(door: Door, query: Mapping[str, str], body: bytes, unsupported: str) -> Chat:
    """What a request for a chat completion asks. Raises ``Refused`` (400) for one that cannot be understood."""
    leftovers = Leftovers(unsupported)
    try:
        asked, unknown = members.decode(bodies.chat, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise misread(fault) from None
    return Chat(asked, unknown, leftovers)


def _rendering(form: Form, call_id: bytes, model: str, created: int) -> Completion:
    return Completion(form, call_id, model, created)


def _body(asked: bodies.Chat, history: History, model: str, leftovers: Leftovers) -> dict[str, Any]:
    body: dict[str, Any] = {"contents": history.contents}
    if history.system:
        body["systemInstruction"] = {"parts": history.system}
    if asked.tools:
        declared, chosen = tools.choose(asked.tool_choice, tools.declarations(asked.tools))
        if declared:
            body["tools"] = [{"functionDeclarations": declared}]
            if chosen is not None:
                body["toolConfig"] = {"functionCallingConfig": chosen}
    _refuse_functions(asked)
    config = _config(asked, leftovers)
    google = _google(asked, leftovers)
    cached = google.get("cached_content")
    if cached is not None:
        body["cachedContent"] = cached
    thinking = _thinking(asked, google.get("thinking_config"), model, leftovers)
    if thinking:
        config["thinkingConfig"] = thinking
    if config:
        body["generationConfig"] = config
    tier = asked.service_tier
    if tier is not None and tier != "auto":
        if tier in TIERS:
            body["serviceTier"] = TIERS[tier]
        else:
            leftovers.note("service_tier")
    _note_unlike(asked, leftovers)
    return body


def _refuse_functions(asked: bodies.Chat) -> None:
    """OpenAI has put tools in the place of these; without its functions a model would not be asked the same."""
    for name in ("functions", "function_call"):
        value = bytes(getattr(asked, name))
        if value and value != _NULL:
            raise invalid(name, "it is not served; use tools and tool_choice.")


def _config(asked: bodies.Chat, leftovers: Leftovers) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name, theirs in _PLAIN:
        value = getattr(asked, name)
        if value is not None:
            config[theirs] = value
    most = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    if most is not None:
        config["maxOutputTokens"] = most
    if asked.stop:
        config["stopSequences"] = [asked.stop] if isinstance(asked.stop, str) else asked.stop
    if asked.seed is not None:
        # Google's is a number of 32 bits: the same seed is the same there too.
        config["seed"] = asked.seed if -_INT32 <= asked.seed < _INT32 else asked.seed % _INT32
    if asked.logprobs or asked.top_logprobs:
        config.update(_logprobs(asked, leftovers))
    for name, theirs in _PENALTIES:
        value = getattr(asked, name)
        if value and leftovers.note(name, known=True):
            config[theirs] = value
    if asked.response_format is not None:
        config.update(_format(asked.response_format))
    if asked.modalities is not None:
        wanted = [one.lower() for one in asked.modalities]
        if "audio" in wanted or not set(wanted) <= {"text", "image"}:
            leftovers.note("modalities")
        elif "image" in wanted:
            config["responseModalities"] = [one.upper() for one in wanted]
    return config


def _logprobs(asked: bodies.Chat, leftovers: Leftovers) -> dict[str, Any]:
    """Log probabilities; how many makes sense only where they are asked for."""
    if not asked.logprobs:
        leftovers.note("top_logprobs")
        return {}
    wanted = {"responseLogprobs": True}
    return wanted | {"logprobs": asked.top_logprobs} if asked.top_logprobs else wanted


def _format(asked: bodies.Format) -> dict[str, Any]:
    if asked.type == "text":
        return {}
    if asked.type not in ("json_object", "json_schema"):
        raise invalid("response_format.type", "it must be text, json_object or json_schema.")
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if asked.type == "json_schema":
        if asked.json_schema is None:
            raise invalid("response_format.json_schema", "it is missing.")
        given = asked.json_schema.schema
        if bytes(given) not in (b"", _NULL):
            config["responseJsonSchema"] = schema.passed(
                schema.described(given, asked.json_schema.description)
            )
    return config


def _google(asked: bodies.Chat, leftovers: Leftovers) -> dict[str, Any]:
    """Google's own fields, ``cached_content`` and ``thinking_config``, from both places where they may stand."""
    given = dict(asked.google or {})
    for name, value in (asked.extra_body or {}).items():
        if name != "google":
            leftovers.note(f"extra_body.{name}")
            continue
        try:
            given |= bodies.fields.decode(value)
        except msgspec.DecodeError:
            raise invalid("extra_body.google", "it must be an object.") from None
    found: dict[str, Any] = {}
    for name, value in given.items():
        try:
            if bytes(value) == _NULL:
                continue
            if name == "cached_content":
                found[name] = msgspec.json.decode(value, type=str)
            elif name == "thinking_config":
                found[name] = bodies.thinking.decode(value)
            else:
                leftovers.note(f"google.{name}")
        except msgspec.DecodeError as fault:
            raise invalid(f"google.{name}", str(fault)) from None
    return found


def _thinking(
    asked: bodies.Chat, own: bodies.Thinking | None, model: str, leftovers: Leftovers
) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if own is not None:
        for name, theirs in _THINKING.items():
            value = getattr(own, name) if getattr(own, theirs) is None else getattr(own, theirs)
            if value is not None:
                config[theirs] = value.upper() if isinstance(value, str) else value
    wanted = asked.reasoning_effort
    if wanted is None:
        return config
    if wanted not in effort.EFFORTS:
        raise invalid("reasoning_effort", f"it must be one of {', '.join(effort.EFFORTS)}.")
    if "thinkingBudget" in config or "thinkingLevel" in config:
        raise invalid("reasoning_effort", "it cannot stand beside Google's thinking_config.")
    found = effort.thinking(model, wanted)
    if not effort.is_met(wanted, found):
        leftovers.note("reasoning_effort")
    if found is not None:
        config[found[0]] = found[1]
    return config


def _note_unlike(asked: bodies.Chat, leftovers: Leftovers) -> None:
    for name in bodies.UNLIKE:
        given = getattr(asked, name)
        if given is bodies.ABSENT:
            continue
        value = bytes(given)
        if value != _NULL and not (value == b"{}" and name in _MAPS):
            leftovers.note(name)
    if asked.store:
        leftovers.note("store")
    if asked.parallel_tool_calls is False and asked.tools:
        leftovers.note("parallel_tool_calls")
