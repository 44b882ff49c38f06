"""Interactions: a turn of a conversation that the project keeps, told as steps, whole or as events.

Each interaction is a ``Record`` with the list of its events; a stream is a reader of that list, so a later reader
may resume after any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from gemini_simulator import catalog, wire
from gemini_simulator.asked import Asked
from gemini_simulator.content import speak
from gemini_simulator.http import ApiError, Handler, Reply, Request, StreamReply
from gemini_simulator.journal import note_name
from gemini_simulator.resources.answering import put
from gemini_simulator.resources.interaction_events import Event, Narrator
from gemini_simulator.resources.interaction_input import Content, contents_of, generate_body
from gemini_simulator.resources.naming import asked_for, not_found, refuse_unknown, require, resource_name
from gemini_simulator.resources.shapes import INTERACTION, hold
from gemini_simulator.resources.times import whole_seconds
from gemini_simulator.world import World

DAY_SECONDS = 86400.0
KEPT_DAYS = {"free": 1}
KEPT_DAYS_PAID = 55
FIELDS = {
    "model", "agent", "agent_config", "input", "previous_interaction_id", "tools", "stream", "background", "store",
    "generation_config", "response_format", "response_mime_type", "response_modalities", "service_tier",
    "system_instruction", "safety_settings", "labels", "cached_content", "continuation_token", "environment",
    "webhook_config",
}  # fmt: skip
SHOWN = ("model", "agent", "previous_interaction_id", "labels")
ENDED = ("completed", "requires_action", "failed", "cancelled", "incomplete", "requires_continuation")


@dataclass(slots=True)
class Record:
    """One interaction: what was asked, what has been told so far, and who is still telling.

    ``prompt`` is what the model was given; ``contents`` is that and, in the end, what it said.
    """

    id: str
    asked: dict[str, Any]
    prompt: list[Content]
    contents: list[Content]
    created: float
    state: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be told."""
        return self.state["status"] in ENDED

    def tell(self, event: Event) -> Event:
        """Add an event and wake its readers."""
        told = {**event, "event_id": f"{self.id}_{len(self.events) + 1}"}
        self.events.append(told)
        self.grown.set()
        self.grown = asyncio.Event()
        return told

    def brief(self, full: bool) -> dict[str, Any]:
        """The interaction as lifecycle events carry it; ``full`` adds usage and token."""
        names = ("id", "status", "created", "updated", "model", "agent", "service_tier")
        shown = {name: self.state[name] for name in names if name in self.state}
        if full:
            shown |= {
                name: self.state[name] for name in ("usage", "continuation_token") if name in self.state
            }
        return {**shown, "object": "interaction"}


def _generating_model(request: Request, body: dict[str, Any]) -> str:
    """The model that answers: the one named, or the one behind the agent. Raises ApiError 400 or 404."""
    if bool(body.get("model")) == bool(body.get("agent")):
        raise ApiError(400, "Exactly one of model and agent is required.")
    if body.get("model"):
        name = str(body["model"]).removeprefix("models/")
        catalog.find(request.world, name, request.version, "generateContent")
        return name
    agent = str(body["agent"])
    known = request.world.catalog.get(agent)
    if (known is None or known.kind != "agent") and f"agents/{agent}" not in request.project.collection(
        "agents"
    ):
        raise ApiError(404, f"Agent '{agent}' was not found.")
    if agent.startswith("deep-research") and not body.get("background"):
        raise ApiError(400, f"Agent '{agent}' requires background=true.")
    return catalog.DEFAULT_MODEL


def open_record(request: Request, body: dict[str, Any]) -> tuple[Record, Asked]:
    """A new record, and the question as the model was asked it.

    Raises ApiError as Google does: 400, 403, 404, 429.
    """
    refuse_unknown(body, FIELDS)
    hold(body, INTERACTION)
    model = _generating_model(request, body)
    if body.get("background") and body.get("store") is False:
        raise ApiError(400, "background=true requires store=true.")
    prompt, contents = _turns(request, body)
    asked = put(request, model, generate_body(body, prompt))
    now = request.world.clock.now()
    state: dict[str, Any] = {"id": request.world.new_id("v1_"), "status": "in_progress"}
    state |= {"created": whole_seconds(now), "updated": whole_seconds(now)}
    state |= {name: body[name] for name in SHOWN if body.get(name)}
    state["service_tier"] = asked.tier
    record = Record(state["id"], body, prompt, contents, now, state)
    if body.get("store") is not False:
        request.project.blobs[f"interaction:{record.id}"] = record
    return record, asked


def _turns(request: Request, body: dict[str, Any]) -> tuple[list[Content], list[Content]]:
    """What the model is given, and what the interaction holds before the model speaks.

    With a continuation token and no input the answer of the previous interaction goes on: the model gets the same
    prompt once more, and what it said so far stands. Raises ApiError 400 or 404.
    """
    name = body.get("previous_interaction_id")
    previous = _find(request, str(name)) if name else None
    if previous is not None and body.get("continuation_token") and not body.get("input"):
        return previous.prompt, previous.contents
    require(body, ("input",), "CreateInteractionRequest")
    history = list(previous.contents) if previous else []
    contents = history + contents_of(body["input"], history)
    return contents, contents


