"""A request made to fit another model: what is named is changed, every other byte stays as it came.

Laws:

- what a change is about and does not stand in the request is not put into it;
- a change keeps the spelling of the field it touches (``thinkingConfig``, ``thinking_config``) and the space
  around it;
- a body that is no JSON object, or is encoded, stays as it is.

The changes: ``model``; ``thinking:level:low``, ``thinking:budget:1024``, ``thinking:drop``; ``signatures`` puts in
place of each thought signature the words that Google documents for history of other origin [facts 5.2]. Which
change a model needs is decided in ``core``.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

from gemgate.dialects.gemini import signatures, spans
from gemgate.dialects.gemini.methods import Match, Reading
from gemgate.dialects.gemini.spans import Edit, Member

_REQUESTS = ("batch", "inputConfig|input_config", "requests", "requests", "request")
_INNER = "generateContentRequest|generate_content_request"
_SIGNATURE = "thoughtSignature|thought_signature"
_NATIVE_MODELS: tuple[tuple[str, ...], ...] = (
    ("model",),
    ("baseModel|base_model",),
    (_INNER, "model"),
    ("requests", "model"),
    ("batch", "model"),
    (*_REQUESTS, "model"),
)
_SIGNED: dict[Reading, tuple[tuple[str, ...], ...]] = {
    Reading.OPENAI: (
        ("messages", "tool_calls", "extra_content", "google", "thought_signature"),
        ("messages", "extra_content", "google", "thought_signature"),
    ),
    Reading.INTERACTION: (("input", "signature"),),
}
_NATIVE_SIGNED: tuple[tuple[str, ...], ...] = (
    ("contents", "parts", _SIGNATURE),
    (_INNER, "contents", "parts", _SIGNATURE),
)
_THINKING: dict[Reading, tuple[tuple[str, ...], ...]] = {
    Reading.OPENAI: (
        ("reasoning_effort",),
        ("extra_body", "google", "thinking_config", "thinking_level|thinking_budget"),
        ("google", "thinking_config", "thinking_level|thinking_budget"),
    ),
    Reading.INTERACTION: (("generation_config", "thinking_level"),),
}
_NATIVE_THINKING: tuple[tuple[str, ...], ...] = (
    (
        "generationConfig|generation_config",
        "thinkingConfig|thinking_config",
        "thinkingLevel|thinking_level|thinkingBudget|thinking_budget",
    ),
)


def adapt(match: Match, body: bytes, model: str, changes: tuple[str, ...]) -> bytes:
    """The body for ``model`` (a bare id, or ``tunedModels/x``) with the changes made. Never raises."""
    out = body
    try:
        for change in changes:
            word, _, rest = change.partition(":")
            if word == "model":
                out = _named(match, out, model)
            elif word == "thinking":
                kind, _, value = rest.partition(":")
                out = _think(match.reading, out, kind, value)
            elif word == "signatures":
                out = _unsigned(match.reading, out)
    except spans.Broken:
        return body
    return out


def path(raw_path: str, old: str, new: str) -> str:
    """The raw path with the model ``new`` in place of ``old`` (``Match.model``), as it came where that is none."""
    before, after = "/+".join(map(re.escape, _resource(old).split("/"))), _resource(new)
    pattern = re.compile(rf"/(?:models/+)*{before}(?=[:/]|%3[aA]|$)")
    for place in (raw_path, unquote(raw_path)):
        found = pattern.search(place)
        if found is not None:
            changed = f"{place[: found.start()]}/{after}{place[found.end() :]}"
            return changed if place == raw_path else quote(changed, safe="/:@-._~!$&'()*+,;=")
    return raw_path


def _resource(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _named(match: Match, body: bytes, model: str) -> bytes:
    own = match.reading in (Reading.OPENAI, Reading.INTERACTION) or match.method.startswith("openai.")
    edits: list[Edit] = []
    for way in (("model",),) if own else _NATIVE_MODELS:
        for member in spans.find(body, *way):
            old = spans.text(body, member.start, member.end)
            # A name with its prefix keeps one.
            full = old.startswith("models/") or (old.startswith("tunedModels/") and not own)
            new = _resource(model) if full else model
            if old and old != new:
                edits.append((member.start, member.end, msgspec.json.encode(new)))
    return spans.changed(body, edits)


def _unsigned(reading: Reading, body: bytes) -> bytes:
    literal = msgspec.json.encode(signatures.SKIP)
    edits: list[Edit] = []
    for way in _SIGNED.get(reading, _NATIVE_SIGNED):
        for member in spans.find(body, *way):
            if signatures.plain(spans.text(body, member.start, member.end)):
                edits.append((member.start, member.end, literal))
    return spans.changed(body, edits)


def _think(reading: Reading, body: bytes, kind: str, value: str) -> bytes:
    """Set thinking to a level or a budget, or leave it to the model (``drop``)."""
    kept: list[Member] = []
    for way in _THINKING.get(reading, _NATIVE_THINKING):
        # One by one from behind, so that places found before stay right.
        for member in reversed(list(spans.find(body, *way))):
            if kind == "drop":
                body = spans.without(body, member)
            else:
                kept.append(member)
    if not kept:
        return body
    first = min(kept, key=lambda member: member.begin)
    for member in sorted(kept, key=lambda member: -member.begin):
        if member is not first:
            body = spans.without(body, member)
    return spans.changed(body, _setting(reading, body, first, kind, value))


def _setting(reading: Reading, body: bytes, member: Member, kind: str, value: str) -> list[Edit]:
    """The edits that make one setting of thinking another. A level is written as the one before it was, else in
    capitals as in Google's enum, or small in the dialects that write it so."""
    fixed = member.key in ("reasoning_effort",) or reading is Reading.INTERACTION
    if kind == "budget":
        # These two know levels only, and Google turns a level into a budget where the model has none.
        return [] if fixed else _renamed(member, "budget", value.encode())
    old = spans.text(body, member.start, member.end)
    small = reading in (Reading.OPENAI, Reading.INTERACTION) or (old != "" and old == old.lower())
    level = msgspec.json.encode(value.lower() if small else value.upper())
    return [(member.start, member.end, level)] if fixed else _renamed(member, "level", level)


def _renamed(member: Member, kind: str, value: bytes) -> list[Edit]:
    key = f"thinking_{kind}" if "_" in member.key else f"thinking{kind.title()}"
    edits: list[Edit] = [(member.start, member.end, value)]
    if key != member.key:
        edits.append((member.begin, member.colon, msgspec.json.encode(key)))
    return edits
