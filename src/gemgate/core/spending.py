"""What a call may spend before it is sent, in tokens and money: the bounds that budgets hold.

Laws:

- the most is what the call takes if its input is as large and its answer as long as they may be; the least, if both
  are as small as those of the model are;
- an answer is never longer than the call or the model allows, thoughts included, for each candidate;
- a price that is not known makes the money None, never 0;
- whatever numbers a request names, nothing is below zero, and no least above its most;
- what Google holds of the input (caches, earlier interactions, files) may be as large as the model's context, where
  nothing of it is known;
- not in it, for nobody knows them before: searches for grounding, and what Google caches by itself, which makes it
  cheaper.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gemgate.core import pricing
from gemgate.core.catalog import Card
from gemgate.core.estimate import Held
from gemgate.core.pricing import Price
from gemgate.core.purse import Estimate
from gemgate.core.usage import Detail, Usage

UNKNOWN_OUTPUT: Final = 1_024
"""The output tokens that an answer may have at least, where its call sets no bound."""
MOST_CANDIDATES: Final = 128
"""No call has more answers: OpenAI's own bound of `n`. Google takes 8."""
CONTEXT: Final = 1 << 20
"""Tokens of input that a model may take where its card does not say."""
UNKNOWN_PRICE: Final = Estimate(None, None, counted=False)
"""A call that costs money and tokens in units that nobody can know before."""
_SURE = 3  # quarters of a remembered size that a call takes at least
_IMAGE = 2_580  # tokens of two images, as Google counts them
_BY_KIND = {"image": "image", "tts": "audio"}


class Share(msgspec.Struct, frozen=True, gc=False):
    """The part of a call that goes out as a request of its own, by weight: ``before`` it, its ``own``, and the call's
    ``whole``. The parts of an amount add up to it exactly."""

    before: int
    own: int
    whole: int

    def of(self, amount: int) -> int:
        """What of the whole call's amount falls to this part."""
        return self._until(amount, self.before + self.own) - self._until(amount, self.before)

    def due(self, amount: int) -> int:
        """What falls to this part and those after it."""
        return amount - self._until(amount, self.before)

    def _until(self, amount: int, weight: int) -> int:
        return amount * weight // self.whole if self.whole else 0


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """Tokens of a call: input and output, each at least and at most; and what of the input is cached explicitly."""

    input_least: int
    input_most: int
    output_least: int = 0
    output_most: int = 0
    cached_least: int = 0
    cached_most: int = 0


def output(
    asked: int | None, candidates: int, known: tuple[int, int] | None, card: Card | None
) -> tuple[int, int]:
    """The output tokens of a call at least and at most.

    ``asked`` is its maxOutputTokens, ``known`` what answers of its model had of late.
    """
    candidates = min(max(candidates, 1), MOST_CANDIDATES)
    least, most = known if known is not None else (1, UNKNOWN_OUTPUT)
    if asked is not None and asked > 0:
        most = asked
    else:
        most = max(most, _IMAGE if card is not None and card.kind == "image" else UNKNOWN_OUTPUT)
    if card is not None and card.output is not None:
        most = min(most, card.output)
    return max(1, min(least, most)) * candidates, most * candidates


def beyond(seen: tuple[int, int], held: Held, card: Card | None) -> Bounds:
    """The input of a call with what Google holds of it; ``seen`` is what its body says, at least and at most."""
    least, most = seen
    limit = card.context if card is not None and card.context else CONTEXT
    room = max(0, limit - most)
    plain, cached = min(held.plain, room), min(held.cached, max(0, room - held.plain))
    unknown = room - plain - cached
    return Bounds(
        least + plain * _SURE // 4 + cached * _SURE // 4,
        most + plain + cached + (unknown if held.unknown else 0),
        cached_least=cached * _SURE // 4,
        cached_most=cached + (unknown if held.unknown == "cached" else 0),
    )


def estimate(price: Price | None, bounds: Bounds, media: tuple[str, ...], kind: str, free: bool) -> Estimate:
    """The bounds with their money. ``media`` are the kinds of media in the input, ``kind`` is the model's card's.

    ``free``: the project pays nothing.
    """
    tokens = bounds.input_least + bounds.output_least, bounds.input_most + bounds.output_most
    if free:
        return Estimate(0, 0, *tokens)
    if price is None:
        return Estimate(None, None, *tokens)
    if (not media or "audio" not in media) and kind not in _BY_KIND and not bounds.cached_most:
        plain = _plain(price, bounds)
        if plain is not None:
            return Estimate(*plain, *tokens)
    if bounds.cached_most and price.rates.cached is None:
        bounds = msgspec.structs.replace(bounds, cached_least=0, cached_most=0)
    details: tuple[Detail, ...] = ()
    if media and "audio" in media and (price.rates.input_audio or 0) > (price.rates.input or 0):
        details = (Detail("input", "audio", bounds.input_most),)
    if kind in _BY_KIND:
        details += (Detail("output", _BY_KIND[kind], bounds.output_most),)
    least = pricing.cost(price, Usage(bounds.input_least, bounds.cached_least, bounds.output_least)).billed
    dear = Usage(bounds.input_most, bounds.cached_most, bounds.output_most, details=details)
    most = pricing.cost(price, dear).billed
    if least is None or most is None:
        return Estimate(None, None, *tokens)
    return Estimate(min(least, most), most, *tokens)


def due(estimate: Estimate, share: Share) -> Estimate:
    """What a part of a call and those after it may take, where the whole call may take this."""
    least, most = estimate.money or (None, None)
    return Estimate(
        None if least is None else share.due(least),
        None if most is None else share.due(most),
        share.due(estimate.tokens_least),
        share.due(estimate.tokens_most),
    )


def _plain(price: Price, bounds: Bounds) -> tuple[int, int] | None:
    """Text in, text out, rounded to the far side: what nearly every call needs. None where a rate is not known."""
    found = []
    for input_, output_, up in (
        (bounds.input_least, bounds.output_least, 0),
        (bounds.input_most, bounds.output_most, pricing.PER - 1),
    ):
        rates = price.rates
        if price.long is not None and input_ > pricing.LONG_PROMPT:
            rates = price.long
        if rates.input is None or rates.output is None:
            return None
        found.append(
            (input_ * rates.input + up) // pricing.PER + (output_ * rates.output + up) // pricing.PER
        )
    return min(found), found[1]


# Methods that cost money by units that their answers do not count: their rows show `unpriced`, never 0.
UNMETERED: Final = frozenset(
    {
        "models.generateAnswer",
        "models.generateMessage",
        "models.generateText",
        "tunedModels.generateText",
        "models.predict",
        "models.predictLongRunning",
        "models.batchGenerateContent",
        "models.asyncBatchEmbedContent",
        "tunedModels.batchGenerateContent",
        "tunedModels.asyncBatchEmbedContent",
        "tunedModels.create",
        "cachedContents.create",
        "decisions.create",
        "openai.images.generations",
        "openai.videos.create",
        "openai.batches.create",
        "media.uploadToFileSearchStore",
        "fileSearchStores.importFile",
        "triggers.executions.create",
    }
)
"""Their ids."""
