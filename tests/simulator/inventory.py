"""A suitable request for each method of the inventory, in an order in which each finds what it needs.

``walk`` sends them all to any server that speaks Google's API, the simulator itself or a gateway in front of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.client import KEY, Answer, ask

HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
LONG = {"contents": [{"role": "user", "parts": [{"text": "A long story of the sea. " * 1200}]}]}
CONTENT = {"content": {"parts": [{"text": "Hello"}]}}
EMBED = {"model": "models/gemini-embedding-001", **CONTENT}
BATCH = {"batch": {"displayName": "b", "inputConfig": {"requests": {"requests": [{"request": HELLO}]}}}}
EMBED_BATCH = {"batch": {"displayName": "b", "inputConfig": {"requests": {"requests": [{"request": EMBED}]}}}}
PERMISSION = {"granteeType": "USER", "emailAddress": "a@example.com", "role": "READER"}
TUNED = {
    "displayName": "t",
    "baseModel": "models/gemini-3.8-flash",
    "tuningTask": {"trainingData": {"examples": {"examples": [{"textInput": "a", "output": "b"}]}}},
}
MULTIPART = (
    b'--edge\r\nContent-Type: application/json\r\n\r\n{"file": {"displayName": "note"}}\r\n'
    b"--edge\r\nContent-Type: text/plain\r\n\r\nHello\r\n--edge--\r\n"
)
MEDIA = {"content-type": "multipart/related; boundary=edge", "x-goog-upload-protocol": "multipart"}
RAW = {"content-type": "text/plain", "x-goog-upload-protocol": "raw"}
CHAT = {"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "Hello"}]}
JSONL = (
    b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": '
    + json.dumps(CHAT).encode()
    + b"}\n"
)
JSONL_MEDIA = {"content-type": "application/jsonl", "x-goog-upload-protocol": "raw"}
TRIGGER = {
    "display_name": "t",
    "schedule": "0 9 * * *",
    "time_zone": "UTC",
    "interaction": {"model": "gemini-3.8-flash", "input": "Hello"},
}
DECISION = {
    "model": "gemini-3.8-flash",
    "input": "Hello",
    "questions": {"so": {"type": "noul", "criteria": "Is it so?"}},
}
BEARER = {"authorization": f"Bearer {KEY}"}


@dataclass
class Step:
    """One request: the method's id, its verb and path below the version, and where its answer keeps a name.

    ``{x}`` in path or body is filled with what an earlier step kept as ``x``; ``keep`` is (x, path into the
    answer), with dots between the steps of that path. ``expect`` are the statuses that Google would give: there is
    no way to make an operation of a corpus or a generated file, and a batch may be done before it is cancelled.
    """

    id: str
    verb: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    keep: tuple[str, str] | None = None
    expect: tuple[int, ...] = (200,)


def crud(kind: str, plural: str, body: Any, name: str = "name", update: Any = None) -> list[Step]:
    """Create, list, get, perhaps update; its deletion comes later."""
    steps = [
        Step(f"{plural}.create", "POST", f"/{plural}", body, keep=(kind, name)),
        Step(f"{plural}.list", "GET", f"/{plural}"),
        Step(f"{plural}.get", "GET", f"/{plural}/{{{kind}}}"),
    ]
    if update is not None:
        steps.append(Step(f"{plural}.update", "PATCH", f"/{plural}/{{{kind}}}", update))
    return steps


def permissions(parent: str, path: str) -> list[Step]:
    """The permissions of a corpus or tuned model, from first to last."""
    one = f"{path}/permissions/{{permission}}"
    return [
        Step(
            f"{parent}.permissions.create",
            "POST",
            f"{path}/permissions",
            PERMISSION,
            keep=("permission", "name"),
        ),
        Step(f"{parent}.permissions.list", "GET", f"{path}/permissions"),
        Step(f"{parent}.permissions.get", "GET", one),
        Step(f"{parent}.permissions.patch", "PATCH", f"{one}?updateMask=role", {"role": "WRITER"}),
        Step(f"{parent}.permissions.delete", "DELETE", one),
    ]


def models() -> list[Step]:
    """Everything below /models."""
    flash, embedding = "/models/gemini-3.8-flash", "/models/gemini-embedding-001"
    text, gecko, chat = "/models/text-bison-001", "/models/embedding-gecko-001", "/models/chat-bison-001"
    message = {"prompt": {"messages": [{"content": "Hello"}]}}
    return [
        Step("models.list", "GET", "/models"),
        Step("models.get", "GET", flash),
        Step("models.generateContent", "POST", f"{flash}:generateContent", HELLO),
        Step("models.streamGenerateContent", "POST", f"{flash}:streamGenerateContent?alt=sse", HELLO),
        Step("models.countTokens", "POST", f"{flash}:countTokens", HELLO),
        Step("models.embedContent", "POST", f"{embedding}:embedContent", CONTENT),
        Step("models.batchEmbedContents", "POST", f"{embedding}:batchEmbedContents", {"requests": [EMBED]}),
        Step(
            "models.asyncBatchEmbedContent",
            "POST",
            f"{embedding}:asyncBatchEmbedContent",
            EMBED_BATCH,
            keep=("embatch", "name"),
        ),
        Step(
            "models.batchGenerateContent",
            "POST",
            f"{flash}:batchGenerateContent",
            BATCH,
            keep=("batch", "name"),
        ),
        Step(
            "models.predict",
            "POST",
            "/models/gemini-nano-banana-2.1:predict",
            {"instances": [{"prompt": "cat"}]},
        ),
        Step(
            "models.predictLongRunning",
            "POST",
            "/models/veo-3.1-generate-001:predictLongRunning",
            {"instances": [{"prompt": "cat"}]},
            keep=("operation", "name"),
        ),
        Step("models.operations.list", "GET", "/models/veo-3.1-generate-001/operations"),
        Step("models.operations.get", "GET", "/models/veo-3.1-generate-001/operations/{operation}"),
        Step("models.generateText", "POST", f"{text}:generateText", {"prompt": {"text": "Hello"}}),
        Step("models.countTextTokens", "POST", f"{text}:countTextTokens", {"prompt": {"text": "Hello"}}),
        Step("models.embedText", "POST", f"{gecko}:embedText", {"text": "Hello"}),
        Step("models.batchEmbedText", "POST", f"{gecko}:batchEmbedText", {"texts": ["Hello"]}),
        Step("models.generateMessage", "POST", f"{chat}:generateMessage", message),
        Step("models.countMessageTokens", "POST", f"{chat}:countMessageTokens", message),
        Step(
            "models.generateAnswer", "POST", "/models/aqa:generateAnswer", {**HELLO, "answerStyle": "VERBOSE"}
        ),
        Step("dynamic.generateContent", "POST", "/dynamic/one:generateContent", HELLO),
        Step("dynamic.streamGenerateContent", "POST", "/dynamic/one:streamGenerateContent?alt=sse", HELLO),
    ]


def files_and_stores() -> list[Step]:
    """Files, file search stores, caches and batches."""
    store = "/fileSearchStores/{store}"
    return [
        Step("media.upload", "POST", "UPLOAD/files", MULTIPART, MEDIA, keep=("file", "file.name")),
        Step("files.list", "GET", "/files"),
        Step("files.get", "GET", "/files/{file}"),
        Step("files.register", "POST", "/files:register", {"uris": ["gs://bucket/a.txt"]}),
        Step("generatedFiles.list", "GET", "/generatedFiles", keep=("generated", "generatedFiles.0.name")),
        Step(
            "generatedFiles.operations.get",
            "GET",
            "/generatedFiles/{generated}/operations/one",
            expect=(404,),
        ),
        Step("files.download", "GET", "/files/{generated}:download?alt=media"),
        Step("media.download", "GET", "DOWNLOAD/files/{generated}:download?alt=media"),
        Step(
            "fileSearchStores.create",
            "POST",
            "/fileSearchStores",
            {"displayName": "s"},
            keep=("store", "name"),
        ),
        Step("fileSearchStores.list", "GET", "/fileSearchStores"),
        Step("fileSearchStores.get", "GET", store),
        Step(
            "fileSearchStores.importFile",
            "POST",
            f"{store}:importFile",
            {"fileName": "files/{file}"},
            keep=("operation", "name"),
        ),
        Step("fileSearchStores.operations.get", "GET", f"{store}/operations/{{operation}}"),
        Step(
            "media.uploadToFileSearchStore",
            "POST",
            "UPLOAD" + f"{store}:uploadToFileSearchStore",
            b"Hello",
            RAW,
            keep=("operation", "name"),
        ),
        Step("fileSearchStores.upload.operations.get", "GET", f"{store}/upload/operations/{{operation}}"),
        Step(
            "fileSearchStores.documents.list",
            "GET",
            f"{store}/documents",
            keep=("document", "documents.0.name"),
        ),
        Step("fileSearchStores.documents.get", "GET", f"{store}/documents/{{document}}"),
        Step("fileSearchStores.documents.delete", "DELETE", f"{store}/documents/{{document}}?force=true"),
        Step("fileSearchStores.delete", "DELETE", f"{store}?force=true"),
        Step("files.delete", "DELETE", "/files/{file}"),
        Step(
            "cachedContents.create",
            "POST",
            "/cachedContents",
            {"model": "models/gemini-3.8-flash", **LONG},
            keep=("cache", "name"),
        ),
        Step("cachedContents.list", "GET", "/cachedContents"),
        Step("cachedContents.get", "GET", "/cachedContents/{cache}"),
        Step("cachedContents.patch", "PATCH", "/cachedContents/{cache}", {"ttl": "60s"}),
        Step("cachedContents.delete", "DELETE", "/cachedContents/{cache}"),
        Step("batches.list", "GET", "/batches"),
        Step("batches.get", "GET", "/batches/{batch}"),
        Step(
            "batches.updateGenerateContentBatch",
            "PATCH",
            "/batches/{batch}:updateGenerateContentBatch?updateMask=priority",
            {"priority": "1"},
        ),
        Step(
            "batches.updateEmbedContentBatch",
            "PATCH",
            "/batches/{embatch}:updateEmbedContentBatch?updateMask=priority",
            {"priority": "1"},
        ),
        Step("batches.cancel", "POST", "/batches/{batch}:cancel", {}, expect=(200, 400)),
        Step("batches.delete", "DELETE", "/batches/{batch}"),
    ]


def tuned() -> list[Step]:
    """Tuned models and corpora."""
    one, corpus = "/tunedModels/{tuned}", "/corpora/{corpus}"
    return [
        Step("tunedModels.create", "POST", "/tunedModels", TUNED, keep=("tuned", "metadata.tunedModel")),
        Step("tunedModels.list", "GET", "/tunedModels"),
        Step("tunedModels.get", "GET", one),
        Step("tunedModels.patch", "PATCH", f"{one}?updateMask=displayName", {"displayName": "u"}),
        Step(
            "tunedModels.operations.list", "GET", f"{one}/operations", keep=("operation", "operations.0.name")
        ),
        Step("tunedModels.operations.get", "GET", f"{one}/operations/{{operation}}"),
        Step("tunedModels.generateContent", "POST", f"{one}:generateContent", HELLO),
        Step("tunedModels.streamGenerateContent", "POST", f"{one}:streamGenerateContent?alt=sse", HELLO),
        Step("tunedModels.generateText", "POST", f"{one}:generateText", {"prompt": {"text": "Hello"}}),
        Step("tunedModels.batchGenerateContent", "POST", f"{one}:batchGenerateContent", BATCH),
        Step("tunedModels.asyncBatchEmbedContent", "POST", f"{one}:asyncBatchEmbedContent", EMBED_BATCH),
        *permissions("tunedModels", one),
        Step(
            "tunedModels.transferOwnership",
            "POST",
            f"{one}:transferOwnership",
            {"emailAddress": "b@example.com"},
        ),
        Step("tunedModels.delete", "DELETE", one),
        Step("corpora.create", "POST", "/corpora", {"displayName": "c"}, keep=("corpus", "name")),
        Step("corpora.list", "GET", "/corpora"),
        Step("corpora.get", "GET", corpus),
        Step("corpora.operations.get", "GET", f"{corpus}/operations/one", expect=(404,)),
        *permissions("corpora", corpus),
        Step("corpora.delete", "DELETE", f"{corpus}?force=true"),
    ]


def platform() -> list[Step]:
    """Interactions and the resources around them."""
    files = "environments/{environment}/files/a.txt"
    return [
        Step(
            "interactions.create",
            "POST",
            "/interactions",
            {"model": "gemini-3.8-flash", "input": "Hello"},
            keep=("interaction", "id"),
        ),
        Step("interactions.get", "GET", "/interactions/{interaction}"),
        Step(
            "interactions.create",
            "POST",
            "/interactions",
            {"model": "gemini-3.8-flash", "input": "Hello", "background": True},
            keep=("background", "id"),
        ),
        Step("interactions.cancel", "POST", "/interactions/{background}/cancel", {}, expect=(200, 400)),
        Step("interactions.delete", "DELETE", "/interactions/{interaction}"),
        Step("auth_tokens.create", "POST", "/auth_tokens", {"uses": 1}),
        *crud("agent", "agents", {"id": "helper", "base_agent": "antigravity-preview-09-2026"}, "id"),
        *crud("credential", "credentials", {"type": "bearer_token", "token": "t"}, "id", {"token": "u"}),
        *crud("environment", "environments", {}, "id"),
        Step("environments.files.upload", "PUT", f"UPLOAD/{files}", b"Hello", RAW),
        Step("environments.files.get", "GET", f"/{files}"),
        *crud("trigger", "triggers", TRIGGER, "id", {"display_name": "u"}),
        Step("triggers.executions.create", "POST", "/triggers/{trigger}/executions", {}),
        Step("triggers.executions.list", "GET", "/triggers/{trigger}/executions"),
        *crud(
            "webhook",
            "webhooks",
            {"uri": "https://example.com/hook", "subscribed_events": ["batch.succeeded"]},
            "id",
            {"state": "disabled"},
        ),
        Step("webhooks.ping", "POST", "/webhooks/{webhook}:ping", {}),
        Step("webhooks.rotateSigningSecret", "POST", "/webhooks/{webhook}:rotateSigningSecret", {}),
        *crud(
            "voice",
            "voices",
            {"voice": {"type": "prompted", "display_name": "v", "prompted": {"prompt": "calm"}}},
            "id",
        ),
        Step("decisions.create", "POST", "/decisions", DECISION),
        *(
            Step(f"{kind}s.delete", "DELETE", f"/{kind}s/{{{kind}}}")
            for kind in ("agent", "credential", "environment", "trigger", "webhook", "voice")
        ),
    ]


def openai() -> list[Step]:
    """Google's OpenAI layer."""
    embedding = {"model": "gemini-embedding-001", "input": "Hello"}
    return [
        Step("openai.chat.completions", "POST", "/openai/chat/completions", CHAT, BEARER),
        Step("openai.embeddings", "POST", "/openai/embeddings", embedding, BEARER),
        Step("openai.models.list", "GET", "/openai/models", headers=BEARER),
        Step("openai.models.get", "GET", "/openai/models/gemini-3.8-flash", headers=BEARER),
        Step(
            "openai.images.generations",
            "POST",
            "/openai/images/generations",
            {"model": "gemini-nano-banana-2.1", "prompt": "cat"},
            BEARER,
        ),
        Step(
            "openai.videos.create",
            "POST",
            "/openai/videos",
            {"model": "veo-3.1-generate-001", "prompt": "cat"},
            BEARER,
            keep=("video", "id"),
        ),
        Step("openai.videos.get", "GET", "/openai/videos/{video}", headers=BEARER),
        Step("media.upload", "POST", "UPLOAD/files", JSONL, JSONL_MEDIA, keep=("jsonl", "file.name")),
        Step(
            "openai.batches.create",
            "POST",
            "/openai/batches",
            {
                "input_file_id": "files/{jsonl}",
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            },
            BEARER,
            keep=("openai_batch", "id"),
        ),
        Step("openai.batches.get", "GET", "/openai/batches/{openai_batch}", headers=BEARER),
    ]


def steps() -> list[Step]:
    """All of them."""
    return [*models(), *files_and_stores(), *tuned(), *platform(), *openai()]


def filled(value: Any, kept: dict[str, str]) -> Any:
    """``value`` with ``{x}`` replaced by what is known as x."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: kept.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {name: filled(item, kept) for name, item in value.items()}
    return [filled(item, kept) for item in value] if isinstance(value, list) else value


def dig(value: Any, path: str) -> str:
    """The last segment of the name that lies at ``path`` in an answer."""
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else value[step]
    return str(value).rpartition("/")[2]


def walk(url: str, version: str) -> Iterator[tuple[Step, Answer]]:
    """Send each request under ``version`` and show its answer."""
    kept: dict[str, str] = {}
    for step in steps():
        path = filled(step.path, kept)
        where = f"/{version}{path}"
        for door in ("upload", "download"):
            if path.startswith(door.upper()):
                where = f"/{door}/{version}{path[len(door) :]}"
        key = "" if "authorization" in step.headers else KEY
        answer = ask(url, where, filled(step.body, kept), step.verb, step.headers, key)
        if step.keep is not None and answer.status == 200:
            kept[step.keep[0]] = dig(answer.json(), step.keep[1])
        yield step, answer
