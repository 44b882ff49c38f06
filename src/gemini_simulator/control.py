"""The simulator's own door at ``/simulator/…``: read and clear the log, look at the state, move the clock.

- ``GET`` and ``DELETE /simulator/log``: the newest requests.
- ``GET /simulator/counts``: how many answers of each status by project and model, and what each model used. Cheap.
- ``GET /simulator/state``: clock, projects, quota windows, spent money.
- ``PUT /simulator/clock`` with ``{"now": …, "speed": …, "at": …}``, each optional: what it shows (unix seconds or ISO
  8601), simulated seconds per real second, and the real unix time at which it shows ``now``. ``GET`` reads it.
- ``PUT /simulator/faults`` with a list of fault rules replaces the script's; ``POST`` adds more. Their ``from`` and
  ``until`` count from then.
- ``PUT /simulator/minutes`` with ``"fixed"`` or ``"rolling"``.
- ``PUT /simulator/outage`` with ``{"seconds": …, "how": "refuse"}``: every connection is broken, and for so long in
  simulated time new ones are refused (``"reset"``: taken and reset). The door is shut meanwhile for this page too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any

import msgspec

from gemini_simulator import faults, money
from gemini_simulator.http import ApiError
from gemini_simulator.quota import Bucket
from gemini_simulator.world import Project, World

MINUTES = ("rolling", "fixed")
OUTAGES = ("refuse", "reset")
PROTOCOL = "gemini_simulator.protocol"
Outage = Callable[[float, str, object], None]

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def moment(text: str | float) -> float:
    """Unix seconds of a number or an ISO 8601 text. Raises ValueError for anything else."""
    if isinstance(text, int | float):
        return float(text)
    return datetime.fromisoformat(text).timestamp()


def sums(project: Project) -> dict[str, Any]:
    """What each model of ``project`` was asked since the start."""
    return {
        model: {
            "accepted": tally.accepted,
            "refused": tally.refused,
            "tokens": tally.tokens,
            "output_tokens": tally.output_tokens,
            "dollars": tally.nano / money.NANO,
        }
        for model, tally in project.tallies.items()
    }


def state(world: World) -> dict[str, Any]:
    """What the simulator holds, without anybody's content."""
    projects = []
    now = world.clock.now()
    for project in world.projects.values():
        use = {
            family: {
                "minute_requests": len(bucket.minute),
                "minute_tokens": bucket.tokens,
                "today": bucket.today,
                "today_tokens": bucket.today_tokens,
            }
            for family, bucket in project.counters.items()
            if isinstance(bucket, Bucket)
        }
        account = money.account_of(world, project)
        account.forget(now)
        spent = {
            "account": project.account or project.name,
            "limit": money.limit(world, project),
            "ten_minutes": account.rolling / money.NANO,
            "total": account.total / money.NANO,
        }
        held = {kind: len(objects) for kind, objects in project.resources.items()}
        projects.append(
            {"name": project.name, "tier": project.tier, "quota": use, "models": sums(project), "spend": spent,
             "resources": held}
        )  # fmt: skip
    return {
        "now": now,
        "speed": world.clock.speed,
        "pacific_date": world.clock.pacific_date(),
        "minutes": world.minutes,
        "seed": world.seed,
        "requests": world.requests,
        "in_progress": world.in_progress,
        "projects": projects,
        "faults": faults.names(),
    }


def counts(world: World) -> dict[str, Any]:
    """The sums alone: ``answers`` is project -> model -> status -> number ("0" for no answer at all)."""
    return {
        "now": world.clock.now(),
        "requests": world.requests,
        "in_progress": world.in_progress,
        "answers": world.answers,
        "models": {project.name: sums(project) for project in world.projects.values()},
    }


def set_clock(world: World, value: dict[str, Any]) -> dict[str, float]:
    """Move the clock, let it run at another speed, or both."""
    given = {name: value[name] for name in ("now", "speed", "at") if value.get(name) is not None}
    world.clock.set(
        moment(given["now"]) if "now" in given else None,
        float(given["speed"]) if "speed" in given else None,
        float(given["at"]) if "at" in given else None,
    )
    return clock(world)


def clock(world: World) -> dict[str, float]:
    """What the clock shows."""
    return {"now": world.clock.now(), "speed": world.clock.speed}


def set_faults(world: World, value: Any, add: bool) -> dict[str, int]:
    """Replace the fault rules, or add to them; their time begins now."""
    rules = [dict(rule) for rule in value]
    for rule in rules:
        faults.parse(str(rule["simulate"]))
        rule["began"] = world.clock.now()
    if not add:
        world.fault_uses.clear()
    world.script["faults"] = (world.script.get("faults", []) if add else []) + rules
    return {"rules": len(world.script["faults"])}


def change(world: World, verb: str, path: str, value: Any) -> Any:
    """Do what a PUT or POST asks. Raises ValueError, KeyError, TypeError or ApiError for a bad value."""
    if (verb, path) == ("PUT", "/simulator/clock"):
        return set_clock(world, value)
    if path == "/simulator/faults":
        return set_faults(world, value, verb == "POST")
    if (verb, path) == ("PUT", "/simulator/minutes"):
        world.minutes = minutes(value)
        return {"minutes": world.minutes}
    raise KeyError(path)


def shut(world: World, outage: Outage | None, value: Any, spared: object) -> dict[str, Any]:
    """Begin an outage, of which only the connection that asked for it is spared. Raises as ``change`` does."""
    how, seconds = str(value.get("how", "refuse")), float(value["seconds"])
    if how not in OUTAGES or not 0 <= seconds < float("inf") or outage is None:
        raise ValueError(f"an outage has seconds and is one of {', '.join(OUTAGES)}")
    outage(seconds / (world.clock.speed or 1.0), how, spared)
    return {"seconds": seconds, "how": how}


def minutes(value: object) -> str:
    """How quotas count. Raises ValueError for a word that is none."""
    if value not in MINUTES:
        raise ValueError(f"minutes are one of {', '.join(MINUTES)}")
    return str(value)


async def serve(
    world: World, outage: Outage | None, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    """Answer one request to the simulator's own door; ``outage`` shuts the server that it came to."""
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
        answer = {"requests": list(world.log)}
    elif asked == ("DELETE", "/simulator/log"):
        world.log.clear()
        world.requests = 0
    elif asked == ("GET", "/simulator/counts"):
        answer = counts(world)
    elif asked == ("GET", "/simulator/clock"):
        answer = clock(world)
    elif asked == ("GET", "/simulator/state"):
        answer = state(world)
    elif asked[0] in ("PUT", "POST"):
        try:
            value = msgspec.json.decode(body)
            if asked == ("PUT", "/simulator/outage"):
                answer = shut(world, outage, value, scope.get(PROTOCOL))
            else:
                answer = change(world, *asked, value)
        except (ValueError, KeyError, TypeError, AttributeError, ApiError) as error:
            status, answer = 400, {"error": str(error)}
    else:
        status, answer = 404, {"error": f"{asked[0]} {asked[1]} is not part of the simulator's own door"}
    data = msgspec.json.encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})
