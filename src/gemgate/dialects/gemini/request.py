"""What a request asks for, read from its path, query and body without keeping any of its content.

Field names are taken in Google's both spellings (``generationConfig``, ``generation_config``). A body that is
no JSON object is refused here in Google's words; one whose fields have unexpected types is passed on as it is,
for Google to judge, with what could be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import msgspec

from gemgate.core import spending
from gemgate.core.call import Shape, Streaming
from gemgate.core.errors import Refused
from gemgate.dialects import nulls
from gemgate.dialects.gemini import bodies, media, portions, signatures
from gemgate.dialects.gemini.methods import Match, Reading


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the rules see it.

    ``tier`` is the service tier asked for, empty for the default. ``refers`` names what only the project that
    made it can serve: ``files/x``, ``cachedContents/x``, ``fileSearchStores/x``, ``interactions/x``.
    ``input_estimate`` is in tokens, a rough guess for reservations and for tries whose usage was never seen.

    ``signatures`` are the thought signatures of the last turn that has any, ``continuation`` the token by which
    an earlier answer goes on, both in the form of ``signatures.plain``; ``previous`` is the interaction that
    this one follows (``interactions/x``). ``penalties``: a presence or frequency penalty is set, which many
    models refuse. ``media`` are the kinds of media in it: ``image``, ``audio``, ``video``, ``document``.
    ``candidates`` is how many answers are asked for at once, within what can be meant. ``afar`` are the addresses
    of media that Google fetches itself, shortened. ``labels`` and ``user`` say on whose account the call
    is made, each label as ``name:value``.
    """

    model: str = ""
    streaming: Streaming = Streaming.NONE
    tier: str = ""
    shape: Shape = Shape()
    refers: tuple[str, ...] = ()
    input_estimate: int = 0
    signatures: tuple[bytes, ...] = ()
    continuation: bytes = b""
    previous: str = ""
    penalties: bool = False
    media: tuple[str, ...] = ()
    candidates: int = 1
    labels: tuple[str, ...] = ()
    user: str = ""
    afar: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        """What is input to the call but stands elsewhere: caches, earlier interactions, files, media by address."""
        if not self.refers and not self.afar:
            return ()
        names = dict.fromkeys((*self.refers, *self.afar))
        return tuple(name for name in names if not name.startswith("fileSearchStores/"))


_MOST_TOKENS = (1 << 31) - 1  # Google's numbers have 32 bits
_BYTES_PER_TOKEN = 4
_LEAD = 64  # bytes in which the first sign of a body stands
# Rare bodies, most of them with many requests inside: searched for what they name, not read field by field.
_SEARCHED = {"batchGenerateContent", "asyncBatchEmbedContent", "predict", "predictLongRunning", "importFile"}
_SEARCHED_METHODS = {
    "decisions.create",
    "openai.batches.create",
    "openai.videos.create",
    "tunedModels.create",
}


