"""Calls that a smaller model would have served: light ones, by what they carry and what came of them."""

from __future__ import annotations

from typing import Final

from gemgate.core.catalog import Card
from gemgate.insight.advice.findings import Call, Finding, Kind, Sample, World, best, identity, of_key

_LIMITS: Final = {"top": (4_000, 600), "pro": (4_000, 600), "flash": (1_500, 200)}
"""Most input and output tokens of a call that the next smaller size can take, by the size of its model."""
_BELOW: Final = {"top": "flash", "pro": "flash", "flash": "flash-lite"}
_MOST_THOUGHTS: Final = 64
_MOST_TURNS: Final = 4
_SHARE: Final = 0.1  # of a key's calls for a model: fewer are no pattern


class Cheaper(Kind):
    """One finding for each key and model."""

    name = "cheaper_model"

    def __init__(self) -> None:
        self._light: dict[tuple[str, str, str], Sample] = {}
        self._all: dict[tuple[str, str], int] = {}

    def add(self, call: Call, world: World) -> None:
        """Count it when it is light and the smaller model costs less."""
        if not call.text:
            return
        place = call.key, call.model
        self._all[place] = self._all.get(place, 0) + 1
        card = world.catalog.card(call.model)
        if card is None or not _light(call, card):
            return
        smaller = _smaller(card, world)
        if smaller is None:
            return
        now, then = world.worth(call), world.cost(smaller.id, call.tier, call.usage)
        if now is not None and then is not None:
            sample = self._light.setdefault((call.key, call.model, smaller.id), Sample())
            sample.add(call.call_id, now - then)

    def found(self, world: World) -> list[Finding]:
        """Keys that ask a large model small things."""
        found = []
        for (key, model, smaller), sample in self._light.items():
            share = sample.calls / self._all[key, model]
            if share < _SHARE or not world.enough(sample.calls, sample.nano):
                continue
            found.append(
                Finding(
                    id=identity(self.name, key, model, smaller),
                    kind=self.name,
                    title=f"{smaller} would have served {share:.0%} of the calls for {model}",
                    sentence=f"{of_key(key)} sent {world.all(sample.calls):,} light calls to {model}: short, "
                    "without tools, media "
                    f"or much thinking. {smaller} takes such calls for less.",
                    nano_per_month=world.month(sample.nano),
                    evidence=sample.evidence(
                        world,
                        f"Each call's tokens at today's price of {model} less the same tokens at that "
                        f"of {smaller}.",
                    ),
                    risk=f"{smaller} may answer worse, or at another length; compare answers on your "
                    "own prompts first.",
                    try_it=f'Ask for a route instead of the model: [[route]] name = "light", targets '
                    f'= ["{smaller}", '
                    f'"{model}"] in gemgate.toml, or PUT /api/v1/routes/light '
                    f'{{"targets": ["{smaller}", "{model}"]}}; '
                    "then send a share of these calls to the model name `light`.",
                    key=key,
                    model=model,
                )
            )
        return best(found)


def _light(call: Call, card: Card) -> bool:
    most = _LIMITS.get(card.size)
    usage = call.usage
    return (
        most is not None
        and card.kind == "text"
        and usage.input <= most[0]
        and 0 < usage.output <= most[1]
        and usage.thoughts <= _MOST_THOUGHTS
        and call.turns <= _MOST_TURNS
        and not (call.tools or call.media or call.cached_content or usage.tool)
        and not (usage.grounded or usage.maps or usage.details)
        # What was meant to be thought over is no light task, however short it came out.
        and call.thinking not in ("level:high", "level:xhigh")
    )


def _smaller(card: Card, world: World) -> Card | None:
    """The newest stable model of the next smaller size."""
    size = _BELOW.get(card.size)
    fit = [
        one for one in world.catalog.cards if one.size == size and one.status == "stable" and not one.shutdown
    ]
    return max(fit, key=lambda one: one.released, default=None)
