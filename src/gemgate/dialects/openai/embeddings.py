"""Embeddings at OpenAI's door: one ``batchEmbedContents`` of Google's for a text or a list of texts.

Laws:

- each text of ``input`` is one request of the batch, and the answers keep their order;
- a batch that is larger than Google takes goes out in portions (``gemini.portions``), and is rendered once all
  of them are answered: nobody gets half of the vectors;
- as floats, Google's own digits pass, without the white space between them; as base64 (what OpenAI's SDKs ask for)
  they become little-endian float32, as at OpenAI's;
- tokens are Google's count where the answer has one (gemini-embedding-2), else the estimate of
  ``portions.tokens`` for each text; of portions each is counted by itself;
- lists of token numbers are refused: they are of OpenAI's tokenizer, and mean nothing to Google's models.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from gemgate.dialects.gemini import portions
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.parameters import Leftovers, invalid, misread
from gemgate.dialects.openai.pivot import Pivot, Read, model_path
from gemgate.dialects.openai.unary import Plain, Unary, unreadable

MOST = 2048
"""Texts that OpenAI takes at once."""
_WHITE = b" \t\r\n"
_TOKENS = (
    "token numbers are of OpenAI's tokenizer. "
    "Send the texts themselves (LangChain: check_embedding_ctx_length=False)"
)


class _Request(msgspec.Struct):
    model: str
    input: Any
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Part(msgspec.Struct):
    text: str


class _Content(msgspec.Struct):
    parts: tuple[_Part, ...]


class _One(msgspec.Struct, omit_defaults=True, rename="camel"):
    model: str
    content: _Content
    output_dimensionality: int | None = None


class _Batch(msgspec.Struct):
    requests: list[_One]


class _Digits(msgspec.Struct, gc=False):
    values: msgspec.Raw = msgspec.Raw(b"[]")


class _Numbers(msgspec.Struct, gc=False):
    values: list[float] = []


class _Counted(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: int = 0


class _FloatAnswer(msgspec.Struct, rename="camel"):
    embeddings: list[_Digits] = []
    usage_metadata: _Counted | None = None


class _NumberAnswer(msgspec.Struct, rename="camel"):
    embeddings: list[_Numbers] = []
    usage_metadata: _Counted | None = None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_request = msgspec.json.Decoder(_Request)
_floats = msgspec.json.Decoder(_FloatAnswer)
_numbers = msgspec.json.Decoder(_NumberAnswer)


def read(door: Door, query: Mapping[str, str], body: bytes, unsupported: str) -> Read:
    """What a request for embeddings asks. Raises ``Refused`` (400) for what cannot be understood."""
    leftovers = Leftovers(unsupported)
    try:
        given = _fields.decode(body)
        asked = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise misread(fault) from None
    for name, value in given.items():
        if name not in _Request.__struct_fields__ and bytes(value) != b"null":
            leftovers.note(name)
    model = asked.model.removeprefix("models/")
    if not model:
        raise invalid("model", "it is empty")
    if asked.dimensions is not None and asked.dimensions < 1:
        raise invalid("dimensions", "it must be at least 1")
    texts = _texts(asked.input)
    batch = _Batch(
        [_One(f"models/{model}", _Content((_Part(text),)), asked.dimensions) for text in texts],
    )
    tokens = [portions.tokens(text) for text in texts]
    rendering = partial(Vectors, tokens, asked.encoding_format == "base64")
    pivot = Pivot("POST", model_path(model, "batchEmbedContents"), "", msgspec.json.encode(batch), rendering)
    return Plain(model, pivot, user=asked.user or "", dropped=leftovers.names)


def _texts(given: Any) -> list[str]:
    """The texts of ``input``. Raises ``Refused`` (400)."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise invalid("input", "it must be a text or a list of texts")
    if not 1 <= len(texts) <= MOST:
        raise invalid("input", f"it must have 1 to {MOST} texts")
    for at, text in enumerate(texts):
        if isinstance(text, int | list):
            raise invalid("input", _TOKENS)
        if not isinstance(text, str):
            raise invalid(f"input[{at}]", "it must be a text")
        if not text:
            raise invalid(f"input[{at}]" if texts is given else "input", "it is empty")
    return texts


class Vectors(Unary):
    """The way back of a batch. ``tokens`` is the estimate of each text, used where Google tells no count."""

    def __init__(self, tokens: list[int], packed: bool, call_id: bytes, model: str, created: int) -> None:
        self._tokens = tokens
        self._packed = packed
        self._model = model
        self._shown: list[Any] = []
        self._used = 0

    def take(self, body: bytes) -> None:
        """Google's answer to a portion after which more come. Raises ``Refused`` (502) as ``whole``."""
        self._add(body, portions.MOST)

    def whole(self, body: bytes) -> bytes:
        """OpenAI's body, with Google's answer to the batch, or to its last portion.

        Raises ``Refused`` (502) for an answer that cannot be read, or has another number of vectors than texts.
        """
        self._add(body, len(self._tokens) - len(self._shown))
        return msgspec.json.encode(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": at, "embedding": one}
                    for at, one in enumerate(self._shown)
                ],
                "model": self._model,
                "usage": {"prompt_tokens": self._used, "total_tokens": self._used},
            }
        )

    def _add(self, body: bytes, number: int) -> None:
        """The next ``number`` vectors."""
        try:
            shown, counted = self._read(body)
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
            raise unreadable("embeddings") from None
        if len(shown) != number:
            raise unreadable(f"embeddings ({len(shown)} for {number} texts)")
        tokens = counted.prompt_token_count if counted is not None else 0
        start = len(self._shown)
        self._used += tokens or sum(self._tokens[start : start + number])
        self._shown += shown

    def _read(self, body: bytes) -> tuple[list[Any], _Counted | None]:
        """Each vector as it is shown, and Google's count."""
        if not self._packed:
            answer = _floats.decode(body)
            return [compact(one.values) for one in answer.embeddings], answer.usage_metadata
        numbers = _numbers.decode(body)
        return [packed(one.values) for one in numbers.embeddings], numbers.usage_metadata


def compact(values: msgspec.Raw) -> msgspec.Raw:
    """A vector as Google spelled it, on one line. Raises msgspec.DecodeError for what is no list.

    Google sends every number on a line of its own.
    """
    digits = bytes(values).translate(None, _WHITE)
    if not digits.startswith(b"["):
        raise msgspec.DecodeError("A vector is a list.")
    return msgspec.Raw(digits)


def packed(values: list[float]) -> str:
    """A vector as base64 of little-endian float32. Raises OverflowError for a number that is too large for it."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")
