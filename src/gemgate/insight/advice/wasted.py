"""Tries at targets whose quota was spent: they cost time, and sometimes money, and bring a 429."""

from __future__ import annotations

from typing import Final

from gemgate.insight.advice.findings import LEAST_CALLS, Call, Finding, Kind, Sample, World, best, identity

_REASONS: Final = frozenset(
    {"quota_minute", "quota_tokens", "quota_day", "quota_zero", "prepaid", "exhausted"}
)
_SHARE: Final = 0.01
"""Of all tries at the target: fewer refusals are the price of using a quota fully."""


class Wasted(Kind):
    """One finding for each target (a model on a project)."""

    name = "spent_targets"

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str], Sample] = {}
        self._lost: dict[tuple[str, str], int] = {}
        self._tries: dict[tuple[str, str], int] = {}

    def add(self, call: Call, world: World) -> None:
        """Count its tries."""
        if call.ok and call.model:
            place = call.model, call.project
            self._tries[place] = self._tries.get(place, 0) + 1
        for one in call.failed:
            place = one.model, one.project
            self._tries[place] = self._tries.get(place, 0) + 1
            if one.reason in _REASONS or one.verdict == "spent":
                self._refused.setdefault(place, Sample()).add(call.call_id, one.nano)
                self._lost[place] = self._lost.get(place, 0) + one.lost

    def found(self, world: World) -> list[Finding]:
        """Targets that are asked for more than they have."""
        found = []
        for place, sample in self._refused.items():
            tries, (model, project) = self._tries.get(place, 0), place
            if sample.calls < LEAST_CALLS or sample.calls < _SHARE * tries:
                continue
            mean = self._lost[place] / sample.calls / 1e6
            found.append(
                Finding(
                    id=identity(self.name, model, project),
                    kind=self.name,
                    title=f"{world.all(sample.calls):,} tries went to {model} on {project} to be refused",
                    sentence=f"{sample.calls / max(1, tries):.1%} of the tries at {model} on "
                    f"{project} met a quota that "
                    f"was spent, and cost their calls {mean:.1f} s each on average.",
                    nano_per_month=world.month(sample.nano) if sample.nano else None,
                    evidence=sample.evidence(
                        world,
                        "Tries that Google refused for quota: the time of each with the wait that "
                        "followed it, and "
                        "what was billed for it, if anything.",
                    ),
                    risk="A limit that is set too low leaves quota unused.",
                    try_it=f"See `gemgate quota`; name the true limits: PUT /api/v1/limits/stored/{project}/{model} "
                    '{"rpm": …}. Or add a second project or a fallback, so that calls go where there is room.',
                    model=model,
                )
            )
        return best(found)
