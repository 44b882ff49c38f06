"""The document of the API, Swagger 2.0, from what the operations declare."""

from __future__ import annotations

import http
import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from flask_restx import Api

from gemgate.api import examples, glossary, schemas
from gemgate.api.operation import JSON, Declared, declared_of
from gemgate.api.problems import MEDIA, ProblemBody
from gemgate.api.roles import Role
from gemgate.api.schemas import Schema

SECURITY: Final[Schema] = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "x-gemgate-token",
        "description": "An admin token, `gg-admin-…`. Not needed while none was ever made. Programs may also send it "
        "as `Authorization: Bearer gg-admin-…`.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-gemgate-key",
        "description": "A virtual key, for operations that call a model.",
    },
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_VARIABLE: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
_KINDS: Final = {"int": "integer", "float": "number"}
_SAID: Final = {
    400: "The query string or the body is not as it should be; `errors` names each field.",
    401: "A token is missing, unknown, disabled or past its time.",
    402: "A budget is spent; `hint` says until when.",
    403: "The token may not do this, or the request comes from a page of another site.",
    404: "There is nothing of this name.",
    405: "Where the path needs a whole number stands something else, which makes it the path of another operation; "
    "that one does not take this method. The header `Allow` lists those that it takes.",
    409: "It cannot be done as things are; `hint` says what stands against it.",
    410: "The file is there no more, or never came to be; ask for the export again.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    416: "The file ends before the range that was asked for.",
    422: "It can be read, but not done; `hint` says what to change.",
    429: "Too much at once; `Retry-After` says when there is room.",
    500: "A fault of gemgate's or of Google's; `detail` says which.",
    501: "This is not known here.",
    502: "The gateway or Google gave no answer that can be passed on.",
    503: "The record, or the gateway, cannot be used now.",
    504: "No answer came in time.",
}
_EVENTS: Final = "text/event-stream"
_SENTENCE: Final = re.compile(r"(.*?[.:])(?:\s+[A-Z`].*)?", re.DOTALL)
_RETRY: Final = {"Retry-After": {"type": "integer", "description": "Seconds after which to ask again."}}


def document(api: Api, base: str) -> Schema:
    """The whole document. Raises TypeError for a type that Swagger 2.0 has no form for."""
    every = list(_operations(api))
    types: list[Any] = [ProblemBody]
    for _, url, verb, method in every:
        declared = declared_of(method)
        types += [one for one in (declared.body, declared.answer) if one is not None] if declared else []
        # Said here with its name: of all types together nobody could tell which one it is.
        _check(declared, f"{verb} {url}")
    shapes, definitions = schemas.definitions(types)
    for body, example in examples.BODIES.items():
        if body in shapes:
            definitions[_definition(shapes[body])]["example"] = example
    paths: dict[str, Schema] = {}
    for namespace, url, verb, method in every:
        paths.setdefault(_VARIABLE.sub(r"{\2}", url), {})[verb] = _operation(
            namespace, url, verb, method, shapes
        )
    return {
        "swagger": "2.0",
        "info": {"title": api.title, "version": api.version, "description": api.description},
        "basePath": base,
        "consumes": [JSON],
        "produces": [JSON, MEDIA],
        "securityDefinitions": SECURITY,
        "tags": [
            {"name": one.name, "description": one.description or ""}
            for one in api.namespaces
            if one.resources
        ],
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
    }


def _check(declared: Declared | None, name: str) -> None:
    """Raise TypeError with the operation's name for a type that has no form."""
    every = [] if declared is None else [declared.query, declared.body, declared.answer]
    try:
        schemas.definitions([one for one in every if one is not None])
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def _operations(api: Api) -> Iterator[tuple[str, str, str, Any]]:
    """Namespace, path, method and function of everything that declares itself."""
    for namespace in api.namespaces:
        for resource, urls, _, _ in namespace.resources:
            for url in api.ns_urls(namespace, urls):
                for verb in _METHODS:
                    method = getattr(resource, verb, None)
                    if declared_of(method) is not None:
                        yield namespace.name, url, verb, method


def statuses(declared: Declared, verb: str, url: str) -> list[int]:
    """The statuses of all problems that an operation may answer with."""
    found = {400, 403, *declared.errors}
    if declared.role is not Role.ANYONE:
        found |= {401, 503}
    if verb != "get":
        found |= {413, 415}
    if _VARIABLE.search(url):
        found.add(404)
    if "<int:" in url:
        found.add(405)  # another operation's path may begin so, and take this method or not
    return sorted(found)


