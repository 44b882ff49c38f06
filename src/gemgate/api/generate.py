"""Ask a model: one plain question through the gateway, recorded, routed and braked like all traffic.

Laws:

- the question goes to the gateway's own port over HTTP: nothing of the call path is done here;
- a virtual key that came with the question is used; without one the console proves itself by the secret of the data
  folder, and the call is recorded for no key, with the client program ``gemgate console``;
- what the gateway refuses becomes a problem with the gateway's own status and code;
- a question holds a thread of the console, so there are never more than ``MOST`` whole ones at once;
- a question has its place before it is sent, for sent is paid.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import secrets
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Response, request
from flask_restx import Namespace, Resource

from gemgate.api import context, problems, streams
from gemgate.api.health import gateway_url, link_to
from gemgate.api.operation import operation
from gemgate.api.problems import Problem
from gemgate.api.questions import Asked, Question, asked
from gemgate.api.roles import Role
from gemgate.config.installation import installation_secret
from gemgate.core import console
from gemgate.dialects import sse
from gemgate.dialects.gemini import plain
from gemgate.dialects.gemini.plain import Piece
from gemgate.store.connection import reader, reading
from gemgate.store.reports import calls as record
from gemgate.store.reports.calls import CallRow

namespace = Namespace("generate", description="Ask a model, through the gateway.")

MOST: Final = 12
"""The most questions at once whose answers are waited for whole. Streams have places of their own (``streams``)."""
# What an operation documents; anything else that an upstream may say becomes a 502 that names it.
STATUSES: Final = (402, 404, 409, 422, 429, 500, 502, 503, 504)
_ALWAYS: Final = (400, 401, 403, 413, 415)
_SLACK: Final = 30.0
_CHUNK: Final = 65_536
_ERROR: Final = 1_048_576
_KEY: Final = "x-gemgate-key"
_KEYED: Final = (
    "The gateway says so of the virtual key, not of the console's token: send one that `gemgate keys create` has"
    " printed in x-gemgate-key."
)

_places = threading.BoundedSemaphore(MOST)


class Tokens(msgspec.Struct, kw_only=True):
    """Tokens by kind; ``input`` has the cached ones in it."""

    input: int
    cached: int
    output: int
    thoughts: int
    tool: int
    total: int


class Ended(msgspec.Struct, kw_only=True):
    """How an answer ended, and what it cost.

    ``model`` is the version that answered, ``finish`` Google's finish reason, ``block`` why the prompt was blocked.
    ``call_id`` leads to the record (`/calls/{call_id}`). ``route``, ``project``, ``tries``, money (nano-dollars, null
    is unpriced) and ``duration`` (µs) are as recorded, null while the record has not got the call yet.
    """

    model: str
    finish: str
    block: str
    usage: Tokens | None
    call_id: str
    route: str | None
    project: str | None
    tries: int | None
    list_nano: int | None
    billed_nano: int | None
    estimated: bool | None
    duration: int | None


class Answer(Ended, kw_only=True):
    """A whole answer. ``thoughts`` are the model's summaries of them, where they were asked for."""

    text: str
    thoughts: str


