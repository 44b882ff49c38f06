"""The items of ``input`` as turns of Gemini's, and these as the steps of an interaction.

Laws:

- items of one side that follow each other are one turn; instructions, system and developer messages are the
  system's, in their order;
- a function's call goes back with the signature and the id that Google gave it: from the item itself, from the
  reasoning item before it, or from what was kept. Where no call of a turn has any, the first carries the words
  that Google documents for history of other origin;
- what a function gave back is a JSON object for Google: another value becomes ``{"result": …}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gemgate.core.errors import Refused
from gemgate.dialects.gemini.signatures import SKIP
from gemgate.dialects.openai.parameters import INVALID, invalid
from gemgate.dialects.openai.pivot import Signature
from gemgate.dialects.openai.responses.media import part as media_part
from gemgate.dialects.openai.responses.request import Content, Item

MARK = "google:"
"""What stands before a signature in ``encrypted_content``, so that another maker's is not taken for Google's."""
Json = dict[str, Any]

_SYSTEM = ("system", "developer")
_NO_SIGNATURE = Signature("", "")
_TEXTS = frozenset({"input_text", "output_text", "text", "reasoning_text", "summary_text"})
_JOINT = "_g_"
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


def joined(call_id: str, google_id: str) -> str:
    """A tool call's id that leads back to Google's own, where that is short enough for OpenAI's 64 characters."""
    whole = f"{call_id}{_JOINT}{google_id}"
    return whole if google_id and len(whole) <= 64 else call_id


def google_id(call_id: str) -> str:
    """Google's own id within a tool call's id that ``joined`` made, empty for none."""
    return call_id.partition(_JOINT)[2] if call_id.startswith("call_") else ""


def call_ids(items: str | list[Item] | None) -> tuple[str, ...]:
    """The ids of the tool calls in ``input``, each once."""
    if items is None or isinstance(items, str):
        return ()
    return tuple(dict.fromkeys(item.call_id for item in items if item.call_id))


class Turns:
    """Makes the turns. ``system`` and ``contents`` are Gemini's, once ``add`` had every item.

    ``loose``: a function's output may answer a call that is not in the input (a stored conversation has it).
    """

    def __init__(self, signatures: Mapping[str, Signature], *, loose: bool) -> None:
        self.system: list[Json] = []
        self.contents: list[Json] = []
        self._kept = signatures
        self._loose = loose
        self._names: dict[str, str] = {}
        self._pending = ""

    def add(self, items: str | list[Item]) -> None:
        """Take the whole input. Raises ``Refused`` (400) for an item that cannot be understood."""
        if isinstance(items, str):
            self._append("user", [{"text": items}])
            return
        for at, item in enumerate(items):
            kind = item.type or ("message" if item.role else "")
            where = f"input[{at}]"
            if kind == "message":
                self._message(item, where)
            elif kind == "function_call":
                self._call(item, where)
            elif kind == "function_call_output":
                self._append("user", [self._result(item, where)])
            elif kind == "reasoning":
                self._pending = _signature(item) or self._pending
            else:
                raise _unserved(kind, where)
        for content in self.contents:
            _sign_first(content)

    def _append(self, role: str, parts: list[Json]) -> None:
        if not parts:
            return
        if role == "user":
            self._pending = ""
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})

    def _message(self, item: Item, where: str) -> None:
        found = parts(item.content, f"{where}.content")
        if item.role in _SYSTEM:
            if any("text" not in part for part in found):
                raise invalid(f"{where}.content", "only text can stand here.")
            self.system += found
        elif item.role == "user":
            self._append("user", found)
        elif item.role == "assistant":
            signature = _own(item) or self._pending
            self._pending = ""
            if signature and found:
                found[-1]["thoughtSignature"] = signature
            self._append("model", found)
        else:
            raise invalid(f"{where}.role", f"'{item.role}' is neither user, assistant, system nor developer.")

    def _call(self, item: Item, where: str) -> None:
        if not item.call_id or not item.name:
            raise invalid(where, "a function_call must have a call_id and a name.")
        self._names[item.call_id] = item.name
        try:
            arguments: object = _raw.decode(item.arguments or "{}")
        except (msgspec.DecodeError, RecursionError):
            raise invalid(f"{where}.arguments", "the text of a JSON object is due.") from None
        kept = self._kept.get(item.call_id, _NO_SIGNATURE)
        call: Json = {"name": item.name, "args": arguments}
        own = kept.google_id or google_id(item.call_id)
        if own or self._loose:
            call["id"] = own or item.call_id
        signature = _own(item) or self._pending or kept.text
        self._pending = ""
        made: Json = {"functionCall": call}
        if signature:
            made["thoughtSignature"] = signature
        self._append("model", [made])

    def _result(self, item: Item, where: str) -> Json:
        if not item.call_id:
            raise invalid(f"{where}.call_id", "a function_call_output must have a call_id.")
        kept = self._kept.get(item.call_id, _NO_SIGNATURE)
        name = self._names.get(item.call_id) or kept.name or item.name or ""
        if not self._loose and item.call_id not in self._names:
            raise Refused(
                400,
                INVALID,
                f"Invalid '{where}.call_id': no tool call found for function call output with call_id"
                f" {item.call_id}.",
                hint="Send the function_call item before its output, or name the answer that made the call in"
                " previous_response_id.",
            )
        response: Json = {"name": name}
        own = kept.google_id or google_id(item.call_id)
        if own or self._loose:
            response["id"] = own or item.call_id
        if item.output is None or isinstance(item.output, str):
            response["response"] = _object(item.output or "")
        else:
            made = parts(item.output, f"{where}.output")
            response["response"] = _object("".join(one.get("text", "") for one in made))
            others = [one for one in made if "text" not in one]
            if others:
                response["parts"] = others
        return {"functionResponse": response}


def parts(content: str | list[Content] | None, where: str) -> list[Json]:
    """The parts that a content becomes. Raises ``Refused`` (400) for one that cannot be understood."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}] if content else []
    made: list[Json] = []
    for at, one in enumerate(content):
        if one.type in _TEXTS:
            made.append({"text": one.text or ""})
        elif one.type == "refusal":
            made.append({"text": one.refusal or ""})
        else:
            made.append(media_part(one, f"{where}[{at}]"))
    return made


def _own(item: Item) -> str:
    """The signature that the client sent back on the item itself."""
    google = item.extra_content.google if item.extra_content is not None else None
    return (google.thought_signature or "") if google is not None else ""


def _signature(item: Item) -> str:
    """The signature in a reasoning item; another maker's encrypted content is none."""
    held = item.encrypted_content or ""
    return held.removeprefix(MARK) if held.startswith(MARK) else ""


def _object(text: str) -> Json:
    """A function's output as an object: its own, if it is the text of one."""
    if text.lstrip()[:1] == "{":
        try:
            return dict(_raw.decode(text))
        except (msgspec.DecodeError, RecursionError):
            pass
    return {"result": text}


def _sign_first(content: Json) -> None:
    """The words for history of other origin on a turn's first call, where no call of it has a signature."""
    calls = [part for part in content["parts"] if "functionCall" in part]
    if calls and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = SKIP


def _unserved(kind: str, where: str) -> Refused:
    if kind == "item_reference":
        hint = "Send the item itself, or name the answer that it is part of in previous_response_id."
        return Refused(400, INVALID, f"Invalid '{where}': items cannot be named by id here.", hint=hint)
    said = f"items of type '{kind}' are not served here." if kind else "an item must have a type or a role."
    return Refused(
        400,
        INVALID,
        f"Invalid '{where}.type': {said}",
        hint="Served are message, function_call, function_call_output and reasoning.",
    )
