"""What the two ways back have in common: events in, items out, and an end that only ``close`` tells.

Laws:

- whole or streamed, the same parts become the same items with the same ids: one way leads through ``Output``;
- ``response.completed``, ``response.incomplete`` and ``response.failed`` come from ``close`` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from gemgate.core.usage import Usage
from gemgate.dialects import sse
from gemgate.dialects.openai.pivot import JSON, STREAM, Signature
from gemgate.dialects.openai.responses.form import RUNNING, Ending, Form
from gemgate.dialects.openai.responses.output import Events, Output

_DONE = b"[DONE]"  # how Google ends the events of an interaction


class Answer(ABC):
    """A rendering of one answer. Who derives from it takes Google's JSON and says how the answer ended.

    ``after`` is the number of the last event that a client has seen already; None for an answer that is no stream.
    """

    def __init__(self, form: Form, after: int | None) -> None:
        self.routes: tuple[str, ...] = ()
        self.form = form
        self.usage: Usage | None = None
        self._events = None if after is None else Events(after)
        self._output: Output | None = None
        self._sse = sse.Feed()

    @property
    def media(self) -> str:
        """The content type of the answer."""
        return JSON if self._events is None else STREAM

    @property
    def kept(self) -> tuple[tuple[str, Signature], ...]:
        """Ids of this answer's calls, with what must be put back when they are sent in again."""
        return () if self._output is None else tuple(self._output.kept)

    @abstractmethod
    def take(self, data: bytes) -> None:
        """Read one event's data. Raises ``Refused`` (502)."""

    @abstractmethod
    def take_whole(self, body: bytes) -> None:
        """Read a whole answer. Raises ``Refused`` (502)."""

    @abstractmethod
    def ending(self, output: Output) -> Ending:
        """How the answer ended; what is to be said in place of what was withheld goes to ``output``."""

    def begin(self, seed: bytes, *, encrypted: bool, lasting: bool) -> Output:
        """The output, once the answer's id is known; a stream says that it has begun."""
        if self._output is None:
            self._output = Output(seed, self._events, encrypted=encrypted, lasting=lasting)
            if self._events is not None:
                begun = {"response": self.form.filled(RUNNING, [], None)}
                self._events.tell("response.created", begun)
                self._events.tell("response.in_progress", begun)
        return self._output

    def whole(self, body: bytes) -> bytes:
        """OpenAI's body for Google's. Raises ``Refused`` (502)."""
        self.take_whole(body)
        assert self._output is not None
        ending = self._end(self._output)
        return msgspec.json.encode(self.form.filled(ending, self._output.items, self.usage))

    def feed(self, data: bytes) -> bytes:
        """OpenAI's events for more bytes of Google's. Raises ``Refused`` (502)."""
        return self._told(self._sse.feed(data))

    def close(self) -> bytes:
        """The events that end a stream that came through whole. Raises ``Refused`` (502)."""
        if self._events is None:
            return b""
        out = self._told(self._sse.close())
        if self._output is None:
            return out
        ending = self._end(self._output)
        kind = ending.status if ending.status in ("completed", "incomplete", "failed") else "incomplete"
        response = self.form.filled(ending, self._output.items, self.usage)
        self._events.tell(f"response.{kind}", {"response": response})
        return out + self._events.take()

    def _told(self, events: list[sse.Event]) -> bytes:
        for event in events:
            if event.data.strip() != _DONE:
                self.take(event.data)
        return b"" if self._events is None else self._events.take()

    def _end(self, output: Output) -> Ending:
        ending = self.ending(output)
        if ending.over and ending.status != "completed":
            output.status = "incomplete"
        output.close()
        return ending
