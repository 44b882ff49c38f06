"""What a call may take of budgets and of its key's tokens, before it is sent."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gemgate.core import spending
from gemgate.core.catalog import Card
from gemgate.core.estimate import Estimates, Held
from gemgate.core.pricing import Price
from gemgate.core.purse import Estimate
from gemgate.core.routing import Target
from gemgate.core.windows import SECOND
from gemgate.dialects.gemini.methods import Match, Reading
from gemgate.dialects.gemini.request import Asked
from gemgate.gateway.snapshot import Snapshot

_KEPT = 60 * SECOND  # prices change at midnights
_MANY = 4096
_UNREAD = Held(unknown="plain")
_Known = tuple[Price | None, Card | None, bool]


class Priced(Protocol):
    """What must be known of a call: the ticket has it."""

    match: Match | None
    asked: Asked | None
    snapshot: Snapshot


class Appraisal(msgspec.Struct, frozen=True):
    """The bounds of what one try takes, and the most output tokens among them."""

    estimate: Estimate
    output: int = 0


OPEN = Appraisal(spending.UNKNOWN_PRICE)


class Appraiser:
    """Appraises calls. What it looks up of a model is remembered for a minute of one configuration."""

    def __init__(self, estimates: Estimates) -> None:
        self._estimates = estimates
        self._known: dict[tuple[str, str, str], _Known] = {}
        self._snapshot: Snapshot | None = None
        self._minute = 0

    def appraise(self, call: Priced, target: Target, now: int) -> Appraisal | None:
        """What a try at this target may take; None for a call that costs nothing. ``now`` is UTC µs."""
        match, asked = call.match, call.asked
        if match is None or match.method in spending.UNMETERED:
            return OPEN
        if not match.generating:
            return None
        model = target.model or (asked.model if asked is not None else match.model)
        price, card, free = self._look(
            call.snapshot, (model, asked.tier if asked is not None else "", target.project), now
        )
        known = self._estimates.outputs(model)
        if asked is not None:
            outputs = spending.output(asked.shape.max_output, asked.candidates, known, card)
        else:
            outputs = spending.output(None, 1, known, card)
        if match.reading is Reading.EMBED:
            outputs = (0, 0)
        bounds, media = self._bounds(asked, model, card, outputs), asked.media if asked is not None else ()
        kind = card.kind if card is not None else ""
        return Appraisal(spending.estimate(price, bounds, media, kind, free), outputs[1])

    def _bounds(
        self, asked: Asked | None, model: str, card: Card | None, outputs: tuple[int, int]
    ) -> spending.Bounds:
        """The bounds of the input beside those of the output. A body that could not be read may hold anything."""
        if asked is None or (asked.input_estimate <= 0 and not asked.shape.turns):
            inputs, held = (0, 0), _UNREAD
        else:
            inputs, names = self._estimates.inputs(model, asked.input_estimate), asked.held
            if not names:
                return spending.Bounds(*inputs, *outputs)
            held = self._estimates.held(names)
        found = spending.beyond(inputs, held, card)
        return msgspec.structs.replace(found, output_least=outputs[0], output_most=outputs[1])

    def _look(self, snapshot: Snapshot, place: tuple[str, str, str], now: int) -> _Known:
        """Price, card and whether it is free, by model, tier and project."""
        if snapshot is not self._snapshot or now // _KEPT != self._minute or len(self._known) >= _MANY:
            self._known.clear()
            self._snapshot, self._minute = snapshot, now // _KEPT
        found = self._known.get(place)
        if found is None:
            model, tier, project = place
            book = snapshot.book
            price = book.price(book.routed(model, now), tier, now)
            found = self._known[place] = price, snapshot.catalog.card(model), snapshot.free(project)
        return found
