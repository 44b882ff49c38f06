"""Keys that can spend without end: no limit of their own and no budget."""

from __future__ import annotations

from gemgate.insight.advice.findings import LEAST_CALLS, Call, Finding, Kind, Sample, World, best, identity


class Unlimited(Kind):
    """One finding for each key that is in use."""

    name = "unlimited_key"

    def __init__(self) -> None:
        self._used: dict[str, Sample] = {}

    def add(self, call: Call, world: World) -> None:
        """Count what its key spends."""
        if call.key:
            self._used.setdefault(call.key, Sample()).add(call.call_id, call.nano)

    def found(self, world: World) -> list[Finding]:
        """Keys without a brake."""
        found = []
        for key in world.budgeted.keys:
            sample = self._used.get(key.name)
            limited = any(one is not None for one in (key.rpm, key.tpm, key.concurrency))
            closed = key.stopped_at or (key.disabled_at and key.disabled_at <= world.now)
            ended = 0 < key.expires_at <= world.now
            if sample is None or sample.calls < LEAST_CALLS or limited or closed or ended:
                continue
            if key.name in world.budgeted.budgeted:
                continue
            spent = world.month(sample.nano) / 1e9
            found.append(
                Finding(
                    id=identity(self.name, key.id, key.name),
                    kind=self.name,
                    title=f"The key {key.name!r} has neither limit nor budget",
                    sentence=f"It made {world.all(sample.calls):,} calls, at a pace of ${spent:,.2f} in 30 days; "
                    "nothing stops a "
                    "program that runs away with it.",
                    nano_per_month=None,
                    evidence=sample.evidence(world, "Its calls, and what they were billed."),
                    risk="A limit that is set too low refuses good calls; begin well above what it uses.",
                    try_it=f"gemgate budgets create {key.name}-month --key {key.name} --money "
                    f"{max(1, round(3 * spent))} --per month; gemgate keys change {key.name} --rpm 600",
                    key=key.name,
                )
            )
        return best(found)
