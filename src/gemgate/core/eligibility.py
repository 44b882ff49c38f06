"""Which target may serve a call, and what the call's body needs there.

Laws:

- nothing is judged that is not known: a model without a card may serve everything;
- the model that the client named itself gets the body as it came; only others are adapted to;
- vectors of two models cannot be compared, tokens are counted by each model in its own way, and what is made
  (caches, batches, videos) is made for one model: such calls keep their model.
"""

from __future__ import annotations

import functools

from gemgate.core.catalog import Card
from gemgate.core.routes import Conditions, Wants

_MOVABLE = frozenset(
    {
        "models.generateContent",
        "models.streamGenerateContent",
        "openai.chat.completions",
        "interactions.create",
    }
)
_SORTS = {
    "openai.chat.completions": ("generate",),
    "openai.embeddings": ("embed",),
    "openai.images.generations": ("images",),
    "openai.batches.create": ("batch",),
    "openai.videos.create": ("video",),
    "interactions.create": ("interactions", "generate"),
    "cachedContents.create": ("cache",),
}
_ACTIONS = {
    "batchGenerateContent": "batch",
    "asyncBatchEmbedContent": "batch",
    "predict": "predict",
    "predictLongRunning": "video",
}
_READINGS = {"generate": "generate", "embed": "embed", "count": "count", "interaction": "interactions"}
# How Google's own OpenAI layer reads reasoning_effort on models with budgets; xhigh is not in its table.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")
_MOST = 24576


@functools.lru_cache(maxsize=1024)
def sorts(method: str, reading: str) -> tuple[str, ...]:
    """The sorts of a call (``routes.CALLS``) by its method id and the way its answer is read."""
    found = list(_SORTS.get(method, ()))
    action = method.rpartition(".")[2]
    if not found and action in _ACTIONS:
        found.append(_ACTIONS[action])
    if not found and reading in _READINGS:
        found.append(_READINGS[reading])
    if method.startswith("openai."):
        found.append("openai")
    return tuple(found) or ("other",)


def movable(wants: Wants) -> bool:
    """Whether another model may answer such a call at all."""
    return wants.method in _MOVABLE and bool(wants.names_model and wants.model)


def unmet(when: Conditions, wants: Wants) -> str:
    """Why a call does not meet conditions, empty when it does."""
    if when.methods and wants.method not in when.methods:
        mine = sorts(wants.method, wants.reading)
        if not set(mine) & set(when.methods):
            return (
                f"it is for calls of the sort {' or '.join(when.methods)}, and this is {' and '.join(mine)}"
            )
    if when.tools is not None and when.tools != wants.tools:
        return "it is for calls with tools" if when.tools else "it is for calls without tools"
    if when.context is not None and wants.tokens < when.context:
        return f"it is for calls of at least {when.context} input tokens"
    if when.media and not set(when.media) & set(wants.media):
        return f"it is for calls with {' or '.join(when.media)}"
    return ""


def too_long(card: Card | None, wants: Wants) -> str:
    """Why the call's input does not fit into a model, by estimate; empty when it does or nobody knows."""
    if card is None or card.context is None or wants.tokens <= card.context:
        return ""
    if "generate" not in sorts(wants.method, wants.reading):
        return ""
    return f"its context of {card.context} tokens is too small for the call"


def barred(card: Card | None, wants: Wants) -> str:
    """Why a model that somebody put into a route cannot serve the call, empty when it can."""
    if card is None:
        return ""
    found = sorts(wants.method, wants.reading)
    if "embed" in found and card.kind != "embedding":
        return "it makes no embeddings"
    if card.kind == "embedding" and "generate" in found:
        return "it makes embeddings only"
    return too_long(card, wants)


def unfit(card: Card | None, wants: Wants) -> str:
    """Why a model that nobody named may not stand in for the one that was asked for, empty when it may."""
    reason = barred(card, wants)
    if not reason and wants.penalties and (card is None or not card.penalties):
        return "it is not known to take presence and frequency penalties"
    return reason


def changes(card: Card | None, wants: Wants, model: str) -> tuple[str, ...]:
    """What the body needs before it goes to ``model``: nothing when the client named that model itself."""
    if model == wants.model or not (wants.names_model and wants.model):
        return ()
    thinking = _thinking(card, wants.thinking) if wants.thinking and card is not None else ""
    return ("model", thinking) if thinking else ("model",)


@functools.lru_cache(maxsize=1024)
def _of_level(levels: tuple[str, ...], level: str) -> str:
    """The level nearest to one that a model does not take: the next higher, or else its highest."""
    if level not in _LEVELS:
        return ""
    higher = [one for one in _LEVELS[_LEVELS.index(level) :] if one in levels]
    return higher[0] if higher else max(levels, key=_LEVELS.index)


def _thinking(card: Card, asked: str) -> str:
    """The change that turns what was asked of thinking into what a model takes."""
    kind, _, value = asked.partition(":")
    if not card.levels and not card.budget:
        return "thinking:drop"
    if kind == "level":
        if value in card.levels:
            return ""
        if card.levels:
            near = _of_level(card.levels, value)
            return f"thinking:level:{near}" if near else "thinking:drop"
        budget = _BUDGETS.get(value)
        return "thinking:drop" if budget is None else f"thinking:budget:{budget}"
    return _from_budget(card, value)


def _from_budget(card: Card, value: str) -> str:
    try:
        budget = int(value)
    except ValueError:
        return "thinking:drop"
    if card.budget:
        if budget > _MOST:
            return f"thinking:budget:{_MOST}"
        return "thinking:drop" if budget == 0 and card.always_thinks else ""
    if budget < 0:
        return "thinking:drop"  # -1 leaves it to the model, as no setting does
    level = "minimal" if budget == 0 else "low" if budget <= 1024 else "medium" if budget <= 8192 else "high"
    return f"thinking:level:{_of_level(card.levels, level)}"
