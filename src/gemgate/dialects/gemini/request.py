"""What a request asks for, read from its path, query and body without keeping any of its content.

Field names are taken in Google's both spellings (``generationConfig``, ``generation_config``). A body that is
no JSON object is refused here in Google's words; one whose fields have unexpected types is passed on as it is,
for Google to judge, with what could be read.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping

import msgspec

from gemgate.core.call import Shape, Streaming
from gemgate.core.errors import Refused
from gemgate.dialects import nulls
from gemgate.dialects.gemini.methods import Match, Reading


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the rules see it.

    ``tier`` is the service tier asked for, empty for the default. ``refers`` names what only the project that
    made it can serve: ``files/x``, ``cachedContents/x``, ``interactions/x``. ``input_estimate`` is in tokens,
    a rough guess for reservations and for tries whose usage was never seen.
    """

    model: str = ""
    streaming: Streaming = Streaming.NONE
    tier: str = ""
    shape: Shape = Shape()
    refers: tuple[str, ...] = ()
    input_estimate: int = 0


_ABSENT = msgspec.Raw(b"")


class _Blob(msgspec.Struct, gc=False):
    mimeType: str = ""
    mime_type: str = ""
    fileUri: str = ""
    file_uri: str = ""
    data: msgspec.Raw = _ABSENT


class _Part(msgspec.Struct, gc=False):
    inlineData: _Blob | None = None
    inline_data: _Blob | None = None
    fileData: _Blob | None = None
    file_data: _Blob | None = None


class _Content(msgspec.Struct, gc=False):
    parts: tuple[_Part, ...] = ()


class _Thinking(msgspec.Struct, gc=False):
    thinkingLevel: str = ""
    thinking_level: str = ""
    thinkingBudget: int | None = None
    thinking_budget: int | None = None


class _Config(msgspec.Struct, gc=False):
    maxOutputTokens: int | None = None
    max_output_tokens: int | None = None
    responseMimeType: str = ""
    response_mime_type: str = ""
    responseSchema: msgspec.Raw = _ABSENT
    response_schema: msgspec.Raw = _ABSENT
    responseJsonSchema: msgspec.Raw = _ABSENT
    response_json_schema: msgspec.Raw = _ABSENT
    thinkingConfig: _Thinking | None = None
    thinking_config: _Thinking | None = None


class _Tool(msgspec.Struct, gc=False):
    functionDeclarations: tuple[msgspec.Raw, ...] = ()
    function_declarations: tuple[msgspec.Raw, ...] = ()


class _Input(msgspec.Struct, gc=False):
    fileName: str = ""
    file_name: str = ""


class _Batch(msgspec.Struct, gc=False):
    inputConfig: _Input | None = None
    input_config: _Input | None = None


class _Generate(msgspec.Struct, gc=False):
    """generateContent, and what cachedContents.create and batches share with it."""

    model: str = ""
    contents: tuple[_Content, ...] = ()
    tools: tuple[_Tool, ...] = ()
    generationConfig: _Config | None = None
    generation_config: _Config | None = None
    cachedContent: str = ""
    cached_content: str = ""
    serviceTier: str = ""
    service_tier: str = ""
    batch: _Batch | None = None


class _One(msgspec.Struct, gc=False):
    content: _Content | None = None


class _Embed(msgspec.Struct, gc=False):
    content: _Content | None = None
    requests: tuple[_One, ...] = ()


class _Settings(msgspec.Struct, gc=False):
    max_output_tokens: int | None = None
    thinking_level: str | None = None


class _Interaction(msgspec.Struct, gc=False):
    model: str | None = None
    agent: str | None = None
    input: msgspec.Raw = _ABSENT
    stream: bool | None = None
    tools: tuple[msgspec.Raw, ...] | None = None
    generation_config: _Settings | None = None
    response_format: msgspec.Raw = _ABSENT
    response_mime_type: str | None = None
    previous_interaction_id: str | None = None
    cached_content: str | None = None
    service_tier: str | None = None


class _Chat(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    messages: tuple[msgspec.Raw, ...] | None = None
    tools: tuple[msgspec.Raw, ...] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: msgspec.Raw = _ABSENT
    reasoning_effort: str | None = None
    service_tier: str | None = None


class _Named(msgspec.Struct, gc=False):
    model: str = ""


_generate = msgspec.json.Decoder(_Generate)
_embed = msgspec.json.Decoder(_Embed)
_interaction = msgspec.json.Decoder(_Interaction)
_chat = msgspec.json.Decoder(_Chat)
_named = msgspec.json.Decoder(_Named)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[msgspec.Raw])

