"""How batches, interactions and the OpenAI layer put a question to a model."""

from __future__ import annotations

import copy
from typing import Any

from gemini_simulator.asked import Asked, Door, ask
from gemini_simulator.content import Chunk, merged, produce
from gemini_simulator.http import ApiError, Request
from gemini_simulator.world import Project, World

RPC_CODES = {
    "CANCELLED": 1, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10,
    "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "UNAUTHENTICATED": 16,
}  # fmt: skip


def put(request: Request, model: str, body: dict[str, Any]) -> Asked:
    """Let a generateContent ``body`` in, under the faults of ``request``.

    Raises what Google refuses it with.
    """
    door = Door(request.version, "generateContent", request.faults)
    return ask(request.world, request.project, model, body, door)


def unhurried(world: World) -> World:
    """The same world with a clock on which sleeping takes no time: for work that happens out of sight."""
    behind = copy.copy(world)
    behind.clock = copy.copy(world.clock)
    behind.clock.instant = True
    return behind


async def behind_the_scenes(world: World, project: Project, model: str, body: dict[str, Any]) -> Chunk:
    """The whole answer to one request of a batch: at once, and outside the quotas of interactive use.

    Raises ApiError for what Google refuses.
    """
    door = Door(metered=False)
    return merged([chunk async for chunk in produce(unhurried(world), project, model, body, door)])


def status_of(error: ApiError) -> dict[str, Any]:
    """An error as google.rpc.Status: the form inside batches and operations."""
    status: dict[str, Any] = {"code": RPC_CODES.get(error.rpc, 2), "message": error.message}
    if error.details:
        status["details"] = error.details
    return status
