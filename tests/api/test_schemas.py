"""Types as the document says them, and what comes in as these types."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from drafts import plain
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from werkzeug.datastructures import MultiDict

from gemgate.api import glossary, reading, schemas
from gemgate.api.problems import Problem


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """Something inside."""

    size: Annotated[int, Meta(ge=0, description="How large.")]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    name: Annotated[str, Meta(min_length=1, max_length=5, description="A name.", examples=["ann"])]
    inner: Inner | None = None
    kinds: list[Literal["a", "b"]] = []
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    by: dict[str, Inner] = {}


class Query(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A query."""

    from_: str = msgspec.field(default="", name="from")
    limit: Annotated[int, Meta(ge=1, le=500, description="How many.", examples=[7])] = 50
    group: list[Literal["model", "key"]] = []
    least: float | None = None
    compare: bool = False
    step: Literal["hour", "day"] = "day"
    must: str


def test_a_struct_is_told_in_swaggers_words() -> None:
    found, parts = schemas.definitions([Body])
    assert found == {Body: {"$ref": "#/definitions/Body"}}
    body = parts["Body"]
    assert body["required"] == ["name"]
    assert body["additionalProperties"] is False
    assert body["properties"]["name"] == {
        "type": "string",
        "description": "A name.",
        "minLength": 1,
        "maxLength": 5,
        "example": "ann",
    }
    assert body["properties"]["inner"] == {"allOf": [{"$ref": "#/definitions/Inner"}], "x-nullable": True}
    assert body["properties"]["kinds"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["a", "b"]},
        "default": [],
        "description": glossary.field("Body", "kinds"),
    }
    assert body["properties"]["share"] == {
        "type": "number",
        "description": glossary.field("Body", "share"),
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1,
        "x-nullable": True,
    }
    assert body["properties"]["by"]["additionalProperties"] == {"$ref": "#/definitions/Inner"}


def test_a_query_is_told_as_parameters() -> None:
    found = {one["name"]: one for one in schemas.parameters(Query)}
    assert found["limit"] == {
        "name": "limit",
        "in": "query",
        "description": "How many.",
        "type": "integer",
        "minimum": 1,
        "maximum": 500,
        "default": 50,
        "required": False,
        "x-example": 7,
    }
    assert (found["group"]["type"], found["group"]["collectionFormat"]) == ("array", "multi")
    assert found["must"]["required"]
    assert "x-nullable" not in found["least"]
    assert "from" in found


class Wide(msgspec.Struct):
    """What once lost something on its way into the document."""

    status: Annotated[list[str], Meta(examples=["4xx"])] = []
    models: Annotated[list[str], Meta(examples=[["a", "b"]])] = []
    names: list[str] | None = None
    most: Annotated[int, Meta(le=2**62)] = 0
    held: Inner | None = None
    block: Inner = msgspec.field(default_factory=lambda: Inner(1))


def test_the_example_of_a_list_is_a_list() -> None:
    found = schemas.definitions([Wide])[1]["Wide"]["properties"]
    assert found["status"]["example"] == ["4xx"]
    assert found["models"]["example"] == ["a", "b"]


def test_a_list_that_may_be_null_says_of_what_it_is() -> None:
    names = schemas.definitions([Wide])[1]["Wide"]["properties"]["names"]
    assert (names["items"], names["x-nullable"]) == ({"type": "string"}, True)


def test_no_bound_is_beyond_what_a_page_can_hold() -> None:
    assert schemas.definitions([Wide])[1]["Wide"]["properties"]["most"]["maximum"] == 2**53 - 1


def test_a_field_without_words_has_those_of_the_glossary_also_beside_a_reference() -> None:
    properties = schemas.definitions([Wide])[1]["Wide"]["properties"]
    for name in ("held", "block"):
        assert properties[name]["description"] == glossary.field("Wide", name) != ""
        assert properties[name]["allOf"] == [{"$ref": "#/definitions/Inner"}]
    assert glossary.field("AuditItem", "before") != glossary.field("Wide", "before")
    assert glossary.field("gemgate.api.audit.AuditItem", "before") == glossary.field("AuditItem", "before")
    assert glossary.variable("keys", "name") != glossary.variable("unheard", "name") != ""


class Several(msgspec.Struct):
    """A query whose list has its example at what stands in it."""

    status: list[Annotated[str, Meta(examples=["429"])]] = []


def test_the_example_of_what_is_in_a_list_is_one_of_the_parameter() -> None:
    (found,) = schemas.parameters(Several)
    assert (found["items"], found["x-example"]) == ({"type": "string"}, ["429"])


