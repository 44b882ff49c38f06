"""What is known of Google's models, and the chains of fallbacks that follow from it.

The facts come with the package (``data/models.json``). A model that is not among them is no fault: it is served
as it is, without limits of its own and without fallback. The rules of a chain (``Catalog.chain``):

- an alias falls to the model it stands for, a preview to its stable sibling (the same family);
- what Google answers with another model falls to that one, then as that one does;
- Gemini 4 (the size ``top``) and the pro size fall to the newest stable flash, then to the newest stable
  flash-lite;
- an older flash falls to the newest stable flash; every flash to the newest stable flash-lite;
- a flash-lite falls to the newest other stable flash-lite;
- a model that is shut down falls first to the newest of its own size, be it a preview;
- embeddings never fall, vectors of two models cannot be compared; nor does anything else that is not text, but
  for the sibling.

Chains depend on no clock: a change that Google has announced for a later day counts from the day on which the
file says ``routed``.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Literal

import msgspec

from gemgate.core.windows import Limits

Chain = tuple[tuple[str, str], ...]
"""Models in the order in which they may stand in, each with the reason."""

_UNKNOWN = Limits()
_WINDOWS = ("rpm", "tpm", "rpd", "tpd")
_NUMBERED = re.compile(r"-\d{3}$")
_CUSTOM = re.compile(r"-customtools$")
_PREVIEW = re.compile(r"-preview(?=-|$)|-latest$")
_MONTH = re.compile(r"-\d\d-(?:\d{4}|\d\d)$")
_REMEMBERED = 4096
_BELOW = {
    "top": ("flash", "flash-lite"),
    "pro": ("flash", "flash-lite"),
    "flash": ("flash-lite",),
    "flash-lite": (),
}


class BadCatalog(ValueError):
    """A file of models that cannot be used; the message says why."""


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Google answers with the model ``by`` since a day (YYYY-MM-DD, in California)."""

    by: str
    since: str


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. Empty and None mean: not known.

    ``family`` is what Google counts together (``quotaDimensions.model``). ``kind`` is ``text``, ``embedding``,
    ``image``, ``tts`` …; ``size`` of text models: ``top`` (Gemini 4), ``pro``, ``flash`` or ``flash-lite``.
    ``status``: ``stable``, ``preview``, ``deprecated`` (served), ``routed`` (answered by another model),
    ``shut_down``, ``unknown``. ``context`` and ``output`` are in tokens. ``levels`` are the thinking levels it
    takes, ``budget`` says that it takes a thinking budget, ``always_thinks`` that a budget of 0 is refused.
    ``penalties``: it is known to take presence and frequency penalties. ``limits`` are by tier.
    """

    id: str
    aliases: tuple[str, ...] = ()
    family: str = ""
    kind: str = ""
    size: Literal["", "top", "pro", "flash", "flash-lite"] = ""
    status: Literal["stable", "preview", "deprecated", "routed", "shut_down", "unknown"] = "unknown"
    released: str = ""
    shutdown: str = ""
    served: Served | None = None
    context: int | None = None
    output: int | None = None
    levels: tuple[str, ...] = ()
    budget: bool = False
    always_thinks: bool = False
    penalties: bool = False
    methods: tuple[str, ...] = ()
    limits: dict[str, Limits] = {}


class _File(msgspec.Struct, frozen=True):
    models: tuple[Card, ...]
    as_of: str = ""
    spend: dict[str, int] = {}


_file = msgspec.json.Decoder(_File)


class Catalog:
    """The models that are known, by every name they have."""

    __slots__ = ("_cards", "_chains", "_families", "_limits", "_spend", "as_of", "cards")

    def __init__(self, cards: tuple[Card, ...], spend: dict[str, int], as_of: str = "") -> None:
        self.cards = cards
        self.as_of = as_of
        self._spend = spend
        self._cards = {name: card for card in cards for name in (*card.aliases, card.id)}
        self._families: dict[str, str] = {}
        self._chains: dict[str, Chain] = {}
        self._limits: dict[tuple[str, str], Limits] = {}

    @classmethod
    def load(cls, data: bytes | None = None) -> Catalog:
        """Read a catalogue from its JSON; None is the one that comes with the package. Raises BadCatalog."""
        if data is None:
            data = (resources.files("gemgate") / "data" / "models.json").read_bytes()
        try:
            file = _file.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise BadCatalog(f"the file of models cannot be read: {fault}") from None
        names = [name for card in file.models for name in (card.id, *card.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadCatalog(f"the file of models names twice: {', '.join(twice)}")
        for card in file.models:
            if card.served is not None and (card.served.by == card.id or card.served.by not in names):
                raise BadCatalog(f"{card.id} is served by {card.served.by!r}, which the file does not know")
        return cls(file.models, file.spend, file.as_of)

    def card(self, model: str) -> Card | None:
        """The facts of a model under any of its names (``models/`` in front is dropped), or None."""
        return self._cards.get(model) or self._cards.get(model.removeprefix("models/"))

    def family(self, model: str) -> str:
        """What Google counts together with this model: of unknown names the one without preview, date, number."""
        known = self._families.get(model)
        if known is None:
            card = self.card(model)
            known = (card.family or card.id) if card is not None else _family(model.removeprefix("models/"))
            if len(self._families) < _REMEMBERED:
                self._families[model] = known
        return known

    def limits(self, model: str, tier: str) -> Limits:
        """The usual limits of a model's family on a tier, marked as the tier's; None in them: not known."""
        family = self.family(model)
        key = family, tier
        known = self._limits.get(key)
        if known is None:
            shared = (one.limits[tier] for one in self.cards if one.family == family and tier in one.limits)
            found = next(shared, _UNKNOWN)
            named = tuple(name for name in _WINDOWS if getattr(found, name) is not None)
            known = msgspec.structs.replace(found, tier=named)
            if len(self._limits) < _REMEMBERED:
                self._limits[key] = known
        return known

    def spend(self, tier: str) -> int | None:
        """Nano-dollars that a billing account may spend in any 10 minutes; None: no limit is known."""
        return self._spend.get(tier)

    def chain(self, model: str) -> Chain:
        """The models that may stand in for this one, best first, each with the reason; not the model itself."""
        known = self._chains.get(model)
        if known is None:
            known = self._chain(model.removeprefix("models/"))
            if len(self._chains) < _REMEMBERED:
                self._chains[model] = known
        return known

    def _chain(self, model: str) -> Chain:
        card = self._cards.get(model)
        if card is None or card.kind == "embedding":
            return ()
        found: dict[str, str] = {}
        if card.id != model and card.status != "shut_down":
            found[card.id] = f"{model} stands for it"
        while card.status == "routed" and card.served is not None and card.served.by not in found:
            found[card.served.by] = f"Google answers {card.id} with it since {card.served.since}"
            card = self._cards[card.served.by]
        sibling = self._sibling(card)
        if sibling is not None:
            found.setdefault(sibling.id, f"the stable sibling of {card.id}")
        if card.size:
            for one, why in self._downward(card):
                found.setdefault(one.id, why)
        found.pop(model, None)
        return tuple(found.items())

    def _sibling(self, card: Card) -> Card | None:
        if card.status not in ("preview", "shut_down"):
            return None
        same = [one for one in self.cards if one.family == card.family and one.kind == card.kind]
        served = [one for one in same if one.id != card.id and one.status in ("stable", "deprecated")]
        return max(served, key=lambda one: one.released, default=None)

    def _downward(self, card: Card) -> list[tuple[Card, str]]:
        """The newest of the own size, where that is a way, and of the sizes below."""
        found = []
        if card.status == "shut_down":
            heir = self._newest(card, card.size, ("stable", "preview"))
            if heir is not None:
                found.append((heir, f"the newest {card.size} in the place of {card.id}, which is shut down"))
        elif card.size == "flash":
            newest = self._newest(card, "flash", ("stable",), later=True)
            if newest is not None:
                found.append((newest, "the newest stable flash"))
        elif card.size == "flash-lite":
            other = self._newest(card, "flash-lite", ("stable",))
            if other is not None:
                found.append((other, "the newest other stable flash-lite"))
        for size in _BELOW[card.size]:
            newest = self._newest(card, size, ("stable",))
            if newest is not None:
                found.append((newest, f"the newest stable {size}"))
        return found

    def _newest(
        self, card: Card, size: str, statuses: tuple[str, ...], *, later: bool = False
    ) -> Card | None:
        """The latest release of a size, not the card itself; ``later``: only one released after it."""
        fit = [one for one in self.cards if one.size == size and one.status in statuses and one.id != card.id]
        if later:
            fit = [one for one in fit if one.released > card.released]
        return max(fit, key=lambda one: one.released, default=None)


def _family(model: str) -> str:
    """The rule for names that the catalogue does not know."""
    if model.startswith("tunedModels/") or "embedding" in model:
        return model
    plain = _CUSTOM.sub("", _NUMBERED.sub("", model))
    return _MONTH.sub("", _PREVIEW.sub("", plain)) or model
