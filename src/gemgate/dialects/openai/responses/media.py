"""Images, sound and documents in an item's content as parts of Gemini's, and these as contents of interactions.

The field names are those of Responses; what they mean is what it is in a chat.
"""

from __future__ import annotations

from typing import Any

from gemgate.dialects.openai import content as chat
from gemgate.dialects.openai.bodies import File
from gemgate.dialects.openai.parameters import invalid
from gemgate.dialects.openai.responses.request import Content

Json = dict[str, Any]

_KINDS = ("image", "audio", "video")


def part(content: Content, where: str) -> Json:
    """The part for one media content. Raises ``Refused`` (400)."""
    if content.type == "input_image" and content.image_url:
        made = chat.from_url(content.image_url, f"{where}.image_url")
        held = made.get("fileData")
        if held is not None and not held["fileUri"].startswith(chat.FILES):
            # Many addresses of images do not end in their type, but Google wants one.
            held.setdefault("mimeType", "image/jpeg")
        return made
    if content.type == "input_file" and content.file_url:
        return chat.from_url(content.file_url, f"{where}.file_url")
    if content.type in ("input_image", "input_file"):
        return chat.file(File(content.file_data, content.file_id, content.filename), where)
    if content.type == "input_audio" and content.input_audio is not None:
        return chat.sound(content.input_audio, f"{where}.input_audio")
    raise invalid(f"{where}.type", f"{content.type or 'a content without type'} is not served here.")


def content_of(gemini: Json) -> Json:
    """A part of Gemini's as a content of interactions."""
    if "text" in gemini:
        return {"type": "text", "text": gemini["text"]}
    held = gemini.get("inlineData") or gemini["fileData"]
    mime = held.get("mimeType", "")
    kind = mime.partition("/")[0]
    made: Json = {"type": kind if kind in _KINDS else "document"}
    if mime:
        made["mime_type"] = mime
    if "data" in held:
        made["data"] = held["data"]
    else:
        made["uri"] = held["fileUri"]
    return made
