"""Models in use whose end is known: shut down, or answered by another model, from a day on."""

from __future__ import annotations

import datetime
from typing import Final

from gemgate.core import pacific
from gemgate.core.catalog import Card
from gemgate.insight.advice.findings import LEAST_CALLS, Call, Finding, Kind, Sample, World, best, identity

_AHEAD: Final = 365 * 86_400_000_000
"""How far ahead, in µs, an end is worth a word."""


class Endings(Kind):
    """One finding for each model."""

    name = "ending_model"

    def __init__(self) -> None:
        self._used: dict[str, Sample] = {}
        self._dearer: dict[str, int] = {}

    def add(self, call: Call, world: World) -> None:
        """Count calls for such a model, and what its successor would cost more."""
        card = world.catalog.card(call.model) if call.model else None
        if card is None or not _end(card):
            return
        self._used.setdefault(call.model, Sample()).add(call.call_id, call.nano)
        if card.served is not None and call.ok and call.paid:
            price = world.cost(card.served.by, call.tier, call.usage)
            if price is not None:
                self._dearer[call.model] = self._dearer.get(call.model, 0) + price - call.nano

    def found(self, world: World) -> list[Finding]:
        """Models whose end is near, or past."""
        found = []
        for model, sample in self._used.items():
            card = world.catalog.card(model)
            if card is None or sample.calls < LEAST_CALLS:
                continue
            day = datetime.date.fromisoformat(_end(card))
            if pacific.midnight(day) > world.now + _AHEAD:
                continue
            past = pacific.midnight(day) <= world.now
            heir = card.served.by if card.served is not None else ""
            heir = heir or next((name for name, _ in world.catalog.chain(model)), "")
            found.append(
                Finding(
                    id=identity(self.name, model),
                    kind=self.name,
                    title=f"{model} {'ended' if past else 'ends'} on {day.isoformat()}",
                    sentence=_sentence(card, model, day, sample, self._dearer.get(model), world),
                    nano_per_month=None,
                    evidence=sample.evidence(world, "Calls for the model, whatever came of them."),
                    risk="Answers of another model differ; thinking settings may have to be written anew.",
                    try_it=f"Try {heir or 'its successor'} now: `gemgate route {model}` shows what "
                    "gemgate would do, and a "
                    f"[[route]] in gemgate.toml can send a share of the calls to {heir or 'it'} "
                    "before that day.",
                    model=model,
                )
            )
        return best(found)


def _end(card: Card) -> str:
    """The day from which the model itself does not answer, empty where none is known."""
    return card.served.since if card.served is not None else card.shutdown


def _sentence(
    card: Card, model: str, day: datetime.date, sample: Sample, dearer: int | None, world: World
) -> str:
    past = pacific.midnight(day) <= world.now
    when = f"{'since' if past else 'from'} {day.isoformat()}"
    if card.served is None:
        what = f"Google {'has' if past else 'will have'} shut {model} down {when}"
        return f"{what}; {world.all(sample.calls):,} calls asked for it."
    what = f"Google {'answers' if past else 'will answer'} {model} with {card.served.by} {when}"
    money = ""
    if dearer and not past:
        month = world.month(abs(dearer)) / 1e9
        money = f", which costs ${month:,.2f} a month {'more' if dearer > 0 else 'less'} for the same tokens"
    return f"{what}{money}; {world.all(sample.calls):,} calls asked for it."