_FILE = re.compile(r"files/[A-Za-z0-9_\-]+")
_MEDIA = re.compile(rb'"(?:uri|file_uri|data|url)"\s*:\s*"((?:[^"\\]++|\\.)*+)"')
_BYTES_PER_TOKEN = 4
# Tokens of one medium when its size says nothing, and base64 characters per token when it does.
_WHOLE = {"image": 1120, "audio": 1920, "video": 18000, "application": 2580, "text": 1000}
_RATE = {"audio": 670, "video": 1100, "application": 260, "text": 6}


def read(match: Match, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]) -> Asked:
    """What the request asks. Raises ``Refused`` (400, MALFORMED_JSON) when JSON is due and none came."""
    if not match.inspected or headers.get("content-encoding", "identity") not in ("identity", ""):
        return Asked(
            model=match.model, streaming=_streaming(match, query, asked=query.get("stream") == "true")
        )
    reader = _READERS.get(match.reading, _read_generate)
    try:
        return reader(match, query, body)
    except msgspec.ValidationError:
        _check_object(body)
        if b"null" in body:
            with contextlib.suppress(msgspec.DecodeError, RecursionError):
                return reader(match, query, nulls.dropped(body))
        return _as_far_as_it_goes(match, query, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise _malformed(str(fault)) from None


def _check_object(body: bytes) -> None:
    try:
        _object.decode(body)
    except msgspec.ValidationError:
        raise _malformed('Unknown name "": Root element must be a message.') from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise _malformed(str(fault)) from None


def _malformed(what: str) -> Refused:
    return Refused(
        400,
        "MALFORMED_JSON",
        f"Invalid JSON payload received. {what}",
        hint="Send the request's body as one JSON object.",
    )


def _as_far_as_it_goes(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    fields = _object.decode(body)
    try:
        model = _bare_name(_named.decode(body).model)
    except msgspec.ValidationError:
        model = ""
    return Asked(
        model=match.model or model,
        streaming=_streaming(match, query, asked=bytes(fields.get("stream", b"")) == b"true"),
        input_estimate=len(body) // _BYTES_PER_TOKEN,
    )


def _streaming(match: Match, query: Mapping[str, str], *, asked: bool) -> Streaming:
    """The form of the answer. ``asked`` is the body's own ``stream: true``."""
    if match.streaming:
        alt = query.get("alt") or query.get("$alt", "")
        return Streaming.SSE if alt.lower() == "sse" else Streaming.ARRAY
    if asked and match.reading in (Reading.INTERACTION, Reading.OPENAI):
        return Streaming.SSE
    return Streaming.NONE


def _bare_name(model: str) -> str:
    return model.removeprefix("models/")


def _read_generate(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = _generate.decode(body)
    config = seen.generationConfig or seen.generation_config
    cached = seen.cachedContent or seen.cached_content
    media, bulk, tokens, refers = _media(seen.contents)
    if cached:
        refers = (*refers, cached)
    if seen.batch is not None:
        source = seen.batch.inputConfig or seen.batch.input_config
        name = (source.fileName or source.file_name) if source else ""
        refers = (*refers, name) if name else refers
    tools = 0
    for tool in seen.tools:
        tools += len(tool.functionDeclarations or tool.function_declarations) or 1
    return Asked(
        model=match.model or _bare_name(seen.model),
        streaming=_streaming(match, query, asked=False),
        tier=(seen.serviceTier or seen.service_tier).lower(),
        shape=Shape(
            tools=tools,
            turns=len(seen.contents),
            media=media,
            max_output=(config.maxOutputTokens or config.max_output_tokens) if config else None,
            thinking=_thinking(config.thinkingConfig or config.thinking_config) if config else "",
            json_output=config is not None and _wants_json(config),
            cached_content=bool(cached),
        ),
        refers=refers,
        input_estimate=(len(body) - bulk) // _BYTES_PER_TOKEN + tokens,
    )


def _thinking(seen: _Thinking | None) -> str:
    if seen is None:
        return ""
    level = seen.thinkingLevel or seen.thinking_level
    if level:
        return f"level:{level.lower()}"
    budget = seen.thinking_budget if seen.thinkingBudget is None else seen.thinkingBudget
    return "" if budget is None else f"budget:{budget}"


def _wants_json(config: _Config) -> bool:
    schemas = (
        config.responseSchema,
        config.response_schema,
        config.responseJsonSchema,
        config.response_json_schema,
    )
    kind = config.responseMimeType or config.response_mime_type
    return kind == "application/json" or any(bytes(schema) not in (b"", b"null") for schema in schemas)


def _media(contents: tuple[_Content, ...]) -> tuple[int, int, int, tuple[str, ...]]:
    """Count, bytes in the body, estimated tokens and files of the media in the contents."""
    count = bulk = tokens = 0
    refers: tuple[str, ...] = ()
    for content in contents:
        for part in content.parts:
            blob = part.inlineData or part.inline_data or part.fileData or part.file_data
            if blob is None:
                continue
            count += 1
            size = memoryview(blob.data).nbytes
            bulk += size
            tokens += _weigh(blob.mimeType or blob.mime_type, size)
            named = _FILE.search(blob.fileUri or blob.file_uri)
            if named is not None:
                refers = (*refers, named.group())
    return count, bulk, tokens, refers


def _weigh(mime: str, size: int) -> int:
    kind = mime.partition("/")[0]
    whole = _WHOLE.get(kind, 1000)
    rate = _RATE.get(kind)
    return whole if rate is None or not size else max(1, size // rate)


def _read_embed(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = _embed.decode(body)
    contents = tuple(one.content for one in seen.requests if one.content is not None)
    contents += (seen.content,) if seen.content is not None else ()
    media, bulk, tokens, refers = _media(contents)
    return Asked(
        model=match.model,
        shape=Shape(turns=max(1, len(seen.requests)), media=media),
        refers=refers,
        input_estimate=(len(body) - bulk) // _BYTES_PER_TOKEN + tokens,
    )


def _read_interaction(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = _interaction.decode(body)
    config = seen.generation_config or _Settings()
    turns = 1
    if bytes(memoryview(seen.input)[:1]) == b"[":
        turns = len(_rows.decode(seen.input))
    media, bulk, refers = _loose_media(body)
    if seen.previous_interaction_id:
        refers = (*refers, "interactions/" + seen.previous_interaction_id.removeprefix("interactions/"))
    if seen.cached_content:
        refers = (*refers, seen.cached_content)
    return Asked(
        model=_bare_name(seen.model or seen.agent or ""),
        streaming=_streaming(match, query, asked=bool(seen.stream)),
        tier=(seen.service_tier or "").lower(),
        shape=Shape(
            tools=len(seen.tools or ()),
            turns=turns,
            media=media,
            max_output=config.max_output_tokens,
            thinking=f"level:{config.thinking_level.lower()}" if config.thinking_level else "",
            json_output=seen.response_mime_type == "application/json"
            or b"application/json" in bytes(seen.response_format),
            cached_content=bool(seen.cached_content),
        ),
        refers=refers,
        input_estimate=(len(body) - bulk) // _BYTES_PER_TOKEN + media * _WHOLE["image"],
    )


def _loose_media(body: bytes) -> tuple[int, int, tuple[str, ...]]:
    """Count, bytes and files of media in a body of typed content items (``uri``, ``data``, ``url``)."""
    count = bulk = 0
    refers: tuple[str, ...] = ()
    for found in _MEDIA.finditer(body):
        count += 1
        bulk += len(found[1])
        named = _FILE.search(found[1][:300].decode("utf-8", "replace"))
        if named is not None and b"uri" in found[0][:12]:
            refers = (*refers, named.group())
    return count, bulk, refers


def _read_chat(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = _chat.decode(body)
    media, bulk, _ = _loose_media(body)
    return Asked(
        model=_bare_name(seen.model or ""),
        streaming=_streaming(match, query, asked=bool(seen.stream)),
        tier=(seen.service_tier or "").lower(),
        shape=Shape(
            tools=len(seen.tools or ()),
            turns=len(seen.messages or ()),
            media=media,
            max_output=seen.max_completion_tokens or seen.max_tokens,
            thinking=f"level:{seen.reasoning_effort.lower()}" if seen.reasoning_effort else "",
            json_output=b'"json_' in bytes(seen.response_format),
        ),
        input_estimate=(len(body) - bulk) // _BYTES_PER_TOKEN + media * _WHOLE["image"],
    )


_READERS: dict[Reading, Callable[[Match, Mapping[str, str], bytes], Asked]] = {
    Reading.EMBED: _read_embed,
    Reading.INTERACTION: _read_interaction,
    Reading.OPENAI: _read_chat,
}
