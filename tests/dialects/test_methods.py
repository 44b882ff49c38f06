"""Every method of Google's inventory is found under each version, whatever way clients write its path."""

from __future__ import annotations

import json
import pathlib
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.dialects.gemini import methods
from gemgate.dialects.gemini.methods import Match, Reading, match

INVENTORY: list[list[str]] = json.loads(
    (pathlib.Path(__file__).parent.parent / "cases" / "methods.json").read_text()
)


def path_of(template: str, version: str) -> str:
    values = {"{v}": version, "{path}": "a/b.txt", "{file_name}": "files/f-1", "{model}": "gemini-2.5-flash"}
    for slot, value in values.items():
        template = template.replace(slot, value)
    while "{" in template:
        head, _, tail = template.partition("{")
        template = head + "id-1" + tail.partition("}")[2]
    return template


def asked(verb: str, path: str) -> Match:
    found = match(verb, path)
    assert found is not None, f"{verb} {path}"
    return found


@pytest.mark.parametrize("version", methods.VERSIONS)
@pytest.mark.parametrize(("method", "verb", "template"), INVENTORY, ids=lambda value: str(value))
def test_the_whole_inventory_is_known(version: str, method: str, verb: str, template: str) -> None:
    path = path_of(template, version)
    found = asked(verb, path)
    assert (found.method, found.version) == (method, version)
    assert found.upload == path.startswith("/upload/")
    assert asked(verb, "/" + path) == found  # a base URL with a trailing slash
    assert asked(verb, path.replace("-", "%2D")) == found
    if "{model}" in template:
        assert found.model == "gemini-2.5-flash"
        assert asked(verb, path.replace("models/", "models/models/", 1)) == found


def test_the_inventory_names_every_method_of_the_table() -> None:
    assert {row[0] for row in INVENTORY} == methods.METHODS


def test_names_in_paths() -> None:
    assert asked("POST", "/v1/tunedModels/t:generateContent").model == "tunedModels/t"
    assert asked("POST", "/v1beta/dynamic/d:streamGenerateContent").model == "dynamic/d"
    assert asked("GET", "/v1/files/abc:download").resource == "files/abc"
    assert asked("GET", "/v1/models/m/operations/o").resource == "models/m/operations/o"
    assert asked("GET", "/v1/interactions/i:with:colons").resource == "interactions/i:with:colons"
    assert asked("GET", "/v1/environments/e/files/a/b/c").resource == "environments/e/files/a/b/c"
    assert asked("POST", "/v1/models%2Fm%3AcountTokens").model == "m"
    assert asked("GET", "/v1/models").resource == ""


@pytest.mark.parametrize(
    ("verb", "path", "reading", "flags"),
    [
        ("POST", "/v1/models/m:generateContent", Reading.GENERATE, "generating inspected retryable"),
        (
            "POST",
            "/v1/models/m:streamGenerateContent",
            Reading.GENERATE,
            "generating inspected streaming retryable",
        ),
        ("POST", "/v1/models/m:batchEmbedContents", Reading.EMBED, "generating inspected retryable"),
        ("POST", "/v1/models/m:countTokens", Reading.COUNT, "inspected retryable"),
        ("POST", "/v1/interactions", Reading.INTERACTION, "generating inspected retryable"),
        ("GET", "/v1/interactions/i", Reading.INTERACTION, "retryable"),
        ("POST", "/v1beta/openai/chat/completions", Reading.OPENAI, "generating inspected retryable"),
        ("POST", "/v1/cachedContents", Reading.OTHER, "inspected"),
        ("POST", "/v1/models/m:batchGenerateContent", Reading.OTHER, "inspected"),
        ("POST", "/upload/v1/files", Reading.OTHER, "upload"),
        ("DELETE", "/v1/files/f", Reading.OTHER, ""),
    ],
)
def test_flags(verb: str, path: str, reading: Reading, flags: str) -> None:
    found = asked(verb, path)
    assert found.reading is reading
    names = ("generating", "inspected", "streaming", "retryable", "upload")
    assert {name for name in names if getattr(found, name)} == set(flags.split())


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v2/models"),
        ("PUT", "/v1/models/m"),
        ("POST", "/v1/models/m:explode"),
        ("GET", "/v1/../v1/models"),
        ("GET", "/v1/models/%2e%2e/files"),
        ("POST", "/v1beta/openai/responses"),
        ("POST", "/ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent"),
        ("GET", "/ws/google.ai.generativelanguage.v9.GenerativeService.BidiGenerateContent"),
    ],
)
def test_what_is_outside_is_unknown(verb: str, path: str) -> None:
    assert match(verb, path) is None


@given(st.sampled_from(["GET", "POST", "PUT", ""]), st.text(max_size=60), st.booleans())
def test_no_path_breaks_it(verb: str, path: str, quoted: bool) -> None:
    found = match(verb, "/v1/" + (urllib.parse.quote(path) if quoted else path))
    assert found is None or found.method in methods.METHODS
    assert match("GET", "/v1/files/" + "x" * 500) is not None
