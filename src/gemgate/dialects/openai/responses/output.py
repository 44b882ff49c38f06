"""The output items of one answer, and the events that tell them while they grow.

Laws:

- an item is told by ``output_item.added``, its deltas, and ``output_item.done``; one is open at a time, and it is
  closed by the next one or by the end, so that a signature that comes late still reaches it;
- ``items`` at the end are the items of the ``done`` events, whether anybody read events or not: a whole answer
  goes the same way;
- nothing here says that the answer ended well.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gemgate.dialects.openai.pivot import Signature, tool_call_id
from gemgate.dialects.openai.responses.items import MARK, joined

Json = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class Events:
    """The stream of events: numbered, and skipped up to a number that the client has seen already."""

    __slots__ = ("_after", "_out", "number")

    def __init__(self, after: int = -1) -> None:
        self.number = 0
        self._after = after
        self._out: list[bytes] = []

    def tell(self, kind: str, fields: Json) -> None:
        """Add one event."""
        number = self.number
        self.number += 1
        if number > self._after:
            data = _encode({"type": kind, "sequence_number": number, **fields})
            self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))

    def take(self) -> bytes:
        """The bytes told since the last time."""
        out = b"".join(self._out)
        self._out.clear()
        return out


class Output:
    """The items. ``events`` is where they are told, None for an answer that is given whole.

    ``seed`` (16 bytes) is what the ids are made from: the same for the same answer, and no other's.
    ``encrypted``: reasoning items carry the signature of the call after them. ``lasting``: ids of calls lead back
    to Google's own, as a conversation that Google keeps needs them even where nothing of ours was kept.
    """

    def __init__(self, seed: bytes, events: Events | None, *, encrypted: bool, lasting: bool) -> None:
        self.items: list[Json] = []
        self.kept: list[tuple[str, Signature]] = []
        self.status = "completed"
        """The status of items that are closed from now on."""
        self._seed = seed
        self._events = events
        self._encrypted = encrypted
        self._lasting = lasting
        self._open: Json | None = None
        self._pieces: list[str] = []
        self._logprobs: list[Json] = []
        self._signature = ""
        self._places: dict[str, int] = {}  # by kind: another read may see other items, with the same ids

    def think(self, text: str) -> None:
        """More of the summary of the reasoning."""
        if not text:
            return
        if self._open is None or self._open["type"] != "reasoning":
            self._reasoning()
            self._tell(
                "reasoning_summary_part.added",
                {"summary_index": 0, "part": {"type": "summary_text", "text": ""}},
            )
        self._pieces.append(text)
        self._tell("reasoning_summary_text.delta", {"summary_index": 0, "delta": text})

    def say(self, text: str, logprobs: list[Json] | None = None) -> None:
        """More of the text of a message."""
        if not text:
            return
        self._message("output_text")
        self._pieces.append(text)
        self._logprobs += logprobs or ()
        self._tell("output_text.delta", {"content_index": 0, "delta": text, "logprobs": logprobs or []})

    def refuse(self, text: str) -> None:
        """A message that refuses, whole."""
        self._message("refusal")
        self._pieces.append(text)
        self._tell("refusal.delta", {"content_index": 0, "delta": text})

    def draw(self, data: str) -> None:
        """An image (base64), whole."""
        self._start({"type": "image_generation_call", "status": "in_progress", "result": None}, "ig")
        assert self._open is not None
        self._open["result"] = data
        self.close()

    def sign(self, signature: str) -> None:
        """A thought signature of the text said last."""
        if signature and self._open is not None and self._open["type"] == "message":
            self._signature = signature

    def call(self, name: str, google_id: str, signature: str) -> None:
        """A call of a function begins; ``signature`` is its thought signature, empty for none."""
        if signature and self._encrypted:
            if self._open is None or self._open["type"] != "reasoning":
                self._reasoning()
            assert self._open is not None
            self._open["encrypted_content"] = MARK + signature
        own = tool_call_id(self._seed, 0, self._places.get("fc", 0))
        if self._lasting:
            own = joined(own, google_id)
        item = {
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": own,
            "name": name,
        }
        self._start(item, "fc")
        self._signature = signature
        if signature or google_id:
            self.kept.append((own, Signature(signature, google_id, name)))

    def argue(self, text: str) -> None:
        """More of the arguments of the open call, as JSON."""
        if text and self._open is not None and self._open["type"] == "function_call":
            self._pieces.append(text)
            self._tell("function_call_arguments.delta", {"delta": text})

    def close_call(self) -> None:
        """Close the open item if it is a call: nothing will be added to it."""
        if self._open is not None and self._open["type"] == "function_call":
            self.close()

    def close(self) -> None:
        """Close the open item, if there is one."""
        item = self._open
        if item is None:
            return
        text = "".join(self._pieces)
        _CLOSERS[item["type"]](self, item, text)
        if self._signature:
            # For clients that send items back as they got them.
            item["extra_content"] = {"google": {"thought_signature": self._signature}}
        if item["type"] != "reasoning":
            item["status"] = self.status
        self._tell("output_item.done", {"item": item}, item_id=False)
        self._open = None
        self._pieces = []
        self._signature = ""

    def _reasoning(self) -> None:
        self._start({"type": "reasoning", "summary": [], "encrypted_content": None}, "rs")

    def _message(self, kind: str) -> None:
        held = self._open["content"] if self._open is not None and self._open["type"] == "message" else ()
        if held and held[0]["type"] == kind:
            return
        self._start({"type": "message", "status": "in_progress", "role": "assistant", "content": []}, "msg")
        self._logprobs = []
        assert self._open is not None
        self._open["content"] = [_content(kind, "")]
        self._tell("content_part.added", {"content_index": 0, "part": self._open["content"][0]})

    def _start(self, item: Json, prefix: str) -> None:
        self.close()
        place = self._places.get(prefix, 0)
        self._places[prefix] = place + 1
        item = {"id": f"{prefix}_{self._seed.hex()}{place:x}", **item}
        self.items.append(item)
        self._open = item
        self._tell("output_item.added", {"item": item}, item_id=False)

    def _tell(self, kind: str, fields: Json, *, item_id: bool = True) -> None:
        if self._events is None:
            return
        place: Json = {"output_index": len(self.items) - 1}
        if item_id:
            assert self._open is not None
            place["item_id"] = self._open["id"]
        self._events.tell(f"response.{kind}", place | fields)

    def _end_reasoning(self, item: Json, text: str) -> None:
        if text:
            part = {"type": "summary_text", "text": text}
            item["summary"] = [part]
            self._tell("reasoning_summary_text.done", {"summary_index": 0, "text": text})
            self._tell("reasoning_summary_part.done", {"summary_index": 0, "part": part})

    def _end_message(self, item: Json, text: str) -> None:
        part = item["content"][0]
        if part["type"] == "refusal":
            part["refusal"] = text
            self._tell("refusal.done", {"content_index": 0, "refusal": text})
        else:
            part |= {"text": text, "logprobs": self._logprobs}
            self._tell("output_text.done", {"content_index": 0, "text": text, "logprobs": self._logprobs})
        self._tell("content_part.done", {"content_index": 0, "part": part})

    def _end_call(self, item: Json, text: str) -> None:
        item["arguments"] = text or "{}"
        if not text:
            self._tell("function_call_arguments.delta", {"delta": "{}"})
        self._tell("function_call_arguments.done", {"arguments": item["arguments"], "name": item["name"]})

    def _end_image(self, item: Json, text: str) -> None:
        self._tell("image_generation_call.completed", {})


def _content(kind: str, text: str) -> Json:
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


_CLOSERS = {
    "reasoning": Output._end_reasoning,
    "message": Output._end_message,
    "function_call": Output._end_call,
    "image_generation_call": Output._end_image,
}
