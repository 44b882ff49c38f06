"""The API does what its document says: with every role and none, on a small record, for good and for bad input."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from click.testing import CliRunner
from flask import Flask
from flask_restx.schemas import validate
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as drawn
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from gemgate.api.app import build
from gemgate.api.document import statuses
from gemgate.api.namespaces import NAMESPACES
from gemgate.api.operation import Declared, declared_of
from gemgate.api.problems import MEDIA
from gemgate.api.roles import Role, roles_of
from gemgate.cli.main import group
from gemgate.config import Settings
from gemgate.config.settings import Gateway
from gemgate.jobs import exports
from gemgate.store import tokens
from gemgate.store.connection import reader, visitor
from gemgate.store.migrate import upgrade

DOCUMENT = "/api/v1/swagger.json"
TAKEN = [role for role in Role if role is not Role.ANYONE]
SECRETS = {role: f"gg-admin-{role.value}" for role in TAKEN}
# The feed does not end, so drawing inputs for it would not either: it has tests of its own.
ENDLESS = {"/calls/live"}
# What must hold of every answer.
CHECKED = (
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
EXAMPLES = 2
TOKENS = ("x-gemgate-token", "x-gemgate-key", "Authorization")


def headers(role: Role | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[role]}"} if role in SECRETS else {}


@pytest.fixture(scope="module", autouse=True)
def ending() -> Iterator[None]:
    """End the exports that calls began: nobody waits for them."""
    yield
    for child in exports._children.values():
        assert child.stdin is not None
        child.stdin.close()
        child.wait(timeout=60)
    exports._reap()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A folder with a record of three days, a token for each role, and a gateway port on which nothing listens."""
    folder = tmp_path_factory.mktemp("seeded")
    words = ["seed", "--calls", "400", "--days", "3", "--data", str(folder)]
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = Settings(data=folder, gateway=Gateway(port=1))
    with contextlib.closing(visitor(made.database)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        for role, secret in SECRETS.items():
            tokens.create(conn, tokens.Token(name=role.value, role=role.value, payloads=True), secret)
        conn.keep()
    return made


@pytest.fixture(scope="module")
def app(settings: Settings) -> Flask:
    return build(settings)


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    answer = app.test_client().get(DOCUMENT)
    assert answer.status_code == 200
    return dict(answer.get_json())


def operations() -> Iterator[tuple[str, str, Declared]]:
    """Method, path below the API and declaration of everything that the namespaces hold."""
    for namespace in NAMESPACES:
        for resource, urls, _, _ in namespace.resources:
            for method in ("get", "post", "put", "patch", "delete"):
                declared = declared_of(getattr(resource, method, None))
                if declared is not None:
                    yield from ((method, namespace.path + url, declared) for url in urls)


def test_the_document_is_valid_swagger_and_whole(document: dict[str, Any]) -> None:
    validate(document)
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(ids)) == len(ids) == len(list(operations()))
    every = [one for path in document["paths"].values() for one in path.values()]
    assert all(one["summary"] for one in every)
    bare = [
        f"{one['operationId']}: {parameter['name']}"
        for one in every
        for parameter in one["parameters"]
        if parameter["in"] == "query" and not parameter.get("description")
    ]
    assert bare == []


def test_every_answer_that_is_a_problem_is_documented_as_one(document: dict[str, Any]) -> None:
    for method, url, declared in operations():
        for status in statuses(declared, method, url):
            assert status >= 400
    for path in document["paths"].values():
        for one in path.values():
            for status, answer in one["responses"].items():
                if int(status) >= 400:
                    assert answer["schema"] == {"$ref": "#/definitions/ProblemBody"}


def test_every_route_refuses_the_role_below_its_own(app: Flask) -> None:
    client = app.test_client()
    walked = 0
    for rule in app.url_map.iter_rules():
        for method, needed in roles_of(app.view_functions[rule.endpoint]).items():
            assert needed is not None, rule
            if needed is Role.ANYONE:
                continue
            walked += 1
            path = "/".join("1" if part.startswith("<") else part for part in rule.rule.split("/"))
            below = [None, *(role for role in TAKEN if not role.may(needed))]
            for role in below:
                answer = client.open(path, method=method, headers=headers(role))
                assert answer.status_code == (401 if role is None else 403), (path, method, role)
                assert answer.content_type == MEDIA
                assert answer.get_json()["code"] in ("TOKEN_NEEDED", "ROLE_NEEDED")
                assert answer.get_json()["request_id"] == answer.headers["x-request-id"]
    assert walked == len([1 for _, _, declared in operations() if declared.role is not Role.ANYONE])


