"""Thinking that buys nothing: long thoughts before short answers, or before none at all."""

from __future__ import annotations

from typing import Final

import msgspec

from gemgate.core.catalog import Card
from gemgate.insight.advice.findings import Call, Finding, Kind, Sample, World, best, identity, of_key

_SHORT: Final = 64
"""Most output tokens of an answer that is a word, a number or a label."""
_TIMES: Final = 4
"""So many times the output the thoughts must be."""
_MOST_INPUT: Final = 4_000
_SHARE: Final = 0.1


class Thinking(Kind):
    """One finding for each key and model; only of models whose thinking can be switched off, or to "
    "`minimal`."""

    name = "idle_thinking"

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], Sample] = {}
        self._all: dict[tuple[str, str], int] = {}

    def add(self, call: Call, world: World) -> None:
        """Count it when its thoughts cost more than they can have brought."""
        usage = call.usage
        if not call.text or not usage.thoughts:
            return
        place = call.key, call.model
        self._all[place] = self._all.get(place, 0) + 1
        card = world.catalog.card(call.model)
        if card is None or not _off(card) or not _idle(call):
            return
        now = world.worth(call)
        then = world.cost(call.model, call.tier, msgspec.structs.replace(usage, thoughts=0))
        if now is not None and then is not None:
            self._idle.setdefault(place, Sample()).add(call.call_id, now - then)

    def found(self, world: World) -> list[Finding]:
        """Keys that let a model think before it says a word."""
        found = []
        for (key, model), sample in self._idle.items():
            card = world.catalog.card(model)
            if card is None or not world.enough(sample.calls, sample.nano):
                continue
            if sample.calls < _SHARE * self._all[key, model]:
                continue
            found.append(
                Finding(
                    id=identity(self.name, key, model),
                    kind=self.name,
                    title=f"{model} thinks long before answers of a few words",
                    sentence=f"{of_key(key)} paid for the thoughts of {world.all(sample.calls):,} calls whose "
                    "answers have at most "
                    f"{_SHORT} tokens, or were cut off before they began: at least {_TIMES} tokens "
                    "thought for each said.",
                    nano_per_month=world.month(sample.nano),
                    evidence=sample.evidence(
                        world,
                        "Each call's tokens at today's price, less the same tokens without the thoughts.",
                    ),
                    risk="Answers may be wrong more often without thinking; compare them on a sample. "
                    "`minimal` may still think a little.",
                    try_it=f"Send {_off(card)} in generationConfig with these calls.",
                    key=key,
                    model=model,
                )
            )
        return best(found)


def _idle(call: Call) -> bool:
    usage = call.usage
    if usage.output == 0:
        return call.finish == "MAX_TOKENS"
    short = usage.output <= _SHORT and usage.input <= _MOST_INPUT
    return (
        short and usage.thoughts >= _TIMES * usage.output and not (call.tools or usage.tool or usage.grounded)
    )


def _off(card: Card) -> str:
    """The setting with which a model thinks least, empty where it cannot be told not to."""
    if card.budget and not card.always_thinks:
        return '{"thinkingConfig": {"thinkingBudget": 0}}'
    return '{"thinkingConfig": {"thinkingLevel": "MINIMAL"}}' if "minimal" in card.levels else ""
