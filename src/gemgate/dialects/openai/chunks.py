"""A stream of generateContent as the chunks of a chat completion.

Laws:

- what comes out does not depend on how the bytes were cut, and each is looked at once;
- the first chunk of a choice has its role and empty content, the last its finish reason and nothing else but the
  signature of its text: that comes out only for an event of Google's that carries the finish reason;
- a tool call comes whole in one chunk, with its place among the calls of its choice as ``index``;
- with ``include_usage`` each chunk has ``usage: null`` but a last one without choices, which has the counts: those
  of Google's last event, whose totals run [facts 4.2];
- all chunks name the model and the tier of the first event.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gemgate.dialects.gemini import usage
from gemgate.dialects.openai import answered, counts
from gemgate.dialects.openai.answer import completion, completion_id, image, signed, tool_call
from gemgate.dialects.openai.pivot import DONE, JSON, STREAM, Signature
from gemgate.dialects.sse import Feed

_encode = msgspec.json.Encoder().encode
_UNFINISHED = b',"logprobs":null,"finish_reason":null'


class Form(msgspec.Struct, frozen=True):
    """In which form a completion was asked for: as a stream, and with the usage in it."""

    stream: bool = False
    usage: bool = False


class _Choice:
    """What was said of one choice so far."""

    __slots__ = ("calls", "finished", "images", "said", "signature")

    def __init__(self) -> None:
        self.calls = 0
        self.images = 0
        self.said = False
        self.finished = False
        self.signature = ""


class Completion:
    """The way back of one chat completion; see ``pivot.Rendering``."""

    __slots__ = (
        "_call_id",
        "_choices",
        "_created",
        "_feed",
        "_form",
        "_head",
        "_kept",
        "_model",
        "_tail",
        "_usage",
        "routes",
    )

    def __init__(self, form: Form, call_id: bytes, model: str, created: int) -> None:
        self.routes: tuple[str, ...] = ()
        self._form = form
        self._call_id = call_id
        self._model = model
        self._created = created
        self._kept: list[tuple[str, Signature]] = []
        self._feed = Feed()
        self._choices: dict[int, _Choice] = {}
        self._head = b""
        self._tail = b',"usage":null}\n\n' if form.usage else b"}\n\n"
        self._usage: usage.Metadata | None = None

    @property
    def media(self) -> str:
        """The content type."""
        return STREAM if self._form.stream else JSON

    @property
    def kept(self) -> tuple[tuple[str, Signature], ...]:
        """The tool calls so far, with what must be put back later."""
        return tuple(self._kept)

    def whole(self, body: bytes) -> bytes:
        """OpenAI's body. Raises ``Refused`` (502)."""
        return completion(body, self._call_id, self._model, self._created, self._kept)

    def feed(self, data: bytes) -> bytes:
        """The chunks for more bytes of Google's stream. Raises ``Refused`` (502)."""
        events = self._feed.feed(data)
        if len(events) == 1:
            return self._event(events[0].data)
        return b"".join([self._event(event.data) for event in events])

    def close(self) -> bytes:
        """The chunks for an event without a blank line, for choices that nobody finished; the usage; the end."""
        out = [self._event(event.data) for event in self._feed.close()]
        out += [
            self._finish(index, choice, answered.Candidate())
            for index, choice in self._choices.items()
            if not choice.finished
        ]
        if self._usage is not None:
            counted = _encode(counts.usage(self._usage))
            out.append(self._begin()[: -len(b'{"index":')] + b'],"usage":' + counted + b"}\n\n")
        out.append(DONE)
        return b"".join(out)

    def _event(self, data: bytes) -> bytes:
        answer = answered.decode(data)
        if answer.usage_metadata is not None and self._form.usage:
            self._usage = answer.usage_metadata
        if not self._head:
            self._name(answer)
        out: list[bytes] = []
        for candidate in answer.candidates:
            self._candidate(candidate, out)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            self._blocked(feedback, out)
        return b"".join(out)

    def _name(self, answer: answered.Answer) -> None:
        """The first event says which model answers, and in which tier."""
        said: dict[str, Any] = {
            "id": completion_id(self._call_id),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": answer.model_version.removeprefix("models/") or self._model,
        }
        if answer.tier:
            said["service_tier"] = counts.tier(answer.tier)
        self._head = b"data: " + _encode(said)[:-1] + b',"choices":[{"index":'

    def _begin(self) -> bytes:
        if not self._head:
            self._name(answered.Answer())
        return self._head

    def _chunk(self, index: int, delta: bytes, rest: bytes = _UNFINISHED) -> bytes:
        return b'%b%d,"delta":%b%b}]%b' % (self._head, index, delta, rest, self._tail)

    def _open(self, index: int, out: list[bytes]) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
            out.append(self._chunk(index, b'{"role":"assistant","content":""}'))
        return choice

    def _candidate(self, candidate: answered.Candidate, out: list[bytes]) -> None:
        index = candidate.index
        choice = self._open(index, out)
        parts = candidate.content.parts if candidate.content is not None else ()
        rest = _UNFINISHED
        if candidate.logprobs_result is not None:
            rest = b',"logprobs":' + _encode(answered.logprobs(candidate.logprobs_result))
            rest += b',"finish_reason":null'
        delta = self._delta(parts, index, choice)
        if delta or rest is not _UNFINISHED:
            out.append(self._chunk(index, delta or b"{}", rest))
        if candidate.finish_reason and not choice.finished:
            if not choice.said and answered.finish(candidate.finish_reason, False) == "content_filter":
                out.append(self._chunk(index, _encode({"refusal": answered.refusal(candidate)})))
            out.append(self._finish(index, choice, candidate))

    def _delta(self, parts: tuple[answered.Part, ...], index: int, choice: _Choice) -> bytes:
        """What the parts of one event add, empty for nothing."""
        if len(parts) == 1:
            part = parts[0]
            if part.text and not part.thought and not part.thought_signature:
                choice.said = True
                return b'{"content":' + _encode(part.text) + b"}"
        delta: dict[str, Any] = {}
        for part in parts:
            if part.function_call is not None:
                at = index, choice.calls
                call = {"index": choice.calls} | tool_call(
                    part, part.function_call, self._call_id, at, self._kept
                )
                delta.setdefault("tool_calls", []).append(call)
                choice.calls += 1
                continue
            choice.signature = part.thought_signature or choice.signature
            if part.text:
                name = "reasoning_content" if part.thought else "content"
                delta[name] = delta.get(name, "") + part.text
            elif part.inline_data is not None:
                picture = image(part.inline_data, choice.images)
                if picture is not None:
                    choice.images += 1
                    delta.setdefault("images", []).append(picture)
        if not delta:
            return b""
        choice.said = choice.said or len(delta) > 1 or "reasoning_content" not in delta
        return _encode(delta)

    def _finish(self, index: int, choice: _Choice, candidate: answered.Candidate) -> bytes:
        choice.finished = True
        delta = _encode({"extra_content": signed(choice.signature)}) if choice.signature else b"{}"
        word = answered.finish(candidate.finish_reason, choice.calls > 0)
        rest = b',"logprobs":null,"finish_reason":"' + word.encode() + b'"'
        native = answered.native(candidate.finish_reason)
        if native:
            rest += b',"native_finish_reason":' + _encode(native)
        return self._chunk(index, delta, rest)

    def _blocked(self, feedback: answered.Feedback, out: list[bytes]) -> None:
        """A prompt that was blocked, or an answer whose rest is: every choice that has not ended does."""
        self._open(0, out)
        for index, choice in self._choices.items():
            if choice.finished:
                continue
            if not choice.said:
                out.append(self._chunk(index, _encode({"refusal": answered.blocked(feedback)})))
            ended = answered.Candidate(finish_reason=feedback.block_reason)
            out.append(self._finish(index, choice, ended))
