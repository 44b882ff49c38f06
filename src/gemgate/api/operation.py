"""What a method of a resource declares, and what is done around it: who may, what comes in, what goes out.

```python
@namespace.route("/<string:name>")
class Thing(Resource):
    @operation(namespace, role=Role.ADMIN, query=ThingQuery, body=ThingBody, answer=ThingAnswer, errors=(404, 409))
    def put(self, query: ThingQuery, body: ThingBody, name: str) -> ThingAnswer:
        \"\"\"First line: the summary.

        The rest: the description in the interactive documentation.
        \"\"\"
```

The method is called with ``query`` and ``body`` when it declares them, and with what stands in the path, all by
name. It gives a Struct, a pair of a Struct and a status, None (204), or a response of Flask's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypedDict, TypeVar, Unpack

import msgspec
from flask import Response, request
from flask_restx import Namespace

from gemgate.api import reading
from gemgate.api.context import require
from gemgate.api.problems import Problem
from gemgate.api.roles import Role
from gemgate.api.roles import role as _role

DECLARED: Final = "gemgate_declared"
JSON: Final = "application/json"

_UNSAFE: Final = ("POST", "PUT", "PATCH", "DELETE")
F = TypeVar("F", bound=Callable[..., Any])


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation declares. ``answer`` is None where it answers with nothing, or not in JSON."""

    role: Role
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    answer: Any = None
    status: int = 200
    errors: tuple[int, ...] = ()
    example: Any = None
    media: str = JSON
    also: tuple[str, ...] = ()
    payloads: bool = False
    key: bool = False


class More(TypedDict, total=False):
    """What an operation may declare beside its role; see ``operation``."""

    query: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None
    answer: Any
    status: int
    errors: tuple[int, ...]
    example: Any
    media: str
    also: tuple[str, ...]
    payloads: bool
    key: bool


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The query of an operation that takes none."""


def operation(namespace: Namespace, *, role: Role, **more: Unpack[More]) -> Callable[[F], F]:
    """Declare one method of a resource of this namespace.

    ``query`` and ``body``: structs that the query string and the JSON body are decoded into, strictly; ``answer``:
    the struct (or ``list[Struct]``) that it gives; ``status`` of success; ``errors``: statuses of the problems that
    it raises itself, beside those that every operation has (see ``document``); ``example``: an answer, as JSON-able
    values or a struct; ``media``: of the answer, where that is not JSON; ``also``: other media that it may come in;
    ``payloads``: whether the token must be one that may read stored bodies; ``key``: whether it takes a virtual key
    in the header ``x-gemgate-key``.
    """
    declared = Declared(role=role, **more)

    def declare(method: F) -> F:
        """Wrap the method."""

        @functools.wraps(method)
        def view(resource: Any, **path: Any) -> Response:
            """Check, decode, call, encode."""
            require(declared.role, declared.payloads)
            given = dict(path)
            given.update(_taken(declared))
            return _encoded(method(resource, **given), declared)

        _role(role)(view)
        setattr(view, DECLARED, declared)
        return view  # type: ignore[return-value]

    return declare


def declared_of(method: object) -> Declared | None:
    """What a method declares, None when it declares nothing."""
    found = getattr(method, DECLARED, None)
    return found if isinstance(found, Declared) else None


def _taken(declared: Declared) -> dict[str, msgspec.Struct]:
    """The query and the body of the request. Raises Problem 400, 413, 415."""
    given: dict[str, msgspec.Struct] = {}
    found = reading.query(declared.query or _Nothing, request.args)
    if declared.query is not None:
        given["query"] = found
    if request.method in _UNSAFE:
        data = _json()
        if declared.body is not None:
            given["body"] = reading.body(declared.body, data)
        elif data.strip() not in (b"", b"{}"):
            raise Problem(400, "BAD_BODY", "This operation takes no body.", errors={"": "Leave it empty."})
    return given


def _json() -> bytes:
    """The body, when it says that it is JSON: a form of another site's page cannot say so."""
    kind = request.mimetype
    data = request.get_data()
    if kind != JSON and (kind or data):
        raise Problem(
            415, "NOT_JSON", "The body must be JSON.", "Send the header Content-Type: application/json."
        )
    return data


def _encoded(given: Any, declared: Declared) -> Response:
    if isinstance(given, Response):
        return given
    status = declared.status
    if isinstance(given, tuple):
        given, status = given
    if given is None:
        return Response(status=status if status != 200 else 204)
    return Response(msgspec.json.encode(given) + b"\n", status, content_type=JSON)
