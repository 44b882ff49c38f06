"""``reasoning_effort`` as Google's thinkingConfig, by what is known of the model.

Laws:

- models with levels get the nearest level that they take, models with budgets the tokens that Google's own
  OpenAI layer gives them [facts 6]: 1,024 for minimal and low, 8,192 for medium, 24,576 for high;
- a name that is no model's is a route's: it gets what was asked, which is adapted when a target is chosen;
- where a model has no thinking, or cannot do without it, the effort is one of the parameters without a like; a
  model with levels gets its lowest all the same.
"""

from __future__ import annotations

import functools
import re

from gemgate.core import eligibility
from gemgate.core.catalog import Card, Catalog
from gemgate.core.routes import Wants

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ASKED = "an effort of OpenAI's"  # stands for the model for which the request was written
# What is said of models of which no facts are known.
_BUDGETS = re.compile(r"gemini-2\.5\b")
_WITHOUT = re.compile(r"gemini-(?:1|2\.0)\b|gemma|.*embedding")


@functools.lru_cache(maxsize=1)
def _catalog() -> Catalog:
    return Catalog.load()


@functools.lru_cache(maxsize=2048)
def thinking(model: str, effort: str) -> tuple[str, str | int] | None:
    """The member of thinkingConfig for an effort of ``EFFORTS``, and its value; None where there is none."""
    level = "xhigh" if effort == "max" else effort
    card = _catalog().card(model)
    if card is None or not (card.levels or card.budget):
        known = _guess(model) if card is None or card.kind == "text" else None
        if known is None:
            return None
        if known.id == _ASKED:
            return ("thinkingBudget", 0) if level == "none" else ("thinkingLevel", level.upper())
        card = known
    asked = "budget:0" if level == "none" else f"level:{level}"
    wants = Wants(model=_ASKED, method="models.generateContent", thinking=asked)
    changes = eligibility.changes(card, wants, model)
    kind, _, value = next((one for one in changes if one.startswith("thinking:")), f"thinking:{asked}")[
        9:
    ].partition(":")
    if kind == "drop":
        return None
    return ("thinkingBudget", int(value)) if kind == "budget" else ("thinkingLevel", value.upper())


def is_met(effort: str, found: tuple[str, str | int] | None) -> bool:
    """Whether what ``thinking`` found is near enough to an effort not to be named as left out.

    ``none`` is met by the level MINIMAL, with which a model all but stops thinking, and by no higher one.
    """
    return found is not None and (effort != "none" or found[1] in (0, "MINIMAL"))


def _guess(model: str) -> Card | None:
    """What a name tells of a model that is not known, or not well enough; None: it does not think."""
    if _WITHOUT.match(model):
        return None
    if _BUDGETS.match(model):
        return Card(id=model, budget=True, always_thinks="-pro" in model)
    if model.startswith("gemini-"):
        return Card(id=model, levels=("low", "medium", "high"))
    return Card(id=_ASKED)
