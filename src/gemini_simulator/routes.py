"""The inventory of Google's methods and the matcher that finds one for a verb and a path.

A template is written without its version; ``v1``, ``v1beta`` and ``v1alpha`` serve all of them alike. ``{name}``
stands for one segment (or the part of it before a ``:verb``), ``{name*}`` for the rest of the path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

import msgspec

VERSIONS = ("v1", "v1beta", "v1alpha")

TABLE = """
auth_tokens.create POST /auth_tokens
batches.cancel POST /batches/{batch}:cancel
batches.delete DELETE /batches/{batch}
batches.get GET /batches/{batch}
batches.list GET /batches
batches.updateEmbedContentBatch PATCH /batches/{batch}:updateEmbedContentBatch
batches.updateGenerateContentBatch PATCH /batches/{batch}:updateGenerateContentBatch
cachedContents.create POST /cachedContents
cachedContents.delete DELETE /cachedContents/{cachedContent}
cachedContents.get GET /cachedContents/{cachedContent}
cachedContents.list GET /cachedContents
cachedContents.patch PATCH /cachedContents/{cachedContent}
corpora.create POST /corpora
corpora.delete DELETE /corpora/{corpus}
corpora.get GET /corpora/{corpus}
corpora.list GET /corpora
corpora.operations.get GET /corpora/{corpus}/operations/{operation}
corpora.permissions.create POST /corpora/{corpus}/permissions
corpora.permissions.delete DELETE /corpora/{corpus}/permissions/{permission}
corpora.permissions.get GET /corpora/{corpus}/permissions/{permission}
corpora.permissions.list GET /corpora/{corpus}/permissions
corpora.permissions.patch PATCH /corpora/{corpus}/permissions/{permission}
dynamic.generateContent POST /dynamic/{id}:generateContent
dynamic.streamGenerateContent POST /dynamic/{id}:streamGenerateContent
environments.create POST /environments:create
environments.create POST /environments
environments.delete DELETE /environments/{id}:delete
environments.delete DELETE /environments/{id}
environments.files.get GET /environments/{environment}/files/{path*}
environments.files.upload PUT /upload/environments/{environment}/files/{path*}
environments.get GET /environments/{id}:get
environments.get GET /environments/{id}
environments.list GET /environments:list
environments.list GET /environments
fileSearchStores.create POST /fileSearchStores
fileSearchStores.delete DELETE /fileSearchStores/{store}
fileSearchStores.documents.delete DELETE /fileSearchStores/{store}/documents/{document}
fileSearchStores.documents.get GET /fileSearchStores/{store}/documents/{document}
fileSearchStores.documents.list GET /fileSearchStores/{store}/documents
fileSearchStores.get GET /fileSearchStores/{store}
fileSearchStores.importFile POST /fileSearchStores/{store}:importFile
fileSearchStores.list GET /fileSearchStores
fileSearchStores.operations.get GET /fileSearchStores/{store}/operations/{operation}
fileSearchStores.upload.operations.get GET /fileSearchStores/{store}/upload/operations/{operation}
files.delete DELETE /files/{file}
files.download GET /files/{file}:download
media.download GET /download/{file_name*}:download
files.get GET /files/{file}
files.list GET /files
files.register POST /files:register
generatedFiles.list GET /generatedFiles
generatedFiles.operations.get GET /generatedFiles/{generatedFile}/operations/{operation}
media.upload POST /files
media.upload POST /upload/files
media.upload PUT /upload/files
media.uploadToFileSearchStore POST /fileSearchStores/{store}:uploadToFileSearchStore
media.uploadToFileSearchStore POST /upload/fileSearchStores/{store}:uploadToFileSearchStore
media.uploadToFileSearchStore PUT /upload/fileSearchStores/{store}:uploadToFileSearchStore
models.asyncBatchEmbedContent POST /models/{model}:asyncBatchEmbedContent
models.batchEmbedContents POST /models/{model}:batchEmbedContents
models.batchEmbedText POST /models/{model}:batchEmbedText
models.batchGenerateContent POST /models/{model}:batchGenerateContent
models.countMessageTokens POST /models/{model}:countMessageTokens
models.countTextTokens POST /models/{model}:countTextTokens
models.countTokens POST /models/{model}:countTokens
models.embedContent POST /models/{model}:embedContent
models.embedText POST /models/{model}:embedText
models.generateAnswer POST /models/{model}:generateAnswer
models.generateContent POST /models/{model}:generateContent
models.generateMessage POST /models/{model}:generateMessage
models.generateText POST /models/{model}:generateText
models.get GET /models/{model}
models.list GET /models
models.operations.get GET /models/{model}/operations/{operation}
models.operations.list GET /models/{model}/operations
models.predict POST /models/{model}:predict
models.predictLongRunning POST /models/{model}:predictLongRunning
models.streamGenerateContent POST /models/{model}:streamGenerateContent
tunedModels.asyncBatchEmbedContent POST /tunedModels/{tunedModel}:asyncBatchEmbedContent
tunedModels.batchGenerateContent POST /tunedModels/{tunedModel}:batchGenerateContent
tunedModels.create POST /tunedModels
tunedModels.delete DELETE /tunedModels/{tunedModel}
tunedModels.generateContent POST /tunedModels/{tunedModel}:generateContent
tunedModels.generateText POST /tunedModels/{tunedModel}:generateText
tunedModels.get GET /tunedModels/{tunedModel}
tunedModels.list GET /tunedModels
tunedModels.operations.get GET /tunedModels/{tunedModel}/operations/{operation}
tunedModels.operations.list GET /tunedModels/{tunedModel}/operations
tunedModels.patch PATCH /tunedModels/{tunedModel}
tunedModels.permissions.create POST /tunedModels/{tunedModel}/permissions
tunedModels.permissions.delete DELETE /tunedModels/{tunedModel}/permissions/{permission}
tunedModels.permissions.get GET /tunedModels/{tunedModel}/permissions/{permission}
tunedModels.permissions.list GET /tunedModels/{tunedModel}/permissions
tunedModels.permissions.patch PATCH /tunedModels/{tunedModel}/permissions/{permission}
tunedModels.streamGenerateContent POST /tunedModels/{tunedModel}:streamGenerateContent
tunedModels.transferOwnership POST /tunedModels/{tunedModel}:transferOwnership
interactions.create POST /interactions
interactions.get GET /interactions/{interaction}
interactions.delete DELETE /interactions/{interaction}
interactions.cancel POST /interactions/{interaction}/cancel
agents.create POST /agents
agents.list GET /agents
agents.get GET /agents/{agent}
agents.delete DELETE /agents/{agent}
credentials.create POST /credentials
credentials.list GET /credentials
credentials.get GET /credentials/{credential}
credentials.delete DELETE /credentials/{credential}
credentials.update PATCH /credentials/{credential}
decisions.create POST /decisions
triggers.create POST /triggers
triggers.list GET /triggers
triggers.get GET /triggers/{trigger}
triggers.delete DELETE /triggers/{trigger}
triggers.update PATCH /triggers/{trigger}
triggers.executions.create POST /triggers/{trigger}/executions
triggers.executions.list GET /triggers/{trigger}/executions
webhooks.create POST /webhooks
webhooks.list GET /webhooks
webhooks.get GET /webhooks/{webhook}
webhooks.delete DELETE /webhooks/{webhook}
webhooks.update PATCH /webhooks/{webhook}
webhooks.ping POST /webhooks/{webhook}:ping
webhooks.rotateSigningSecret POST /webhooks/{webhook}:rotateSigningSecret
voices.create POST /voices
voices.list GET /voices
voices.get GET /voices/{voice}
voices.delete DELETE /voices/{voice}
openai.chat.completions POST /openai/chat/completions
openai.embeddings POST /openai/embeddings
openai.models.list GET /openai/models
openai.models.get GET /openai/models/{model*}
openai.images.generations POST /openai/images/generations
openai.videos.create POST /openai/videos
openai.videos.get GET /openai/videos/{id}
openai.batches.create POST /openai/batches
openai.batches.get GET /openai/batches/{id}
"""
# The methods whose body names the model; elsewhere it stands in the path.
BODY_NAMES_MODEL = {
    "interactions.create", "cachedContents.create", "decisions.create", "openai.chat.completions",
    "openai.embeddings", "openai.images.generations", "openai.videos.create", "openai.batches.create",
}  # fmt: skip
SOCKETS = ("BidiGenerateContent", "BidiGenerateContentConstrained", "BidiGenerateMusic")


class Named(msgspec.Struct):
    """As much of a body as names who is to answer."""

    model: str = ""
    agent: str = ""


def named_in(body: bytes) -> str:
    """The model, or else the agent, that a JSON body names; "" for a body that is none."""
    try:
        found = msgspec.json.decode(body, type=Named)
    except msgspec.DecodeError:
        return ""
    return found.model or found.agent


@dataclass(frozen=True, slots=True)
class Route:
    """One method of the inventory: its id, its HTTP verb and its path without the version."""

    id: str
    verb: str
    template: str


@dataclass(frozen=True, slots=True)
class Match:
    """What a path turned out to be: method id, API version, and the values of its placeholders."""

    id: str
    version: str
    params: dict[str, str]


ROUTES = [Route(*line.split()) for line in TABLE.strip().splitlines()]


@cache
def kind_of(method: str, placeholder: str) -> str:
    """The collection of the resource that stands for ``placeholder`` in the path of ``method``: file -> files."""
    for route in ROUTES:
        before, found, _ = route.template.partition(f"/{{{placeholder}")
        if route.id == method and found:
            return before.rpartition("/")[2]
    return placeholder


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\*?\})", template)
    made = ""
    for part in parts:
        if part.endswith("*}"):
            made += f"(?P<{part[1:-2]}>.+)"
        elif part.startswith("{"):
            made += f"(?P<{part[1:-1]}>[^/:]+)"
        else:
            made += re.escape(part)
    return re.compile(made + r"\Z")


def _compile() -> dict[tuple[str, str], list[tuple[Route, re.Pattern[str]]]]:
    """Routes by verb and first segment, so that a match tries only a handful of patterns."""
    table: dict[tuple[str, str], list[tuple[Route, re.Pattern[str]]]] = {}
    for route in ROUTES:
        first = re.split(r"[/:]", route.template[1:])[0]
        table.setdefault((route.verb, first), []).append((route, _pattern(route.template)))
    return table


COMPILED = _compile()


def match(verb: str, raw_path: str) -> Match | None:
    """The method that ``verb`` and ``raw_path`` (still percent-encoded) name, or None."""
    segments = raw_path.split("/")
    prefix = ""
    if len(segments) > 2 and segments[1] in ("upload", "download", "resumable"):
        prefix = f"/{segments[1].replace('resumable', 'upload')}"
        segments = ["", *segments[2:]]
    if len(segments) < 3 or segments[1] not in VERSIONS:
        return None
    path = prefix + "/" + "/".join(segments[2:])
    first = re.split(r"[/:]", path[1:])[0]
    for route, pattern in COMPILED.get((verb, first), ()):
        found = pattern.match(path)
        if found:
            params = {name: unquote(value) for name, value in found.groupdict().items()}
            return Match(route.id, segments[1], params)
    return None
