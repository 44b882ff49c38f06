"""Long-running operations: begun by some method, finished by the clock, read back by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gemini_simulator.http import Handler, Reply, Request
from gemini_simulator.resources.naming import not_found, resource_name
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.times import work_time
from gemini_simulator.world import Project, World


@dataclass(slots=True)
class Operation:
    """Work that is done at ``ready_at`` (unix seconds) and then has ``response`` or ``error``."""

    name: str
    ready_at: float
    response: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None

    def public(self, now: float) -> dict[str, Any]:
        """The google.longrunning.Operation that a reader sees at ``now``."""
        seen: dict[str, Any] = {"name": self.name}
        if self.metadata:
            seen["metadata"] = self.metadata
        if now >= self.ready_at:
            seen["done"] = True
            seen.update({"error": self.error} if self.error else {"response": self.response})
        return seen


def begin(world: World, project: Project, operation: Operation) -> dict[str, Any]:
    """Keep ``operation`` and return what the method that began it answers."""
    project.blobs[f"operation:{operation.name}"] = operation
    return operation.public(world.clock.now())


def ready_at(world: World, seconds: float) -> float:
    """When work begun now and taking ``seconds`` is done."""
    return world.clock.now() + work_time(world, seconds)


async def get(request: Request) -> Reply:
    """One operation. Raises ApiError 404 for a name the project does not have."""
    operation = request.project.blobs.get(f"operation:{resource_name(request)}")
    if not isinstance(operation, Operation):
        raise not_found()
    return Reply(operation.public(request.world.clock.now()))


async def list_(request: Request) -> Reply:
    """The operations below one parent, oldest first."""
    parent = resource_name(request) + "/"
    now = request.world.clock.now()
    found = [
        item.public(now)
        for item in request.project.blobs.values()
        if isinstance(item, Operation) and item.name.startswith(parent)
    ]
    chosen, token = page(request, found, 100, 1000)
    answer: dict[str, Any] = {"operations": chosen} if chosen else {}
    if token:
        answer["nextPageToken"] = token
    return Reply(answer)


HANDLERS: dict[str, Handler] = {
    "models.operations.get": get,
    "models.operations.list": list_,
    "tunedModels.operations.get": get,
    "tunedModels.operations.list": list_,
    "corpora.operations.get": get,
    "fileSearchStores.operations.get": get,
    "fileSearchStores.upload.operations.get": get,
    "generatedFiles.operations.get": get,
}
