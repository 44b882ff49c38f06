"""Google's own SDK against the resources of the simulator: what it sends is taken, what it gets it parses."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from google import genai
from google.genai import errors, types

from tests.simulator.client import ask
from tests.simulator.launch import Simulator

KEY = "AIzaResourcesOfOneProject"
MODEL = "gemini-3.8-flash"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator("--instant") as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=simulator.url))


@pytest.fixture
def stranger(simulator: Simulator) -> genai.Client:
    return genai.Client(api_key="AIzaAnotherProject", http_options=types.HttpOptions(base_url=simulator.url))


def text_file(client: genai.Client, text: str = "A short file.") -> types.File:
    return client.files.upload(
        file=io.BytesIO(text.encode()), config={"mime_type": "text/plain", "display_name": "short"}
    )


def test_a_small_file_lives_and_goes(client: genai.Client, stranger: genai.Client) -> None:
    file = text_file(client)
    assert file.name
    assert file.state == types.FileState.ACTIVE
    assert file.display_name == "short"
    assert file.size_bytes == len("A short file.")
    assert file.uri == f"https://generativelanguage.googleapis.com/v1beta/{file.name}"
    assert client.files.get(name=file.name).sha256_hash == file.sha256_hash
    assert file.name in [known.name for known in client.files.list()]
    answer = client.models.generate_content(model=MODEL, contents=["Read this", file])
    assert answer.text
    with pytest.raises(errors.ClientError, match="permission to access the File") as refused:
        stranger.models.generate_content(model=MODEL, contents=["Read this", file])
    assert refused.value.code == 403
    client.files.delete(name=file.name)
    with pytest.raises(errors.ClientError) as gone:
        client.files.get(name=file.name)
    assert gone.value.code == 403


def test_twenty_mebibytes_arrive_in_legs(client: genai.Client, simulator: Simulator, tmp_path: Path) -> None:
    data = b"0123456789abcdef" * (20 * 1024 * 1024 // 16)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    file = client.files.upload(file=path, config={"mime_type": "application/octet-stream"})
    assert file.size_bytes == len(data)
    # Google gives the digest as base64 of its hexadecimal form; the SDK passes it on.
    assert file.sha256_hash
    assert bytes.fromhex(base64.b64decode(file.sha256_hash).decode()) == hashlib.sha256(data).digest()
    legs = [
        line for line in simulator.log() if line["path"].startswith("/upload/") and line["body_size"] > 4096
    ]
    assert len(legs) == 3


def test_a_page_at_a_time(client: genai.Client) -> None:
    made = {text_file(client, f"file {number}").name for number in range(5)}
    pager = client.files.list(config={"page_size": 2})
    assert len(pager.page) == 2
    assert made <= {file.name for file in pager}


def test_a_cache_is_made_used_prolonged_and_deleted(client: genai.Client) -> None:
    long = "All work and no play makes Jack a dull boy. " * 600
    cache = client.caches.create(
        model=MODEL,
        config=types.CreateCachedContentConfig(contents=[long], ttl="600s", display_name="jack"),
    )
    assert cache.name
    assert cache.usage_metadata
    total = cache.usage_metadata.total_token_count
    assert total
    answer = client.models.generate_content(
        model=MODEL, contents="Who is dull?", config={"cached_content": cache.name}
    )
    assert answer.usage_metadata
    assert answer.usage_metadata.cached_content_token_count == total
    longer = client.caches.update(name=cache.name, config={"ttl": "7200s"})
    assert longer.expire_time
    assert cache.expire_time
    assert longer.expire_time > cache.expire_time
    assert cache.name in [known.name for known in client.caches.list()]
    assert client.caches.get(name=cache.name).expire_time == longer.expire_time
    client.caches.delete(name=cache.name)
    with pytest.raises(errors.ClientError) as gone:
        client.caches.get(name=cache.name)
    assert gone.value.code == 403


@pytest.mark.parametrize(
    ("model", "contents", "status"),
    [(MODEL, "too short", 400), ("gemini-4-argon", "word " * 30_000, 404)],
)
def test_a_cache_that_google_refuses(client: genai.Client, model: str, contents: str, status: int) -> None:
    with pytest.raises(errors.ClientError) as refused:
        client.caches.create(model=model, config={"contents": [contents]})
    assert refused.value.code == status


def test_a_batch_of_inline_requests(client: genai.Client) -> None:
    job = client.batches.create(
        model=MODEL,
        src=[
            types.InlinedRequest(contents="One", metadata={"key": "first"}),
            types.InlinedRequest(contents="Two", config=types.GenerateContentConfig(max_output_tokens=9999)),
            types.InlinedRequest(contents="Bad", config=types.GenerateContentConfig(candidate_count=99)),
        ],
        config={"display_name": "three"},
    )
    assert job.name
    assert job.state == types.JobState.JOB_STATE_PENDING
    done = client.batches.get(name=job.name)
    assert done.state == types.JobState.JOB_STATE_SUCCEEDED
    assert done.dest
    assert done.dest.inlined_responses
    first, second, third = done.dest.inlined_responses
    assert first.response
    assert first.response.text
    assert first.metadata == {"key": "first"}
    assert second.response
    assert third.error
    assert third.error.code == 3
    assert job.name in [known.name for known in client.batches.list()]
    client.batches.delete(name=job.name)
    with pytest.raises(errors.ClientError):
        client.batches.get(name=job.name)


def test_a_batch_from_a_file_leaves_a_file(client: genai.Client) -> None:
    lines = [{"key": f"k{n}", "request": {"contents": [{"parts": [{"text": f"Say {n}"}]}]}} for n in range(3)]
    source = client.files.upload(
        file=io.BytesIO("\n".join(map(json.dumps, lines)).encode()), config={"mime_type": "application/jsonl"}
    )
    assert source.name
    job = client.batches.create(model=MODEL, src=source.name)
    assert job.name
    done = client.batches.get(name=job.name)
    assert done.dest
    assert done.dest.file_name
    found = [json.loads(line) for line in client.files.download(file=done.dest.file_name).splitlines()]
    assert [line["key"] for line in found] == ["k0", "k1", "k2"]
    assert all(line["response"]["candidates"] for line in found)


def test_a_batch_of_embeddings(client: genai.Client) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        job = client.batches.create_embeddings(
            model="gemini-embedding-001", src={"inlined_requests": {"contents": ["one", "two"]}}
        )
    assert job.name
    done = client.batches.get(name=job.name)
    assert done.dest
    assert done.dest.inlined_embed_content_responses
    for answer in done.dest.inlined_embed_content_responses:
        assert answer.response
        assert answer.response.embedding
        assert answer.response.embedding.values


def test_a_store_is_filled_from_files_and_uploads(client: genai.Client) -> None:
    store = client.file_search_stores.create(config={"display_name": "shelf"})
    assert store.name
    uploading = client.file_search_stores.upload_to_file_search_store(
        file_search_store_name=store.name,
        file=io.BytesIO(b"A page of text."),
        config={"mime_type": "text/plain", "display_name": "page"},
    )
    uploaded = client.operations.get(uploading)
    assert uploaded.done
    assert uploaded.response
    assert uploaded.response.document_name
    source = text_file(client)
    assert source.name
    importing = client.file_search_stores.import_file(
        file_search_store_name=store.name, file_name=source.name
    )
    imported = client.operations.get(importing)
    assert imported.response
    names = [document.name for document in client.file_search_stores.documents.list(parent=store.name)]
    assert names == [uploaded.response.document_name, imported.response.document_name]
    document = client.file_search_stores.documents.get(name=str(names[0]))
    assert document.display_name == "page"
    assert document.state == types.DocumentState.STATE_ACTIVE
    again = client.file_search_stores.get(name=store.name)
    assert again.active_documents_count == 2
    with pytest.raises(errors.ClientError, match="non-empty"):
        client.file_search_stores.delete(name=store.name)
    client.file_search_stores.delete(name=store.name, config={"force": True})
    assert store.name not in [known.name for known in client.file_search_stores.list()]


def test_a_film_is_made_and_downloaded(client: genai.Client, simulator: Simulator) -> None:
    body = {"instances": [{"prompt": "A sea"}], "parameters": {"sampleCount": 2}}
    path = "/v1beta/models/veo-3.1-generate-001:predictLongRunning"
    begun = ask(simulator.url, path, body, key=KEY).json()
    done = client.operations.get(types.GenerateVideosOperation(name=begun["name"]))
    assert done.done
    assert done.response
    assert done.response.generated_videos
    assert len(done.response.generated_videos) == 2
    video = done.response.generated_videos[0].video
    assert video
    film = client.files.download(file=video)
    assert film[4:8] == b"ftyp"
    assert b"mdat" in film[:64]


def test_a_token_opens_the_project(client: genai.Client, simulator: Simulator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alpha = genai.Client(
            api_key=KEY, http_options=types.HttpOptions(base_url=simulator.url, api_version="v1alpha")
        )
        token = alpha.auth_tokens.create(config={"uses": 2})
    assert token.name
    assert token.name.startswith("auth_tokens/")
