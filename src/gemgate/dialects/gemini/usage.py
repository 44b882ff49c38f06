"""Google's counts of tokens, in the three spellings of its surfaces, as one ``core.usage.Usage``."""

from __future__ import annotations

import msgspec

from gemgate.core.usage import Detail, Usage


class Modal(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One row of ``promptTokensDetails`` and its sisters."""

    modality: str = ""
    token_count: int = 0


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """``usageMetadata`` of generateContent; Google leaves a zero out. Live says response for candidates."""

    prompt_token_count: int = 0
    cached_content_token_count: int = 0
    candidates_token_count: int = 0
    response_token_count: int = 0
    thoughts_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    prompt_tokens_details: tuple[Modal, ...] = ()
    cache_tokens_details: tuple[Modal, ...] = ()
    candidates_tokens_details: tuple[Modal, ...] = ()
    response_tokens_details: tuple[Modal, ...] = ()
    tool_use_prompt_tokens_details: tuple[Modal, ...] = ()
    service_tier: str = ""


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """One row of the ``…_by_modality`` lists of interactions."""

    modality: str = ""
    tokens: int = 0


class ToolCount(msgspec.Struct, frozen=True, gc=False):
    """How often an interaction used one grounding tool."""

    type: str = ""
    count: int = 0


class Totals(msgspec.Struct, frozen=True):
    """``usage`` of an interaction."""

    total_input_tokens: int = 0
    total_cached_tokens: int = 0
    total_output_tokens: int = 0
    total_thought_tokens: int = 0
    total_tool_use_tokens: int = 0
    input_tokens_by_modality: tuple[Tokens, ...] = ()
    cached_tokens_by_modality: tuple[Tokens, ...] = ()
    output_tokens_by_modality: tuple[Tokens, ...] = ()
    tool_use_tokens_by_modality: tuple[Tokens, ...] = ()
    grounding_tool_count: tuple[ToolCount, ...] = ()


class PromptDetails(msgspec.Struct, frozen=True, gc=False):
    """What of ``prompt_tokens`` came from a cache or is sound."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionDetails(msgspec.Struct, frozen=True, gc=False):
    """What of ``completion_tokens`` is thinking."""

    reasoning_tokens: int | None = None


class Spent(msgspec.Struct, frozen=True):
    """``usage`` of the OpenAI layer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


def _details(*sides: tuple[str, tuple[Modal, ...] | tuple[Tokens, ...]]) -> tuple[Detail, ...]:
    rows = []
    for side, modals in sides:
        for modal in modals:
            tokens = modal.token_count if isinstance(modal, Modal) else modal.tokens
            modality = modal.modality.lower()
            if tokens and modality not in ("text", ""):
                rows.append(Detail(side, modality, tokens))
    return tuple(rows)


def from_metadata(seen: Metadata) -> Usage:
    """The usage that ``usageMetadata`` states."""
    output = seen.candidates_token_count or seen.response_token_count
    modals = seen.candidates_tokens_details or seen.response_tokens_details
    details: tuple[Detail, ...] = ()
    if seen.prompt_tokens_details or modals or seen.cache_tokens_details:
        details = _details(
            ("input", seen.prompt_tokens_details),
            ("cached", seen.cache_tokens_details),
            ("output", modals),
            ("tool", seen.tool_use_prompt_tokens_details),
        )
    return Usage(
        seen.prompt_token_count,
        seen.cached_content_token_count,
        output,
        seen.thoughts_token_count,
        seen.tool_use_prompt_token_count,
        details,
    )


def from_totals(seen: Totals) -> Usage:
    """The usage that an interaction states."""
    counts = {row.type: row.count for row in seen.grounding_tool_count}
    searches, maps = counts.get("google_search", 0), counts.get("google_maps", 0)
    return Usage(
        input=seen.total_input_tokens,
        cached=seen.total_cached_tokens,
        output=seen.total_output_tokens,
        thoughts=seen.total_thought_tokens,
        tool=seen.total_tool_use_tokens,
        details=_details(
            ("input", seen.input_tokens_by_modality),
            ("cached", seen.cached_tokens_by_modality),
            ("output", seen.output_tokens_by_modality),
            ("tool", seen.tool_use_tokens_by_modality),
        ),
        searches=searches,
        grounded=searches > 0,
        maps=maps,
    )


def from_spent(seen: Spent) -> Usage:
    """The usage that the OpenAI layer states.

    Whether ``completion_tokens`` holds the thinking is told by the total; without a breakdown, what the total
    has beyond prompt and completion was thinking.
    """
    prompt, completion = seen.prompt_tokens, seen.completion_tokens
    beyond = max(0, seen.total_tokens - prompt - completion)
    reasoning = seen.completion_tokens_details.reasoning_tokens if seen.completion_tokens_details else None
    thoughts = beyond if reasoning is None else reasoning
    output = completion if beyond or not thoughts else max(0, completion - thoughts)
    details: tuple[Detail, ...] = ()
    cached = 0
    if seen.prompt_tokens_details is not None:
        cached = seen.prompt_tokens_details.cached_tokens or 0
        sound = seen.prompt_tokens_details.audio_tokens or 0
        details = (Detail("input", "audio", sound),) if sound else ()
    return Usage(input=prompt, cached=cached, output=output, thoughts=thoughts, details=details)