async def narrate(
    world: World, record: Record, chunks: AsyncIterable[dict[str, Any]]
) -> AsyncIterator[Event]:
    """Tell ``chunks`` as the events of ``record``, from created to completed, and keep its end.

    A refusal in the middle becomes an error event; a reader who leaves makes the interaction cancelled.
    """
    narrator = Narrator()
    try:
        yield record.tell({"event_type": "interaction.created", "interaction": record.brief(False)})
        yield record.tell(_status_update(record))
        async for chunk in chunks:
            for event in narrator.feed(chunk):
                yield record.tell(event)
        for event in narrator.close():
            yield record.tell(event)
        _end(world, record, narrator, narrator.status)
        if record.state["status"] != "completed":
            yield record.tell(_status_update(record))
        yield record.tell({"event_type": "interaction.completed", "interaction": record.brief(True)})
    except ApiError as error:
        fault = {"code": error.rpc.lower(), "message": error.message}
        record.state["errors"] = [fault]
        _end(world, record, narrator, "failed")
        yield record.tell({"event_type": "error", "error": fault})
    finally:
        if not record.ended:
            _end(world, record, narrator, "cancelled")


def _status_update(record: Record) -> Event:
    update = {
        "event_type": "interaction.status_update",
        "interaction_id": record.id,
        "status": record.state["status"],
    }
    if record.state.get("continuation_token"):
        update["continuation_token"] = record.state["continuation_token"]
    return update


def _end(world: World, record: Record, narrator: Narrator, status: str) -> None:
    record.state |= {"status": status, "updated": whole_seconds(world.clock.now()), "steps": narrator.steps}
    if narrator.usage:
        record.state["usage"] = narrator.usage
    if narrator.continuation and status == "requires_continuation":
        record.state["continuation_token"] = narrator.continuation
    if narrator.blocked:
        record.state["errors"] = [
            {"code": "blocked", "message": f"The prompt was blocked: {narrator.blocked}."}
        ]
    if narrator.parts:
        *before, last = record.contents
        if last["role"] == "model":
            # A continued answer is one turn, however many requests it took.
            record.contents = [*before, {"role": "model", "parts": last["parts"] + narrator.parts}]
        else:
            record.contents = [*record.contents, {"role": "model", "parts": narrator.parts}]
    # Wakes the readers for whom the end is no event of its own.
    record.grown.set()
    record.grown = asyncio.Event()


async def _work(record: Record, asked: Asked) -> None:
    """Background work: nobody reads along, the events are kept."""
    async for _ in narrate(asked.world, record, speak(asked)):
        pass


def begin(request: Request, body: dict[str, Any]) -> Record:
    """Start an interaction in the background. Raises ApiError as ``open_record`` does."""
    record, asked = open_record(request, body)
    record.task = asyncio.create_task(_work(record, asked))
    return record


async def create(request: Request) -> Reply | StreamReply:
    """interactions.create: whole, streamed, or in the background."""
    body = await request.json()
    if body.get("background"):
        record = begin(request, body)
        return _stream(follow(record, 0)) if body.get("stream") else Reply(record.state)
    record, asked = open_record(request, body)
    headers = {"x-gemini-service-tier": asked.tier}
    if body.get("stream"):
        return _stream(narrate(request.world, record, speak(asked)), headers)
    async for _ in narrate(request.world, record, speak(asked)):
        pass
    return Reply(record.state, headers=headers)


async def follow(record: Record, start: int) -> AsyncIterator[Event]:
    """The events of ``record`` from number ``start`` on, until it has ended."""
    while True:
        grown = record.grown
        while start < len(record.events):
            yield record.events[start]
            start += 1
        if record.ended:
            return
        await grown.wait()


async def _framed(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        yield f"event: {event['event_type']}\r\n".encode() + wire.event(event)
    yield b"event: done\r\ndata: [DONE]\r\n\r\n"


def _stream(events: AsyncIterator[Event], headers: dict[str, str] | None = None) -> StreamReply:
    return StreamReply(_framed(events), headers=headers or {})


def _find(request: Request, interaction_id: str) -> Record:
    note_name(f"interactions/{interaction_id}")
    record = request.project.blobs.get(f"interaction:{interaction_id}")
    days = KEPT_DAYS.get(request.project.tier, KEPT_DAYS_PAID)
    if not isinstance(record, Record) or request.world.clock.now() >= record.created + days * DAY_SECONDS:
        raise not_found()
    return record


def _named(request: Request) -> Record:
    return _find(request, resource_name(request).split("/")[1])


async def get(request: Request) -> Reply | StreamReply:
    """interactions.get: the state now, or with ``stream=true`` the events after ``last_event_id``.

    Raises ApiError 404 for an unknown interaction, 400 for an event that is none of its own.
    """
    record = _named(request)
    if asked_for(request, "stream"):
        last = request.query.get("last_event_id", "")
        known = [event["event_id"] for event in record.events]
        if last and last not in known:
            raise ApiError(400, f"Unknown last_event_id '{last}'.")
        return _stream(follow(record, known.index(last) + 1 if last else 0))
    if asked_for(request, "include_input"):
        return Reply({**record.state, "input": record.asked.get("input", "")})
    return Reply(record.state)


async def delete(request: Request) -> Reply:
    """interactions.delete: the record goes; work in the background is stopped."""
    record = _named(request)
    await _halt(record)
    del request.project.blobs[f"interaction:{record.id}"]
    return Reply({})


async def cancel(request: Request) -> Reply:
    """interactions.cancel. Raises ApiError 400 for an interaction that is not running in the background."""
    record = _named(request)
    if record.task is None or record.ended:
        raise ApiError(
            400,
            "Only background interactions that are still running can be cancelled.",
            "FAILED_PRECONDITION",
        )
    await _halt(record)
    if not record.ended:
        # Cancelled before it told its first event.
        record.state["status"] = "cancelled"
        record.grown.set()
    return Reply(record.state)


async def _halt(record: Record) -> None:
    if record.task is not None and not record.task.done():
        record.task.cancel()
        await asyncio.gather(record.task, return_exceptions=True)


HANDLERS: dict[str, Handler] = {
    "interactions.create": create,
    "interactions.get": get,
    "interactions.delete": delete,
    "interactions.cancel": cancel,
}
