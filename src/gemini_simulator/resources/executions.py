"""Executions of triggers: each is a background interaction of the trigger's own making."""

from __future__ import annotations

from typing import Any

from gemini_simulator.http import Handler, Reply, Request
from gemini_simulator.resources.collection import Collection, add, children, find
from gemini_simulator.resources.interactions import Record, begin
from gemini_simulator.resources.naming import resource_name
from gemini_simulator.resources.paging import page
from gemini_simulator.resources.platform import TRIGGERS
from gemini_simulator.resources.times import timestamp

EXECUTIONS = Collection(kind="executions", fields={}, family="id", id_prefix="run-")


def _now(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    """The execution as its interaction stands."""
    record = request.project.blobs.get(f"interaction:{item['interaction_id']}")
    if not isinstance(record, Record) or not record.ended:
        return item
    good = record.state["status"] in ("completed", "requires_action")
    return {
        **item,
        "status": "completed" if good else "failed",
        "end_time": record.state["updated"],
    }


async def create(request: Request) -> Reply:
    """triggers.executions.create: run the trigger now. Raises ApiError 404 for an unknown trigger."""
    parent = resource_name(request)
    trigger = find(request, TRIGGERS, parent.removesuffix("/executions"))
    record = begin(request, {**trigger["interaction"], "background": True, "stream": False})
    now = timestamp(request.world.clock.now())
    trigger["last_run_time"] = now
    facts = {
        "trigger_id": trigger["id"],
        "interaction_id": record.id,
        "scheduled_time": now,
        "start_time": now,
        "status": "in_progress",
    }
    if trigger.get("environment_id"):
        facts["environment_id"] = trigger["environment_id"]
    return Reply(add(request, EXECUTIONS, parent, facts))


async def list_(request: Request) -> Reply:
    """triggers.executions.list."""
    parent = resource_name(request)
    find(request, TRIGGERS, parent.removesuffix("/executions"))
    chosen, token = page(request, children(request, EXECUTIONS, parent), 10, 1000)
    answer: dict[str, Any] = (
        {"trigger_executions": [_now(request, item) for item in chosen]} if chosen else {}
    )
    if token:
        answer["next_page_token"] = token
    return Reply(answer)


HANDLERS: dict[str, Handler] = {
    "triggers.executions.create": create,
    "triggers.executions.list": list_,
}
