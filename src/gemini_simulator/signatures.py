"""Thought signatures and continuation tokens: opaque to clients, bound to the project and model that made them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from gemini_simulator.catalog import Model
from gemini_simulator.http import ApiError
from gemini_simulator.journal import note
from gemini_simulator.world import Project, World

ESCAPES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
GUIDE = "https://ai.google.dev/gemini-api/docs/thought-signatures"
HEAD = b"\x12\x8c\x03"


def _mac(world: World, project: Project, model: str, nonce: bytes) -> bytes:
    return world.sign(f"signature:{project.name}:{model}:{nonce.hex()}")[:16]


def make(world: World, project: Project, model: Model, about: str) -> str:
    """A signature for a part; ``about`` says which, so that the same answer has the same signature."""
    nonce = hashlib.sha256(about.encode()).digest()[:8]
    filler = hashlib.sha512(nonce).digest()
    return base64.b64encode(HEAD + nonce + _mac(world, project, model.id, nonce) + filler).decode()


def genuine(world: World, project: Project, model: Model, text: str) -> bool:
    """Whether ``text`` is a signature of this project and model, or a documented literal."""
    if escapes(text):
        return True
    raw = _decode(text)
    if len(raw) < 27 or not raw.startswith(HEAD):
        return False
    nonce = raw[3:11]
    whole = raw[27:] == hashlib.sha512(nonce).digest()
    return whole and raw[11:27] == _mac(world, project, model.id, nonce)


def escapes(text: str) -> bool:
    """Whether ``text`` is a documented literal that stands for no signature, plain or in base64."""
    return text in ESCAPES or _decode(text) in [escape.encode() for escape in ESCAPES]


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(
            text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True
        )
    except (binascii.Error, ValueError):
        return b""


def check(world: World, project: Project, model: Model, contents: list[dict[str, Any]]) -> None:
    """Look at every signature of a request. Raises ApiError 400 for a foreign one, and for one that is needed and
    missing: the first function call of each model turn since the user last spoke. The log tells how many were signed,
    and how many had one of the literals that stand for none.
    """
    signed = skipped = 0
    for content in contents:
        for part in content.get("parts", []):
            text = part.get("thoughtSignature")
            if not text:
                continue
            if not genuine(world, project, model, text):
                raise ApiError(400, "Corrupted thought signature.")
            skipped += escapes(text)
            signed += not escapes(text)
    if signed or skipped:
        note(signatures={"signed": signed, "skipped": skipped})
    if not model.signs:
        return
    start = 0
    for at, content in enumerate(contents):
        if content.get("role", "user") == "user" and any(
            "functionResponse" not in part for part in content["parts"]
        ):
            start = at
    for at, content in enumerate(contents[start:], start):
        calls = [part for part in content.get("parts", []) if "functionCall" in part]
        if content.get("role") == "model" and calls and not calls[0].get("thoughtSignature"):
            name = calls[0]["functionCall"].get("name", "")
            raise ApiError(
                400,
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{name}` , position {at + 1}. Please refer to {GUIDE} for more "
                "details.",
            )


def continuation(world: World, project: Project, model: Model, digest: str, offset: int) -> str:
    """A token by which the next request goes on ``offset`` tokens into the answer that ``digest`` names."""
    text = f"{digest}:{offset}"
    return base64.b64encode(text.encode() + b":" + _seal(world, project, model, text)).decode()


def resume(world: World, project: Project, model: Model, digest: str, token: str) -> int:
    """Where to go on. Raises ApiError 400 for a token of another prompt, project or model."""
    raw = _decode(token)
    text = raw[:-17].decode("latin-1")
    name, _, offset = text.partition(":")
    if raw[-16:] != _seal(world, project, model, text) or name != digest or not offset.isdigit():
        raise ApiError(400, "Invalid continuation token.")
    return int(offset)


def _seal(world: World, project: Project, model: Model, text: str) -> bytes:
    return world.sign(f"continuation:{project.name}:{model.id}:{text}")[:16]
