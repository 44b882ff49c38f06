"""The nouns of OpenAI's door: what was read, the call of Google's that it becomes, and the way back.

Laws:

- Gemini's JSON is the pivot: what leaves here is an ordinary call of Google's, always under ``/v1beta``;
- nothing after an answer's finish reason comes out of a ``Rendering`` but from the bytes of Google's that carry
  it, or from ``close``: the gateway holds those until the row is committed. A stream that broke is not closed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import quote

import msgspec

JSON = "application/json"
STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"
"""What ends a stream of chat completions that came through whole."""
_VERSION = "/v1beta/"


class Signature(msgspec.Struct, frozen=True):
    """What a call of a function must bring back to Google in a later turn.

    ``text`` is the thought signature (base64), empty for none; ``google_id`` Google's own id of the call, empty
    when it gave none; ``name`` the name of the function.
    """

    text: str
    google_id: str
    name: str = ""


class Rendering(Protocol):
    """Turns one good answer of Google's into OpenAI's form.

    Raises ``Refused`` (502, UNREADABLE_ANSWER) where Google's JSON cannot be understood. ``routes`` are the names
    of the gateway's own routes that the caller may use; the gateway sets them, and a list of models shows them.
    """

    routes: tuple[str, ...]

    @property
    def media(self) -> str:
        """The content type of the answer: ``application/json`` or ``text/event-stream``."""
        ...

    @property
    def kept(self) -> tuple[tuple[str, Signature], ...]:
        """Ids of the tool calls of this answer, with what must be put back when they are sent in again."""
        ...

    def whole(self, body: bytes) -> bytes:
        """OpenAI's body for the whole body of a good answer that is no stream."""
        ...

    def feed(self, data: bytes) -> bytes:
        """OpenAI's stream for more bytes of Google's, cut anywhere."""
        ...

    def close(self) -> bytes:
        """What is still due after the last byte of a good answer, the closing marker included."""
        ...


class Pivot(msgspec.Struct, frozen=True):
    """The call of Google's: ``path`` is raw (ids encoded), ``query`` without the question mark.

    ``rendering(call id, the model asked for, seconds since 1970)`` makes the way back of one answer. ``follows`` is
    the answer that this one follows, by OpenAI's id, empty for none.
    """

    verb: str
    path: str
    query: str
    body: bytes
    rendering: Callable[[bytes, str, int], Rendering]
    follows: str = ""


class Read(Protocol):
    """A request of OpenAI's that was understood.

    ``call_ids`` are the tool calls of its history, of which something may have been kept; ``dropped`` names the
    parameters that were left out. ``tags`` are none of OpenAI's: empty.
    """

    @property
    def model(self) -> str:
        """The model asked for, without ``models/``; empty where none is named."""
        ...

    @property
    def call_ids(self) -> tuple[str, ...]:
        """Ids of the tool calls in the request's history, each once."""
        ...

    @property
    def user(self) -> str:
        """Whom the client names as the user, empty for nobody."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags of the call."""
        ...

    @property
    def dropped(self) -> tuple[str, ...]:
        """Parameters that were left out, by their names at OpenAI's."""
        ...

    def pivot(self, signatures: Mapping[str, Signature]) -> Pivot:
        """Google's call; ``signatures`` are those that were kept, by tool-call id.

        Raises ``Refused`` (400) where the result of a tool belongs to no call that anybody knows.
        """
        ...


def model_path(model: str, action: str = "") -> str:
    """The path of a model (``gemini-2.5-flash``, ``tunedModels/x``), with ``:action`` where one is given."""
    collection, slash, name = model.partition("/")
    if not slash or collection != "tunedModels":
        collection, name = "models", model.removeprefix("models/")
    return f"{_VERSION}{collection}/{quote(name, safe='')}" + (f":{action}" if action else "")


def tool_call_id(call_id: bytes, choice: int, place: int) -> str:
    """The id of the tool call at ``place`` of a choice: the same for the same call, and no other's."""
    digest = hashlib.blake2b(b"%b/%d/%d" % (call_id, choice, place), digest_size=16).digest()
    return "call_" + base64.b32encode(digest)[:26].decode().lower()