def test_a_body_that_no_other_sites_form_can_send_is_asked_for(app: Flask) -> None:
    client = app.test_client()
    for method, url, declared in operations():
        if method == "get":
            continue
        path = "/api/v1" + "/".join("1" if part.startswith("<") else part for part in url.split("/"))
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            given = {**headers(declared.role), "Content-Type": kind}
            answer = client.open(path, method=method, headers=given, data=b'{"a": 1}')
            assert answer.status_code == 415, (method, path)
        foreign = {**headers(declared.role), "Origin": "https://evil.example"}
        assert client.open(path, method=method, headers=foreign).status_code == 403


def exercised(app: Flask, roles: Sequence[Role | None], known: Mapping[str, str], examples: int) -> int:
    """Call every operation as drawn from the document, rightly and wrongly, with each role; the number of answers.

    ``known`` are names that the record has, by the variable of the path; each is called with them too.
    """
    load_all_checks()
    checks = list(CHECKS.get_by_names(CHECKED))
    count = 0
    faults: list[str] = []
    for found in schemathesis.openapi.from_wsgi(DOCUMENT, app).get_all_operations():
        operation = found.ok()
        if operation.path in ENDLESS:
            continue
        for strategy in drawings(operation, known):

            @given(case=strategy)
            @drawn(
                max_examples=examples,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            )
            def one(case: Any) -> None:
                nonlocal count
                for role in roles:
                    # What is drawn as a token is none; that has tests of its own.
                    kept = {name: value for name, value in (case.headers or {}).items() if name not in TOKENS}
                    case.headers = {**kept, **headers(role)}
                    answer = case.call()
                    count += 1
                    assert answer.status_code != 500, (role, case.as_curl_command(), answer.text)
                    case.validate_response(answer, checks=checks)

            try:
                one()
            except (AssertionError, FailureGroup) as error:
                faults.append(f"{operation.label}: {told(error)}")
    assert not faults, "\n\n".join(faults)
    return count


def drawings(operation: Any, known: Mapping[str, str]) -> Iterator[Any]:
    """What to draw the calls of an operation from."""
    yield operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    taken = operation.definition.raw["parameters"]
    if taken:  # else nothing could be wrong
        yield operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    path = [one["name"] for one in taken if one["in"] == "path"]
    tag = operation.tags[0]
    named = {name: known[f"{tag}.{name}"] for name in path if f"{tag}.{name}" in known}
    if path and len(named) == len(path):
        yield operation.as_strategy(path_parameters=named)


def told(error: BaseException) -> str:
    """What went wrong, with what was sent and answered."""
    inner = getattr(error, "exceptions", ())
    return "\n".join([str(error)[:1_500], *(str(one)[:700] for one in inner)])


def test_every_operation_answers_as_its_document_says(app: Flask, settings: Settings) -> None:
    with contextlib.closing(reader(settings.database)) as conn:
        call = conn.execute("SELECT lower(hex(call_id)) FROM calls ORDER BY seq DESC LIMIT 1").fetchone()[0]
        key = conn.execute("SELECT name FROM virtual_keys LIMIT 1").fetchone()[0]
    known = {
        "calls.call_id": call,
        "keys.name": key,
        "models.name": "gemini-2.5-flash",
        "routes.name": "fast",
    }
    assert exercised(app, (None, *TAKEN), known, EXAMPLES) > 8 * len(list(operations()))


def test_every_operation_answers_so_too_while_nobody_made_a_token(tmp_path: Path) -> None:
    upgrade(tmp_path / "gemgate.db")
    app = build(Settings(data=tmp_path, gateway=Gateway(port=1)))
    assert app.test_client().get("/api/v1/system").status_code == 200
    assert exercised(app, (None,), {}, 1) >= len(list(operations())) - len(ENDLESS)


def test_the_parts_of_a_problem_stand_in_it(app: Flask) -> None:
    client = app.test_client()
    answer = client.get(
        "/api/v1/audit?limit=0&colour=red&kind=a&kind=b",
        headers={**headers(Role.ADMIN), "x-request-id": "mine-1"},
    )
    body = json.loads(answer.data)
    assert (answer.status_code, answer.headers["x-request-id"]) == (400, "mine-1")
    assert set(body) == {"type", "title", "status", "detail", "code", "errors", "hint", "request_id"}
    assert (body["type"], body["title"], body["request_id"]) == (
        "urn:gemgate:problem:bad_query",
        "Bad Request",
        "mine-1",
    )
    assert set(body["errors"]) == {"limit", "colour", "kind"}
    assert body["errors"]["kind"] == "Given more than once."
