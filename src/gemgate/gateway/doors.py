"""The doors: in whose words a call came in, and in whose its answer and its errors leave.

Laws:

- through Google's own door bytes pass as they are;
- a call at OpenAI's door becomes one of Google's before it is planned, and its answer is put into OpenAI's words
  only on the way out: between the two nothing knows of it;
- what carries an answer's end comes only out of what carried Google's, so that it waits for the row like that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gemgate.core.call import Streaming, spell
from gemgate.core.errors import Refused
from gemgate.dialects.gemini import errors as google
from gemgate.dialects.gemini.errors import Complaint
from gemgate.dialects.gemini.methods import Match, Reading
from gemgate.dialects.openai import doors, embeddings, errors, models, reading
from gemgate.dialects.openai.pivot import Pivot, Rendering
from gemgate.dialects.openai.reading import Read, Signature
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.headers import JSON, Headers

EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
# What describes the bytes that Google sent, not ours.
_BODY_HEADERS = frozenset({b"content-type", b"content-encoding", b"content-length", b"etag"})


class GoogleDoor:
    """Google's own API, and Google's own OpenAI layer: bytes pass."""

    name = ""
    translates = False

    def again(self, retryable: bool, match: Match | None) -> Headers:
        """Headers that say whether the same call may succeed later: OpenAI's SDKs, which Google's own OpenAI layer
        serves too, ask them before the status. Google's read none."""
        return _again(retryable) if match is not None and match.method.startswith("openai.") else []

    def error(self, complaint: Complaint, call_id: bytes, match: Match | None) -> tuple[Headers, bytes]:
        """An error of ours: headers and body."""
        if match is not None and match.method.startswith("openai."):
            return JSON, google.openai_error(complaint, spell(call_id))
        return JSON, google.render(complaint, spell(call_id))

    def wording(self, status: int, body: bytes) -> bytes:
        """An error body of Google's."""
        return body

    def meant(self, refused: Refused) -> Refused:
        """What a refusal of ours means at this door."""
        return refused

    def broken(self, body: bytes, streaming: Streaming, match: Match | None, sent: int) -> bytes:
        """An error body as the last event of a stream, of which ``sent`` bytes in whole events have left."""
        if streaming is Streaming.ARRAY:
            return b",\r\n" + body + b"]\n" if sent else b"[" + body + b"]\n"
        if match is not None and match.reading is Reading.INTERACTION:
            return google.interactions_error(body)
        return google.sse_error(body)

    def whole(self, status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        """A whole answer of Google's, good or bad."""
        return status, headers, body

    def head(self, headers: Headers) -> Headers:
        """The headers of a stream."""
        return headers

    def feed(self, data: bytes) -> bytes:
        """Whole events of a good stream."""
        return data

    def end(self, held: bytes) -> bytes:
        """The events that end a good stream."""
        return held


class OpenAIDoor:
    """OpenAI's API, spoken for one call."""

    translates = True

    def __init__(self, door: doors.Door, call_id: bytes, created: int) -> None:
        self.name = door.name
        self._door = door
        self._call_id = call_id
        self._created = created
        self._read: Read | None = None
        self._rendering: Rendering | None = None
        self._follows = ""  # the answer before, by OpenAI's id

    def read(self, query: Mapping[str, str], body: bytes, unsupported: str) -> Read:
        """What is asked. Raises Refused 404 for a path that is not served, 400 for what cannot be understood."""
        self._read = reading.read(self._door, query, body, unsupported)
        return self._read

    def pivot(
        self, signatures: Mapping[str, Signature], routes: tuple[str, ...], may: Callable[[str], bool] | None
    ) -> Pivot:
        """The call as one of Google's. In a list of models ``routes`` stand beside Google's, of which those are shown
        that the caller ``may`` use (None: all)."""
        assert self._read is not None
        pivot = self._read.pivot(signatures)
        self._follows = pivot.follows
        self._rendering = pivot.rendering(self._call_id, self._read.model, self._created)
        if isinstance(self._rendering, models.All):
            self._rendering.routes, self._rendering.may = routes, may
        return pivot

    @property
    def kept(self) -> tuple[tuple[str, Signature], ...]:
        """What the answer so far obliges us to put back later, by tool-call id."""
        return self._rendering.kept if self._rendering is not None else ()

    def again(self, retryable: bool, match: Match | None) -> Headers:
        """What OpenAI's SDKs ask before the status: a quota that is spent for the day is a 429 too."""
        return _again(retryable)

    def error(self, complaint: Complaint, call_id: bytes, match: Match | None) -> tuple[Headers, bytes]:
        """An error of ours: headers and body."""
        return JSON, errors.render(complaint, spell(call_id))

    def meant(self, refused: Refused) -> Refused:
        """What a refusal of ours means at this door: the answer before is no thing of a path."""
        if self._follows and refused.code == "THING_NOT_FOUND" and "interactions/" in refused.message:
            return errors.lost(self._follows)
        return refused

    def wording(self, status: int, body: bytes) -> bytes:
        """An error body of Google's in OpenAI's form."""
        return errors.from_google(status, body) or body

    def broken(self, body: bytes, streaming: Streaming, match: Match | None, sent: int) -> bytes:
        """An error body as the last event of a stream."""
        return errors.responses_error(body) if self.name == doors.RESPONSES else errors.stream_error(body)

    def whole(self, status: int, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        """A whole answer of Google's, good or bad, decoded, in OpenAI's words."""
        kept = [pair for pair in headers if pair[0] not in _BODY_HEADERS]
        if status == 404 and self._follows and errors.names_no_model(body):
            refused = errors.lost(self._follows)
            said = errors.render(google.from_refused(refused), spell(self._call_id))
            return refused.status, [*kept, *JSON], said
        if status >= 400:
            return status, [*kept, *JSON], self.wording(status, body)
        assert self._rendering is not None
        return status, [*kept, *JSON], self._rendering.whole(body)

    def take(self, body: bytes) -> None:
        """Google's good answer to a part of the call, decoded; ``whole`` gets the last one, and tells of all.

        Raises Refused 502 for one that cannot be read.
        """
        assert isinstance(self._rendering, embeddings.Vectors)
        self._rendering.take(body)

    def head(self, headers: Headers) -> Headers:
        """The headers of a stream."""
        return [pair for pair in headers if pair[0] not in _BODY_HEADERS] + EVENTS

    def feed(self, data: bytes) -> bytes:
        """Whole events of a good stream."""
        assert self._rendering is not None
        return self._rendering.feed(data)

    def end(self, held: bytes) -> bytes:
        """The events that end a good stream."""
        assert self._rendering is not None
        return self._rendering.feed(held) + self._rendering.close()


Door = GoogleDoor | OpenAIDoor
GOOGLE = GoogleDoor()


def _again(retryable: bool) -> Headers:
    return [(b"x-should-retry", b"true" if retryable else b"false")]


def at(exchange: Exchange, call_id: bytes, received_at: int) -> Door:
    """The door at which a request stands."""
    found = doors.match(exchange.verb, exchange.raw_path, _bearer_only(exchange))
    return GOOGLE if found is None else OpenAIDoor(found, call_id, received_at // 1_000_000)


def _bearer_only(exchange: Exchange) -> bool:
    """Whether the one credential is a bearer's, as OpenAI's clients send theirs and Google's do not."""
    fields = exchange.fields
    return (
        b"authorization" in fields
        and not exchange.client_key
        and not any(name.startswith(b"x-goog-") for name in fields)
    )
