"""The bodies of requests as far as the rules need them, in Google's both spellings; the rest is skipped."""

from __future__ import annotations

import msgspec

ABSENT = msgspec.Raw(b"")


class Blob(msgspec.Struct, gc=False):
    """Media, in the body (``data``) or in a file."""

    mimeType: str = ""
    mime_type: str = ""
    fileUri: str = ""
    file_uri: str = ""
    data: msgspec.Raw = ABSENT


class Part(msgspec.Struct, gc=False):
    """One part of a turn."""

    inlineData: Blob | None = None
    inline_data: Blob | None = None
    fileData: Blob | None = None
    file_data: Blob | None = None
    thoughtSignature: str = ""
    thought_signature: str = ""
    functionResponse: Content | None = None
    function_response: Content | None = None


class Content(msgspec.Struct, gc=False):
    """A turn, or what else holds parts."""

    parts: tuple[Part, ...] = ()


class Thinking(msgspec.Struct, gc=False):
    """thinkingConfig."""

    thinkingLevel: str = ""
    thinking_level: str = ""
    thinkingBudget: int | None = None
    thinking_budget: int | None = None


class Config(msgspec.Struct, gc=False):
    """generationConfig."""

    maxOutputTokens: int | None = None
    max_output_tokens: int | None = None
    candidateCount: int | None = None
    candidate_count: int | None = None
    responseMimeType: str = ""
    response_mime_type: str = ""
    responseSchema: msgspec.Raw = ABSENT
    response_schema: msgspec.Raw = ABSENT
    responseJsonSchema: msgspec.Raw = ABSENT
    response_json_schema: msgspec.Raw = ABSENT
    thinkingConfig: Thinking | None = None
    thinking_config: Thinking | None = None
    presencePenalty: float | str = 0.0
    presence_penalty: float | str = 0.0
    frequencyPenalty: float | str = 0.0
    frequency_penalty: float | str = 0.0


class Search(msgspec.Struct, gc=False):
    """The file search tool, which looks into stores of a project."""

    fileSearchStoreNames: tuple[str, ...] = ()
    file_search_store_names: tuple[str, ...] = ()


class Tool(msgspec.Struct, gc=False):
    """One tool."""

    functionDeclarations: tuple[msgspec.Raw, ...] = ()
    function_declarations: tuple[msgspec.Raw, ...] = ()
    fileSearch: Search | None = None
    file_search: Search | None = None


class Generate(msgspec.Struct, gc=False):
    """generateContent, and what cachedContents.create, countTokens and batches share with it."""

    model: str = ""
    contents: tuple[Content, ...] = ()
    systemInstruction: Content | None = None
    system_instruction: Content | None = None
    tools: tuple[Tool, ...] = ()
    generationConfig: Config | None = None
    generation_config: Config | None = None
    cachedContent: str = ""
    cached_content: str = ""
    serviceTier: str = ""
    service_tier: str = ""
    continuationToken: str = ""
    continuation_token: str = ""
    labels: msgspec.Raw = ABSENT
    generateContentRequest: Generate | None = None
    generate_content_request: Generate | None = None


class Text(Part, gc=False):
    """One part of what is embedded, which is counted by its text."""

    text: str = ""


class Texts(Content, gc=False):
    """What is embedded."""

    parts: tuple[Text, ...] = ()


class One(msgspec.Struct, gc=False):
    """One text that is embedded, alone or in a batch."""

    content: Texts | None = None


class Embed(One, gc=False):
    """embedContent and batchEmbedContents."""

    requests: tuple[One, ...] = ()


class Settings(msgspec.Struct, gc=False):
    """generation_config of an interaction."""

    max_output_tokens: int | None = None
    thinking_level: str | None = None
    presence_penalty: float | str | None = None
    frequency_penalty: float | str | None = None


class Interaction(msgspec.Struct, gc=False):
    """interactions.create."""

    model: str | None = None
    agent: str | None = None
    input: msgspec.Raw = ABSENT
    stream: bool | None = None
    tools: tuple[msgspec.Raw, ...] | None = None
    generation_config: Settings | None = None
    response_format: msgspec.Raw = ABSENT
    response_mime_type: str | None = None
    previous_interaction_id: str | None = None
    cached_content: str | None = None
    continuation_token: str | None = None
    service_tier: str | None = None


class Google(msgspec.Struct, gc=False):
    """Google's own fields in a body of OpenAI's form."""

    cached_content: str | None = None
    thinking_config: Thinking | None = None


class Extra(msgspec.Struct, gc=False):
    """extra_body."""

    google: Google | None = None


class Chat(msgspec.Struct, gc=False):
    """Google's OpenAI layer: chat completions, and what embeddings and images share with it."""

    model: str | None = None
    stream: bool | None = None
    messages: tuple[msgspec.Raw, ...] | None = None
    tools: tuple[msgspec.Raw, ...] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: msgspec.Raw = ABSENT
    reasoning_effort: str | None = None
    service_tier: str | None = None
    presence_penalty: float | str | None = None
    frequency_penalty: float | str | None = None
    extra_body: Extra | None = None
    google: Google | None = None
    n: int | None = None
    user: msgspec.Raw = ABSENT


class Named(msgspec.Struct, gc=False):
    """The one field that a body whose other fields surprise us is still read for."""

    model: str = ""


class Source(msgspec.Struct, gc=False):
    """The tuned model from which another one is tuned."""

    tunedModel: str = ""
    tuned_model: str = ""


class Tuning(msgspec.Struct, gc=False):
    """tunedModels.create: what is tuned."""

    baseModel: str = ""
    base_model: str = ""
    tunedModelSource: Source | None = None
    tuned_model_source: Source | None = None


class Kind(msgspec.Struct, gc=False):
    """What an item of an interaction's input is."""

    type: str = ""


generate = msgspec.json.Decoder(Generate)
embed = msgspec.json.Decoder(Embed)
interaction = msgspec.json.Decoder(Interaction)
chat = msgspec.json.Decoder(Chat)
named = msgspec.json.Decoder(Named)
tuning = msgspec.json.Decoder(Tuning)
kind = msgspec.json.Decoder(Kind)
fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
rows = msgspec.json.Decoder(list[msgspec.Raw])
labels = msgspec.json.Decoder(dict[str, str])
text = msgspec.json.Decoder(str)
