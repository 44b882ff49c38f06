"""How many tokens a request has, by modality: an estimate near Google's count, and always the same."""

from __future__ import annotations

from typing import Any

import msgspec

PER_IMAGE = 258
PER_PAGE = 258
AUDIO_PER_SECOND = 32
VIDEO_PER_SECOND = 263
BYTES_PER_PAGE = 50_000
BYTES_PER_AUDIO_SECOND = 32_000
BYTES_PER_VIDEO_SECOND = 250_000


def told(prompt: dict[str, int], faults: dict[str, str]) -> dict[str, int]:
    """``prompt``, or the number of tokens that the fault ``input`` says instead."""
    return {"TEXT": int(faults["input"])} if "input" in faults else prompt


def of_text(text: str) -> int:
    """Tokens of a text: one for each four bytes, at least one for any text at all."""
    return (len(text.encode()) + 3) // 4


def modality(mime: str) -> str:
    """The modality under which Google counts a media type."""
    kind = mime.partition("/")[0].upper()
    if kind in ("IMAGE", "AUDIO", "VIDEO"):
        return kind
    return "DOCUMENT" if mime == "application/pdf" else "TEXT"


def of_media(mime: str, size: int) -> int:
    """Tokens of ``size`` bytes of media."""
    kind = modality(mime)
    if kind == "IMAGE":
        return PER_IMAGE
    if kind == "AUDIO":
        return AUDIO_PER_SECOND * max(1, size // BYTES_PER_AUDIO_SECOND)
    if kind == "VIDEO":
        return VIDEO_PER_SECOND * max(1, size // BYTES_PER_VIDEO_SECOND)
    if kind == "DOCUMENT":
        return PER_PAGE * max(1, size // BYTES_PER_PAGE)
    return max(1, size // 4)


def of_part(part: dict[str, Any], sizes: dict[str, int]) -> tuple[str, int]:
    """Modality and tokens of one part; ``sizes`` are the bytes of uploaded files by URI."""
    if "text" in part:
        return "TEXT", of_text(part["text"])
    if "inlineData" in part:
        blob = part["inlineData"]
        return modality(blob.get("mimeType", "")), of_media(
            blob.get("mimeType", ""), len(blob.get("data", "")) * 3 // 4
        )
    if "fileData" in part:
        file = part["fileData"]
        mime = file.get("mimeType", "video/mp4")
        return modality(mime), of_media(mime, sizes.get(file.get("fileUri", ""), 1_000_000))
    return "TEXT", of_text(msgspec.json.encode(part).decode())


def count(contents: list[dict[str, Any]], sizes: dict[str, int]) -> dict[str, int]:
    """Tokens by modality over all parts of ``contents``."""
    total: dict[str, int] = {}
    for content in contents:
        for part in content.get("parts", []):
            kind, number = of_part(part, sizes)
            if number:
                total[kind] = total.get(kind, 0) + number
    return total


def details(counts: dict[str, int]) -> list[dict[str, Any]]:
    """The form of promptTokensDetails and its siblings."""
    return [{"modality": kind, "tokenCount": number} for kind, number in counts.items() if number]
