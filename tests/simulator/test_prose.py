"""Made-up values fit the schema they are made for, and made-up texts go on where they stopped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_simulator.prose import Dice, from_pattern, pieces, value_for

SCALARS = st.one_of(
    st.integers(-50, 50).flatmap(
        lambda low: st.integers(low, low + 40).map(
            lambda high: {"type": "integer", "minimum": low, "maximum": high}
        )
    ),
    st.just({"type": "BOOLEAN"}),
    st.integers(0, 30).map(lambda least: {"type": "string", "minLength": least, "maxLength": least + 5}),
    st.lists(st.sampled_from("abcdef"), min_size=1, unique=True).map(
        lambda names: {"type": "STRING", "enum": names}
    ),
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["a", "b", "c"]), inner).map(
            lambda fields: {"type": "OBJECT", "properties": fields, "required": sorted(fields)}
        ),
        st.tuples(inner, st.integers(0, 3)).map(
            lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1], "maxItems": pair[1] + 1}
        ),
    ),
    max_leaves=8,
)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    kind = schema["type"].lower()
    if kind == "integer":
        return isinstance(value, int) and schema["minimum"] <= value <= schema["maximum"]
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string" and "enum" in schema:
        return value in schema["enum"]
    if kind == "string":
        return schema["minLength"] <= len(value) <= schema["maxLength"]
    if kind == "array":
        right = schema["minItems"] <= len(value) <= schema["maxItems"]
        return right and all(fits(item, schema["items"]) for item in value)
    return set(schema["required"]) <= set(value) and all(
        fits(item, schema["properties"][name]) for name, item in value.items()
    )


@given(SCHEMAS, st.text(max_size=8))
def test_a_value_fits_its_schema(schema: dict[str, Any], seed: str) -> None:
    value = value_for(schema, Dice(seed))
    assert fits(value, schema)
    assert value == value_for(schema, Dice(seed))


@given(st.integers(0, 80), st.integers(0, 80))
def test_a_text_goes_on_where_it_stopped(first: int, more: int) -> None:
    assert pieces("s", 0, first) + pieces("s", first, more) == pieces("s", 0, first + more)


@pytest.mark.parametrize(
    "pattern", [r"^[A-Z]{3}-\d{4}$", r"^\d+$", r"^[a-z]+@x\.org$", r"^v\d\.\d$", r"[0-9a-f]{8}"]
)
def test_a_pattern_is_matched(pattern: str) -> None:
    assert re.search(pattern, from_pattern(pattern))
