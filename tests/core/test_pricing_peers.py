"""Our price book against the library genai-prices: every difference stands in one table, with its reason.

Compared are all models that both know, all tiers, three dates and many random usages; a difference that the
table does not name fails, and so does an entry of the table that is no difference (any more).
"""

from __future__ import annotations

import datetime
import pathlib
import random

import genai_prices
from genai_prices import data as peers

from gemgate.core import pacific, pricing
from gemgate.core.pricing import PriceBook, cost
from gemgate.core.usage import Detail, Usage

BOOK = PriceBook.load(
    (pathlib.Path(pricing.__file__).parent.parent / "data" / "price_book.json").read_bytes()
)
GOOGLE = next(provider for provider in peers.providers if provider.id == "google")
KINDS = ("text", "long", "thoughts", "cached", "audio", "audio_cached", "image_in", "video_in")
KINDS += ("image_out", "audio_out", "video_out")
TIERS = {
    "standard": None,
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
DAYS = (datetime.date(2026, 11, 23), datetime.date(2026, 12, 15), datetime.date(2027, 1, 15))
ROUNDING = 4  # nano-dollars: each of our components is rounded, theirs are not

ALL = frozenset(KINDS)
CACHED = frozenset({"cached", "audio_cached"})
SPOKEN = ("gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts")

# (1) No cached rate is published for these. We say `unpriced`; genai-prices bills cached tokens as input.
NO_CACHED_RATE = {
    "standard": (
        "gemini-2.0-flash-lite gemini-2.5-flash-image gemini-3-pro-image-preview "
        "gemini-3.1-flash-image-preview gemini-3.1-flash-lite-image gemini-3.1-flash-live-preview "
        "gemini-3.1-flash-tts-preview gemini-3.8-flash-tts gemini-3.8-flash-lite-tts gemini-3.8-live "
        "gemini-embedding-001 gemini-embedding-2 gemini-nano-banana-2.1 gemini-omni-1.1-flash "
        "gemini-omni-flash-preview gemini-robotics-er-2-streaming-preview"
    ),
    "batch": (
        "gemini-3-pro-image-preview gemini-3.1-flash-image-preview gemini-3.1-flash-lite-image "
        "gemini-3.1-flash-tts-preview gemini-embedding-2 gemini-nano-banana-2.1"
    ),
}
# (2) litellm lists a cached rate for the tiers of the speaking models, genai-prices none: it bills input.
SPOKEN_TIERS = ("batch", "flex", "priority")
# (3) genai-prices has no row for the tier and answers with the standard price; ours comes from litellm.
TIER_ONLY_OURS = {
    "batch": "gemini-2.5-flash-image gemini-3.5-flash gemini-3.7-flash gemini-embedding-001 "
    "gemini-robotics-er-2-preview",
    "flex": "gemini-2.5-flash gemini-2.5-flash-image gemini-2.5-flash-lite gemini-2.5-pro "
    "gemini-3-flash-preview gemini-3-pro-image-preview gemini-3.1-flash-lite gemini-3.1-pro-preview "
    "gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash gemini-4-argon",
}
TIER_ONLY_OURS["priority"] = TIER_ONLY_OURS["flex"]
# (4) Nobody publishes a price of the tier. We say `unpriced`; genai-prices answers with the standard price.
_NEVER = (
    "gemini-2.0-flash gemini-2.0-flash-lite gemini-3-pro-preview gemini-3.1-flash-live-preview gemini-3.8-live "
    "gemini-omni-1.1-flash gemini-omni-flash-preview gemini-robotics-er-2-streaming-preview "
    "gemma-4-26b-a4b-it gemma-4-31b-it "
)
_BATCH_ONLY = (
    "gemini-3.1-flash-image-preview gemini-3.1-flash-lite-image gemini-3.1-flash-tts-preview "
    "gemini-embedding-001 gemini-embedding-2 gemini-nano-banana-2.1 gemini-robotics-er-2-preview"
)
NO_SUCH_TIER = {"batch": _NEVER, "flex": _NEVER + _BATCH_ONLY, "priority": _NEVER + _BATCH_ONLY}


def explained() -> set[tuple[str, str, str]]:
    found = set()
    for table, kinds in ((NO_CACHED_RATE, CACHED), (TIER_ONLY_OURS, ALL), (NO_SUCH_TIER, ALL)):
        for tier, models in table.items():
            found |= {(model, tier, kind) for model in models.split() for kind in kinds}
    found |= {(model, tier, kind) for model in SPOKEN for tier in SPOKEN_TIERS for kind in CACHED}
    return found


def draw(rng: random.Random, kind: str, *, speaks: bool) -> tuple[Usage, genai_prices.Usage]:
    """One usage of a kind, in our words and in theirs."""
    prompt, output = rng.randrange(100, 190_000), rng.randrange(50, 60_000) if speaks else 0
    cached = thoughts = 0
    part = rng.randrange(1, 50)
    details: list[Detail] = []
    theirs: dict[str, int] = {}
    if kind == "long":
        prompt += 200_001
    elif kind == "thoughts":
        thoughts = rng.randrange(1, 20_000) if speaks else 0
    elif kind == "cached":
        cached = rng.randrange(1, prompt)
    elif kind.startswith("audio") and kind != "audio_out":
        details.append(Detail("input", "audio", part))
        theirs["input_audio_tokens"] = part
    if kind == "audio_cached":
        cached = part
        details.append(Detail("cached", "audio", part))
        theirs["cache_audio_read_tokens"] = part
    modality, _, side = kind.partition("_")
    if side == "in":
        details.append(Detail("input", modality, part))
        theirs[f"input_{modality}_tokens"] = part
    elif side == "out" and speaks:
        details.append(Detail("output", modality, part))
        theirs[f"output_{modality}_tokens"] = part
    if cached:
        theirs["cache_read_tokens"] = cached
    ours = Usage(prompt, cached, output, thoughts, 0, tuple(details))
    return ours, genai_prices.Usage(input_tokens=prompt, output_tokens=output + thoughts, **theirs)


def test_every_difference_is_explained() -> None:
    differing = set()
    compared = 0
    names = {price.model for price in BOOK.in_force(pacific.midnight(DAYS[0]))}
    for model in (one for one in GOOGLE.models if one.id in names):
        for tier, context in TIERS.items():
            for kind in KINDS:
                for day in DAYS:
                    rng = random.Random(f"{model.id} {tier} {kind} {day}")
                    at = pacific.midnight(day) + 12 * 3600 * 1_000_000
                    ours, theirs = draw(rng, kind, speaks="embedding" not in model.id)
                    expected = model.calc_price(
                        theirs,
                        GOOGLE,
                        genai_request_timestamp=datetime.datetime.fromtimestamp(at / 1e6, datetime.UTC),
                        price_context=context,
                    ).total_price
                    total = cost(BOOK.price(model.id, tier, at), ours).total
                    compared += 1
                    if total is None or abs(total - expected * 10**9) > ROUNDING:
                        differing.add((model.id, tier, kind))
    assert compared > 4000
    assert differing - explained() == set(), "differences without a reason"
    assert explained() - differing == set(), "reasons without a difference"
