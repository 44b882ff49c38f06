"""What a call will probably take, learned from those before: input and output tokens and money, by model.

The gateway's own quick estimate of tokens is a rule of thumb on bytes. Here it is put right by the ratio to
Google's counts seen so far, weighted by size, so that short requests do not decide for long ones, plus the mean
deviation, since too low an estimate overfills a window while too high a one only waits. Budgets ask for bounds
(``inputs``, ``outputs``): two mean deviations to either side, wide ones where nothing is known. What a request only
names, because Google holds it (a cache, an earlier interaction, a file), has no bytes to go by: its tokens are
remembered by name from the calls before (``held``).
"""

from __future__ import annotations

from collections.abc import Collection, MutableMapping
from typing import Final, Literal, TypeVar

import msgspec

from gemgate.core.usage import Usage

LEAST: Final = 0.25
MOST: Final = 8.0
# How much a new call weighs; about the last thirty decide.
_SHARE: Final = 1 / 16
# The deviations from the mean that a bound leaves room for.
_WIDE: Final = 2.0
# Where Google's count of a model was never seen, the quick estimate may be too low by so much.
_UNKNOWN: Final = 1.25
# Only models that answered are learned from, and the oldest goes first.
_MODELS: Final = 1000
# Things at Google whose sizes are remembered. Names come from callers, but only what Google answered is learned.
_THINGS: Final = 10_000
CACHE: Final = "cachedContents/"
_Kept = TypeVar("_Kept")


class Held(msgspec.Struct, frozen=True, gc=False):
    """Tokens of input that Google holds: at the plain rate, at that of caches; and whether there are more, of unknown
    size: ``cached`` where only caches are unknown, else ``plain``."""

    plain: int = 0
    cached: int = 0
    unknown: Literal["", "plain", "cached"] = ""


class _Ratio:
    """Running means of estimates, of true counts, and of how far the ratio was off."""

    __slots__ = ("actual", "estimate", "off")

    def __init__(self, estimate: int, actual: int) -> None:
        self.estimate = float(estimate)
        self.actual = float(actual)
        self.off = 0.0

    def add(self, estimate: int, actual: int) -> None:
        """One more call."""
        off = abs(actual - estimate * self.actual / self.estimate)
        self.off += _SHARE * (off - self.off)
        self.estimate += _SHARE * (estimate - self.estimate)
        self.actual += _SHARE * (actual - self.actual)

    def factor(self, deviations: float = 1.0) -> float:
        """What to multiply an estimate with, so many mean deviations above the mean."""
        return min(MOST, max(LEAST, (self.actual + deviations * self.off) / self.estimate))


class _Mean:
    """A running mean, and how far single counts were off it."""

    __slots__ = ("mean", "off")

    def __init__(self, count: int) -> None:
        self.mean = float(count)
        self.off = float(count)  # one answer says nothing of how short the next may be

    def add(self, count: int) -> None:
        """One more count."""
        self.off += _SHARE * (abs(count - self.mean) - self.off)
        self.mean += _SHARE * (count - self.mean)


class Estimates:
    """Estimates of input tokens, output tokens and nano-dollars by model."""

    def __init__(self) -> None:
        self._ratios: dict[str, _Ratio] = {}
        self._nano: dict[str, float] = {}
        self._outputs: dict[str, _Mean] = {}
        self._things: dict[str, int] = {}

    def tokens(self, model: str, estimate: int) -> int:
        """The input tokens that a request of this quick estimate probably has, at least 1 where that has any."""
        ratio = self._ratios.get(model)
        if ratio is None or estimate <= 0:
            return max(0, estimate)
        return max(1, round(estimate * ratio.factor()))

    def learn(self, model: str, estimate: int, actual: int) -> None:
        """Google counted ``actual`` input tokens where the quick estimate was ``estimate``."""
        if estimate <= 0 or actual <= 0:
            return
        # One absurd count must not spoil the mean for hundreds of calls.
        actual = min(actual, round(estimate * MOST * 2))
        ratio = self._ratios.get(model)
        if ratio is None:
            _keep(self._ratios, model, _Ratio(estimate, actual))
        else:
            ratio.add(estimate, actual)

    def inputs(self, model: str, estimate: int) -> tuple[int, int]:
        """The input tokens that a request of this quick estimate has, at least (1) and at most."""
        ratio = self._ratios.get(model)
        if estimate <= 0:
            return 0, 0
        if ratio is None:
            return max(1, round(estimate * LEAST)), -int(-estimate * _UNKNOWN // 1)
        least, most = (max(1, round(estimate * ratio.factor(wide))) for wide in (-_WIDE, _WIDE))
        return least, most

    def outputs(self, model: str) -> tuple[int, int] | None:
        """The output tokens of an answer of this model, at least and at most; None where none was seen."""
        known = self._outputs.get(model)
        if known is None:
            return None
        return max(0, round(known.mean - _WIDE * known.off)), round(known.mean + _WIDE * known.off)

    def learn_output(self, model: str, tokens: int) -> None:
        """An answer of this model had so many output tokens, thoughts among them."""
        known = self._outputs.get(model)
        if known is None:
            _keep(self._outputs, model, _Mean(tokens))
        else:
            known.add(tokens)

    def held(self, names: Collection[str]) -> Held:
        """What is known of the things that a request names."""
        plain = cached = 0
        unknown: Literal["", "plain", "cached"] = ""
        for name in names:
            size, cache = self._things.get(name), name.startswith(CACHE)
            if size is None:
                unknown = "cached" if cache and unknown != "plain" else "plain"
            elif cache:
                cached += size
            else:
                plain += size
        return Held(plain, cached, unknown)

    def learn_held(self, names: Collection[str], usage: Usage, seen: int) -> None:
        """A request that named these things had so many input tokens, ``seen`` of them in its own body."""
        others = [name for name in names if not name.startswith(CACHE)]
        rest = max(0, usage.input - seen)
        if len(others) < len(names):
            if not usage.cached:
                return  # the cache was not counted: nobody knows what was
            rest = max(0, rest - usage.cached)
            for name in names:
                if name.startswith(CACHE):
                    self.learn_size(name, usage.cached)
        for name in others:
            # Of several each is at most all of it.
            if len(others) == 1 or self._things.get(name, rest) >= rest:
                self.learn_size(name, rest)

    def learn_size(self, name: str, tokens: int) -> None:
        """A thing that Google holds has so many tokens, as input of another call."""
        self._things.pop(name, None)
        _keep(self._things, name, tokens, _THINGS)

    def nano(self, model: str) -> int:
        """What a call to this model cost of late in nano-dollars, 0 where nothing is known."""
        return round(self._nano.get(model, 0.0))

    def learn_nano(self, model: str, nano: int) -> None:
        """A call cost so much."""
        old = self._nano.get(model)
        if old is None:
            _keep(self._nano, model, float(max(0, nano)))
        else:
            self._nano[model] = old + _SHARE * (max(0, nano) - old)


def _keep(kept: MutableMapping[str, _Kept], name: str, value: _Kept, most: int = _MODELS) -> None:
    """Add one, in the place of the oldest where there are too many."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[name] = value
