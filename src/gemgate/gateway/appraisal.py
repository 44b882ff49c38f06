"""What a call may take of budgets and of its key's tokens, before it is sent."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gemgate.core import spending
from gemgate.core.estimate import Estimates
from gemgate.core.purse import Estimate
from gemgate.core.routing import Target
from gemgate.dialects.gemini.methods import Match, Reading
from gemgate.dialects.gemini.request import Asked
from gemgate.gateway.snapshot import Snapshot


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


def appraise(call: Priced, target: Target, estimates: Estimates, now: int) -> Appraisal | None:
    """What a try at this target may take; None for a call that costs nothing. ``now`` is UTC µs."""
    match, asked, snapshot = call.match, call.asked, call.snapshot
    if match is None or match.method in spending.UNMETERED:
        return OPEN
    if not match.generating:
        return None
    model = target.model or (asked.model if asked is not None else match.model)
    card = snapshot.catalog.card(model)
    known = estimates.outputs(model)
    media: tuple[str, ...] = ()
    inputs, outputs, tier = (0, 0), spending.output(None, 1, known, card), ""
    if asked is not None:
        inputs, media, tier = estimates.inputs(model, asked.input_estimate), asked.media, asked.tier
        outputs = spending.output(asked.shape.max_output, asked.candidates, known, card)
    if match.reading is Reading.EMBED:
        outputs = (0, 0)
    price = snapshot.book.price(snapshot.book.routed(model, now), tier, now)
    found = spending.estimate(
        price,
        spending.Bounds(*inputs, *outputs),
        media,
        card.kind if card is not None else "",
        snapshot.free(target.project),
    )
    return Appraisal(found, outputs[1])
