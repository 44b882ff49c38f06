"""Tuned models and corpora with their permissions: deprecated at Google, still in the inventory."""

from __future__ import annotations

from typing import Any

from gemini_simulator.http import ApiError, Handler, Reply, Request
from gemini_simulator.resources import operations
from gemini_simulator.resources.collection import Collection, accept, add, children, find, handlers
from gemini_simulator.resources.naming import camel_fields, object_of, refuse_unknown, require, resource_name
from gemini_simulator.resources.operations import Operation
from gemini_simulator.resources.times import timestamp

TUNING_SECONDS = 60.0
PROTO = "type.googleapis.com/google.ai.generativelanguage.v1beta."
ROLES = ("READER", "WRITER", "OWNER")


def _corpus(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    item.setdefault("displayName", item["name"].removeprefix("corpora/"))
    return item


def _permission(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    if item.get("role") not in ROLES:
        raise ApiError(400, "* CreatePermissionRequest.permission.role: role is required.\n")
    item.setdefault("granteeType", "USER" if item.get("emailAddress") else "EVERYONE")
    if item["granteeType"] != "EVERYONE" and not item.get("emailAddress"):
        raise ApiError(
            400, "* CreatePermissionRequest.permission.email_address: email_address is required.\n"
        )
    return item


def _tuned_now(request: Request, item: dict[str, Any]) -> dict[str, Any]:
    ready = request.project.blobs[f"ready:{item['name']}"]
    if request.world.clock.now() < ready:
        return {**item, "state": "CREATING"}
    task = {**item["tuningTask"], "completeTime": timestamp(ready)}
    return {**item, "state": "ACTIVE", "tuningTask": task}


CORPORA = Collection(
    kind="corpora",
    fields={"displayName": str},
    changeable=frozenset({"displayName"}),
    id_prefix="corpus-",
    times=("createTime", "updateTime"),
    finish=_corpus,
)
PERMISSIONS = Collection(
    kind="permissions",
    fields={"granteeType": str, "emailAddress": str, "role": str},
    changeable=frozenset({"role"}),
    id_prefix="p",
    finish=_permission,
)
TUNED = Collection(
    kind="tunedModels",
    fields={
        "displayName": str,
        "description": str,
        "temperature": float,
        "topP": float,
        "topK": int,
        "baseModel": str,
        "tunedModelSource": {"baseModel": str, "tunedModel": str},
        "tuningTask": {
            "trainingData": dict,
            "hyperparameters": {
                "batchSize": int,
                "epochCount": int,
                "learningRate": float,
                "learningRateMultiplier": float,
            },
        },
        "readerProjectNumbers": list,
        "state": str,
    },
    changeable=frozenset({"displayName", "description", "temperature", "topP", "topK", "readerProjectNumbers"}),
    id_prefix="tuned-",
    times=("createTime", "updateTime"),
    show=_tuned_now,
)  # fmt: skip


async def create_tuned(request: Request) -> Reply:
    """tunedModels.create: an operation whose response is the tuned model.

    Raises ApiError 400 without a task.
    """
    raw = camel_fields(await request.json())
    body = accept(TUNED, raw)
    require(body, ("tuningTask",), "CreateTunedModelRequest.tuned_model")
    asked = request.query.get("tunedModelId") or request.query.get("tuned_model_id")
    if asked:
        body["name"] = asked
    now = request.world.clock.now()
    task = camel_fields(object_of(body, "tuningTask"))
    # Google keeps the training data to itself: it is input only.
    task.pop("trainingData", None)
    body["tuningTask"] = {"startTime": timestamp(now), **task}
    item = add(request, TUNED, "tunedModels", body)
    ready = operations.ready_at(request.world, TUNING_SECONDS)
    request.project.blobs[f"ready:{item['name']}"] = ready
    done = {**item, "state": "ACTIVE", "tuningTask": {**item["tuningTask"], "completeTime": timestamp(ready)}}
    operation = Operation(
        f"{item['name']}/operations/{request.world.new_id('op')}",
        ready,
        {"@type": PROTO + "TunedModel", **done},
        {"@type": PROTO + "CreateTunedModelMetadata", "tunedModel": item["name"]},
    )
    return Reply(operations.begin(request.world, request.project, operation))


async def transfer(request: Request) -> Reply:
    """tunedModels.transferOwnership: the new owner gets OWNER, the old one becomes WRITER."""
    name = resource_name(request)
    find(request, TUNED, name)
    body = camel_fields(await request.json())
    refuse_unknown(body, {"emailAddress"})
    require(body, ("emailAddress",), "TransferOwnershipRequest")
    for permission in children(request, PERMISSIONS, f"{name}/permissions"):
        if permission["role"] == "OWNER":
            permission["role"] = "WRITER"
    add(
        request,
        PERMISSIONS,
        f"{name}/permissions",
        {"granteeType": "USER", "emailAddress": body["emailAddress"], "role": "OWNER"},
    )
    return Reply({})


_PERMISSION_VERBS = ("create", "get", "list", "patch", "delete")

HANDLERS: dict[str, Handler] = {
    **handlers(CORPORA, "corpora", ("create", "get", "list", "delete")),
    **handlers(PERMISSIONS, "corpora.permissions", _PERMISSION_VERBS),
    **handlers(TUNED, "tunedModels", ("get", "list", "patch", "delete")),
    **handlers(PERMISSIONS, "tunedModels.permissions", _PERMISSION_VERBS),
    "tunedModels.create": create_tuned,
    "tunedModels.transferOwnership": transfer,
}
