"""Whose things are: what answers prove, what calls point at, and that both spell a thing alike."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.dialects.gemini.made import expires, made, owner, refers, upload_id
from gemgate.dialects.gemini.methods import Match, match
from gemgate.dialects.gemini.request import read

HOST = "https://generativelanguage.googleapis.com/v1beta/"
BATCH = {
    "name": "batches/b1",
    "metadata": {
        "name": "batches/b1",
        "inputConfig": {"fileName": "files/in"},
        "output": {"responsesFile": "files/batch-b1"},
    },
    "done": True,
    "response": {"@type": "x", "responsesFile": "files/batch-b1"},
}
VIDEO = {"generatedSamples": [{"video": {"uri": HOST + "files/v1:download?alt=media"}}]}
FILMED = {
    "name": "models/veo/operations/o1",
    "done": True,
    "response": {"@type": "x", "generateVideoResponse": VIDEO},
}


def at(verb: str, path: str) -> Match:
    found = match(verb, path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("verb", "path", "answer", "names"),
    [
        ("POST", "/upload/v1/files", {"file": {"name": "files/f1", "uri": HOST + "files/f1"}}, ["files/f1"]),
        ("GET", "/v1/files/f1", {"name": "files/f1", "sizeBytes": "3"}, ["files/f1"]),
        ("GET", "/v1/files", {"files": [{"name": "files/a"}, {"name": "files/b"}]}, ["files/a", "files/b"]),
        ("POST", "/v1/files:register", {"files": [{"name": "files/r"}]}, ["files/r"]),
        ("POST", "/v1/cachedContents", {"name": "cachedContents/c", "model": "models/m"}, ["cachedContents/c"]),
        ("PATCH", "/v1/cachedContents/c", {"name": "cachedContents/c"}, ["cachedContents/c"]),
        ("POST", "/v1/models/m:batchGenerateContent", {"name": "batches/b", "metadata": {}}, ["batches/b"]),
        ("POST", "/v1/models/m:asyncBatchEmbedContent", {"name": "batches/b"}, ["batches/b"]),
        ("GET", "/v1/batches/b1", BATCH, ["batches/b1", "files/batch-b1"]),
        (
            "GET",
            "/v1/batches",
            {"operations": [BATCH, {"name": "batches/b2"}]},
            ["batches/b1", "files/batch-b1", "batches/b2"],
        ),
        ("POST", "/v1/models/veo:predictLongRunning", {"name": FILMED["name"]}, ["models/veo/operations/o1"]),
        ("GET", "/v1/models/veo/operations/o1", FILMED, ["models/veo/operations/o1", "files/v1"]),
        (
            "POST",
            "/v1/tunedModels",
            {"name": "tunedModels/t/operations/o", "metadata": {"tunedModel": "tunedModels/t"}},
            ["tunedModels/t"],
        ),
        ("POST", "/v1/fileSearchStores", {"name": "fileSearchStores/s"}, ["fileSearchStores/s"]),
        (
            "GET",
            "/v1/fileSearchStores/s/documents",
            {"documents": [{"name": "fileSearchStores/s/documents/d"}]},
            [],
        ),
        (
            "POST",
            "/upload/v1/fileSearchStores/s:uploadToFileSearchStore",
            {"name": "fileSearchStores/s/upload/operations/o"},
            ["fileSearchStores/s"],
        ),
        ("POST", "/v1/interactions", {"id": "v1_i", "status": "completed", "steps": []}, ["interactions/v1_i"]),
        ("POST", "/v1/agents", {"id": "a1", "description": "x"}, ["agents/a1"]),
        ("GET", "/v1/webhooks", {"webhooks": [{"id": "w1"}, {"id": "w2"}]}, ["webhooks/w1", "webhooks/w2"]),
        ("POST", "/v1/triggers/t1/executions", {"id": "run-1"}, ["triggers/t1"]),
        ("POST", "/v1beta/openai/videos", {"id": "video_1", "status": "processing"}, ["openai/videos/video_1"]),
        (
            "GET",
            "/v1beta/openai/videos/video_1",
            {"id": "video_1", "url": HOST + "files/v2:download?alt=media"},
            ["openai/videos/video_1", "files/v2"],
        ),
        (
            "GET",
            "/v1beta/openai/batches/batch_1",
            {"id": "batch_1", "input_file_id": "files/i", "output_file_id": "files/o"},
            ["openai/batches/batch_1", "files/o"],
        ),
        # What proves nothing.
        ("POST", "/v1/models/m:generateContent", {"candidates": [{"content": "files/f"}], "name": "files/f"}, []),
        ("GET", "/v1/models/m", {"name": "models/m"}, []),
        ("GET", "/v1/voices", {"voices": [{"id": "Puck", "type": "prebuilt"}]}, []),
        ("DELETE", "/v1/files/f1", {"name": "files/f1"}, []),
        ("POST", "/v1/auth_tokens", {"name": "auth_tokens/secret"}, []),
        ("GET", "/v1/files/f1", {"displayName": "files/other", "name": "files/f1"}, ["files/f1"]),
        ("GET", "/v1/files/f1", {"name": "files/f1", "response": 3, "files": "x"}, ["files/f1"]),
    ],
)  # fmt: skip
def test_answers(verb: str, path: str, answer: object, names: list[str]) -> None:
    asked = at(verb, path)
    assert list(made(asked, json.dumps(answer).encode())) == names
    assert list(made(asked, json.dumps(answer, indent=2).encode())) == names


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"name":', b"3", b"\xff"])
@pytest.mark.parametrize("path", ["/v1/files/f", "/v1/files", "/v1/interactions/i"])
def test_what_is_no_answer_proves_nothing(path: str, body: bytes) -> None:
    assert made(at("GET", path), body) == ()


@given(st.binary(max_size=40))
def test_nothing_raises(body: bytes) -> None:
    for path in ("/v1/files", "/v1/batches/b", "/v1beta/openai/videos/v"):
        made(at("GET", path), b'{"files":[{"name":' + body)
        made(at("GET", path), body)


def pointed(verb: str, path: str, body: object = None) -> list[str]:
    found = at(verb, path)
    asked = read(found, {}, json.dumps(body).encode(), {}) if body is not None else None
    return list(refers(found, asked))


@pytest.mark.parametrize(
    ("verb", "path", "names"),
    [
        ("GET", "/v1/files/f1", ["files/f1"]),
        ("GET", "/v1beta/files/f1:download", ["files/f1"]),
        ("GET", "/download/v1beta/files/f1:download", ["files/f1"]),
        ("POST", "/v1/batches/b1:cancel", ["batches/b1"]),
        ("GET", "/v1/models/veo/operations/o1", ["models/veo/operations/o1"]),
        ("GET", "/v1/tunedModels/t/operations/o", ["tunedModels/t"]),
        ("GET", "/v1/fileSearchStores/s/documents/d", ["fileSearchStores/s"]),
        ("POST", "/upload/v1/fileSearchStores/s:uploadToFileSearchStore", ["fileSearchStores/s"]),
        ("GET", "/v1/corpora/c/permissions", ["corpora/c"]),
        ("POST", "/v1/interactions/i1/cancel", ["interactions/i1"]),
        ("GET", "/v1beta/openai/videos/v1", ["openai/videos/v1"]),
        ("GET", "/v1beta/openai/batches/b1", ["openai/batches/b1"]),
        ("GET", "/v1beta/openai/models/m", []),
        ("GET", "/v1/models/m", []),
        ("GET", "/v1/files", []),
        ("POST", "/v1/models/m:predict", []),
    ],
)
def test_what_paths_point_at(verb: str, path: str, names: list[str]) -> None:
    assert pointed(verb, path) == names


def test_what_bodies_point_at() -> None:
    parts = [{"fileData": {"fileUri": HOST + "files/f1"}}, {"file_data": {"file_uri": "files/f1"}}]
    tools = [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/s", "fileSearchStores/t"]}}]
    body = {"contents": [{"parts": parts}], "tools": tools, "cachedContent": "cachedContents/c"}
    names = ["files/f1", "cachedContents/c", "fileSearchStores/s", "fileSearchStores/t"]
    assert pointed("POST", "/v1/models/m:generateContent", body) == names
    assert pointed("POST", "/v1/tunedModels/t:generateContent", {}) == ["tunedModels/t"]
    both = pointed("POST", "/v1/fileSearchStores/s:importFile", {"fileName": "files/f"})
    assert both == ["fileSearchStores/s", "files/f"]
    assert pointed("POST", "/v1beta/openai/batches", {"input_file_id": "files/i"}) == ["files/i"]


def test_an_answer_and_a_later_call_spell_a_thing_alike() -> None:
    for made_at, read_at, answer in (
        ("/v1/interactions", "/v1/interactions/i", {"id": "i"}),
        ("/v1/agents", "/v1/agents/a", {"id": "a"}),
        ("/v1beta/openai/videos", "/v1beta/openai/videos/v", {"id": "v"}),
        ("/v1beta/openai/batches", "/v1beta/openai/batches/b", {"id": "batches/b"}),
        ("/v1/models/v:predictLongRunning", "/v1/models/v/operations/o", {"name": "models/v/operations/o"}),
    ):
        names = made(at("POST", made_at), json.dumps(answer).encode())
        assert names == refers(at("GET", read_at), None)
        assert len(names) == 1
    after = {"input": "x", "model": "m", "previous_interaction_id": "i"}
    assert pointed("POST", "/v1/interactions", after) == ["interactions/i"]


def test_names_inside_other_things_are_their_owners() -> None:
    assert owner("fileSearchStores/s/upload/operations/o") == "fileSearchStores/s"
    assert owner("models/m") == owner("files/") == owner("files") == owner("auth_tokens/t") == ""


def test_uploads_are_told_by_their_id() -> None:
    assert upload_id("upload_id=AbC-1&upload_protocol=resumable") == "AbC-1"
    assert upload_id("alt=json") == upload_id("") == ""


def test_how_long_an_owner_is_remembered() -> None:
    hour = 3600 * 1_000_000
    assert expires("files/f", 5, paid=False) - 5 >= 48 * hour
    assert expires("interactions/i", 0, paid=True) >= 55 * 24 * hour
    assert 24 * hour <= expires("interactions/i", 0, paid=False) < 55 * 24 * hour
    assert expires("cachedContents/c", 0, paid=True) > expires("models/m/operations/o", 0, paid=True)
