"""The few HTTP values that every handler of the simulator speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from gemini_simulator.world import Project, World


@dataclass(slots=True)
class Request:
    """One request as a handler sees it.

    ``params`` come from the path, ``headers`` have lower-case names, ``faults`` are the named faults (and their
    values) that the script or the client's ``x-simulate`` header asks for.
    """

    world: World
    project: Project
    method: str
    verb: str
    version: str
    path: str
    base_url: str
    params: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]
    faults: dict[str, str] = field(default_factory=dict)

    async def body(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks])

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object. Raises ApiError 400 as Google does."""
        raw = await self.body()
        if not raw.strip():
            return {}
        try:
            value = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise ApiError(400, f"Invalid JSON payload received. {error}") from None
        if not isinstance(value, dict):
            raise ApiError(400, "Invalid JSON payload received. Root element must be a message.")
        return value


@dataclass(slots=True)
class Reply:
    """A whole answer. ``payload`` is encoded as JSON unless ``raw`` is given."""

    payload: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json; charset=UTF-8"


@dataclass(slots=True)
class StreamReply:
    """An answer that arrives in chunks."""

    chunks: AsyncIterator[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream"


RPC_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ApiError(Exception):
    """A refusal in Google's shape: google.rpc.Status with optional details."""

    def __init__(
        self, status: int, message: str, rpc: str = "", details: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.rpc = rpc or RPC_NAMES.get(status, "UNKNOWN")
        self.details = details or []

    def payload(self) -> dict[str, Any]:
        """The body of the refusal."""
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": self.rpc}
        if self.details:
            error["details"] = self.details
        return {"error": error}


Handler = Callable[[Request], Awaitable[Reply | StreamReply]]
