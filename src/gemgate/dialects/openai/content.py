"""The content of OpenAI's messages as parts of Google's: text, and media in the body or by their address."""

from __future__ import annotations

import base64
import urllib.parse
from typing import Any

from gemgate.dialects.openai.bodies import Audio, File, Part, Url
from gemgate.dialects.openai.parameters import Leftovers, invalid

FILES = "https://generativelanguage.googleapis.com/v1beta/"
"""What stands before ``files/x`` in the address of a file at Google."""

# Types by the end of an address, of those that Gemini reads.
_TYPES = {
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "csv": "text/csv",
    "flac": "audio/flac",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "mov": "video/mov",
    "mp3": "audio/mp3",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "ogg": "audio/ogg",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "xml": "text/xml",
}
_SOUNDS = {"wav", "mp3", "aac", "aiff", "flac", "ogg"}


def parts(content: str | tuple[Part, ...] | None, where: str, leftovers: Leftovers) -> list[dict[str, Any]]:
    """The parts of a message's content; ``where`` names the field. Raises ``Refused`` (400)."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}]
    return [_part(part, f"{where}[{at}]", leftovers) for at, part in enumerate(content)]


def text(content: str | tuple[Part, ...] | None, where: str) -> str:
    """The text of a content that can hold nothing else. Raises ``Refused`` (400)."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(_words(part, f"{where}[{at}]") for at, part in enumerate(content))


def _words(part: Part, where: str) -> str:
    words = part.refusal if part.type == "refusal" else part.text if part.type == "text" else None
    if words is None:
        raise invalid(f"{where}.type", "only text can stand here.")
    return words


def _part(part: Part, where: str, leftovers: Leftovers) -> dict[str, Any]:
    kind = part.type
    if kind in ("text", "refusal"):
        return {"text": _words(part, where)}
    if kind in ("image_url", "video_url"):
        named = part.image_url if kind == "image_url" else part.video_url
        if named is not None:
            if isinstance(named, Url):
                if named.detail not in (None, "auto"):
                    leftovers.note("image_url.detail")
                named = named.url
            return from_url(named, f"{where}.{kind}.url")
    elif kind == "input_audio":
        if part.input_audio is not None:
            return sound(part.input_audio, f"{where}.input_audio")
    elif kind == "file":
        if part.file is not None:
            return file(part.file, f"{where}.file")
    else:
        raise invalid(f"{where}.type", f"{kind} is no type of content that is known here.")
    raise invalid(f"{where}.{kind}", "it is missing.")


def from_url(url: str, where: str) -> dict[str, Any]:
    """The part for an address: the data itself of a ``data:`` URL, else a reference. Raises ``Refused`` (400)."""
    if url[:5].lower() == "data:":
        return _inline(url, where)
    if url.startswith("files/"):
        url = FILES + url
    scheme = url.partition("://")[0].lower()
    if scheme not in ("https", "http", "gs"):
        raise invalid(where, "it is neither a data: URL nor an address of the web.")
    referred = {"fileUri": url}
    media = _by_name(urllib.parse.urlsplit(url).path)
    if media:
        referred["mimeType"] = media
    return {"fileData": referred}


def sound(audio: Audio, where: str) -> dict[str, Any]:
    """The part for sound in the body. Raises ``Refused`` (400)."""
    if audio.data[:5].lower() == "data:":
        return _inline(audio.data, f"{where}.data")
    if audio.format not in _SOUNDS:
        raise invalid(f"{where}.format", f"it must be one of {', '.join(sorted(_SOUNDS))}.")
    return {"inlineData": {"mimeType": f"audio/{audio.format}", "data": audio.data}}


def file(given: File, where: str) -> dict[str, Any]:
    """The part for a file: its data, or one that was uploaded to Google before. Raises ``Refused`` (400)."""
    if given.file_data is not None:
        if given.file_data[:5].lower() == "data:":
            return _inline(given.file_data, f"{where}.file_data")
        media = _by_name(given.filename or "") or "application/pdf"
        return {"inlineData": {"mimeType": media, "data": given.file_data}}
    if given.file_id and ("/" in given.file_id):
        return from_url(given.file_id, f"{where}.file_id")
    if given.file_id:
        raise invalid(
            f"{where}.file_id", "it is no file at Google; upload it there (files/x) or send file_data."
        )
    raise invalid(where, "neither file_data nor file_id is there.")


def _inline(url: str, where: str) -> dict[str, Any]:
    head, comma, data = url[5:].partition(",")
    media, *params = head.split(";")
    if not comma or not media:
        raise invalid(where, "a data: URL must name its type and hold data.")
    if "base64" not in params:
        data = base64.b64encode(urllib.parse.unquote_to_bytes(data)).decode()
    return {"inlineData": {"mimeType": media.strip().lower(), "data": data}}


def _by_name(name: str) -> str:
    """The type that the end of a name tells, empty when it tells none."""
    return _TYPES.get(name.rpartition(".")[2].lower(), "")
