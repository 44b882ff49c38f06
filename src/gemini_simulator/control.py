"""The simulator's own door at ``/simulator/…``: read and clear the log, look at the state, move the clock.

``GET`` and ``DELETE /simulator/log`` · ``GET /simulator/state`` · ``PUT /simulator/clock`` with ``{"now": …}`` (unix
seconds or ISO 8601) · ``PUT /simulator/faults`` with a list of fault rules, which replaces the script's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any

import msgspec

from gemini_simulator import faults
from gemini_simulator.http import ApiError
from gemini_simulator.quota import Bucket
from gemini_simulator.world import World

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def moment(text: str | float) -> float:
    """Unix seconds of a number or an ISO 8601 text. Raises ValueError for anything else."""
    if isinstance(text, int | float):
        return float(text)
    return datetime.fromisoformat(text).timestamp()


def state(world: World) -> dict[str, Any]:
    """What the simulator holds, without anybody's content."""
    projects = []
    for project in world.projects.values():
        use = {
            family: {
                "minute_requests": len(bucket.minute),
                "minute_tokens": bucket.tokens,
                "today": bucket.today,
            }
            for family, bucket in project.counters.items()
            if isinstance(bucket, Bucket)
        }
        held = {kind: len(objects) for kind, objects in project.resources.items()}
        projects.append({"name": project.name, "tier": project.tier, "quota": use, "resources": held})
    return {
        "now": world.clock.now(),
        "pacific_date": world.clock.pacific_date(),
        "seed": world.seed,
        "requests": len(world.log),
        "in_progress": sum(not line["finished"] for line in world.log),
        "projects": projects,
        "faults": faults.names(),
    }


def change(world: World, path: str, value: Any) -> Any:
    """Move the clock, or replace the fault rules. Raises ValueError, KeyError or TypeError for a bad value."""
    if path == "/simulator/clock":
        world.clock.set(moment(value["now"]))
        return {"now": world.clock.now()}
    if path == "/simulator/faults":
        rules = list(value)
        for rule in rules:
            faults.parse(str(rule["simulate"]))
        world.script["faults"] = rules
        world.fault_uses.clear()
        world.started = world.clock.now()
        return {"rules": len(rules)}
    raise KeyError(path)


async def serve(world: World, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request to the simulator's own door."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    asked, status = (scope["method"], scope["path"]), 200
    answer: Any = {}
    if asked == ("GET", "/simulator/log"):
        answer = {"requests": world.log}
    elif asked == ("DELETE", "/simulator/log"):
        world.log.clear()
    elif asked == ("GET", "/simulator/state"):
        answer = state(world)
    elif asked[0] == "PUT":
        try:
            answer = change(world, scope["path"], msgspec.json.decode(body))
        except (ValueError, KeyError, TypeError, ApiError) as error:
            status, answer = 400, {"error": str(error)}
    else:
        status, answer = 404, {"error": f"{asked[0]} {asked[1]} is not part of the simulator's own door"}
    data = msgspec.json.encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
