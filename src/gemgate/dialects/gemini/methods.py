"""Which method of Google's API a verb and a path mean.

The whole inventory stands in ``_RESOURCES`` as collections and what can be done with them; every method is
served under each version. A path outside it is no fault: ``match`` says None, and the gateway passes the call
on and records it as ``unknown``.
"""

from __future__ import annotations

import enum
import functools
import re
import urllib.parse

import msgspec


class Reading(enum.StrEnum):
    """How ``observe`` reads the answers of a method."""

    GENERATE = "generate"
    INTERACTION = "interaction"
    EMBED = "embed"
    COUNT = "count"
    OPENAI = "openai"
    LIVE = "live"
    OTHER = "other"


class Match(msgspec.Struct, frozen=True, gc=False):
    """A method found.

    ``model`` is the id the path names (``gemini-2.5-flash``, ``tunedModels/x``), empty where none stands.
    ``resource`` is the full name of what the path points at (``files/abc``, ``models/x/operations/y``).
    ``generating`` says that the call costs tokens, whose usage is recorded; ``inspected`` that its body is
    JSON to be read whole before it goes on; ``streaming`` that the answer is a stream of one form or another;
    ``retryable`` that a second try after a failed one does no harm.
    """

    method: str
    version: str
    model: str = ""
    resource: str = ""
    reading: Reading = Reading.OTHER
    upload: bool = False
    generating: bool = False
    inspected: bool = False
    streaming: bool = False
    retryable: bool = False


VERSIONS = ("v1", "v1beta", "v1alpha")

_STANDARD = {
    "list": "GET",
    "create": "POST",
    "get": "GET/*",
    "delete": "DELETE/*",
    "patch": "PATCH/*",
    "update": "PATCH/*",
}

# Each line is a collection, then its methods: a word of _STANDARD, or VERB, tail of the path, `=` and the
# name, left out where it is what follows the colon; `@` marks an id that does not begin with its collection.
_RESOURCES = """
auth_tokens create
batches list get delete POST/*:cancel PATCH/*:updateEmbedContentBatch PATCH/*:updateGenerateContentBatch
cachedContents create list get patch delete
corpora create list get delete GET/*/operations/*=operations.get
corpora/*/permissions create list get patch delete
dynamic POST/*:generateContent POST/*:streamGenerateContent
environments create list get delete POST:create DELETE/*:delete GET/*:get GET:list GET/*/files/*=files.get
fileSearchStores create list get delete POST/*:importFile GET/*/operations/*=operations.get
fileSearchStores GET/*/upload/operations/*=upload.operations.get
fileSearchStores/*/documents list get delete
files list get delete POST:register GET/*:download
generatedFiles list GET/*/operations/*=operations.get
models list get GET/*/operations=operations.list GET/*/operations/*=operations.get
models POST/*:generateContent POST/*:streamGenerateContent POST/*:countTokens POST/*:embedContent
models POST/*:batchEmbedContents POST/*:batchGenerateContent POST/*:asyncBatchEmbedContent POST/*:predict
models POST/*:predictLongRunning POST/*:generateAnswer POST/*:generateMessage POST/*:generateText
models POST/*:countMessageTokens POST/*:countTextTokens POST/*:embedText POST/*:batchEmbedText
tunedModels create list get patch delete POST/*:generateContent POST/*:streamGenerateContent
tunedModels POST/*:generateText POST/*:batchGenerateContent POST/*:asyncBatchEmbedContent
tunedModels POST/*:transferOwnership GET/*/operations=operations.list GET/*/operations/*=operations.get
tunedModels/*/permissions create list get patch delete
interactions create get delete POST/*/cancel=cancel
agents create list get delete
credentials create list get delete update
triggers create list get delete update
triggers/*/executions create list
webhooks create list get delete update POST/*:ping POST/*:rotateSigningSecret
voices create list get delete
decisions create
openai/chat/completions POST=@openai.chat.completions
openai/embeddings POST=@openai.embeddings
openai/models list get
openai/images/generations POST=@openai.images.generations
openai/videos create get
openai/batches create get
files POST=@media.upload
fileSearchStores POST/*:uploadToFileSearchStore=@media.uploadToFileSearchStore
upload/files POST=@media.upload
upload/fileSearchStores POST/*:uploadToFileSearchStore=@media.uploadToFileSearchStore
upload/environments PUT/*/files/*=@environments.files.upload
download/files GET/*:download=@media.download
"""

_GENERATE = {"generateContent", "streamGenerateContent"}
_OLD = {"generateAnswer", "generateMessage", "generateText"}  # neither usage nor, mostly, a finish reason
_EMBED = {"embedContent", "batchEmbedContents", "embedText", "batchEmbedText"}
_COUNT = {"countTokens", "countMessageTokens", "countTextTokens"}
# Bodies that name a model or files of a project, which are to be known before a project is chosen.
_INSPECTED = {
    "asyncBatchEmbedContent",
    "batchGenerateContent",
    "cachedContents.create",
    "decisions.create",
    "fileSearchStores.importFile",
    "openai.batches.create",
    "openai.images.generations",
    "openai.videos.create",
    "tunedModels.create",
}
_TWO_WORDS = {"chat/completions", "images/generations", "upload/operations"}
_LIVE = re.compile(
    r"ws/google\.ai\.generativelanguage\.(v1(?:beta|alpha)?)\.GenerativeService\."
    r"(BidiGenerateContent|BidiGenerateContentConstrained|BidiGenerateMusic)"
)
_CACHED_PATH = 300


