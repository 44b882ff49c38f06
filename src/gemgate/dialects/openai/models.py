"""Models at OpenAI's door: the list, and one.

Laws:

- ids come without ``models/``, so that what is listed can be asked for;
- a key that may not use every model sees only those that it may use;
- the names of configured routes stand first in the list, as models owned by ``gemgate``: clients use them so;
- ``created`` is the day of release where it is known, else 0: Google does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from gemgate.core.catalog import Catalog
from gemgate.dialects.openai.doors import Door
from gemgate.dialects.openai.pivot import Pivot, Read, model_path
from gemgate.dialects.openai.unary import Plain, Unary, unreadable

GOOGLE, ROUTE = "google", "gemgate"
# More than Google has: the list must come in one page, since OpenAI's has none.
_PAGE = "pageSize=1000"
_CATALOG: Final = Catalog.load()


class Listed(msgspec.Struct, frozen=True):
    """One entry of the list. ``created`` in seconds since 1970, 0 where it is not known."""

    id: str
    created: int
    owned_by: str
    object: str = "model"


class _List(msgspec.Struct):
    data: list[Listed]
    object: str = "list"


class _Card(msgspec.Struct, gc=False):
    name: str


class _Page(msgspec.Struct):
    models: list[_Card] = []


_card = msgspec.json.Decoder(_Card)
_page = msgspec.json.Decoder(_Page)


def read(door: Door, query: Mapping[str, str], body: bytes, unsupported: str) -> Read:
    """What a request for the list of models, or for one, asks."""
    if door.action == "get":
        return Plain(door.resource, Pivot("GET", model_path(door.resource), "", b"", One))
    return Plain("", Pivot("GET", "/v1beta/models", _PAGE, b"", All))


class All(Unary):
    """The way back of the list of models; ``routes`` are shown first.

    ``may``, which the gateway sets, tells by its name whether a model of Google's is shown; None shows all.
    """

    def __init__(self, call_id: bytes, model: str, created: int) -> None:
        self.routes = ()
        self.may: Callable[[str], bool] | None = None
        self._model = model

    def whole(self, body: bytes) -> bytes:
        """OpenAI's body. Raises ``Refused`` (502) for a list that cannot be read."""
        try:
            cards = _page.decode(body).models
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise unreadable("list of models") from None
        found = {name: Listed(name, 0, ROUTE) for name in self.routes}
        for card in cards:
            name = card.name.removeprefix("models/")
            if self.may is None or self.may(name):
                found.setdefault(name, _listed(name))
        return msgspec.json.encode(_List(list(found.values())))


class One(All):
    """The way back of one model, as the list shows it: under the name that was asked, which may be a route's."""

    def whole(self, body: bytes) -> bytes:
        """OpenAI's body. Raises ``Refused`` (502) for a model that cannot be read."""
        try:
            card = _card.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise unreadable("model") from None
        name = self._model or card.name.removeprefix("models/")
        return msgspec.json.encode(Listed(name, 0, ROUTE) if name in self.routes else _listed(name))


def _listed(name: str) -> Listed:
    card = _CATALOG.card(name)
    day = card.released if card is not None else ""
    created = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) if day else 0
    return Listed(name, created, GOOGLE)
