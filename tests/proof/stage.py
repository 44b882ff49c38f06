"""The stage of a proof: one clock for gateway and simulator, projects that both know, and what happened on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.gateway.launch import Gateway
from tests.simulator.launch import Simulator

# A Friday morning in California: no midnight, no change of prices, no switch of daylight saving within hours.
START: Final = 1_795_197_600.0
UNLIMITED: Final = 1_000_000_000

Limits = Mapping[str, Mapping[str, int]]
"""Model -> window (``rpm``, ``tpm``, ``rpd``, ``tpd``) -> limit."""


class Clock:
    """``speed`` of its seconds pass in one of ours, counted from ``START``."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.epoch = time.time()

    @property
    def option(self) -> tuple[float, float, float]:
        """What the gateway is started with."""
        return self.speed, self.epoch, START

    def at(self, moment: float) -> float:
        """The clock's unix seconds at a ``moment`` of the system's."""
        return START + (moment - self.epoch) * self.speed

    def set(self, simulator: Simulator) -> None:
        """Put the simulator on this clock: it is then behind by what the request took."""
        simulator.ask("PUT", "/simulator/clock", {"now": self.at(time.time()), "speed": self.speed})


@dataclass(frozen=True)
class Project:
    """A Google project with one key. ``known`` are the limits that the gateway is told of; None: the true ones."""

    name: str
    limits: Limits = field(default_factory=dict)
    known: Limits | None = None
    tier: str = "tier3"

    @property
    def key(self) -> str:
        """Its key, which looks like Google's."""
        return f"AIzaProof-{self.name}-".ljust(39, "0")

    def told(self) -> dict[str, Any]:
        """The project in the simulator's script."""
        return {
            "name": self.name,
            "keys": [self.key],
            "tier": self.tier,
            "spend": UNLIMITED,
            "limits": {model: dict(limits) for model, limits in self.limits.items()} or {"*": {}},
        }

    def toml(self) -> str:
        """The project in gemgate.toml. What is not limited has a limit that no test meets."""
        rows = []
        for model, limits in ({"*": {}} | dict(self.limits if self.known is None else self.known)).items():
            whole = {name: limits.get(name, UNLIMITED) for name in ("rpm", "tpm", "rpd", "tpd")}
            rows.append(f"{json.dumps(model)} = {{ {', '.join(f'{k} = {v}' for k, v in whole.items())} }}")
        return (
            f'[[project]]\nname = "{self.name}"\ntier = "{self.tier}"\nkeys = ["{self.key}"]\n'
            f"spend = {float(UNLIMITED)}\nlimits = {{ {', '.join(rows)} }}\n"
        )


def route(name: str, targets: Sequence[str], **more: Any) -> str:
    """A ``[[route]]`` table; ``more`` are its other keys."""
    rows = [f"name = {json.dumps(name)}", f"targets = {json.dumps(list(targets))}"]
    rows += [f"{key} = {json.dumps(value)}" for key, value in more.items()]
    return "[[route]]\n" + "\n".join(rows) + "\n"


def simulator(folder: Path, projects: Iterable[Project], *arguments: str) -> Simulator:
    """A simulator with these projects. Its whole log goes to ``simulator.log`` in ``folder``."""
    script = {"projects": [project.told() for project in projects]}
    return Simulator(
        *("--seed", "7", "--log", str(folder / "simulator.log"), *arguments), script=script, folder=folder
    )


def gateway(
    folder: Path, upstream: Simulator, projects: Iterable[Project], toml: str = "", clock: Clock | None = None
) -> Gateway:
    """A gateway before that simulator which knows these projects."""
    text = "".join(project.toml() for project in projects)
    option = {} if clock is None else {"clock": clock.option}
    return Gateway(folder, upstream.url, toml, projects=text, **option)  # type: ignore[arg-type]


def lines(folder: Path) -> list[dict[str, Any]]:
    """Every request that the simulator has finished, in the order of their beginning."""
    text = (folder / "simulator.log").read_text("utf-8") if (folder / "simulator.log").exists() else ""
    return sorted((json.loads(line) for line in text.splitlines()), key=lambda line: line["time"])


TRIES = """
SELECT c.seq, c.call_id, c.attempts, a.number, a.sent_at, a.first_byte, a.duration, a.status, a.estimated,
       a.hedge, a.waited, a.list_nano, a.input + a.output + a.thoughts + a.tool AS tokens,
       verdicts.name AS verdict, reasons.name AS reason, models.name AS model, projects.name AS project
FROM attempts AS a
JOIN calls AS c ON c.seq = a.call_seq
JOIN verdicts ON verdicts.id = a.verdict_id
LEFT JOIN reasons ON reasons.id = a.reason_id
LEFT JOIN models ON models.id = a.model_id
LEFT JOIN projects ON projects.id = a.project_id
"""


def tries(running: Gateway, call: str = "") -> list[dict[str, Any]]:
    """The tries on record in their order; those of one call when its id is given."""
    order = " ORDER BY a.sent_at, a.seq"
    if not call:
        return running.rows(TRIES + order)
    return running.rows(
        TRIES + " WHERE c.call_id = ?" + " ORDER BY a.number", bytes.fromhex(call.replace("-", ""))
    )


FILLER: Final = b"The harbour lights went out one by one, and nobody on the quay could say why. " * 4_000


def prompt(tokens: int, name: str) -> bytes:
    """The body of a call of exactly ``tokens`` input tokens as the simulator counts them (four bytes each)."""
    text = f"{name}: ".encode()
    text = (text + FILLER)[: max(1, tokens) * 4]
    return b'{"contents":[{"role":"user","parts":[{"text":"' + text + b'"}]}]}'
