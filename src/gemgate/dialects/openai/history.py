"""The messages of a chat as Google's turns.

Laws:

- system and developer messages, wherever they stand, are the system instruction, in their order; a conversation
  of nothing else is a user's;
- the results of tools that follow one another are one turn, in the order of the calls, as Google asks;
- messages of the assistant that follow one another are one turn, and one that says nothing is none;
- the signature of a call is the client's own where it sends one, else the one that was kept; a turn of calls
  without any known one says so in the words that Google documents for it on its first call, since models from
  Gemini 3 on refuse the turn otherwise, and which model will answer is not known here [facts 5.2].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gemgate.core.errors import Refused
from gemgate.dialects.gemini.signatures import SKIP
from gemgate.dialects.openai import content
from gemgate.dialects.openai.bodies import Call, Extra, Message
from gemgate.dialects.openai.parameters import Leftovers, invalid
from gemgate.dialects.openai.pivot import Signature

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])


class _Called(msgspec.Struct):
    """A call in the history: the part that becomes it, the client's own signature, its place in the turn."""

    id: str
    name: str
    part: dict[str, Any]
    signature: str
    place: int


class _Result(msgspec.Struct):
    """The result of a tool; ``name`` is empty while nobody has said it."""

    id: str
    part: dict[str, Any]
    name: str
    where: str


class History:
    """The turns of a conversation; add its messages in order, then ``sign`` it."""

    __slots__ = ("_called", "_leftovers", "_places", "_results", "_run", "_turns", "contents", "system")

    def __init__(self, leftovers: Leftovers) -> None:
        self._leftovers = leftovers
        self.contents: list[dict[str, Any]] = []
        self.system: list[dict[str, Any]] = []
        self._turns: list[list[_Called]] = []  # the calls of each turn that has some
        self._called: dict[str, _Called] = {}  # the last call of each id
        self._results: list[_Result] = []
        self._run = ""  # the role of the message before: of tools and assistants those in a row are one turn
        self._places: list[int] = []  # of the results in the turn at hand

    @property
    def call_ids(self) -> tuple[str, ...]:
        """Ids of the tool calls that were made or answered, each once."""
        ids = dict.fromkeys(self._called)
        ids.update(dict.fromkeys(one.id for one in self._results))
        ids.pop("", None)
        return tuple(ids)

    def add(self, at: int, message: Message) -> None:
        """Add the message at place ``at``. Raises ``Refused`` (400) for one that cannot be understood."""
        role, where = message.role, f"messages[{at}]"
        if message.name and role != "tool":
            self._leftovers.note("messages[].name")
        if message.audio is not None:
            self._leftovers.note("messages[].audio")
        if message.images:
            self._leftovers.note("messages[].images")
        if role == "user":
            parts = content.parts(message.content, f"{where}.content", self._leftovers)
            if not parts:
                raise invalid(f"{where}.content", "a message of the user must have content.")
            self.contents.append({"role": "user", "parts": parts})
        elif role == "assistant":
            self._assistant(message, where)
        elif role == "tool":
            self._tool(message, where)
        elif role in ("system", "developer"):
            self.system.append({"text": content.text(message.content, f"{where}.content")})
            return
        else:
            hint = " Functions are called as tools." if role == "function" else ""
            raise invalid(f"{where}.role", f"{role!r} is no role that is known here.{hint}")
        self._run = role

    def whole(self) -> None:
        """All messages are in."""
        if not self.contents and self.system:
            self.contents = [{"role": "user", "parts": self.system}]
            self.system = []

    def sign(self, kept: Mapping[str, Signature]) -> None:
        """Put back what Google gave with its calls: the ids and the signatures. Raises ``Refused`` (400) for the
        result of a call that neither the messages nor ``kept`` know.
        """
        nothing = Signature("", "")
        for turn in self._turns:
            signed = False
            for call in turn:
                known = kept.get(call.id, nothing)
                text = call.signature or known.text
                if text:
                    call.part["thoughtSignature"] = text
                    signed = True
                if known.google_id:
                    call.part["functionCall"]["id"] = known.google_id
            if not signed:
                turn[0].part["thoughtSignature"] = SKIP
        for result in self._results:
            known = kept.get(result.id, nothing)
            name = result.name or known.name
            if not name:
                raise _unknown(result)
            response = result.part["functionResponse"]
            response["name"] = name
            if known.google_id:
                response["id"] = known.google_id

    def _assistant(self, message: Message, where: str) -> None:
        if message.function_call is not None:
            raise invalid(f"{where}.function_call", "it is not served; use tool_calls.")
        said = content.text(message.content, f"{where}.content") or message.refusal or ""
        signature = _signature(message.extra_content)
        parts: list[dict[str, Any]] = []
        if said or signature:
            parts.append({"text": said, "thoughtSignature": signature} if signature else {"text": said})
        if message.tool_calls:
            turn = [self._call(call, place, where) for place, call in enumerate(message.tool_calls)]
            self._turns.append(turn)
            parts += [one.part for one in turn]
        if not parts:
            return
        if self._run == "assistant" and self.contents and self.contents[-1]["role"] == "model":
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": "model", "parts": parts})

    def _call(self, call: Call, place: int, where: str) -> _Called:
        field = f"{where}.tool_calls[{place}]"
        function = call.function
        if function is None or call.type not in (None, "function"):
            raise invalid(f"{field}.type", "only calls of functions are served.")
        made: dict[str, Any] = {"name": function.name, "args": _arguments(function.arguments, field)}
        found = _Called(call.id, function.name, {"functionCall": made}, _signature(call.extra_content), place)
        self._called[call.id] = found
        return found

    def _tool(self, message: Message, where: str) -> None:
        call_id = message.tool_call_id or ""
        called = self._called.get(call_id)
        if not call_id and not message.name:
            raise invalid(f"{where}.tool_call_id", "it is missing.")
        name = called.name if called is not None else message.name or ""
        parts = content.parts(message.content, f"{where}.content", self._leftovers)
        response: dict[str, Any] = {"name": name, "response": _response(parts)}
        media = [part for part in parts if "text" not in part]
        if media:
            response["parts"] = media
        part = {"functionResponse": response}
        self._results.append(_Result(call_id, part, name, where))
        place = called.place if called is not None else len(self._places)
        if self._run != "tool":
            self.contents.append({"role": "user", "parts": []})
            self._places = []
        after = len(self._places)
        while after and self._places[after - 1] > place:
            after -= 1
        self._places.insert(after, place)
        self.contents[-1]["parts"].insert(after, part)


def _signature(extra: Extra | None) -> str:
    return (extra.google.thought_signature or "") if extra is not None and extra.google is not None else ""


def _arguments(text: str, field: str) -> msgspec.Raw:
    if not text or text.isspace():
        return msgspec.Raw(b"{}")
    try:
        _object.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise invalid(f"{field}.function.arguments", "it must be a JSON object in a string.") from None
    return msgspec.Raw(text.encode())


def _response(parts: list[dict[str, Any]]) -> msgspec.Raw | dict[str, Any]:
    """What the tool said: a JSON object as it is, anything else under ``result``."""
    text = "".join(part["text"] for part in parts if "text" in part)
    head = text.lstrip()[:1]
    try:
        if head == "{":
            _object.decode(text)
            return msgspec.Raw(text.encode())
        if head == "[":
            _array.decode(text)
            return {"result": msgspec.Raw(text.encode())}
    except (msgspec.DecodeError, RecursionError):
        pass  # it only looks like JSON
    return {"result": text}


def _unknown(result: _Result) -> Refused:
    return invalid(f"{result.where}.tool_call_id", f"no message before has a tool call {result.id!r}.")
