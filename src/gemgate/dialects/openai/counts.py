"""Google's counts of tokens in OpenAI's words: thoughts are part of the completion, tools' output of the prompt."""

from __future__ import annotations

from gemgate.core.usage import Usage
from gemgate.dialects.gemini import usage as google

TIERS = {
    "default": "standard",
    "standard": "standard",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
}
"""Google's service tier for OpenAI's word; ``auto`` leaves it to Google."""


def usage(metadata: google.Metadata) -> dict[str, object]:
    """``usage`` of a chat completion. ``cached_tokens`` are among the prompt's."""
    seen = google.from_metadata(metadata)
    prompt, completion = seen.input + seen.tool, seen.output + seen.thoughts
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": seen.cached, "audio_tokens": _audio(seen, "input")},
        "completion_tokens_details": {
            "reasoning_tokens": seen.thoughts,
            "audio_tokens": _audio(seen, "output"),
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def tier(served: str) -> str:
    """The service tier that was served, in OpenAI's word."""
    served = served.lower()
    return "default" if served == "standard" else served


def _audio(seen: Usage, side: str) -> int:
    return sum(row.tokens for row in seen.details if row.side == side and row.modality == "audio")
