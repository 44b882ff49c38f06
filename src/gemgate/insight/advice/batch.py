"""Work that could wait: bursts of one key, not streamed, in few hours of its time. Batch takes it "
"at half price."""

from __future__ import annotations

from typing import Final

from gemgate.insight.advice.findings import Call, Finding, Kind, Sample, World, best, identity, of_key

_HOUR: Final = 3_600_000_000
_BURST: Final = 60
"""Calls of one key and model within an hour that are no person's."""
_HOURS: Final = 0.15
"""Most of the span's hours in which such a key works at all: others serve somebody all day."""
_SHARE: Final = 0.8
"""At least so many of its calls come in bursts."""
_METHODS: Final = frozenset({"models.generateContent", "openai.chat.completions", "models.embedContent"})


class _Hours:
    """Calls of one key and model: in how many hours, how many in bursts, how many that somebody waited for.

    Calls come in the order of time, so that one hour at a time is counted.
    """

    __slots__ = ("_count", "_hour", "bursts", "calls", "hours", "sample", "waited")

    def __init__(self) -> None:
        self.calls = self.hours = self.bursts = self.waited = 0
        self.sample = Sample()
        self._hour = self._count = 0

    def add(self, received_at: int) -> None:
        """Count a call that nobody may have waited for."""
        hour = received_at // _HOUR
        if hour != self._hour:
            self._hour, self._count = hour, 0
            self.hours += 1
        self.calls += 1
        self._count += 1
        # With the call that makes it a burst all before it in this hour belong to it.
        self.bursts += _BURST if self._count == _BURST else self._count > _BURST


class Batch(Kind):
    """One finding for each key and model."""

    name = "batch"

    def __init__(self) -> None:
        self._work: dict[tuple[str, str], _Hours] = {}

    def add(self, call: Call, world: World) -> None:
        """Count it, and what it would have cost in a batch."""
        if call.tier not in ("", "standard") or not call.key:
            return
        seen = self._work.setdefault((call.key, call.model), _Hours())
        if call.streaming not in ("", "none") or call.outcome == "cancelled" or call.method not in _METHODS:
            seen.waited += 1
            return
        seen.add(call.received_at)
        if call.ok and call.paid and not call.tools:
            now, then = world.worth(call), world.cost(call.model, "batch", call.usage)
            if now is not None and then is not None:
                seen.sample.add(call.call_id, now - then)

    def found(self, world: World) -> list[Finding]:
        """Keys that work in bursts."""
        found = []
        for (key, model), seen in self._work.items():
            sample, calls = seen.sample, seen.calls
            busy = seen.hours / max(1, world.hours)
            if not world.enough(sample.calls, sample.nano) or busy > _HOURS:
                continue
            if seen.bursts < _SHARE * calls or seen.waited > (1 - _SHARE) * calls:
                continue
            found.append(
                Finding(
                    id=identity(self.name, key, model),
                    kind=self.name,
                    title=f"Bursts for {model} could go to batch at half the price",
                    sentence=f"{of_key(key)} sends its calls for {model} in bursts, {calls:,} within "
                    f"{seen.hours} hours, and streams none of them: nobody seems to wait for "
                    "each answer.",
                    nano_per_month=world.month(sample.nano),
                    evidence=sample.evidence(
                        world,
                        "Each call's tokens at today's standard price less the same at the batch price.",
                    ),
                    risk="A batch's answers come within 24 hours, not within seconds; tools and "
                    "sessions stay out.",
                    try_it=f"Put the requests into POST /v1beta/models/{model}:batchGenerateContent "
                    "through this gateway, "
                    "and read the result when its state is BATCH_STATE_SUCCEEDED.",
                    key=key,
                    model=model,
                )
            )
        return best(found)