class Delta(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event of a streamed answer."""

    text: str = ""
    thoughts: str = ""


@namespace.route("")
class Generate(Resource):
    """One question."""

    @operation(
        namespace,
        role=Role.OPERATOR,
        body=Question,
        answer=Answer,
        errors=STATUSES,
        key=True,
        also=("text/event-stream",),
    )
    def post(self, body: Question) -> Answer | Response:
        """Ask a model or a route.

        The question goes through the gateway: it is recorded, routed and braked like all traffic. Send a virtual key
        in `x-gemgate-key` to ask on its account; without one the call is recorded for no key, with the client program
        `gemgate console`.

        With `stream` the answer is a stream of server-sent events: `data: {"text": "…"}` for each piece, then one
        event named `end` with everything but the text, or one named `problem` when the answer broke off.
        """
        question = asked(body)
        place = None
        with contextlib.ExitStack() as stack:
            if not body.stream:
                if not _places.acquire(blocking=False):
                    detail = f"{MOST} questions are being answered, which is the most at once."
                    raise Problem(503, "TOO_MANY_QUESTIONS", detail, "Stream, or ask again.", retry_after=2.0)
                stack.callback(_places.release)
            else:
                # Before it is sent: a question that is refused afterwards has cost its money.
                place = streams.Place()
                stack.callback(place.give_back)
            link, answer = _sent(question, place)
            stack.callback(link.close)
            if answer.status != 200:
                raise _declined(answer, body)
            if body.stream:
                database, request_id = context.settings().database, problems.request_id()
                made = streams.stream(_streamed(link, answer, database, request_id), place)
                stack.pop_all()
                return made
            try:
                piece = plain.answer(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                raise _broken() from None
        ended = _ended(piece, _call(answer), context.settings().database)
        return Answer(**_fields(ended), text=piece.text, thoughts=piece.thoughts)


def _sent(
    question: Asked, place: streams.Place | None
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """The gateway's answer, its body not read yet; for a stream it ends when the place is woken.

    Raises Problem 401, 503, 504.
    """
    settings = context.settings()
    key = request.headers.get(_KEY, "").strip()
    if key:
        if not (key.isascii() and key.isprintable()):
            raise Problem(401, "KEY_UNKNOWN", "The key is not one of this gateway's.", _KEYED)
        question.headers[_KEY] = key.encode()
    else:
        try:
            secret = installation_secret(settings.data)
        except (OSError, ValueError):
            detail = (
                "The secret of the data folder cannot be read, so the gateway would not know the console."
            )
            raise Problem(503, "SECRET_UNREAD", detail, "Send a virtual key in x-gemgate-key.") from None
        head = console.Head("POST", question.path, question.query.removeprefix("?"))
        word = console.prove(secret, context.now(), secrets.token_hex(8), head, question.body)
        question.headers[console.HEADER] = word.encode()
    link = link_to(gateway_url(settings), settings.upstream.total_timeout + _SLACK)
    if place is not None:
        place.wake = functools.partial(_hang_up, link)
    try:
        link.request("POST", question.path + question.query, question.body, question.headers)
        return link, link.getresponse()
    except TimeoutError:
        link.close()
        raise Problem(504, "GATEWAY_SILENT", "The gateway did not answer in time.") from None
    except (OSError, http.client.HTTPException):
        link.close()
        hint = "GET /api/v1/health says how it is; `gemgate serve` starts it."
        raise Problem(503, "GATEWAY_DOWN", "The gateway cannot be reached.", hint, retry_after=1.0) from None


def _declined(answer: http.client.HTTPResponse, body: Question) -> Problem:
    """What the gateway refused, as a problem; of a name that nobody knows with its field."""
    try:
        found = plain.fault(answer.read(_ERROR))
    except (OSError, http.client.HTTPException):
        found = None
    if found is None:
        return _broken()
    found = msgspec.structs.replace(found, call=found.call or _call(answer))
    after = answer.headers.get("Retry-After", "")
    wait = float(after) if after.isascii() and after.isdigit() else found.retry_after
    problem = _problem(found, answer.status, wait)
    if problem.status == 404:
        field = "route" if body.route else "model"
        problem.errors = {field: "No route and no model that Google serves has this name."}
        problem.hint = "GET /api/v1/routes lists the routes, GET /api/v1/models the models."
    return problem


def _problem(found: plain.Fault, status: int, wait: float) -> Problem:
    call = f"; the call is {found.call}" if found.call else ""
    detail = (found.message.rstrip(". ") or "The gateway refused it") + f"{call}."
    if status not in (*STATUSES, *_ALWAYS):
        detail, status = f"Status {status}: {detail}", 502
    hint = _KEYED if status == 401 else found.hint
    return Problem(status, found.code or "REFUSED", detail, hint, retry_after=wait or None)


def _broken() -> Problem:
    hint = "Ask again; GET /api/v1/calls shows what became of the call."
    return Problem(
        502, "GATEWAY_BROKE_OFF", "The gateway's answer broke off, or is none that can be read.", hint
    )


def _hang_up(link: http.client.HTTPConnection) -> None:
    """Let whoever reads from the gateway come to an end at once."""
    wire = link.sock
    if wire is not None:
        with contextlib.suppress(OSError):
            wire.shutdown(socket.SHUT_RDWR)


def _streamed(
    link: http.client.HTTPConnection, answer: http.client.HTTPResponse, database: Path, request_id: str
) -> Iterator[bytes]:
    """The events of a streamed answer, the last of which says how it ended."""
    whole = Piece()
    with contextlib.closing(link):
        try:
            for event in _events(answer):
                found = plain.fault(event)
                if found is not None:
                    broke = _problem(found, found.status, found.retry_after)
                    yield _said("problem", problems.body_of(broke, request_id))
                    return
                piece = plain.answer(event)
                whole = plain.joined(whole, piece)
                if piece.text or piece.thoughts:
                    yield _said("", msgspec.json.encode(Delta(text=piece.text, thoughts=piece.thoughts)))
        except (OSError, http.client.HTTPException, ValueError):
            yield _said("problem", problems.body_of(_broken(), request_id))
            return
        if not whole.finish and not whole.block:
            yield _said("problem", problems.body_of(_broken(), request_id))
            return
        yield _said("end", msgspec.json.encode(_ended(whole, _call(answer), database)))


def _events(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The data of each event, as soon as it is whole."""
    feed = sse.Feed()
    while chunk := answer.read1(_CHUNK):
        for event in feed.feed(chunk):
            yield event.data
    for event in feed.close():
        yield event.data


def _said(name: str, data: bytes) -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + data.strip() + b"\n\n"


def _call(answer: http.client.HTTPResponse) -> str:
    return answer.headers.get("x-gemgate-call", "")


def _ended(piece: Piece, call: str, database: Path) -> Ended:
    """What is known once an answer is whole: its row was recorded before its end left the gateway."""
    row = _row(call, database)
    used = piece.usage
    usage = None
    if used is not None:
        usage = Tokens(
            input=used.input,
            cached=used.cached,
            output=used.output,
            thoughts=used.thoughts,
            tool=used.tool,
            total=used.total,
        )
    return Ended(
        model=piece.model,
        finish=piece.finish,
        block=piece.block,
        usage=usage,
        call_id=call,
        route=row.route if row else None,
        project=row.project if row else None,
        tries=row.attempts if row else None,
        list_nano=row.list_nano if row else None,
        billed_nano=row.billed_nano if row else None,
        estimated=row.estimated > 0 if row else None,
        duration=row.duration if row else None,
    )


def _row(call: str, database: Path) -> CallRow | None:
    """The call's row, None where it cannot be read or is in the spill still."""
    try:
        with contextlib.closing(reader(database)) as conn, reading(conn):
            found = record.find(conn, call, 1)
    except (sqlite3.Error, ValueError):
        return None
    return found[0] if found else None


def _fields(ended: Ended) -> dict[str, Any]:
    return {name: getattr(ended, name) for name in Ended.__struct_fields__}