def read(match: Match, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]) -> Asked:
    """What the request asks. Raises ``Refused`` (400, MALFORMED_JSON) when JSON is due and none came."""
    if not match.inspected or headers.get("content-encoding", "identity") not in ("identity", ""):
        return Asked(
            model=match.model, streaming=_streaming(match, query, asked=query.get("stream") == "true")
        )
    reader = _READERS.get(match.reading, _read_generate)
    if match.reading is Reading.OTHER and _is_searched(match.method):
        reader = _read_searched
    try:
        return reader(match, query, body)
    except msgspec.ValidationError:
        _check_object(body)
        if body.find(b"null") >= 0:  # a large body is a file in memory, which has no `in`
            with contextlib.suppress(msgspec.DecodeError, RecursionError):
                return reader(match, query, nulls.dropped(body))
        return _as_far_as_it_goes(match, query, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise _malformed(str(fault)) from None


def _is_searched(method: str) -> bool:
    return method.rpartition(".")[2] in _SEARCHED or method in _SEARCHED_METHODS


def _check_object(body: bytes) -> None:
    try:
        bodies.fields.decode(body)
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
    fields = bodies.fields.decode(body)
    try:
        model = _bare_name(bodies.named.decode(body).model)
    except msgspec.ValidationError:
        model = ""
    return Asked(
        model=match.model or model,
        streaming=_streaming(match, query, asked=bytes(fields.get("stream", b"")) == b"true"),
        refers=media.pointers(body),
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
    seen = bodies.generate.decode(body)
    inner = seen.generateContentRequest or seen.generate_content_request
    config = seen.generationConfig or seen.generation_config
    weigh = media.Weigh()
    refers = _gather(seen, weigh)
    if inner is not None:
        refers += _gather(inner, weigh)
    tools = 0
    for tool in seen.tools:
        tools += len(tool.functionDeclarations or tool.function_declarations) or 1
    token = seen.continuationToken or seen.continuation_token
    return Asked(
        model=match.model or _bare_name(seen.model),
        streaming=_streaming(match, query, asked=False),
        tier=(seen.serviceTier or seen.service_tier).lower(),
        shape=Shape(
            tools=tools,
            turns=len(seen.contents),
            media=weigh.count,
            max_output=_bound(config.maxOutputTokens or config.max_output_tokens) if config else None,
            thinking=_thinking(config.thinkingConfig or config.thinking_config) if config else "",
            json_output=config is not None and _wants_json(config),
            cached_content=bool(seen.cachedContent or seen.cached_content),
        ),
        refers=weigh.files + refers if refers else weigh.files,
        input_estimate=(len(body) - weigh.bulk) // _BYTES_PER_TOKEN + weigh.tokens,
        signatures=weigh.signatures,
        continuation=signatures.plain(token) if token else b"",
        penalties=config is not None and _penalised(config),
        media=weigh.kinds,
        candidates=_count(config.candidateCount or config.candidate_count) if config else 1,
        labels=_labels(seen.labels) if bytes(seen.labels) else (),
        afar=weigh.afar,
    )


def _bound(tokens: int | None) -> int | None:
    """The most output tokens that are asked for; None where the number bounds nothing."""
    return None if tokens is None or tokens <= 0 else min(tokens, _MOST_TOKENS)


def _count(candidates: int | None) -> int:
    """How many answers are asked for: one where the number means nothing, which Google refuses."""
    return min(max(candidates or 1, 1), spending.MOST_CANDIDATES)


def _labels(raw: msgspec.Raw) -> tuple[str, ...]:
    """Labels as ``name:value``; what is no map of texts is for Google to judge."""
    try:
        return tuple(
            f"{name}:{value}" if value else name for name, value in bodies.labels.decode(raw).items()
        )
    except msgspec.DecodeError:
        return ()


def _user(raw: msgspec.Raw) -> str:
    try:
        return bodies.text.decode(raw)
    except msgspec.DecodeError:
        return ""


def _gather(seen: bodies.Generate, weigh: media.Weigh) -> tuple[str, ...]:
    """Weigh the turns; the caches and stores that are named outside of them."""
    weigh.add(seen.contents)
    system = seen.systemInstruction or seen.system_instruction
    if system is not None:
        weigh.add((system,))
    cached = seen.cachedContent or seen.cached_content
    refers: tuple[str, ...] = (cached,) if cached else ()
    for tool in seen.tools:
        search = tool.fileSearch or tool.file_search
        if search is not None:
            refers += search.fileSearchStoreNames or search.file_search_store_names
    return refers


def _thinking(seen: bodies.Thinking | None) -> str:
    if seen is None:
        return ""
    level = seen.thinkingLevel or seen.thinking_level
    if level:
        return f"level:{level.lower()}"
    budget = seen.thinking_budget if seen.thinkingBudget is None else seen.thinkingBudget
    return "" if budget is None else f"budget:{budget}"


def _wants_json(config: bodies.Config) -> bool:
    schemas = (
        config.responseSchema,
        config.response_schema,
        config.responseJsonSchema,
        config.response_json_schema,
    )
    kind = config.responseMimeType or config.response_mime_type
    return kind == "application/json" or any(bytes(schema) not in (b"", b"null") for schema in schemas)


def _penalised(config: bodies.Config | bodies.Settings | bodies.Chat) -> bool:
    """Whether a penalty is set. One of zero is none: Google refuses only others."""
    if config.presence_penalty or config.frequency_penalty:
        return True
    return isinstance(config, bodies.Config) and bool(config.presencePenalty or config.frequencyPenalty)


def _read_embed(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = bodies.embed.decode(body)
    weigh = media.Weigh()
    contents = tuple(one.content for one in (*seen.requests, seen) if one.content is not None)
    weigh.add(contents)
    texts = (part.text for content in contents for part in content.parts)
    return Asked(
        model=match.model,
        shape=Shape(turns=max(1, len(seen.requests)), media=weigh.count),
        refers=weigh.files,
        input_estimate=sum(map(portions.tokens, texts)) + weigh.tokens,
        media=weigh.kinds,
    )


def _read_searched(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    """Batches and predictions: the model, and whatever files and caches they name."""
    if match.method == "openai.videos.create" and not bytes(body[:_LEAD]).lstrip().startswith(b"{"):
        return Asked()  # a form, which may hold pictures: for Google to judge
    fields = bodies.fields.decode(body)
    named = match.model
    if not named and "model" in fields:
        named = _bare_name(bodies.named.decode(body).model)
    if match.method == "tunedModels.create":
        named = _bare_name(_base(bodies.tuning.decode(body)))
    return Asked(model=named, refers=media.pointers(body), input_estimate=len(body) // _BYTES_PER_TOKEN)


def _base(seen: bodies.Tuning) -> str:
    """The model that is tuned, or the tuned one that is tuned further."""
    source = seen.tunedModelSource or seen.tuned_model_source or bodies.Source()
    return seen.baseModel or seen.base_model or source.tunedModel or source.tuned_model


def _read_interaction(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = bodies.interaction.decode(body)
    config = seen.generation_config or bodies.Settings()
    turns = 1
    signed: tuple[bytes, ...] = ()
    if bytes(memoryview(seen.input)[:1]) == b"[":
        steps = bodies.rows.decode(seen.input)
        turns = len(steps)
        signed = _signed_steps(steps)
    found = media.loose(body)
    refers = found.files
    previous = ""
    if seen.previous_interaction_id:
        previous = "interactions/" + seen.previous_interaction_id.removeprefix("interactions/")
        refers = (*refers, previous)
    if seen.cached_content:
        refers = (*refers, seen.cached_content)
    for tool in seen.tools or ():
        refers += media.stores(tool)
    return Asked(
        model=_bare_name(seen.model or seen.agent or ""),
        streaming=_streaming(match, query, asked=bool(seen.stream)),
        tier=(seen.service_tier or "").lower(),
        shape=Shape(
            tools=len(seen.tools or ()),
            turns=turns,
            media=found.count,
            max_output=_bound(config.max_output_tokens),
            thinking=f"level:{config.thinking_level.lower()}" if config.thinking_level else "",
            json_output=seen.response_mime_type == "application/json"
            or b"application/json" in bytes(seen.response_format),
            cached_content=bool(seen.cached_content),
        ),
        refers=refers,
        input_estimate=(len(body) - found.bulk) // _BYTES_PER_TOKEN + found.count * media.WHOLE["image"],
        signatures=signed,
        continuation=signatures.plain(seen.continuation_token) if seen.continuation_token else b"",
        previous=previous,
        afar=found.afar,
        penalties=_penalised(config),
        media=found.kinds,
    )


def _signed_steps(steps: list[msgspec.Raw]) -> tuple[bytes, ...]:
    """The signatures of the last steps of the model's that have any: those after the last words of the user
    that come before them."""
    texts: list[str] = []
    for step in reversed(steps):
        found = signatures.in_steps(memoryview(step))
        if not found and texts and bodies.kind.decode(step).type == "user_input":
            break
        texts = found + texts
    return signatures.kept(texts)


def _read_chat(match: Match, query: Mapping[str, str], body: bytes) -> Asked:
    seen = bodies.chat.decode(body)
    found = media.loose(body)
    google = (seen.extra_body.google if seen.extra_body else None) or seen.google or bodies.Google()
    signed: list[str] = []
    for message in reversed(seen.messages or ()):
        signed = signatures.in_chat(memoryview(message))
        if signed:
            break
    effort = f"level:{seen.reasoning_effort.lower()}" if seen.reasoning_effort else ""
    return Asked(
        model=_bare_name(seen.model or ""),
        streaming=_streaming(match, query, asked=bool(seen.stream)),
        tier=(seen.service_tier or "").lower(),
        shape=Shape(
            tools=len(seen.tools or ()),
            turns=len(seen.messages or ()),
            media=found.count,
            max_output=_bound(seen.max_completion_tokens or seen.max_tokens),
            thinking=effort or _thinking(google.thinking_config),
            json_output=b'"json_' in bytes(seen.response_format),
            cached_content=bool(google.cached_content),
        ),
        refers=(google.cached_content,) if google.cached_content else (),
        input_estimate=(len(body) - found.bulk) // _BYTES_PER_TOKEN + found.count * media.WHOLE["image"],
        signatures=signatures.kept(signed),
        penalties=_penalised(seen),
        media=found.kinds,
        candidates=_count(seen.n),
        user=_user(seen.user) if bytes(seen.user) else "",
    )


_READERS: dict[Reading, Callable[[Match, Mapping[str, str], bytes], Asked]] = {
    Reading.EMBED: _read_embed,
    Reading.INTERACTION: _read_interaction,
    Reading.OPENAI: _read_chat,
}