def _operation(namespace: str, url: str, verb: str, method: Any, shapes: dict[Any, Schema]) -> Schema:
    declared = declared_of(method)
    assert declared is not None
    summary, _, rest = (inspect.getdoc(method) or "").partition("\n")
    role = "Anyone may." if declared.role is Role.ANYONE else f"Needs the role {declared.role.value}."
    if declared.payloads:
        role += " Needs a token that may read stored bodies."
    made: Schema = {
        "tags": [namespace],
        "operationId": _name(namespace, url, verb),
        "summary": summary.rstrip("."),
        "description": "\n\n".join(part for part in (rest.strip(), role) if part),
        "parameters": _parameters(namespace, declared, url, shapes),
        "responses": _responses(namespace, declared, verb, url, shapes),
    }
    if declared.role is not Role.ANYONE:
        made["security"] = [{"token": [], "key": []}, {"token": []}] if declared.key else [{"token": []}]
    if declared.media != JSON or declared.also:
        made["produces"] = [declared.media, *declared.also, MEDIA]
    return made


def _parameters(namespace: str, declared: Declared, url: str, shapes: dict[Any, Schema]) -> list[Schema]:
    made: list[Schema] = []
    for kind, name in _VARIABLE.findall(url):
        said = {"description": glossary.variable(namespace, name), "type": _KINDS.get(kind, "string")}
        made.append({"name": name, "in": "path", "required": True, **said})
    if declared.query is not None:
        made += schemas.parameters(declared.query)
    if declared.body is not None:
        made.append({"name": "body", "in": "body", "required": True, "schema": shapes[declared.body]})
        made[-1]["description"] = _sentence(declared.body)
    return made


def _responses(namespace: str, declared: Declared, verb: str, url: str, shapes: dict[Any, Schema]) -> Schema:
    nothing = declared.answer is None and declared.media == JSON
    status = 204 if nothing and declared.status == 200 else declared.status
    made: Schema = {str(status): _good(namespace, declared, shapes)}
    for code in statuses(declared, verb, url):
        title = http.HTTPStatus(code).phrase
        example = examples.problem(code, title, namespace, _fields(declared))
        made[str(code)] = {
            "description": _SAID.get(code, title),
            "schema": shapes[ProblemBody],
            "examples": {MEDIA: msgspec.to_builtins(example)},
        }
        if code in (429, 503):
            made[str(code)]["headers"] = _RETRY
    return made


def _good(namespace: str, declared: Declared, shapes: dict[Any, Schema]) -> Schema:
    """The answer of success: what it is, its shape, and one of them."""
    given: Schema = {}
    if declared.answer is not None:
        shape = shapes[declared.answer]
        made: Schema = {"description": _sentence(declared.answer), "schema": shape}
        found = examples.answer(_definition(shape)) if declared.example is None else declared.example
        if found is not None:
            given[JSON] = msgspec.to_builtins(found)
    elif declared.media == JSON:
        return {"description": "It is done, and there is nothing more to tell."}
    elif declared.media.startswith("text/"):
        made = {"description": "Server-sent events, for as long as they come.", "schema": {"type": "string"}}
    else:
        made = {"description": "The file itself.", "schema": {"type": "file"}}
        given[declared.media] = examples.FILES.get(namespace, "")
    if _EVENTS in (declared.media, *declared.also):
        given[_EVENTS] = examples.EVENTS.get(namespace, "")
    if given:
        made["examples"] = given
    return made


def _sentence(shape: Any) -> str:
    """The first sentence of what a Struct says of itself."""
    first, _, _ = (inspect.getdoc(shape) or "").partition("\n\n")
    found = _SENTENCE.fullmatch(" ".join(first.split()))
    return found[1].replace("``", "`") if found else ""


def _fields(declared: Declared) -> tuple[str, tuple[str, ...]]:
    """Whether the fields of a request stand in its body or its query, and their names."""
    part, shape = ("query", declared.query) if declared.body is None else ("body", declared.body)
    return part, () if shape is None else tuple(one.encode_name for one in msgspec.structs.fields(shape))


def _definition(shape: Schema) -> str:
    """The name that a reference refers to."""
    return str(shape.get("$ref", "")).rpartition("/")[2]


def _name(namespace: str, url: str, verb: str) -> str:
    """A name that programs made from the document call the operation by."""
    words = re.findall(r"\w+", _VARIABLE.sub(r"by_\2", url))
    return "_".join([verb, *(words if words[:1] == [namespace] else [namespace, *words])])
