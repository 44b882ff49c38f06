"""What users of google-genai keep at Google: files, caches, batches, stores; played on both sides."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from google.genai import types

from tests.sdk.sides import Side, raw
from tests.sdk.talking import EMBEDDER, FLASH, OLDER, told

MEBIBYTE = 1 << 20
VEO = "veo-3.1-generate-001"


def refusal(ask: Any) -> dict[str, Any]:
    """What a program sees when ``ask`` is refused."""
    try:
        ask()
    except Exception as error:
        if not hasattr(error, "details"):
            raise
        return told(error)
    raise AssertionError("nothing was refused")


def small_file(side: Side) -> Any:
    """Uploaded, read, used, listed, deleted, gone."""
    client = side.client()
    text = io.BytesIO(b"A note about the sea. " * 50)
    config = types.UploadFileConfig(mime_type="text/plain", display_name="note")
    made = client.files.upload(file=text, config=config)
    assert made.name
    again = client.files.get(name=made.name)
    used = client.models.generate_content(model=FLASH, contents=[made, "What is it about?"])
    listed = [file.name for file in client.files.list(config=types.ListFilesConfig(page_size=1))]
    gone = client.files.delete(name=made.name)
    return [made, again, used, listed, gone, refusal(lambda: client.files.get(name=made.name or ""))]


def file_by_an_older_door(side: Side) -> Any:
    """The same under v1beta, with a name of the client's own."""
    client = side.client(api_version="v1beta")
    config = types.UploadFileConfig(mime_type="text/plain", name="files/my-own-name")
    made = client.files.upload(file=io.BytesIO(b"x" * 300), config=config)
    client.files.delete(name="files/my-own-name")
    return made


def large_file(side: Side) -> Any:
    """20 MiB in three legs; the digest shows that every byte arrived."""
    block = hashlib.shake_128(b"large").digest(MEBIBYTE)
    config = types.UploadFileConfig(mime_type="application/octet-stream")
    client = side.client()
    made = client.files.upload(file=io.BytesIO(block * 20), config=config)
    client.files.delete(name=made.name or "")
    assert made.size_bytes == 20 * MEBIBYTE
    return made


async def _kept(aio: Any) -> list[Any]:
    config = types.UploadFileConfig(mime_type="text/plain")
    made = await aio.files.upload(file=io.BytesIO(b"z" * 1000), config=config)
    again = await aio.files.get(name=made.name)
    return [made, again, await aio.files.delete(name=made.name)]


def file_waiting(side: Side) -> Any:
    """The asynchronous client, over both transports."""
    return [side.waiting(_kept), side.waiting(_kept, taped=False)]


def video(side: Side) -> Any:
    """A film downloaded by the SDK, which no longer begins one by itself outside Google's enterprise platform."""
    begun = raw(
        "POST",
        f"{side.url}/v1beta/models/{VEO}:predictLongRunning",
        headers={"x-goog-api-key": side.key, "user-agent": "curl/8.5.0"},
        json={"instances": [{"prompt": "A boat."}], "parameters": {"sampleCount": 1}},
    ).json()
    (sample,) = begun["response"]["generateVideoResponse"]["generatedSamples"]
    film = types.GeneratedVideo(video=types.Video(uri=sample["video"]["uri"]))
    client = side.client(api_version="v1beta")
    data = client.files.download(file=film)
    assert data
    assert len(data) > 60_000
    made = [file for file in client.files.list() if file.source == types.FileSource.GENERATED]
    for file in made:
        client.files.delete(name=file.name or "")
    return [begun, made, data]


def cache(side: Side) -> Any:
    """Made, used, read, prolonged, listed, deleted, gone."""
    client = side.client()
    config = types.CreateCachedContentConfig(
        contents=["A long book. " * 4000],
        system_instruction="Answer from the book.",
        ttl="600s",
        display_name="book",
    )
    made = client.caches.create(model=OLDER, config=config)
    assert made.name
    used = client.models.generate_content(
        model=OLDER, contents="Who is the hero?", config=types.GenerateContentConfig(cached_content=made.name)
    )
    assert used.usage_metadata
    assert (used.usage_metadata.cached_content_token_count or 0) > 1000
    again = client.caches.get(name=made.name)
    longer = client.caches.update(name=made.name, config=types.UpdateCachedContentConfig(ttl="1200s"))
    listed = list(client.caches.list())
    gone = client.caches.delete(name=made.name)
    return [made, used, again, longer, listed, gone, refusal(lambda: client.caches.get(name=made.name or ""))]


