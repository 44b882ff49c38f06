"""The document tells all: a sentence for each field, an example for each body and each answer, and none that lies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from drafts import plain

from gemgate.api import examples, glossary, reading
from gemgate.api.app import build
from gemgate.api.namespaces import NAMESPACES
from gemgate.api.operation import declared_of
from gemgate.config import Settings
from gemgate.config.settings import Gateway
from gemgate.jobs import exports
from gemgate.store.migrate import upgrade


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    client = build(Settings(data=tmp_path_factory.mktemp("none"))).test_client()
    return dict(client.get("/api/v1/swagger.json").get_json())


@pytest.fixture(scope="module", autouse=True)
def ending() -> Iterator[None]:
    """End the export that a call began: nobody waits for it."""
    yield
    for child in exports._children.values():
        assert child.stdin is not None
        child.stdin.close()
        child.wait(timeout=60)
    exports._reap()


def described(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field and every parameter of the document, with where it stands."""
    for name, shape in document["definitions"].items():
        yield from ((f"{name}.{field}", one) for field, one in shape.get("properties", {}).items())
    for path in document["paths"].values():
        for one in path.values():
            yield from ((f"{one['operationId']}: {taken['name']}", taken) for taken in one["parameters"])


def test_no_field_and_no_parameter_is_without_a_sentence(document: dict[str, Any]) -> None:
    every = dict(described(document))
    assert len(every) > 1_000
    assert [where for where, one in every.items() if not one.get("description", "").strip()] == []


def test_the_glossary_has_no_word_that_nothing_uses(document: dict[str, Any]) -> None:
    of = {
        name.rpartition(".")[2]: set(one.get("properties", ()))
        for name, one in document["definitions"].items()
    }
    every = {field for fields in of.values() for field in fields}
    idle = []
    for word in glossary.words()["fields"]:
        struct, _, name = word.rpartition(".")
        if name not in (of.get(struct, ()) if struct else every):
            idle.append(word)
    assert idle == []


def test_every_answer_says_what_it_is(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for one in path.values():
            for status, answer in one["responses"].items():
                said = answer["description"]
                assert re.fullmatch(r"[A-Z`].{4,}\.", said), (one["operationId"], status, said)


def test_a_stream_is_named_where_an_answer_may_be_one(document: dict[str, Any]) -> None:
    assert "text/event-stream" in document["paths"]["/generate"]["post"]["produces"]
    assert document["paths"]["/calls/live"]["get"]["produces"][0] == "text/event-stream"


def test_every_answer_has_an_example_of_its_shape(document: dict[str, Any]) -> None:
    known = {"definitions": {name: plain(one) for name, one in document["definitions"].items()}}
    for path in document["paths"].values():
        for one in path.values():
            for status, answer in one["responses"].items():
                if status == "204":
                    continue
                (media, *_), where = answer["examples"], f"{one['operationId']} {status}"
                assert answer["examples"][media], where
                if answer["schema"].get("type") not in ("string", "file"):
                    judge = jsonschema.Draft4Validator({**plain(answer["schema"]), **known})
                    faults = [str(fault.message) for fault in judge.iter_errors(answer["examples"][media])]
                    assert faults == [], where
                if int(status) >= 400:
                    assert answer["examples"][media]["status"] == int(status)


def test_every_code_of_an_example_is_one_that_the_papers_explain(document: dict[str, Any]) -> None:
    pages = Path(__file__).parents[2] / "docs"
    told = "".join((pages / f"{name}.md").read_text("utf-8") for name in ("api", "keys", "refusals"))
    found = {
        answer["examples"]["application/problem+json"]["code"]
        for path in document["paths"].values()
        for one in path.values()
        for status, answer in one["responses"].items()
        if int(status) >= 400
    }
    assert len(found) > 20
    assert [code for code in sorted(found) if f"`{code}`" not in told] == []


def test_no_example_holds_a_secret(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    assert not re.search(r"AIza[\w-]{8}|(?:gg-admin|sk-gemgate)-[\w-]{8,}(?!\w*…)", text)


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method, path and example of every operation with a body."""
    for url, path in document["paths"].items():
        for method, one in path.items():
            for taken in one["parameters"]:
                if taken["in"] == "body":
                    name = taken["schema"]["$ref"].rpartition("/")[2]
                    yield method, url, document["definitions"][name].get("example")


def test_every_body_has_an_example_that_can_be_sent_as_it_stands(
    document: dict[str, Any], tmp_path: Path
) -> None:
    upgrade(tmp_path / "gemgate.db")
    client = build(Settings(data=tmp_path, gateway=Gateway(port=1))).test_client()
    every = [
        declared_of(getattr(resource, method, None))
        for namespace in NAMESPACES
        for resource, *_ in namespace.resources
        for method in ("post", "put", "patch", "delete")
    ]
    shapes = [one.body for one in every if one is not None and one.body is not None]
    assert set(shapes) == set(examples.BODIES)
    for shape, example in examples.BODIES.items():
        assert reading.body(shape, json.dumps(example).encode())
    sent = list(bodies(document))
    assert len(sent) == len(shapes)
    done = []
    for method, url, example in sent:
        assert example, url
        path = re.sub(r"\{\w+\}", "route", url)
        answer = client.open(f"/api/v1{path}", method=method, json=example)
        assert answer.status_code in (200, 201, 202, 404, 409, 503), (method, url, answer.text)
        done += [url] if answer.status_code < 300 else []
    assert set(done) >= {"/budgets", "/exports", "/keys", "/routes", "/prices", "/prices/reprice"}
