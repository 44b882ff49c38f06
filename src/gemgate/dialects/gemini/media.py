"""What the parts of a request weigh, and what they point at: media, files, thought signatures.

Media are guessed by kind and size, for reservations only; nothing of their content is kept.
"""

from __future__ import annotations

import re

import msgspec

from gemgate.dialects.gemini import bodies, signatures

WHOLE = {"image": 1120, "audio": 1920, "video": 18000, "application": 2580, "text": 1000}
"""Tokens of one medium when its size says nothing."""
_RATE = {"audio": 670, "video": 1100, "application": 260, "text": 6}  # base64 characters per token
_KINDS = {"image": "image", "audio": "audio", "video": "video"}
_TYPES = {
    b"image_url": "image",
    b"input_image": "image",
    b"image": "image",
    b"input_audio": "audio",
    b"audio": "audio",
    b"video": "video",
    b"document": "document",
    b"file": "document",
}

ADDRESS = 200  # characters of an address that are kept
_ELSEWHERE = ("http://", "https://", "gs://")
_FILE = re.compile(r"files/[A-Za-z0-9_\-]+")
_MEDIA = re.compile(rb'"(?:uri|file_uri|data|url)"\s*:\s*"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_TYPE = re.compile(rb'"type"\s*:\s*"(image_url|input_image|image|input_audio|audio|video|document|file)"')
# The fields that name a thing of a project, wherever in a body they stand. A quote inside a text is escaped, so
# what somebody wrote about such a field is none.
_POINTER = re.compile(
    rb'"(?:file_?[uU]ri|file_?[nN]ame|uri|input_file_id|cached_?[cC]ontent|previous_interaction_id)"'
    rb'\s*:\s*"((?:[^"\\]++|\\.){1,300})"'
)
_STORES = re.compile(rb'"(fileSearchStores/[A-Za-z0-9_\-]+)"')
_CACHED = re.compile(r"cachedContents/[A-Za-z0-9_\-]+")


class Weigh:
    """The sums over the turns that are added: how many media, their bytes in the body and tokens, the kinds of
    media (``image``, ``audio``, ``video``, ``document``), the files they stand in, the addresses of those that
    Google fetches elsewhere (shortened), and the thought signatures of the last turn that has any (only turns of the
    model have).
    """

    __slots__ = ("_signed", "afar", "bulk", "count", "files", "kinds", "tokens")

    def __init__(self) -> None:
        self.count = 0
        self.bulk = 0
        self.tokens = 0
        self.kinds: tuple[str, ...] = ()
        self.files: tuple[str, ...] = ()
        self.afar: tuple[str, ...] = ()
        self._signed: list[str] | None = None

    def add(self, contents: tuple[bodies.Content, ...]) -> None:
        """Add turns, in order."""
        for content in contents:
            fresh = True
            for part in content.parts:
                blob = part.inlineData or part.inline_data or part.fileData or part.file_data
                if blob is not None:
                    self._take(blob)
                signature = part.thoughtSignature or part.thought_signature
                if signature:
                    if fresh or self._signed is None:
                        self._signed = []
                        fresh = False
                    self._signed.append(signature)
                answer = part.functionResponse or part.function_response
                if answer is not None and answer.parts:
                    self.add((answer,))

    @property
    def signatures(self) -> tuple[bytes, ...]:
        """The signatures of the last signed turn, in their plain form."""
        return () if self._signed is None else signatures.kept(self._signed)

    def _take(self, blob: bodies.Blob) -> None:
        size = memoryview(blob.data).nbytes
        mime, uri = blob.mimeType or blob.mime_type, blob.fileUri or blob.file_uri
        self.count += 1
        self.bulk += size
        self.tokens += _tokens(mime, size)
        kind = _KINDS.get(mime.partition("/")[0], "document")
        if not mime and "youtu" in uri:
            kind = "video"
        if kind not in self.kinds:
            self.kinds = (*self.kinds, kind)
        named = _FILE.search(uri)
        if named is not None:
            self.files = (*self.files, named.group())
        elif uri:
            self.afar = (*self.afar, uri[:ADDRESS])


def _tokens(mime: str, size: int) -> int:
    kind = mime.partition("/")[0]
    whole = WHOLE.get(kind, 1000)
    rate = _RATE.get(kind)
    return whole if rate is None or not size else max(1, size // rate)


class Loose(msgspec.Struct, frozen=True):
    """What a body of typed items holds: number of media, their bytes, their kinds, files and addresses elsewhere."""

    count: int = 0
    bulk: int = 0
    kinds: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    afar: tuple[str, ...] = ()


_NOTHING = Loose()


def loose(body: bytes) -> Loose:
    """The media in a body of typed content items (``uri``, ``data``, ``url``)."""
    count = bulk = 0
    files: tuple[str, ...] = ()
    afar: tuple[str, ...] = ()
    for found in _MEDIA.finditer(body):
        count += 1
        bulk += len(found[1])
        if b"uri" not in found[0][:12]:
            continue
        address = found[1][:300].decode("utf-8", "replace")
        named = _FILE.search(address)
        if named is not None:
            files = (*files, named.group())
        elif address.startswith(_ELSEWHERE):
            afar = (*afar, address[:ADDRESS])
    if not count:
        return _NOTHING
    return Loose(count, bulk, tuple(dict.fromkeys(_TYPES[word] for word in _TYPE.findall(body))), files, afar)


def pointers(body: bytes) -> tuple[str, ...]:
    """Files, caches and interactions that a body of whatever form names; each once. For rare bodies: it is
    searched whole."""
    names: dict[str, None] = {}
    for raw in _POINTER.finditer(body):
        text = raw[1].decode("utf-8", "replace").replace("\\/", "/")
        if raw[0].startswith(b'"previous'):
            names["interactions/" + text.removeprefix("interactions/")] = None
            continue
        found = (_CACHED if b"ontent" in raw[0][:16] else _FILE).search(text)
        if found is not None:
            names[found.group()] = None
    return tuple(names)


def stores(body: bytes) -> tuple[str, ...]:
    """The file search stores that the tools of an interaction name; each once."""
    return tuple(dict.fromkeys(name.decode() for name in _STORES.findall(body)))
