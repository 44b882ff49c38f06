"""A plain question to a model, as the API takes it, and the request that the gateway gets for it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from gemgate import __version__
from gemgate.api import named
from gemgate.dialects.gemini import plain
from gemgate.dialects.gemini.plain import Said

_ROLES: Final = {"user": "user", "model": "model", "assistant": "model"}
# A dollar sign alone lets a line break after the name through; \Z would be Python's alone, and the document tells it.
_Name = Annotated[
    str, Meta(max_length=120, pattern=r"^(((models|tunedModels)/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99})?$(?!\n)")
]
_Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Message(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One message of a conversation. ``assistant`` is another word for ``model``."""

    role: Literal["user", "model", "assistant"]
    content: str


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How to answer. What is left out is the model's own default.

    ``thinking_budget`` is in tokens (0: none, -1: as the model sees fit), for models that take one;
    ``thinking_level`` is for those that take a word. ``json`` asks for JSON, ``schema`` for JSON of this JSON Schema.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: _Count | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    stop: Annotated[list[str], Meta(max_length=5)] = []
    seed: _Count | None = None
    thinking_budget: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = None
    include_thoughts: bool = False
    json: bool = False
    schema: dict[str, Any] | None = None


class Question(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to ask: ``model`` or ``route``, and ``prompt`` or ``messages``."""

    model: Annotated[_Name, Meta(description="A model's name.", examples=["gemini-3.8-flash"])] = ""
    route: Annotated[_Name, Meta(description="A route's name, in place of a model.")] = ""
    prompt: Annotated[str, Meta(description="What to ask.", examples=["Why is the sky blue?"])] = ""
    messages: Annotated[list[Message], Meta(max_length=1000, description="Or a whole conversation.")] = []
    system: Annotated[str, Meta(description="The system instruction.")] = ""
    options: Options = msgspec.field(default_factory=Options)
    stream: Annotated[bool, Meta(description="Answer as server-sent events, as the text comes.")] = False
    tags: Annotated[
        list[Annotated[str, Meta(max_length=64)]],
        Meta(max_length=16, description="Put on the call, like x-gemgate-tags."),
    ] = []
    user: Annotated[str, Meta(max_length=200, description="On whose behalf, like x-gemgate-user.")] = ""


class Asked(msgspec.Struct):
    """A request for the gateway, POST; ``query`` begins with its question mark, where there is one."""

    path: str
    query: str
    body: bytes
    headers: dict[str, bytes]


def asked(question: Question) -> Asked:
    """The gateway's request for a question. Raises Problem 400 that names the field."""
    errors: dict[str, str] = {}
    if bool(question.model) == bool(question.route):
        errors["model"] = "Name a model or a route, one of both."
    if bool(question.prompt) == bool(question.messages):
        errors["prompt"] = "Give a prompt or messages, one of both."
    if question.messages and _ROLES[question.messages[-1].role] != "user":
        errors["messages"] = "The last one must be the user's."
    options = question.options
    if options.thinking_budget is not None and options.thinking_level is not None:
        errors["options.thinking_budget"] = "Give a budget or a level, not both."
    for tag in question.tags:
        if "," in tag or not tag.isprintable():
            errors["tags"] = "A tag has printable characters and no comma."
    if not question.user.isprintable():
        errors["user"] = "It has printable characters."
    if errors:
        raise named.wrong(errors)
    said = [Said(_ROLES[one.role], one.content) for one in question.messages] or [
        Said("user", question.prompt)
    ]
    name = question.model or question.route
    if not name.startswith(("models/", "tunedModels/")):
        name = f"models/{name}"
    method = "streamGenerateContent" if question.stream else "generateContent"
    headers = {"Content-Type": b"application/json", "User-Agent": f"gemgate-console/{__version__}".encode()}
    if question.tags:
        headers["x-gemgate-tags"] = ",".join(question.tags).encode()
    if question.user:
        headers["x-gemgate-user"] = question.user.encode()
    return Asked(
        path=f"/v1beta/{quote(name, safe='/')}:{method}",
        query="?alt=sse" if question.stream else "",
        body=plain.question(said, question.system, _config(options)),
        headers=headers,
    )


def _config(options: Options) -> dict[str, Any]:
    """``generationConfig`` in Google's names."""
    thinking = {
        "thinkingBudget": options.thinking_budget,
        "thinkingLevel": options.thinking_level.upper() if options.thinking_level else None,
        "includeThoughts": options.include_thoughts or None,
    }
    thinking = {name: value for name, value in thinking.items() if value is not None}
    config = {
        "temperature": options.temperature,
        "topP": options.top_p,
        "topK": options.top_k,
        "maxOutputTokens": options.max_output_tokens,
        "stopSequences": options.stop or None,
        "seed": options.seed,
        "thinkingConfig": thinking or None,
        "responseMimeType": "application/json" if options.json or options.schema is not None else None,
        "responseJsonSchema": options.schema,
    }
    return {name: value for name, value in config.items() if value is not None}
