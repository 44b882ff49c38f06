"""Chance out of a seed: the same numbers again for the same seed, on every machine (SplitMix64)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeVar

Value = TypeVar("Value")
_MASK: Final = 2**64 - 1


class Chance:
    """A stream of chance."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """64 bits."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        return state ^ (state >> 31)

    def below(self, bound: int) -> int:
        """A whole number from 0 to below ``bound``."""
        return self.bits() % bound

    def real(self) -> float:
        """A number from 0.0 to below 1.0."""
        return (self.bits() >> 11) / 2**53

    def spread(self, middle: float, sigma: float) -> float:
        """A positive number around ``middle``, log-normal: two thirds within a factor of e**sigma."""
        # Three uniform numbers together are near enough to the normal curve.
        return middle * math.exp(sigma * 2 * (sum(self.real() for _ in range(3)) - 1.5))

    def pick(self, values: Sequence[Value], weights: Sequence[float]) -> Value:
        """One of the values, each with its weight."""
        place = self.real() * sum(weights)
        for value, weight in zip(values, weights, strict=True):
            place -= weight
            if place < 0:
                return value
        return values[-1]
