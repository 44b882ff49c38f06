"""The body of a request for a chat completion, with all fields that OpenAI documents.

A field that is null means the same as one that is left out. What has no like at Google is kept as it came, only
to see whether it is there. Members that are not here are forbidden: ``members`` names them and takes them out.
"""

from __future__ import annotations

import msgspec

ABSENT = msgspec.Raw(b"")


class Url(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A medium by its address: of the web, of a file at Google, or a ``data:`` URL that holds it."""

    url: str
    detail: str | None = None


class Audio(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Sound in base64, or in a ``data:`` URL."""

    data: str
    format: str | None = None


class File(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A file, in the body (base64 or a ``data:`` URL) or uploaded before."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One part of a message."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Url | str | None = None
    video_url: Url | str | None = None
    input_audio: Audio | None = None
    file: File | None = None


class Signed(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``extra_content.google``."""

    thought_signature: str | None = None


class Extra(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``extra_content``, in which a client may give back what it got."""

    google: Signed | None = None


class Function(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The function that was called; ``arguments`` is JSON in a string."""

    name: str
    arguments: str = ""


class Call(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A tool call in the history; ``index`` is its place in the stream in which it came."""

    function: Function | None = None
    id: str = ""
    type: str | None = None
    extra_content: Extra | None = None
    index: int | None = None
    custom: msgspec.Raw = ABSENT


class Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A message of any role. ``images``, ``reasoning_content`` and ``annotations`` stand in answers that come back;
    thoughts go back by their signatures alone.
    """

    role: str
    content: str | tuple[Part, ...] | None = None
    name: str | None = None
    tool_calls: tuple[Call, ...] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    extra_content: Extra | None = None
    function_call: Function | None = None
    audio: dict[str, msgspec.Raw] | None = None
    images: tuple[msgspec.Raw, ...] | None = None
    reasoning_content: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT


class StreamOptions(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``stream_options``. Obfuscation is padding, which changes no answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Declared(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None


class Tool(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A tool; only functions are served."""

    type: str | None = None
    function: Declared | None = None
    custom: msgspec.Raw = ABSENT


class Named(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A function by its name."""

    name: str


class Allowed(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The tools of which the model may choose."""

    mode: str = "auto"
    tools: tuple[Choice, ...] = ()


class Choice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``tool_choice`` where it is an object."""

    type: str = ""
    function: Named | None = None
    allowed_tools: Allowed | None = None
    custom: msgspec.Raw = ABSENT


class Schema(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``response_format.json_schema``. Its name is for people; Gemini's answers fit without ``strict``."""

    schema: msgspec.Raw = ABSENT
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Format(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``response_format``."""

    type: str
    json_schema: Schema | None = None


class Thinking(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``thinking_config`` of Google's extra fields, in both spellings."""

    thinking_budget: int | None = None
    thinkingBudget: int | None = None
    thinking_level: str | None = None
    thinkingLevel: str | None = None
    include_thoughts: bool | None = None
    includeThoughts: bool | None = None


class Chat(msgspec.Struct, forbid_unknown_fields=True):
    """The whole body. ``top_k`` is no field of OpenAI's, but many of its clients send it and Google has it."""

    messages: tuple[Message, ...]
    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    n: int | None = None
    stop: str | tuple[str, ...] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: Choice | str | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    modalities: tuple[str, ...] | None = None
    store: bool | None = None
    google: dict[str, msgspec.Raw] | None = None
    extra_body: dict[str, msgspec.Raw] | None = None
    functions: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT
    logit_bias: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    moderation: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT
    prompt_cache_key: msgspec.Raw = ABSENT
    prompt_cache_options: msgspec.Raw = ABSENT
    prompt_cache_retention: msgspec.Raw = ABSENT
    verbosity: msgspec.Raw = ABSENT
    web_search_options: msgspec.Raw = ABSENT


UNLIKE = (
    "audio",
    "logit_bias",
    "metadata",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "verbosity",
    "web_search_options",
)
"""Fields without any like at Google."""

chat = msgspec.json.Decoder(Chat)
fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
thinking = msgspec.json.Decoder(Thinking)
