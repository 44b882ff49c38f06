"""The Response object around the output: what was asked, said again, how it ended, and what it took.

How an answer ended, in the words of Responses:

- ``STOP``, and an interaction that is ``completed`` or ``requires_action`` (it called functions): completed;
- ``MAX_TOKENS`` and ``CONTINUATION``; ``incomplete``, ``requires_continuation`` and ``budget_exceeded`` of
  interactions: incomplete, max_output_tokens;
- reasons of content (SAFETY, RECITATION, PROHIBITED_CONTENT, …) and a blocked prompt: incomplete, content_filter;
- every other reason, and an interaction that ``failed``: failed, with Google's word in the error's message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gemgate.core.usage import Usage
from gemgate.dialects.openai import counts
from gemgate.dialects.openai.bodies import ABSENT
from gemgate.dialects.openai.responses.request import Asked, Body

Json = dict[str, Any]
NAME = "resp_"
UNSTORED = "unstored_"
"""After ``NAME``, in the ids of answers that nobody keeps; other ids are those of Google's interactions."""

_CONTENT = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
        "ESCALATION",
    }
)
_NOTHING = Asked(Body(), {}, ())


class Ending(msgspec.Struct, frozen=True):
    """How an answer stands: ``status``, why it is ``incomplete``, the ``error`` (code, message) of a failed one."""

    status: str
    incomplete: str = ""
    error: tuple[str, str] = ("", "")

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in ("in_progress", "queued")


RUNNING = Ending("in_progress")
FILTERED = Ending("incomplete", "content_filter")


def ended(reason: str, message: str) -> Ending:
    """How an answer of generateContent ended, by its finish reason and message."""
    if reason == "STOP":
        return Ending("completed")
    if reason in ("MAX_TOKENS", "CONTINUATION"):
        return Ending("incomplete", "max_output_tokens")
    if reason in _CONTENT:
        return FILTERED
    said = message or f"Google ended the answer with {reason or 'no finish reason'}."
    return Ending("failed", error=("server_error", said))


def stands(status: str, faults: list[tuple[str, str]]) -> Ending:
    """How an interaction stands, by its status and its errors (code, message)."""
    if status in ("in_progress", "queued", "cancelled", "completed"):
        return Ending(status)
    if status == "requires_action":
        return Ending("completed")
    if status in ("incomplete", "requires_continuation", "budget_exceeded"):
        return Ending("incomplete", "max_output_tokens")
    code = "invalid_prompt" if any(code == "blocked" for code, _ in faults) else "server_error"
    said = " ".join(message for _, message in faults if message)
    return Ending("failed", error=(code, said or f"The interaction is {status or 'without a status'}."))


def usage(seen: Usage | None) -> Json | None:
    """``usage``; None while it is not known. Google does not tell what it wrote to a cache."""
    if seen is None:
        return None
    return {
        "input_tokens": seen.input + seen.tool,
        "input_tokens_details": {"cached_tokens": seen.cached, "cache_write_tokens": 0},
        "output_tokens": seen.output + seen.thoughts,
        "output_tokens_details": {"reasoning_tokens": seen.thoughts},
        "total_tokens": seen.total,
    }


class Form(msgspec.Struct):
    """What surrounds the output of one answer. ``created`` is in seconds since 1970, ``tier`` Google's word."""

    id: str
    model: str
    created: int
    asked: Asked = _NOTHING
    previous: str = ""
    tier: str = ""

    def filled(self, ending: Ending, output: list[Json], seen: Usage | None) -> Json:
        """The Response object."""
        body, fields = self.asked.body, self.asked.fields
        incomplete = {"reason": ending.incomplete} if ending.incomplete else None
        error = {"code": ending.error[0], "message": ending.error[1]} if ending.error[1] else None
        choice: object = "auto"
        if body.tool_choice is not None:
            choice = fields["tool_choice"]
        previous = body.previous_response_id or self.previous
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": ending.status,
            "background": bool(body.background),
            "error": error,
            "incomplete_details": incomplete,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": self.model,
            "output": output,
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": previous or None,
            "reasoning": _reasoning(body),
            "service_tier": counts.tier(self.tier) or body.service_tier or "auto",
            "store": body.store is not False,
            "temperature": body.temperature,
            "text": {"format": _format(body, fields)},
            "tool_choice": choice,
            "tools": _tools(body),
            "top_logprobs": body.top_logprobs or 0,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": usage(seen),
            "user": body.user,
        }


def _reasoning(body: Body) -> Json:
    reasoning = body.reasoning
    if reasoning is None:
        return {"effort": None, "summary": None}
    return {"effort": reasoning.effort, "summary": reasoning.summary or reasoning.generate_summary}


def _format(body: Body, fields: dict[str, msgspec.Raw]) -> object:
    """``text.format`` as it came: its name and description are nobody's business here."""
    if body.text is None or body.text.format is None:
        return {"type": "text"}
    return _raw.decode(fields["text"])["format"]


def _tools(body: Body) -> list[Json]:
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": None if tool.parameters == ABSENT else tool.parameters,
            "strict": tool.strict,
        }
        for tool in body.tools or ()
    ]


_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
