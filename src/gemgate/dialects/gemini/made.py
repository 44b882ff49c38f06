"""What belongs to a project: the names that an answer shows to be its project's, and those that a call points at.

Laws:

- only fields that Google itself fills count as proof (``name``, ``id``, ``uri``, ``responsesFile``); what a model
  wrote is never searched for names;
- what lives inside another thing goes by the name of that thing: a document by its store, a permission by its
  corpus, the operation of a tuning by its tuned model;
- models belong to nobody; the operations under them belong to the project that began them.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec

from gemgate.dialects.gemini.listing import items
from gemgate.dialects.gemini.listing import of as listed
from gemgate.dialects.gemini.methods import Match
from gemgate.dialects.gemini.request import Asked


class _Thing(msgspec.Struct, gc=False):
    name: str | None = ""
    id: str | None = ""
    uri: str | None = ""


class _Output(msgspec.Struct, gc=False):
    responsesFile: str | None = ""


class _Sample(msgspec.Struct, gc=False):
    video: _Thing | None = None


class _Video(msgspec.Struct, gc=False):
    generatedSamples: tuple[_Sample, ...] = ()


class _Response(msgspec.Struct, gc=False):
    """What an operation that is done has in the end: a batch, a film, a tuned model."""

    responsesFile: str | None = ""
    output: _Output | None = None
    generateVideoResponse: _Video | None = None
    name: str | None = ""


class _Metadata(msgspec.Struct, gc=False):
    output: _Output | None = None
    tunedModel: str | None = ""


class _Item(_Thing, gc=False):
    type: str | None = ""


class _Answer(_Thing, gc=False):
    file: _Thing | None = None
    files: tuple[_Thing, ...] = ()
    response: _Response | None = None
    metadata: _Metadata | None = None
    output: _Output | None = None
    interaction: _Thing | None = None
    environment_id: str | None = ""
    output_file_id: str | None = ""
    error_file_id: str | None = ""
    url: str | None = ""


_answer = msgspec.json.Decoder(_Answer)
_thing = msgspec.json.Decoder(_Thing)
_item = msgspec.json.Decoder(_Item)

# Collections whose things belong to the project that made them. (The name of an auth token is a credential,
# and so is kept nowhere.)
_BY_NAME = {
    "batches",
    "cachedContents",
    "corpora",
    "fileSearchStores",
    "files",
    "generatedFiles",
    "tunedModels",
}
_BY_ID = {"agents", "credentials", "environments", "interactions", "triggers", "voices", "webhooks"}
_OWNED = _BY_NAME | _BY_ID
# Google provides some of these to every project, so that only their creation proves anything.
_PROVIDED = {"agents", "voices"}
# The names of such [google-genai 3.4.0: AgentOption, prebuilt voices].
_GOOGLES = re.compile(
    r"agents/(?:deep-research|antigravity|code-?mender)(?:-[a-z0-9\-]+)?|voices/[A-Z][a-z]+"
)
_FILE = re.compile(r"(?:^|/)(files/[A-Za-z0-9_\-]+)")
_OPERATION = re.compile(r"(?:models|generatedFiles)/[^/]+/operations/[^/]+")
_PROVING = {
    "asyncBatchEmbedContent",
    "batchGenerateContent",
    "create",
    "get",
    "importFile",
    "list",
    "patch",
    "predictLongRunning",
    "register",
    "update",
    "upload",
    "uploadToFileSearchStore",
}
_HOUR = 3600 * 1_000_000
_DAY = 24 * _HOUR


class Proof(NamedTuple):
    """What one thing in an answer proves: its own name (empty where it shows none), and what it has brought forth
    (the file with a batch's answers, a film of an operation)."""

    name: str
    others: tuple[str, ...] = ()


def made(match: Match, body: bytes) -> tuple[str, ...]:
    """The names that a whole answer (2xx, decoded) shows to belong to the project that gave it; each once.

    Answers of lists, creations and reads are understood; anything else, and whatever is no JSON object, has none.
    The legs of an upload but the last have an empty body, and so none. An interaction that streams names itself
    in ``Meter.response``.
    """
    found = proofs(match, body)
    return tuple(dict.fromkeys(name for proof in found for name in (proof.name, *proof.others) if name))


def proofs(match: Match, body: bytes) -> tuple[Proof, ...]:
    """The same for each thing of the answer, in order."""
    head, _, action = match.method.partition(".")
    action = action.rpartition(".")[2]
    if not body or action not in _PROVING or (head in _PROVIDED and match.method != f"{head}.create"):
        return ()
    found: list[Proof] = []
    field = listed(match)
    # What was understood before a fault is right all the same.
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        for item in items(field, body) if field else [body]:
            found.append(_proof(match, _understood(item)))
    return tuple(found)


def shown(match: Match, item: bytes | msgspec.Raw) -> str:
    """The name of one item of a list, empty where it shows none."""
    try:
        return _spelled(match, _thing.decode(item))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def is_provided(name: str, item: bytes | msgspec.Raw = b"") -> bool:
    """Whether a thing is Google's own, there for everybody: told by its name, or by the ``item`` of a list."""
    if _GOOGLES.fullmatch(name):
        return True
    if not item or not name.startswith("voices/"):
        return False
    try:
        return _item.decode(item).type == "prebuilt"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _understood(body: bytes | msgspec.Raw) -> _Answer:
    """The answer, or only its name where other fields are of types that we do not expect."""
    try:
        return _answer.decode(body)
    except msgspec.ValidationError:
        thing = _thing.decode(body)
        return _Answer(thing.name, thing.id)


def refers(match: Match, asked: Asked | None) -> tuple[str, ...]:
    """The names that a call points at, in its path and its body, as ``made`` spells them; each once.

    ``asked`` is None where the body was not read. Upload ids (``upload_id``), signatures and continuation tokens
    are no names; they are told apart.
    """
    names: dict[str, None] = {}
    if match.resource:
        _note(names, _placed(match, match.resource))
    if asked is not None:
        for name in asked.refers:
            _note(names, owner(name))
        if asked.model.startswith("tunedModels/"):
            _note(names, owner(asked.model))
    return tuple(names)


def owner(name: str) -> str:
    """The name by which a thing is known to belong to a project: ``fileSearchStores/s/documents/d`` is the
    store's, ``models/m/operations/o`` its own, ``models/m`` nobody's (empty)."""
    if _OPERATION.fullmatch(name):
        return name
    head, _, rest = name.partition("/")
    if head == "openai":
        return name
    if head not in _OWNED or not rest:
        return ""
    return f"{head}/{rest.partition('/')[0]}"


def upload_id(query: str) -> str:
    """The id of a resumable upload in the query of one of its legs, empty when there is none.

    Whoever knows it may write: it is a secret and is kept only as a hash.
    """
    found = upload_ids(query)
    return found[-1] if found else ""


def upload_ids(query: str) -> tuple[str, ...]:
    """All of them, for a query that names several: nobody knows which one Google takes."""
    if "upload_id" not in query and "%" not in query:
        return ()
    return tuple(value for name, value in parse_qsl(query) if name == "upload_id")


def expires(name: str, now: int, *, paid: bool) -> int:
    """Until when (UTC microseconds) it is worth remembering whose a thing is, seen at ``now``.

    Files live 48 h [facts 1.3], interactions 55 days on paid projects and one on free ones [facts 1.6]. A cache
    lives as long as its owner says; it is seen again whenever it is prolonged. Of the rest Google names no
    length, and of tokens by which an answer goes on neither: they are for the next call.
    """
    head = name.partition("/")[0]
    if head.startswith("continuation:"):
        return now + _DAY
    if head in ("files", "generatedFiles"):
        return now + 49 * _HOUR
    if head == "interactions":
        return now + (56 if paid else 2) * _DAY
    if "/operations/" in name:
        return now + 30 * _DAY
    return now + 400 * _DAY


def _proof(match: Match, seen: _Answer) -> Proof:
    """Everything that one answer proves."""
    if match.method == "media.upload" or seen.file is not None:
        name = owner((seen.file.name if seen.file else "") or "")
    else:
        name = _spelled(match, seen)
    names: dict[str, None] = {}
    if seen.interaction is not None and seen.interaction.id:
        _note(names, f"interactions/{seen.interaction.id}")
    for item in seen.files:
        _note(names, owner(item.name or ""))
    texts = [seen.output_file_id, seen.error_file_id, seen.url]
    texts += [output.responsesFile for output in _outputs(seen)]
    if seen.response is not None and seen.response.generateVideoResponse is not None:
        samples = seen.response.generateVideoResponse.generatedSamples
        texts += [sample.video.uri for sample in samples if sample.video is not None]
    for text in texts:
        found = _FILE.search(text or "")
        _note(names, found[1] if found else "")
    if seen.metadata is not None and seen.metadata.tunedModel:
        _note(names, owner(seen.metadata.tunedModel))
    if seen.environment_id:
        _note(names, f"environments/{seen.environment_id.removeprefix('environments/')}")
    names.pop(name, None)
    return Proof(name, tuple(names))


def _outputs(seen: _Answer) -> list[_Output]:
    found = [seen.output]
    if seen.metadata is not None:
        found.append(seen.metadata.output)
    if seen.response is not None:
        found += [_Output(seen.response.responsesFile), seen.response.output]
    return [output for output in found if output is not None]


def _spelled(match: Match, seen: _Thing) -> str:
    """The name of a thing in an answer: full where Google writes it so, else made of its id."""
    head = match.method.partition(".")[0]
    if head == "openai":
        kind = match.method.split(".")[1]
        bare = (seen.id or "").removeprefix(f"{kind}/")
        return f"openai/{kind}/{bare}" if bare and kind in ("videos", "batches") else ""
    if head in _BY_ID:
        if match.resource and not match.resource.startswith(f"{head}/" + (seen.id or "")):
            return owner(match.resource)
        return f"{head}/{(seen.id or '').removeprefix(head + '/')}" if seen.id else ""
    return owner(seen.name or "")


def _placed(match: Match, resource: str) -> str:
    """The name of what a path points at."""
    if match.method.startswith("openai."):
        return f"openai/{resource}" if resource.startswith(("videos/", "batches/")) else ""
    return owner(resource)


def _note(names: dict[str, None], name: str) -> None:
    if name:
        names[name] = None
