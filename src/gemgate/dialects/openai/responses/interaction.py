"""An interaction of Google's, whole or as the events of its steps, as a Response that Google keeps.

Laws:

- the ids of the answer are made from the interaction's, so that a later read says what the first said;
- a signature stands in a thought of its own before what it belongs to: a call takes the one before it, else the
  message before takes it;
- a step of a kind that the request cannot have asked for (Google's own tools) is passed over.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TypeVar

import msgspec

from gemgate.dialects import nulls
from gemgate.dialects.gemini import usage
from gemgate.dialects.openai.responses import form
from gemgate.dialects.openai.responses.answer import Answer
from gemgate.dialects.openai.responses.form import Ending, Form
from gemgate.dialects.openai.responses.output import Output
from gemgate.dialects.openai.responses.request import Asked
from gemgate.dialects.openai.unary import unreadable

_T = TypeVar("_T")
_ABSENT = msgspec.Raw(b"")


class _Content(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    data: str = ""


class _Step(msgspec.Struct):
    type: str = ""
    id: str = ""
    name: str = ""
    arguments: msgspec.Raw = _ABSENT
    signature: str = ""
    summary: tuple[_Content, ...] = ()
    content: tuple[_Content, ...] = ()


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    data: str = ""
    signature: str = ""
    arguments: str = ""
    content: _Content | None = None


class _Fault(msgspec.Struct, gc=False):
    code: str = ""
    message: str = ""


class _Interaction(msgspec.Struct):
    id: str = ""
    status: str = ""
    model: str = ""
    created: str = ""
    service_tier: str = ""
    previous_interaction_id: str = ""
    usage: usage.Totals | None = None
    steps: tuple[_Step, ...] = ()
    errors: tuple[_Fault, ...] = ()


class _Event(msgspec.Struct):
    event_type: str = ""
    interaction: _Interaction | None = None
    interaction_id: str = ""
    status: str = ""
    step: _Step | None = None
    delta: _Delta | None = None


_interaction = msgspec.json.Decoder(_Interaction)
_event = msgspec.json.Decoder(_Event)


class Told(Answer):
    """The rendering. ``asked`` is None where a kept answer is read, whose request is not known."""

    def __init__(
        self, asked: Asked | None, after: int | None, call_id: bytes, model: str, created: int
    ) -> None:
        name = f"{form.NAME}{form.UNSTORED}{call_id.hex()}"
        super().__init__(Form(name, model, created), after)
        if asked is not None:
            self.form.asked = asked
        self._call_id = call_id
        self._asked = asked
        self._status = ""
        self._faults: list[tuple[str, str]] = []
        self._arguments = _ABSENT
        self._signature = ""

    def take_whole(self, body: bytes) -> None:
        """Read an interaction. Raises ``Refused`` (502)."""
        seen = _decoded(_interaction, body)
        output = self._begun(seen)
        for step in seen.steps:
            self._start(step, output)
            self._stop(output)

    def take(self, data: bytes) -> None:
        """Read one event. Raises ``Refused`` (502)."""
        seen = _decoded(_event, data)
        output = self._begun(seen.interaction or _Interaction(id=seen.interaction_id, status=seen.status))
        if seen.event_type == "step.start" and seen.step is not None:
            self._start(seen.step, output)
        elif seen.event_type == "step.delta" and seen.delta is not None:
            self._delta(seen.delta, output)
        elif seen.event_type == "step.stop":
            self._stop(output)

    def ending(self, output: Output) -> Ending:
        """By the status."""
        output.sign(self._signature)
        return form.stands(self._status, self._faults)

    def _begun(self, seen: _Interaction) -> Output:
        """Learn what is said of the interaction as a whole."""
        self._status = seen.status or self._status
        self._faults += [(fault.code, fault.message) for fault in seen.errors]
        self.form.model = seen.model or self.form.model
        self.form.tier = seen.service_tier or self.form.tier
        if seen.usage is not None:
            self.usage = usage.from_totals(seen.usage)
        if seen.previous_interaction_id:
            self.form.previous = form.NAME + seen.previous_interaction_id
        if self._asked is None and seen.created:
            self.form.created = _seconds(seen.created) or self.form.created
        seed = self._call_id
        if self._output is None and seen.id and (self._asked is None or self._asked.body.store is not False):
            self.form.id = form.NAME + seen.id
            seed = hashlib.blake2b(seen.id.encode(), digest_size=16).digest()
        encrypted = self._asked is not None and self._asked.encrypted
        return self.begin(seed, encrypted=encrypted, lasting=True)

    def _start(self, step: _Step, output: Output) -> None:
        """A step with what of it is known: all of it in a whole answer, its head in a stream."""
        self._arguments = _ABSENT
        if step.type == "thought":
            output.think("".join(one.text for one in step.summary))
            self._signature = step.signature or self._signature
        elif step.type == "function_call":
            output.call(step.name, step.id, self._signature)
            self._signature = ""
            self._arguments = step.arguments
        elif step.type == "model_output":
            for content in step.content:
                self._content(content, output)

    def _delta(self, delta: _Delta, output: Output) -> None:
        if delta.type == "thought_summary" and delta.content is not None:
            output.think(delta.content.text)
        elif delta.type == "thought_signature":
            self._signature = delta.signature
        elif delta.type == "arguments_delta":
            self._arguments = _ABSENT
            output.argue(delta.arguments)
        else:
            self._content(_Content(delta.type, delta.text, delta.data), output)

    def _content(self, content: _Content, output: Output) -> None:
        if content.type == "text":
            output.say(content.text)
            if content.text and self._signature:
                output.sign(self._signature)
                self._signature = ""
        elif content.type == "image" and content.data:
            output.draw(content.data)

    def _stop(self, output: Output) -> None:
        """A step is over: a call is closed, with the arguments of its head if none came later."""
        if bytes(self._arguments) not in (b"", b"{}", b"null"):
            output.argue(msgspec.json.format(bytes(self._arguments), indent=-1).decode())
        self._arguments = _ABSENT
        output.close_call()


def _decoded(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return decoder.decode(nulls.dropped(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unreadable("interaction") from None


def _seconds(stamp: str) -> int:
    """Seconds since 1970 of an ISO 8601 time; 0 when it is none."""
    try:
        return int(datetime.datetime.fromisoformat(stamp).timestamp())
    except ValueError:
        return 0