def batch(side: Side) -> Any:
    """Two requests handed in at once, read when done, listed, too late to cancel, deleted."""
    client = side.client()
    requests: list[Any] = [
        {"contents": [{"parts": [{"text": text}], "role": "user"}], "metadata": {"key": text}}
        for text in ("one", "two")
    ]
    made = client.batches.create(
        model=OLDER, src=requests, config=types.CreateBatchJobConfig(display_name="pair")
    )
    assert made.name
    done = client.batches.get(name=made.name)
    listed = [job.name for job in client.batches.list(config=types.ListBatchJobsConfig(page_size=1))]
    late = refusal(lambda: client.batches.cancel(name=made.name or ""))
    gone = client.batches.delete(name=made.name)
    return [made, done, listed, late, gone, refusal(lambda: client.batches.get(name=made.name or ""))]


def batch_from_a_file(side: Side) -> Any:
    """Requests from an uploaded file, answers in a file that is downloaded."""
    client = side.client()
    lines = b'{"key": "a", "request": {"contents": [{"parts": [{"text": "one"}]}]}}\n' * 2
    source = client.files.upload(
        file=io.BytesIO(lines), config=types.UploadFileConfig(mime_type="application/jsonl")
    )
    made = client.batches.create(model=OLDER, src=source.name or "")
    done = client.batches.get(name=made.name or "")
    assert done.dest
    answers = client.files.download(file=done.dest.file_name or "")
    for name in (source.name, done.dest.file_name):
        client.files.delete(name=name or "")
    client.batches.delete(name=made.name or "")
    return [made, done, answers]


def batch_of_embeddings(side: Side) -> Any:
    """The other kind of batch."""
    client = side.client()
    texts = types.EmbedContentBatch(contents=["first", "second"])
    source = types.EmbeddingsBatchJobSource(inlined_requests=texts)
    made = client.batches.create_embeddings(model=EMBEDDER, src=source)
    done = client.batches.get(name=made.name or "")
    client.batches.delete(name=made.name or "")
    return [made, done]


def store(side: Side) -> Any:
    """A file search store, filled by upload and by import, with its documents, deleted by force."""
    client = side.client()
    stores = client.file_search_stores
    made = stores.create(config=types.CreateFileSearchStoreConfig(display_name="papers"))
    assert made.name
    text = io.BytesIO(b"What the paper says. " * 20)
    upload_config = types.UploadToFileSearchStoreConfig(mime_type="text/plain", display_name="paper")
    uploaded = stores.upload_to_file_search_store(
        file_search_store_name=made.name, file=text, config=upload_config
    )
    read = client.operations.get(uploaded)
    file = client.files.upload(
        file=io.BytesIO(b"more"), config=types.UploadFileConfig(mime_type="text/plain")
    )
    imported = stores.import_file(file_search_store_name=made.name, file_name=file.name or "")
    documents = list(stores.documents.list(parent=made.name))
    one = stores.documents.get(name=documents[0].name or "")
    again = stores.get(name=made.name)
    listed = [item.name for item in stores.list()]
    full = refusal(lambda: stores.delete(name=made.name or ""))
    stores.delete(name=made.name, config=types.DeleteFileSearchStoreConfig(force=True))
    client.files.delete(name=file.name or "")
    return [made, uploaded, read, imported, documents, one, again, listed, full]


def token(side: Side) -> Any:
    """An ephemeral token."""
    client = side.client(api_version="v1alpha")
    return client.auth_tokens.create(config=types.CreateAuthTokenConfig(uses=2))


SCENARIOS = [
    small_file, file_by_an_older_door, large_file, file_waiting, video, cache, batch, batch_from_a_file,
    batch_of_embeddings, store, token,
]  # fmt: skip
