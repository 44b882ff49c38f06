"""Google's answers as the renderings read them, and what in them is said in one way whatever the form.

How an answer ended, in OpenAI's words:

- ``STOP`` is ``stop``, or ``tool_calls`` where functions were called: Google has no word of its own for that;
- ``MAX_TOKENS`` and ``CONTINUATION`` are ``length``;
- every other reason is ``content_filter``: SAFETY, RECITATION, LANGUAGE, BLOCKLIST, PROHIBITED_CONTENT, SPII and
  those of images say just that; of the faults (MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL,
  TOO_MANY_TOOL_CALLS, MISSING_THOUGHT_SIGNATURE, MALFORMED_RESPONSE, OTHER, and what will come) it is the one
  word of OpenAI's by which no client takes the answer for a whole one. Google's word stands beside, as
  ``native_finish_reason``.
"""

from __future__ import annotations

import msgspec

from gemgate.core.errors import Refused
from gemgate.dialects import nulls
from gemgate.dialects.gemini import usage

_WORDS = {"STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length"}


class FunctionCall(msgspec.Struct, gc=False):
    """A call of a function; ``args`` is a JSON object, or nothing."""

    name: str = ""
    id: str = ""
    args: msgspec.Raw = msgspec.Raw(b"")

    @property
    def arguments(self) -> str:
        """The arguments as OpenAI has them: JSON in a string."""
        raw = bytes(self.args)
        return msgspec.json.format(raw, indent=-1).decode() if raw and raw != b"null" else "{}"


class Blob(msgspec.Struct, rename="camel", gc=False):
    """A medium, in base64."""

    mime_type: str = ""
    data: str = ""


class Part(msgspec.Struct, rename="camel", gc=False):
    """A part of an answer; code that was run and its results have no place in OpenAI's answers."""

    text: str = ""
    thought: bool = False
    thought_signature: str = ""
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None


class Content(msgspec.Struct, gc=False):
    """The parts of a candidate."""

    parts: tuple[Part, ...] = ()


class Token(msgspec.Struct, rename="camel", gc=False):
    """A token and the logarithm of its probability."""

    token: str = ""
    log_probability: float = 0.0


class Top(msgspec.Struct, gc=False):
    """The likeliest tokens of one place."""

    candidates: tuple[Token, ...] = ()


class Logprobs(msgspec.Struct, rename="camel", gc=False):
    """logprobsResult."""

    chosen_candidates: tuple[Token, ...] = ()
    top_candidates: tuple[Top, ...] = ()


class Candidate(msgspec.Struct, rename="camel", gc=False):
    """One answer of several."""

    content: Content | None = None
    finish_reason: str = ""
    finish_message: str = ""
    index: int = 0
    logprobs_result: Logprobs | None = None


class Feedback(msgspec.Struct, rename="camel", gc=False):
    """promptFeedback: why a prompt was not answered."""

    block_reason: str = ""
    block_reason_message: str = ""


class Answer(msgspec.Struct, rename="camel", gc=False):
    """A whole answer, or one event of a stream."""

    candidates: tuple[Candidate, ...] = ()
    usage_metadata: usage.Metadata | None = None
    model_version: str = ""
    service_tier: str = ""
    prompt_feedback: Feedback | None = None

    @property
    def tier(self) -> str:
        """The service tier that was served, in Google's word; empty when it is not said."""
        return self.service_tier or (self.usage_metadata.service_tier if self.usage_metadata else "")


_answer = msgspec.json.Decoder(Answer)


def decode(data: bytes) -> Answer:
    """Read an answer. Raises ``Refused`` (502, UNREADABLE_ANSWER) for one that is not of Google's form."""
    try:
        return _answer.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        if b"null" not in data:
            raise _unreadable(fault) from None
    try:
        return _answer.decode(nulls.dropped(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise _unreadable(fault) from None


def _unreadable(fault: Exception) -> Refused:
    return Refused(
        502,
        "UNREADABLE_ANSWER",
        f"Google's answer cannot be put into OpenAI's form: {fault}.",
        hint="Send the request again, or make the call in Google's own form.",
    )


def finish(reason: str, called: bool) -> str:
    """OpenAI's finish reason for Google's; ``called``: the answer has calls of functions."""
    word = _WORDS.get(reason, "content_filter")
    return "tool_calls" if called and word == "stop" else word


def native(reason: str) -> str:
    """Google's finish reason where OpenAI's does not say the same, else empty."""
    return "" if reason in ("STOP", "MAX_TOKENS") else reason


def refusal(candidate: Candidate) -> str:
    """What to say in place of an answer that was withheld."""
    reason = candidate.finish_reason or "no reason given"
    return candidate.finish_message or f"Google ended the answer without content: {reason}."


def blocked(feedback: Feedback) -> str:
    """What to say in place of an answer to a prompt that was blocked."""
    return feedback.block_reason_message or f"Google blocked the prompt: {feedback.block_reason}."


def logprobs(result: Logprobs) -> dict[str, object]:
    """OpenAI's ``logprobs`` of a choice."""
    tops = result.top_candidates
    rows = []
    for place, token in enumerate(result.chosen_candidates):
        likeliest = tops[place].candidates if place < len(tops) else ()
        rows.append(_token(token) | {"top_logprobs": [_token(one) for one in likeliest]})
    return {"content": rows, "refusal": None}


def _token(token: Token) -> dict[str, object]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}
