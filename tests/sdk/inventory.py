"""One request for every method of Google's inventory, in an order in which each finds what it needs.

A line is the method's id, its verb and its path without the version, then a body and what to keep of the answer for
the lines below: ``{name}`` in a path or body is what an earlier answer, or the start, called ``name``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TEXT = "gemini-3.8-flash"
EMBEDDER = "gemini-embedding-001"
FILM = "veo-3.1-generate-001"
PAINTER = "gemini-3.1-flash-image"
CHATTER = "chat-bison-001"
TEXTER = "text-bison-001"
OLD_EMBEDDER = "embedding-gecko-001"
CONTENTS = [{"role": "user", "parts": [{"text": "Name a colour."}]}]
GENERATE = {"contents": CONTENTS}
BEHIND = {"model": TEXT, "input": "Work.", "background": True}
EMBED = {"content": {"parts": [{"text": "a sentence"}]}}
BOOK = {"parts": [{"text": "A long book. " * 6000}], "role": "user"}
BATCH = {"batch": {"displayName": "b", "inputConfig": {"requests": {"requests": [{"request": GENERATE}]}}}}
VECTORS = {"batch": {"displayName": "e", "inputConfig": {"requests": {"requests": [{"request": EMBED}]}}}}
TUNING = {
    "displayName": "mine",
    "baseModel": f"models/{TEXT}",
    "tuningTask": {"trainingData": {"examples": {"examples": [{"textInput": "1", "output": "2"}]}}},
}
PALM = {"prompt": {"text": "Hello."}}
PERMISSION = {"granteeType": "USER", "emailAddress": "someone@example.com", "role": "READER"}
CHAT = {"model": TEXT, "messages": [{"role": "user", "content": "Name a colour."}]}
JOBS = '{"custom_id": "1", "body": {"messages": [{"role": "user", "content": "Hi."}], "model": "gemini-3.8-flash"}}'
CRON = {"interaction": {"model": TEXT, "input": "Work."}, "schedule": "0 9 * * *", "time_zone": "UTC"}
HOOK = {"uri": "https://example.com/hook", "subscribed_events": ["batch.succeeded"]}
RAW = {"x-goog-upload-protocol": "raw", "x-goog-upload-file-name": "note.txt"}


@dataclass(frozen=True)
class Step:
    """One request. ``keep`` maps a name to the dotted place of a value in the answer, of which the last path segment
    is kept; ``raw`` sends the body as a text file, by the raw upload protocol. ``status`` is what the simulator says,
    ``early`` asks before background work is done.
    """

    method: str
    verb: str
    path: str
    body: Any = None
    keep: dict[str, str] = field(default_factory=dict)
    raw: bool = False
    status: int = 200
    early: bool = False


def made(name: str, place: str = "name") -> dict[str, str]:
    """Keep the name of what was made."""
    return {name: place}


FILES = [
    Step(
        "media.upload", "POST", "/upload/{v}/files", body="a note", keep=made("file", "file.name"), raw=True
    ),
    Step("media.upload", "POST", "/{v}/files", {"file": {"displayName": "empty"}}),
    Step("files.get", "GET", "/{v}/files/{file}"),
    Step("files.list", "GET", "/{v}/files"),
    Step("files.register", "POST", "/{v}/files:register", {"uris": ["gs://bucket/thing.txt"]}),
    Step("files.download", "GET", "/{v}/files/{file}:download?alt=media"),
    Step("media.download", "GET", "/download/{v}/files/{file}:download?alt=media"),
]
MODELS = [
    Step("models.list", "GET", "/{v}/models"),
    Step("models.get", "GET", f"/{{v}}/models/{TEXT}"),
    Step("models.generateContent", "POST", f"/{{v}}/models/{TEXT}:generateContent", GENERATE),
    Step("models.streamGenerateContent", "POST", f"/{{v}}/models/{TEXT}:streamGenerateContent?alt=sse", GENERATE),
    Step("models.countTokens", "POST", f"/{{v}}/models/{TEXT}:countTokens", GENERATE),
    Step("models.embedContent", "POST", f"/{{v}}/models/{EMBEDDER}:embedContent", EMBED),
    Step(
        "models.batchEmbedContents",
        "POST",
        f"/{{v}}/models/{EMBEDDER}:batchEmbedContents",
        {"requests": [{"model": f"models/{EMBEDDER}", **EMBED}]},
    ),
    Step("models.batchGenerateContent", "POST", f"/{{v}}/models/{TEXT}:batchGenerateContent", BATCH, made("batch")),
    Step(
        "models.asyncBatchEmbedContent",
        "POST",
        f"/{{v}}/models/{EMBEDDER}:asyncBatchEmbedContent",
        VECTORS,
        made("vectors"),
    ),
    Step(
        "models.predictLongRunning",
        "POST",
        f"/{{v}}/models/{FILM}:predictLongRunning",
        {"instances": [{"prompt": "A boat."}]},
        made("film"),
    ),
    Step("models.operations.get", "GET", f"/{{v}}/models/{FILM}/operations/{{film}}"),
    Step("models.operations.list", "GET", f"/{{v}}/models/{FILM}/operations"),
    Step("models.predict", "POST", f"/{{v}}/models/{PAINTER}:predict", {"instances": [{"prompt": "A cat."}]}),
    Step(
        "models.generateAnswer",
        "POST",
        "/{v}/models/aqa:generateAnswer",
        {"contents": CONTENTS, "answerStyle": "ABSTRACTIVE", "inlinePassages": {"passages": [
            {"id": "p", "content": CONTENTS[0]}]}},
    ),
    Step("models.generateMessage", "POST", f"/{{v}}/models/{CHATTER}:generateMessage",
         {"prompt": {"messages": [{"content": "Hello."}]}}),
    Step("models.countMessageTokens", "POST", f"/{{v}}/models/{CHATTER}:countMessageTokens",
         {"prompt": {"messages": [{"content": "Hello."}]}}),
    Step("models.generateText", "POST", f"/{{v}}/models/{TEXTER}:generateText", PALM),
    Step("models.countTextTokens", "POST", f"/{{v}}/models/{TEXTER}:countTextTokens", PALM),
    Step("models.embedText", "POST", f"/{{v}}/models/{OLD_EMBEDDER}:embedText", {"text": "Hello."}),
    Step("models.batchEmbedText", "POST", f"/{{v}}/models/{OLD_EMBEDDER}:batchEmbedText", {"texts": ["Hello."]}),
    Step("dynamic.generateContent", "POST", "/{v}/dynamic/d1:generateContent", GENERATE),
    Step("dynamic.streamGenerateContent", "POST", "/{v}/dynamic/d1:streamGenerateContent?alt=sse", GENERATE),
]  # fmt: skip
KEPT = [
    Step("batches.get", "GET", "/{v}/batches/{batch}"),
    Step("batches.list", "GET", "/{v}/batches"),
    Step(
        "batches.updateGenerateContentBatch",
        "PATCH",
        "/{v}/batches/{batch}:updateGenerateContentBatch",
        {"displayName": "other"},
    ),
    Step(
        "batches.updateEmbedContentBatch",
        "PATCH",
        "/{v}/batches/{vectors}:updateEmbedContentBatch",
        {"displayName": "other"},
    ),
    Step(
        "cachedContents.create",
        "POST",
        "/{v}/cachedContents",
        {"model": "models/gemini-2.5-flash", "contents": [BOOK], "ttl": "60s"},
        made("cache"),
    ),
    Step("cachedContents.get", "GET", "/{v}/cachedContents/{cache}"),
    Step("cachedContents.list", "GET", "/{v}/cachedContents"),
    Step("cachedContents.patch", "PATCH", "/{v}/cachedContents/{cache}?updateMask=ttl", {"ttl": "90s"}),
    Step("cachedContents.delete", "DELETE", "/{v}/cachedContents/{cache}"),
    Step("auth_tokens.create", "POST", "/{v}/auth_tokens", {"uses": 1}),
    Step("generatedFiles.list", "GET", "/{v}/generatedFiles"),
    Step("interactions.create", "POST", "/{v}/interactions", {"model": TEXT, "input": "Hello."}, made("talk", "id")),
    Step("interactions.get", "GET", "/{v}/interactions/{talk}"),
    # All work is done at once here, so it comes too late; a test of its own cancels one that runs.
    Step("interactions.create", "POST", "/{v}/interactions", BEHIND, made("work", "id")),
    Step("interactions.cancel", "POST", "/{v}/interactions/{work}/cancel", status=400),
    Step("interactions.delete", "DELETE", "/{v}/interactions/{talk}"),
    Step("decisions.create", "POST", "/{v}/decisions",
         {"model": TEXT, "input": "A fine day.", "questions": {"mood": {"type": "noul"}}}),
]  # fmt: skip
TUNED = [
    Step("tunedModels.create", "POST", "/{v}/tunedModels?tunedModelId=tuned-{v}", TUNING, made("tuning")),
    Step("tunedModels.get", "GET", "/{v}/tunedModels/tuned-{v}"),
    Step("tunedModels.list", "GET", "/{v}/tunedModels"),
    Step(
        "tunedModels.patch",
        "PATCH",
        "/{v}/tunedModels/tuned-{v}?updateMask=description",
        {"description": "d"},
    ),
    Step("tunedModels.operations.get", "GET", "/{v}/tunedModels/tuned-{v}/operations/{tuning}"),
    Step("tunedModels.operations.list", "GET", "/{v}/tunedModels/tuned-{v}/operations"),
    Step("tunedModels.generateContent", "POST", "/{v}/tunedModels/tuned-{v}:generateContent", GENERATE),
    Step(
        "tunedModels.streamGenerateContent",
        "POST",
        "/{v}/tunedModels/tuned-{v}:streamGenerateContent",
        GENERATE,
    ),
    Step(
        "tunedModels.generateText",
        "POST",
        "/{v}/tunedModels/tuned-{v}:generateText",
        {"prompt": {"text": "Hi."}},
    ),
    Step(
        "tunedModels.batchGenerateContent", "POST", "/{v}/tunedModels/tuned-{v}:batchGenerateContent", BATCH
    ),
    Step(
        "tunedModels.asyncBatchEmbedContent",
        "POST",
        "/{v}/tunedModels/tuned-{v}:asyncBatchEmbedContent",
        VECTORS,
    ),
    Step(
        "tunedModels.permissions.create",
        "POST",
        "/{v}/tunedModels/tuned-{v}/permissions",
        PERMISSION,
        made("permission"),
    ),
    Step("tunedModels.permissions.get", "GET", "/{v}/tunedModels/tuned-{v}/permissions/{permission}"),
    Step("tunedModels.permissions.list", "GET", "/{v}/tunedModels/tuned-{v}/permissions"),
    Step(
        "tunedModels.permissions.patch",
        "PATCH",
        "/{v}/tunedModels/tuned-{v}/permissions/{permission}?updateMask=role",
        {"role": "WRITER"},
    ),
    Step("tunedModels.permissions.delete", "DELETE", "/{v}/tunedModels/tuned-{v}/permissions/{permission}"),
    Step(
        "tunedModels.transferOwnership",
        "POST",
        "/{v}/tunedModels/tuned-{v}:transferOwnership",
        {"emailAddress": "other@example.com"},
    ),
    Step("tunedModels.delete", "DELETE", "/{v}/tunedModels/tuned-{v}"),
]
CORPORA = [
    Step("corpora.create", "POST", "/{v}/corpora", {"displayName": "c"}, made("corpus")),
    Step("corpora.get", "GET", "/{v}/corpora/{corpus}"),
    Step("corpora.list", "GET", "/{v}/corpora"),
    Step(
        "corpora.permissions.create", "POST", "/{v}/corpora/{corpus}/permissions", PERMISSION, made("reader")
    ),
    Step("corpora.permissions.get", "GET", "/{v}/corpora/{corpus}/permissions/{reader}"),
    Step("corpora.permissions.list", "GET", "/{v}/corpora/{corpus}/permissions"),
    Step(
        "corpora.permissions.patch",
        "PATCH",
        "/{v}/corpora/{corpus}/permissions/{reader}?updateMask=role",
        {"role": "WRITER"},
    ),
    Step("corpora.permissions.delete", "DELETE", "/{v}/corpora/{corpus}/permissions/{reader}"),
    Step("corpora.delete", "DELETE", "/{v}/corpora/{corpus}"),
    Step("fileSearchStores.create", "POST", "/{v}/fileSearchStores", {"displayName": "s"}, made("store")),
    Step("fileSearchStores.get", "GET", "/{v}/fileSearchStores/{store}"),
    Step("fileSearchStores.list", "GET", "/{v}/fileSearchStores"),
    Step(
        "fileSearchStores.importFile",
        "POST",
        "/{v}/fileSearchStores/{store}:importFile",
        {"fileName": "files/{file}"},
        made("import"),
    ),
    Step("fileSearchStores.operations.get", "GET", "/{v}/fileSearchStores/{store}/operations/{import}"),
    Step(
        "media.uploadToFileSearchStore",
        "POST",
        "/upload/{v}/fileSearchStores/{store}:uploadToFileSearchStore",
        "a note",
        made("indexing"),
        raw=True,
    ),
    Step(
        "fileSearchStores.upload.operations.get",
        "GET",
        "/{v}/fileSearchStores/{store}/upload/operations/{indexing}",
    ),
    Step(
        "media.uploadToFileSearchStore",
        "POST",
        "/{v}/fileSearchStores/{store}:uploadToFileSearchStore",
        {"displayName": "empty"},
    ),
    Step(
        "fileSearchStores.documents.list",
        "GET",
        "/{v}/fileSearchStores/{store}/documents",
        keep=made("document", "documents.0.name"),
    ),
    Step("fileSearchStores.documents.get", "GET", "/{v}/fileSearchStores/{store}/documents/{document}"),
    Step("fileSearchStores.documents.delete", "DELETE", "/{v}/fileSearchStores/{store}/documents/{document}"),
    Step("fileSearchStores.delete", "DELETE", "/{v}/fileSearchStores/{store}?force=true"),
]


def simple(plural: str, body: Any, change: Any = None) -> list[Step]:
    """Create, get, list, perhaps change, and delete of one of the newer resources."""
    one = plural.removesuffix("s")
    steps = [
        Step(f"{plural}.create", "POST", f"/{{v}}/{plural}", body, made(one, "id")),
        Step(f"{plural}.get", "GET", f"/{{v}}/{plural}/{{{one}}}"),
        Step(f"{plural}.list", "GET", f"/{{v}}/{plural}"),
    ]
    if change:
        steps.append(Step(f"{plural}.update", "PATCH", f"/{{v}}/{plural}/{{{one}}}", change))
    return [*steps, Step(f"{plural}.delete", "DELETE", f"/{{v}}/{plural}/{{{one}}}")]


def between(steps: list[Step], *more: Step) -> list[Step]:
    """``more`` before the deletion at the end."""
    return [*steps[:-1], *more, steps[-1]]


PLATFORM = [
    *simple("agents", {"id": "agent-{v}", "system_instruction": "Be kind."}),
    *simple("credentials", {"type": "bearer_token", "token": "t"}, {"token": "u"}),
    *simple("voices", {"voice": {"type": "prompted", "prompted": {"prompt": "A calm voice."}}}),
    *between(
        simple("triggers", CRON, {"display_name": "daily"}),
        Step("triggers.executions.create", "POST", "/{v}/triggers/{trigger}/executions", {}),
        Step("triggers.executions.list", "GET", "/{v}/triggers/{trigger}/executions"),
    ),
    *between(
        simple("webhooks", HOOK, {"uri": "https://example.com/other"}),
        Step("webhooks.ping", "POST", "/{v}/webhooks/{webhook}:ping", {}),
        Step("webhooks.rotateSigningSecret", "POST", "/{v}/webhooks/{webhook}:rotateSigningSecret", {}),
    ),
    *between(
        simple("environments", {}),
        Step(
            "environments.files.upload",
            "PUT",
            "/upload/{v}/environments/{environment}/files/a/b.txt",
            raw=True,
        ),
        Step("environments.files.get", "GET", "/{v}/environments/{environment}/files/a/b.txt"),
    ),
]
OPENAI = [
    Step("openai.chat.completions", "POST", "/{v}/openai/chat/completions", CHAT),
    Step("openai.embeddings", "POST", "/{v}/openai/embeddings", {"model": EMBEDDER, "input": "text"}),
    Step("openai.models.list", "GET", "/{v}/openai/models"),
    Step("openai.models.get", "GET", f"/{{v}}/openai/models/{TEXT}"),
    Step("openai.images.generations", "POST", "/{v}/openai/images/generations", {"prompt": "A cat."}),
    Step("openai.videos.create", "POST", "/{v}/openai/videos", {"prompt": "A boat."}, made("clip", "id")),
    Step("openai.videos.get", "GET", "/{v}/openai/videos/{clip}"),
    Step("media.upload", "POST", "/upload/{v}/files", JOBS, made("jobs", "file.name"), raw=True),
    Step("openai.batches.create", "POST", "/{v}/openai/batches",
         {"input_file_id": "files/{jobs}", "endpoint": "/v1/chat/completions"}, made("chats", "id")),
    Step("openai.batches.get", "GET", "/{v}/openai/batches/{chats}"),
]  # fmt: skip
LAST = [
    # Nothing that the inventory offers begins an operation of these two kinds: Google knows no such name.
    Step("corpora.operations.get", "GET", "/{v}/corpora/c/operations/o", status=404),
    Step("generatedFiles.operations.get", "GET", "/{v}/generatedFiles/g/operations/o", status=404),
    Step(
        "models.batchGenerateContent",
        "POST",
        f"/{{v}}/models/{TEXT}:batchGenerateContent",
        BATCH,
        made("late"),
    ),
    Step("batches.cancel", "POST", "/{v}/batches/{late}:cancel", {}, early=True),
    Step("batches.delete", "DELETE", "/{v}/batches/{vectors}"),
    Step("files.delete", "DELETE", "/{v}/files/{file}"),
]
STEPS = [*FILES, *MODELS, *KEPT, *TUNED, *CORPORA, *PLATFORM, *OPENAI, *LAST]