def _word(collection: str, word: str) -> tuple[str, str]:
    """One method of the table as its key and its id."""
    if word in _STANDARD:
        verb, slash, tail = _STANDARD[word].partition("/")
        name = word
    else:
        route, _, name = word.partition("=")
        verb = re.match("[A-Z]+", route)[0]  # type: ignore[index]
        slash, tail = "", route[len(verb) :]
        name = name or route.rpartition(":")[2]
    group = collection.replace("/*/", ".").replace("/", ".")
    return f"{verb} {collection}{slash}{tail}", name[1:] if name.startswith("@") else f"{group}.{name}"


def _table() -> dict[str, Match]:
    """Key (verb, space, shape of the path) -> the match without its names."""
    table = {}
    for row in _RESOURCES.split("\n"):
        collection, *words = row.split() or [""]
        for word in words:
            key, method = _word(collection, word)
            table[key] = _describe(key, method)
    return table


def _describe(key: str, method: str) -> Match:
    verb, _, shape = key.partition(" ")
    action = method.rpartition(".")[2]
    reading = Reading.OTHER
    if method in ("openai.chat.completions", "openai.embeddings"):
        reading = Reading.OPENAI
    elif method.startswith("interactions.") and action != "delete":
        reading = Reading.INTERACTION
    elif action in _GENERATE:
        reading = Reading.GENERATE
    elif action in _EMBED:
        reading = Reading.EMBED
    elif action in _COUNT:
        reading = Reading.COUNT
    upload = shape.startswith("upload/")
    old = action in _OLD
    asks = reading is not Reading.OTHER and action not in ("get", "cancel")
    return Match(
        method=method,
        version="",
        reading=reading,
        upload=upload,
        generating=asks and reading is not Reading.COUNT,
        inspected=asks or old or "predict" in action or method in _INSPECTED or action in _INSPECTED,
        streaming=action == "streamGenerateContent",
        retryable=asks or old or (verb == "GET" and not upload),
    )


_TABLE = _table()
METHODS = frozenset(match.method for match in _TABLE.values()) | {
    "BidiGenerateContent",
    "BidiGenerateContentConstrained",
    "BidiGenerateMusic",
}
"""The ids of all methods."""
GENERATING = frozenset(match.method for match in _TABLE.values() if match.generating)
"""The ids of those whose calls cost tokens."""


def match(verb: str, path: str) -> Match | None:
    """The method that ``verb`` on ``path`` (raw, without query) means, or None.

    Read from a copy with percent-encoding undone and doubled slashes and doubled ``models/`` taken out; the
    path itself goes on as it came.
    """
    if len(path) > _CACHED_PATH:
        return _match(verb, path)
    return _remembered(verb, path)


def _match(verb: str, path: str) -> Match | None:
    segments = [part for part in urllib.parse.unquote(path).split("/") if part]
    if len(segments) < 2 or ".." in segments or "." in segments:
        return None
    if segments[0] == "ws":
        live = _LIVE.fullmatch("/".join(segments))
        if live is None or verb != "GET":
            return None
        return Match(method=live[2], version=live[1], reading=Reading.LIVE)
    lead = segments.pop(0) if segments[0] in ("upload", "download") else ""
    version = segments.pop(0)
    if version not in VERSIONS or not segments:
        return None
    if segments[0] == "openai":
        lead = segments.pop(0)
    shape, names = _shape(segments)
    prefix = f"{verb} {lead}/" if lead else f"{verb} "
    found = None
    last, colon, action = shape.rpartition(":")
    if colon:
        found = _TABLE.get(prefix + shape)
    if found is None:
        found = _TABLE.get(prefix + (last if colon else shape))
    elif names and names[-1].endswith(":" + action):
        names[-1] = names[-1][: -len(action) - 1]
    if found is None:
        return None
    resource = "/".join(names)
    return msgspec.structs.replace(
        found, version=version, model=_model(names), resource=resource if len(names) > 1 else ""
    )


def _shape(segments: list[str]) -> tuple[str, list[str]]:
    """The path with its ids as `*`, and its names: ``models/*:countTokens`` and [models, x:countTokens]."""
    names: list[str] = []
    for part in segments:
        if len(names) == 1 and part == names[0]:
            continue  # models/models/x
        if names and f"{names[-1]}/{part}" in _TWO_WORDS:
            names[-1] += "/" + part
        elif len(names) >= 4 and names[0] == "environments":
            names[3] += "/" + part
        else:
            names.append(part)
    shape = "/".join("*" if place % 2 else name for place, name in enumerate(names))
    if len(names) % 2 == 0 and names:
        _, colon, action = names[-1].rpartition(":")
        shape += f":{action}" if colon else ""
    return shape, names


def _model(names: list[str]) -> str:
    if len(names) < 2:
        return ""
    if names[0] == "models":
        return names[1]
    return f"{names[0]}/{names[1]}" if names[0] in ("tunedModels", "dynamic") else ""


_remembered = functools.lru_cache(maxsize=4096)(_match)
