"""The body of ``POST /responses`` as it is read: typed where we act on it, raw where it is only said again.

Laws:

- what would change the meaning of the answer and has no like at Google (a stored prompt, a conversation, tools
  that OpenAI runs) is refused; what only tunes it is left out by the setting ``openai.parameters``, and named;
- null is as good as absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gemgate.core.errors import Refused
from gemgate.dialects.openai import bodies, effort, members, schema, tools
from gemgate.dialects.openai.bodies import ABSENT, Audio
from gemgate.dialects.openai.counts import TIERS
from gemgate.dialects.openai.parameters import INVALID, Leftovers, invalid, misread

Json = dict[str, Any]
_NULL = (b"", b"null")


class Content(msgspec.Struct, forbid_unknown_fields=True):
    """One part of a message, or of a function's output; an answer's has ``annotations`` and ``logprobs``."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: Audio | None = None
    detail: str | None = None
    annotations: msgspec.Raw = ABSENT
    logprobs: msgspec.Raw = ABSENT


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """One item of ``input``, of whichever type; a message may leave its type out.

    ``id``, ``status`` and ``summary`` stand in answers that come back; thoughts go back by their signatures alone.
    """

    type: str | None = None
    role: str | None = None
    content: str | list[Content] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Content] | None = None
    encrypted_content: str | None = None
    extra_content: bodies.Extra | None = None
    id: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    summary: msgspec.Raw = ABSENT


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    """A tool: of functions all is read, of others the type alone."""

    type: str
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """A tool that ``tool_choice`` names."""

    type: str = "function"
    name: str = ""


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """``tool_choice`` as an object."""

    type: str
    name: str = ""
    mode: str = "auto"
    tools: list[Named] = []


class Format(msgspec.Struct, forbid_unknown_fields=True):
    """``text.format``."""

    type: str = "text"
    schema: msgspec.Raw = ABSENT
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """``text``."""

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """``reasoning``; ``generate_summary`` is the old name of ``summary``."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class Body(msgspec.Struct):
    """The request. Fields that are only said again in the answer stay raw in ``Asked.fields``."""

    model: str | None = None
    input: str | list[Item] | None = None
    instructions: str | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    truncation: str | None = None
    include: list[str] | None = None


class Asked(msgspec.Struct, frozen=True):
    """A request that was understood: its ``body``, all of its ``fields`` raw, and what was ``dropped``."""

    body: Body
    fields: dict[str, msgspec.Raw]
    dropped: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model asked for, without ``models/``."""
        return (self.body.model or "").removeprefix("models/")

    @property
    def stored(self) -> bool:
        """Whether the answer belongs to a conversation that Google keeps: it is an interaction then."""
        return _stored(self.body)

    @property
    def logprobs(self) -> bool:
        """Whether log probabilities are wanted, by number or by ``include``."""
        return bool(self.body.top_logprobs) or LOGPROBS in (self.body.include or ())

    @property
    def encrypted(self) -> bool:
        """Whether reasoning items are to carry what must be sent back (``include``)."""
        return ENCRYPTED in (self.body.include or ())

    @property
    def summary(self) -> bool:
        """Whether summaries of the reasoning are wanted."""
        reasoning = self.body.reasoning
        return reasoning is not None and bool(reasoning.summary or reasoning.generate_summary)


LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
_KNOWN = frozenset(Body.__struct_fields__)
# They change nothing in what is answered: padding against eavesdroppers.
_SILENT = frozenset({"stream_options"})
_REFUSED = {
    "conversation": "conversations are not kept here; follow an answer with previous_response_id, or send the"
    " whole conversation as input.",
    "prompt": "prompts stored at OpenAI's are not known here; send the text as instructions and input.",
}

_body = msgspec.json.Decoder(Body)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode(body: bytes, unsupported: str) -> Asked:
    """Read the body of a request. Raises ``Refused`` (400) naming the field that cannot be understood."""
    try:
        asked, unknown = members.decode(_body, body)
        fields = _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise misread(fault) from None
    if not asked.model:
        raise invalid("model", "a model must be named.")
    if asked.input in (None, [], "") and not asked.previous_response_id:
        raise invalid("input", "a text, or a list with at least one item, is due.")
    for name, why in _REFUSED.items():
        if bytes(fields.get(name, ABSENT)) not in _NULL:
            raise invalid(name, why)
    for at, tool in enumerate(asked.tools or ()):
        if tool.type != "function":
            raise _tool(f"tools[{at}].type", tool.type)
        if not tool.name:
            raise invalid(f"tools[{at}].name", "a function must have a name.")
    if asked.background and asked.store is False:
        raise invalid("background", "an answer in the background must be stored.")
    return Asked(asked, fields, _left_out(asked, fields, unknown, unsupported))


