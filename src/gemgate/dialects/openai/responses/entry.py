"""The requests at the door of Responses, and the calls of Google's that they become.

- ``create`` with ``store: false`` and no ``previous_response_id``: generateContent, nobody keeps anything;
- every other ``create``: an interaction, which Google keeps (55 days, a day on the free tier [facts 1.6]) unless
  ``store`` is false;
- ``get``, ``delete`` and ``cancel`` go to the interaction that the answer's id names. What was asked cannot be
  read again (``input_items``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import quote

import msgspec

from gemgate.core.errors import Refused
from gemgate.dialects.openai import errors
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.parameters import invalid
from gemgate.dialects.openai.pivot import Pivot, Read, Signature, model_path
from gemgate.dialects.openai.responses import form, items, request, steps
from gemgate.dialects.openai.responses.deleted import Deleted
from gemgate.dialects.openai.responses.generated import Generated
from gemgate.dialects.openai.responses.interaction import Told
from gemgate.dialects.openai.responses.request import Asked
from gemgate.dialects.openai.unary import Plain

_PATH = "/v1beta/interactions"


class Created(msgspec.Struct, frozen=True):
    """A request for a new answer."""

    asked: Asked
    tags: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """The model asked for."""
        return self.asked.model

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The calls of functions in the input, each once."""
        return items.call_ids(self.asked.body.input)

    @property
    def user(self) -> str:
        """``user``, or by its new name ``safety_identifier``."""
        return self.asked.body.user or self.asked.body.safety_identifier or ""

    @property
    def dropped(self) -> tuple[str, ...]:
        """What has no like at Google."""
        return self.asked.dropped

    def pivot(self, signatures: Mapping[str, Signature]) -> Pivot:
        """Google's call. Raises ``Refused`` (400) for an item that cannot be understood."""
        asked = self.asked
        if asked.stored:
            body = steps.interaction(asked, signatures)
            after = -1 if asked.body.stream else None
            previous = asked.body.previous_response_id or ""
            return Pivot("POST", _PATH, "", body, partial(Told, asked, after), previous)
        body = steps.generation(asked, signatures)
        action, query = ("streamGenerateContent", "alt=sse") if asked.body.stream else ("generateContent", "")
        return Pivot("POST", model_path(asked.model, action), query, body, partial(Generated, asked))


def read(door: Door, query: Mapping[str, str], body: bytes, unsupported: str) -> Read:
    """What a request asks. Raises ``Refused``: 400 for one that cannot be understood, 404 for what nobody keeps."""
    if door.action == "create":
        asked = request.decode(body, unsupported)
        previous = asked.body.previous_response_id
        if previous:
            _interaction(previous, previous=True)
        return Created(asked)
    path = f"{_PATH}/{quote(_interaction(door.resource), safe='')}"
    if door.action == "input_items":
        raise Refused(
            404,
            "NOT_KEPT",
            "What was asked for this answer cannot be read again.",
            hint="Google keeps the conversation, and goes on with it by previous_response_id, but does not list it.",
        )
    if door.action == "delete":
        return Plain("", Pivot("DELETE", path, "", b"", partial(Deleted, door.resource)))
    if door.action == "cancel":
        return Plain("", Pivot("POST", f"{path}/cancel", "", b"{}", partial(Told, None, None)))
    if query.get("stream") == "true":
        after = query.get("starting_after", "-1")
        if not after.removeprefix("-").isdecimal():
            raise invalid("starting_after", "the number of an event is due.")
        # The events are told from the first, and those that the client has seen are left out.
        return Plain("", Pivot("GET", path, "stream=true", b"", partial(Told, None, int(after))))
    return Plain("", Pivot("GET", path, "", b"", partial(Told, None, None)))


def _interaction(name: str, *, previous: bool = False) -> str:
    """The interaction behind the id of an answer. Raises ``Refused``: 404, or 400 for that of the one before."""
    found = name.removeprefix(form.NAME)
    if found and found != name and not found.startswith(form.UNSTORED):
        return found
    if previous:
        raise errors.lost(name)
    raise Refused(404, "NOT_KEPT", f"Nobody keeps an answer {name}.", hint=errors.KEPT)
