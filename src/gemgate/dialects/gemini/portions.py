"""Batches of embeddings that are larger than Google takes, as several that it does take, and what texts weigh.

Google refuses a ``batchEmbedContents`` of more than 100 requests.
"""

from __future__ import annotations

import msgspec

MOST = 100
"""Requests that one ``batchEmbedContents`` may have."""
_BYTES_PER_TOKEN = 4


def tokens(text: str) -> int:
    """The estimate of a text's tokens where Google tells no count, as gemini-embedding-001 does: one for each four
    bytes, rounded up. The JSON around the text is not counted: it can be many times as long.
    """
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


class _Batch(msgspec.Struct):
    requests: list[msgspec.Raw] = []


_batch = msgspec.json.Decoder(_Batch)


def cut(body: bytes) -> list[bytes]:
    """The bodies of the batches that make up this one, in order; each is full but the last.

    Each request keeps its bytes. Raises msgspec.DecodeError for what is no batch.
    """
    requests = _batch.decode(body).requests
    return [
        msgspec.json.encode(_Batch(requests[start : start + MOST])) for start in range(0, len(requests), MOST)
    ]