def _stored(asked: Body) -> bool:
    return asked.store is not False or bool(asked.previous_response_id)


def thinking(asked: Body) -> tuple[str, str | int] | None:
    """The member of Google's thinkingConfig for the effort, and its value; None where there is none."""
    wanted = asked.reasoning.effort if asked.reasoning is not None else None
    return effort.thinking((asked.model or "").removeprefix("models/"), wanted) if wanted else None


def _tool(name: str, kind: str) -> Refused:
    return Refused(
        400,
        INVALID,
        f"Invalid '{name}': tools of type '{kind}' run at OpenAI's and are not served here.",
        hint="Only tools of type function are served.",
    )


def _left_out(
    asked: Body, fields: dict[str, msgspec.Raw], unknown: tuple[str, ...], unsupported: str
) -> tuple[str, ...]:
    """The names of what has no like at Google. Raises ``Refused`` where the setting says so."""
    left = Leftovers(unsupported)
    stored = _stored(asked)
    if asked.reasoning is not None and asked.reasoning.effort is not None:
        if asked.reasoning.effort not in effort.EFFORTS:
            raise invalid("reasoning.effort", f"it must be one of {', '.join(effort.EFFORTS)}.")
        if not effort.is_met(asked.reasoning.effort, thinking(asked)):
            left.note("reasoning.effort")
    if asked.parallel_tool_calls is False and asked.tools:
        left.note("parallel_tool_calls")
    if asked.truncation not in (None, "disabled"):
        left.note("truncation")
    if asked.metadata:
        left.note("metadata")
    if asked.text is not None and asked.text.verbosity not in (None, "medium"):
        left.note("text.verbosity")
    if asked.service_tier not in (None, "auto", *TIERS):
        left.note("service_tier")
    if stored and asked.top_logprobs:
        left.note("top_logprobs")  # interactions tell none
    if any(one != ENCRYPTED and (stored or one != LOGPROBS) for one in asked.include or ()):
        left.note("include")
    if any(content.detail not in (None, "auto") for content in _contents(asked.input)):
        left.note("input_image.detail")
    for name in _unknown(fields, unknown):
        left.note(name)
    return left.names


def _unknown(fields: dict[str, msgspec.Raw], inside: tuple[str, ...]) -> Iterator[str]:
    """What is not known: fields at the top, and members ``inside`` of them."""
    for name, value in fields.items():
        if name not in _KNOWN and name not in _SILENT and bytes(value) not in _NULL:
            yield name
    for name in inside:
        if name not in fields:
            yield name


def _contents(items: str | list[Item] | None) -> Iterator[Content]:
    for item in items if isinstance(items, list) else ():
        for held in (item.content, item.output):
            yield from held if isinstance(held, list) else ()


def tier(asked: Body) -> str:
    """Google's name of the service tier, empty for the default."""
    return TIERS.get(asked.service_tier or "", "")


def functions(asked: Body) -> tuple[list[Json], Json | None]:
    """Google's functionDeclarations and functionCallingConfig (None: its default). Raises ``Refused`` (400)."""
    given = asked.tools or ()
    declared = tools.declarations(
        tuple(
            bodies.Tool("function", bodies.Declared(tool.name, tool.description, tool.parameters))
            for tool in given
        )
    )
    picked = asked.tool_choice if given else None
    if not isinstance(picked, Choice):
        return tools.choose(picked, declared)
    for at, tool in enumerate(picked.tools):
        if tool.type != "function":
            raise _tool(f"tool_choice.tools[{at}].type", tool.type)
    allowed = tuple(bodies.Choice("function", bodies.Named(tool.name)) for tool in picked.tools)
    choice = bodies.Choice(picked.type, bodies.Named(picked.name), bodies.Allowed(picked.mode, allowed))
    return tools.choose(choice, declared)


def json_schema(asked: Body) -> tuple[bool, msgspec.Raw]:
    """Whether JSON is wanted, and the schema for it (``ABSENT`` for any). Raises ``Refused`` (400)."""
    form = asked.text.format if asked.text is not None else None
    if form is None or form.type == "text":
        return False, ABSENT
    if form.type == "json_object":
        return True, ABSENT
    if form.type != "json_schema":
        raise invalid("text.format.type", f"'{form.type}' is neither text, json_object nor json_schema.")
    if bytes(form.schema) in _NULL:
        raise invalid("text.format.schema", "a schema is due.")
    return True, schema.passed(schema.described(form.schema, form.description))
