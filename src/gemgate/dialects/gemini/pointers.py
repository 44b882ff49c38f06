"""All things of tenants that a body points at: for deciding what a key may use, so nothing may slip through.

``media`` and ``request`` read what routing needs, fast and with good will. Here a body is read by somebody who may
want to get at another's file.

Laws:

- a body that could point at anything is parsed whole, with every one of members of the same name: nobody knows
  which of two Google believes. What is no strict JSON in UTF-8 is refused;
- a text that looks like a thing's name or URI counts wherever it stands, but for texts that Google only reads as
  such (prompts, arguments and results of functions, descriptions);
- bare ids count by the name of their field, in the methods that know such fields;
- a URI of a foreign host, and a voice, may name a thing or not (``maybe``): who asks the record knows more.
"""

from __future__ import annotations

import json
import re
from mmap import mmap
from typing import NamedTuple

from gemgate.core.errors import Refused
from gemgate.dialects.gemini import signatures
from gemgate.dialects.gemini.made import is_provided, owner
from gemgate.dialects.gemini.methods import Match


class Pointers(NamedTuple):
    """What a body names, as ``made.owner`` spells it, each once.

    ``things`` are certainly things of a project, ``maybe`` are if the record knows them. ``tokens`` are those by
    which an earlier answer goes on, in the form of ``signatures.plain``, where the body was parsed. ``webhook``: the
    body sets a webhook for this one call, which is what the right ``webhooks`` is about.
    """

    things: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    tokens: tuple[bytes, ...] = ()
    webhook: bool = False


NOTHING = Pointers()
# Methods of the newer resources, which name things by bare ids; their bodies are always parsed.
_BARE = frozenset(
    {"agents", "credentials", "decisions", "environments", "interactions", "triggers", "voices", "webhooks"}
)
# Methods that may set a webhook, or name a file by its bare id; theirs are too.
_PARSED = frozenset({"batchGenerateContent", "asyncBatchEmbedContent", "predictLongRunning"})
_OPENAI = frozenset({"openai.batches.create", "openai.videos.create"})
# Without the end of such a name, or a sign that hides one, a body names no thing. (A search that begins with one rare
# sign is the fastest there is.)
_MARK = re.compile(rb"/(?<=iles/|ents/|ores/|dels/|pora/)")
_ESCAPED = re.compile(rb"\\(?:u00[2-7]|/)")
_FILE = re.compile(r"(?:^|/)files/([A-Za-z0-9_\-]+)(?=$|[:/?#])")
_OURS = re.compile(r"^files/|^(?:https?:)?//[^/]*googleapis\.com[:/]|/v1(?:beta|alpha)?/files/")
_NAME = re.compile(
    r"(?:^|/)((?:cachedContents|fileSearchStores|tunedModels|corpora|batches|generatedFiles|interactions|agents"
    r"|environments|credentials|voices|triggers|webhooks)/[A-Za-z0-9_.\-]+)"
)
_OPERATION = re.compile(r"(?:^|/)((?:models|generatedFiles)/[^/\s]+/operations/[^/\s]+)")
# Fields (in lower case, without underscores) whose text is a bare id of such a collection.
_IDS = {
    "agent": "agents",
    "baseagent": "agents",
    "environment": "environments",
    "baseenvironment": "environments",
    "environmentid": "environments",
    "fromenvironment": "environments",
    "credential": "credentials",
    "interactionid": "interactions",
    "previousinteractionid": "interactions",
    "triggerid": "triggers",
    "voice": "voices",
    "voicename": "voices",
    "basevoice": "voices",
}
_FILE_IDS = ("inputfileid", "fileid")
# Texts that Google reads as texts.
_PLAIN = frozenset(
    {
        *("text", "input", "content", "data", "result", "output", "code", "query", "instructions"),
        *("systeminstruction", "description", "displayname", "title", "thoughtsignature", "signature"),
    }
)
# Members that hold what the caller likes.
_FREE = frozenset({"args", "arguments", "response", "labels", "usermetadata"})
_NOWHERE = "remote"  # an environment that is made for this one call
_MOST_NAME = 4096

# A JSON object is a tuple of pairs here, so that two members of one name are both seen.
_Value = str | int | float | bool | None | list["_Value"] | tuple[tuple[str, "_Value"], ...]


def find(match: Match, body: bytes | mmap) -> Pointers:
    """What ``body`` of a call of this method points at. Raises Refused 400 for a body that nobody can be sure of."""
    head, _, action = match.method.partition(".")
    bare = head in _BARE
    if not len(body) or not (
        bare
        or action in _PARSED
        or match.method in _OPENAI
        or _MARK.search(body) is not None
        or _ESCAPED.search(body) is not None
    ):
        return NOTHING
    try:
        tree: _Value = json.loads(str(bytes(body), "utf-8"), object_pairs_hook=tuple)
    except (ValueError, RecursionError) as fault:
        raise Refused(
            400,
            "MALFORMED_JSON",
            f"Invalid JSON payload received. {fault}",
            hint="Send the request's body as one JSON object in UTF-8.",
        ) from None
    seen = _Seen(bare)
    seen.walk(tree)
    return Pointers(tuple(seen.things), tuple(seen.maybe), tuple(seen.tokens), seen.webhook)


class _Seen:
    """What was found so far."""

    def __init__(self, bare: bool) -> None:
        self.things: dict[str, None] = {}
        self.maybe: dict[str, None] = {}
        self.tokens: dict[bytes, None] = {}
        self.webhook = False
        self._bare = bare

    def walk(self, tree: _Value) -> None:
        """Look at every text, without recursion: depth is the caller's."""
        rest: list[tuple[str, _Value]] = [("", tree)]
        while rest:
            field, value = rest.pop()
            if isinstance(value, str):
                self._text(field, value)
            elif isinstance(value, list):
                rest.extend((field, item) for item in value)
            elif isinstance(value, tuple):
                rest.extend(self._members(value))

    def _members(self, pairs: tuple[tuple[str, _Value], ...]) -> list[tuple[str, _Value]]:
        # The tool for using a computer says `environment` of the kind of machine.
        machine = ("type", "computer_use") in pairs
        out: list[tuple[str, _Value]] = []
        for name, value in pairs:
            field = name.replace("_", "").lower()
            if field == "webhookconfig" and value is not None:
                self.webhook = True
            if field in _FREE or (isinstance(value, str) and field in _PLAIN):
                continue
            out.append(("" if machine and field == "environment" else field, value))
        return out

    def _text(self, field: str, text: str) -> None:
        if field == "continuationtoken" and text:
            self.tokens[signatures.plain(text)] = None
            return
        if len(text) > _MOST_NAME and "//" not in text[:16]:
            return  # media, not a name
        text = text.strip()
        if len(text.split(None, 1)) != 1:
            return  # words, not a name
        if "files/" in text:
            soft = not _OURS.search(text)
            for found in _FILE.finditer(text):
                self._note(f"files/{found[1]}", soft=soft)
        elif field in _FILE_IDS and text and "/" not in text:
            self._note(f"files/{text}")
        if "://" not in text and "/" in text:
            for found in (*_NAME.finditer(text), *_OPERATION.finditer(text)):
                self._note(owner(found[1]))
        elif self._bare and field in _IDS and text and text != _NOWHERE:
            self._note(f"{_IDS[field]}/{text}")

    def _note(self, name: str, *, soft: bool = False) -> None:
        if not name or is_provided(name):
            return
        if soft or name.startswith("voices/"):
            self.maybe[name] = None
        else:
            self.things[name] = None