class Union(msgspec.Struct):
    """What Swagger has no form for."""

    of: int | str


class Deep(msgspec.Struct):
    """What no query string holds."""

    of: Inner


def test_what_has_no_form_is_refused_when_the_document_is_made() -> None:
    with pytest.raises(TypeError, match="union"):
        schemas.definitions([Union])
    with pytest.raises(TypeError, match="query string"):
        schemas.parameters(Deep)


def query(**given: Any) -> Query:
    pairs = [(name.rstrip("_"), text) for name, texts in given.items() for text in texts]
    return reading.query(Query, MultiDict(pairs))


def errors(**given: Any) -> dict[str, str]:
    with pytest.raises(Problem) as found:
        query(**given)
    assert (found.value.status, found.value.code) == (400, "BAD_QUERY")
    return found.value.errors


def test_a_query_string_is_read_strictly() -> None:
    found = query(
        must=["x"], from_=["-1h"], group=["model", "key"], least=["1.5"], compare=["true"], limit=["9"]
    )
    assert (found.from_, found.group, found.least, found.compare, found.limit) == (
        "-1h",
        ["model", "key"],
        1.5,
        True,
        9,
    )
    assert query(must=[""]).step == "day"


@pytest.mark.parametrize(
    ("field", "texts", "said"),
    [
        ("limit", ["0"], "Expected a whole number >= 1."),
        ("limit", ["1.0"], "Expected a whole number."),
        ("limit", ["1_0"], "Expected a whole number."),
        ("limit", ["9" * 5_000], "Expected a whole number."),
        ("limit", ["null"], "Expected a whole number."),
        ("limit", ["5", "6"], "Given more than once."),
        ("least", ["nan"], "Expected a number."),
        ("least", ["inf"], "Expected a number."),
        ("least", [""], "Expected a number."),
        ("compare", ["1"], "Expected true or false."),
        ("step", ["year"], "Expected one of: hour, day."),
        ("group", ["model", "moon"], "Expected one of: model, key."),
        ("from", ["a\0b"], "Expected text without NUL."),
    ],
)
def test_each_field_at_fault_is_told_with_a_sentence(field: str, texts: list[str], said: str) -> None:
    found = errors(**{field: texts}, must=["x"])
    assert list(found) == [field]
    assert found[field].startswith(said)


def test_all_fields_at_fault_are_told_at_once() -> None:
    assert set(errors(limit=["0"], step=["x"], colour=["red"])) == {"limit", "step", "colour", "must"}


def body(value: object) -> Body:
    return reading.body(Body, json.dumps(value).encode())


def test_a_body_is_read_strictly_and_its_faults_have_a_path() -> None:
    found = body({"name": "ann", "inner": {"size": 3}, "by": {"x": {"size": 1}}})
    assert found.inner == Inner(3)
    with pytest.raises(Problem) as fault:
        body({"name": 5, "inner": {"size": -1}, "kinds": ["a", "c"], "by": {"x": {"size": "1"}}})
    assert fault.value.errors == {
        "name": "Expected text, got a whole number.",
        "inner.size": "Expected a whole number >= 0.",
        "kinds[1]": "Expected one of: a, b.",
        "by[...].size": "Expected a whole number, got text.",
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
INNER = st.fixed_dictionaries({"size": st.integers(-1, 3) | VALUES})
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=7) | VALUES,
        "inner": st.none() | INNER | VALUES,
        "kinds": st.lists(st.sampled_from(["a", "b", "c"])) | VALUES,
        "share": st.none() | st.floats(-0.5, 1.5) | VALUES,
        "by": st.dictionaries(st.text(max_size=3), INNER, max_size=2) | VALUES,
        "colour": VALUES,
    },
)


@given(BODIES)
def test_what_the_document_allows_is_what_is_taken(value: object) -> None:
    _, parts = schemas.definitions([Body])
    judge = jsonschema.Draft4Validator(
        {"$ref": "#/definitions/Body", "definitions": {name: plain(one) for name, one in parts.items()}}
    )
    taken = True
    try:
        body(value)
    except Problem:
        taken = False
    # A whole number written with a point is a number for one and an integer for the other.
    if not any(isinstance(one, float) and one.is_integer() for one in leaves(value)):
        assert judge.is_valid(value) is taken


def leaves(value: object) -> list[object]:
    """All values inside that hold no others."""
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


@given(
    st.lists(
        st.tuples(st.sampled_from(["limit", "group", "least", "from", "must", "x"]), st.text(max_size=9))
    )
)
def test_no_query_string_breaks_the_reading(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(Problem):
        assert reading.query(Query, MultiDict(pairs)).must == dict(pairs)["must"]
