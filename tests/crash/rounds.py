"""Rounds of load and death: ``python -m tests.crash.rounds --rounds 1000``.

Each round puts load on a gateway and ends it at a random moment, in one of several ways; the next gateway starts
on the same data folder, and then record, clients and upstream are compared (``judge``). At the end everything is
compared once more, so that a later round cannot spoil what an earlier one wrote. The first half of the rounds has no
keys; in the second each call brings one, all of them pass budgets, and the books are compared too (``books``).
Exit 1 on any violation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemgate.core.budget import Budget
from tests.crash import books
from tests.crash.judge import Key, Row, Tally, Told, judge, judge_order, told
from tests.crash.load import STRIKES, Load, questions, unmark
from tests.crash.victim import ROWS, SECONDS, Victim
from tests.gateway.launch import until
from tests.proof.braked import put
from tests.simulator.launch import Simulator

SPEED = "40"  # simulated seconds per second: answers take tens of milliseconds
CLEAR = 50  # rounds between clearings of the upstream's own log, of which we read the file

# How a gateway ends, and how often in each deck of 25 rounds.
DECK = {
    "kill": 12,  # in the middle of its work
    "locked": 3,  # while another program keeps the file locked: rows are in the spill file
    "held": 2,  # the same, and the next gateway starts against the lock
    "replay": 3,  # while it moves the spill file into the store
    "newborn": 3,  # with a full spill file; then the next one too, while it starts
    "drain": 2,  # by SIGTERM, with calls under way
}


@dataclass(frozen=True, slots=True)
class Fate:
    """How one round goes, all of it drawn from the seed. Spans are seconds."""

    way: str
    durability: str
    clients: int
    load: float
    lock: float
    unlock: float
    grace: float
    routed: bool

    @property
    def locks(self) -> bool:
        """Whether another program takes the file during the load."""
        return self.way in ("locked", "held", "replay", "newborn")


def fates(seed: int, longest: float) -> Iterable[Fate]:
    """A fate for each round, in shuffled decks, so that every way comes up in any 25 rounds."""
    dice = random.Random(seed)
    while True:
        deck = [way for way, count in DECK.items() for _ in range(count)]
        dice.shuffle(deck)
        for way in deck:
            load = dice.uniform(0.05, longest)
            if way not in ("kill", "drain"):
                load = max(load, 0.3 + dice.uniform(-0.05, 0.3))
            lock = dice.uniform(0.0, 0.1)
            unlock = load - dice.uniform(0.0, 0.04) if way == "replay" else load
            durability = "power" if dice.random() < 0.25 else "process"
            clients, grace = dice.randint(2, 20), dice.uniform(0.0, 0.25)
            yield Fate(way, durability, clients, load, lock, unlock, grace, routed=dice.random() < 0.5)


class Rounds:
    """All rounds on one data folder behind one upstream."""

    def __init__(self, folder: Path, seed: int, longest: float) -> None:
        self.folder = folder
        self.seed = seed
        self.calls: dict[Key, Told] = {}
        self.tries: Counter[Key] = Counter()
        self.rows: dict[Key, list[Row]] = {}
        self.tally = Tally()
        self.ways: Counter[str] = Counter()
        self.spilled = 0
        self._fates = iter(fates(seed, longest))
        self._dice = random.Random(f"{seed}: load")
        self._lives: dict[str, int] = {}
        self._log = folder / "asked.jsonl"
        self._read = 0
        self._last = 0
        self._keyless = 0
        self._keyed = False
        self._limits: list[Budget] = []
        self._spent: dict[int, int] = {}

    def run(self, count: int, say: Callable[[str], None]) -> Tally:
        """Run ``count`` rounds; ``say`` is told of each. Raises RuntimeError when a gateway does not start."""
        self._keyless = count // 2
        with Simulator("--speed", SPEED, "--seed", str(self.seed), "--log", str(self._log)) as upstream:
            self._upstream = upstream
            victim = Victim(self.folder, upstream.url)
            fate = next(iter(self._fates))
            victim.spawn(fate.durability, fate.routed)
            victim.ready()
            try:
                for number in range(1, count + 1):
                    following = next(iter(self._fates))
                    self._round(victim, number, fate, following)
                    say(self._line(number, fate))
                    fate = following
                    if number % CLEAR == 0:
                        upstream.clear()
                victim.terminate()
                if victim.buried() != 0:
                    self.tally.accuse("broken", "the last gateway did not end in order")
                self._whole_record(victim)
            finally:
                victim.unlock()
                if victim.process.poll() is None:
                    victim.kill()
                    victim.buried()
                victim.dismiss()
        return self.tally

    def _round(self, victim: Victim, number: int, fate: Fate, following: Fate) -> None:
        """One gateway's life and death, and what the next one makes of it."""
        self._lives[victim.boot] = number
        self.ways[fate.way] += 1
        victim.prepare(following.durability, following.routed)
        stalls = fate.way == "drain"
        self._upstream.set_faults(*(STRIKES if fate.routed else ()))
        source = questions(self._dice, stalls, faulty=not fate.routed, keyed=self._keyed)
        load = Load(victim.port, number, source, fate.clients)
        try:
            asyncio.run(load.run(_acts(victim, fate)))
        except OSError as error:
            self.tally.accuse("broken", f"round {number}: the gateway went, or a call stayed: {error!r}")
        self._bury(victim, fate, number)
        spilled = victim.spill_bytes()
        self.spilled += spilled > 0
        keyed, left = self._keyed, books.left(victim)
        if fate.way == "newborn":
            victim.unlock()
            victim.spawn(following.durability, following.routed)
            victim.born()
            # A random moment of its start: this is the killing, not a wait for something to be so.
            time.sleep(fate.grace)
            victim.kill()
            victim.buried()
        if fate.way != "held":
            victim.unlock()
        if number >= self._keyless and not self._keyed and fate.way != "held":
            put(victim.data, books.KEYS, books.BUDGETS)
            self._limits, self._keyed = victim.budgets(), True
        victim.spawn(following.durability, following.routed)
        calls = {(number, seen.question.number): told(seen) for seen in load.seen}
        self.calls |= calls
        victim.ready()
        if fate.way == "held":
            time.sleep(fate.grace)
            victim.unlock()
        self._settle(victim, number)
        if keyed:
            self._judge_books(victim, number, left)
        self._judge(victim, number, calls)

    def _judge_books(self, victim: Victim, number: int, left: books.Left) -> None:
        """Compare what was charged since the round before with what the rows since then say."""
        rows, spent = books.paid(victim, self._last), books.spent(victim)
        for fault in books.faults(self._limits, self._spent, spent, rows, left):
            self.tally.accuse("mischarged", f"round {number}: {fault}")
        self.tally.keyed += sum(bool(row.key) for row in rows)
        self.tally.unpaid += sum(row.call_id in left.tries for row in rows)
        self._spent = spent

    def _bury(self, victim: Victim, fate: Fate, number: int) -> None:
        code, expected = victim.buried(), 0 if fate.way == "drain" else -signal.SIGKILL
        if code != expected:
            self.tally.accuse("broken", f"round {number}: the gateway ended with {code}, not {expected}")
        if fate.way == "drain" and (count := victim.open_calls()):
            self.tally.accuse("open", f"round {number}: {count} tries stand open after a drain")

    def _settle(self, victim: Victim, number: int) -> None:
        try:
            until(victim.settled, "a settled record", SECONDS)
        except AssertionError:
            count = victim.open_calls()
            self.tally.accuse("open", f"round {number}: {count} tries stay open; health: {victim.health()}")

    def _judge(self, victim: Victim, number: int, calls: Mapping[Key, Told]) -> None:
        """Compare this round; what the upstream tells late is compared at the end."""
        self.tries.update(self._asked())
        for key, row in self._rows_after(victim, self._last):
            self.rows.setdefault(key, []).append(row)
            self._last = row.seq
        rows = {key: rows for key, rows in self.rows.items() if key[0] == number}
        judge(calls, rows, self.tries, tally := Tally())
        judge_order(calls, rows, tally)
        self.tally.rounds += 1
        self._add(tally)

    def _add(self, tally: Tally) -> None:
        for name in (
            "asked",
            "answered",
            "rows",
            "tries",
            "again",
            "missing",
            "duplicates",
            "wrong",
            "unrecorded",
        ):
            setattr(self.tally, name, getattr(self.tally, name) + getattr(tally, name))
        self.tally.accusations += tally.accusations

    def _asked(self) -> list[Key]:
        """The calls of the lines that the upstream has added to its log."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            data = log.read()
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        return [unmark(json.loads(line)["user_agent"]) for line in data.splitlines()]

    def _rows_after(self, victim: Victim, seq: int) -> list[tuple[Key, Row]]:
        found = []
        for at, call_id, boot, client, *rest in victim.rows(ROWS, seq):
            outcome, status, attempts, tries, *tokens, estimated = rest
            key = (self._lives.get(boot, 0), int((client or "load--1").removeprefix("load-")))
            row = Row(at, _spelt(call_id), outcome, status, attempts, tries, tuple(tokens), estimated)
            found.append((key, row))
        return found

    def _whole_record(self, victim: Victim) -> None:
        """Everything once more, from the file alone."""
        self.tries.update(self._asked())
        rows: dict[Key, list[Row]] = {}
        for key, row in self._rows_after(victim, 0):
            rows.setdefault(key, []).append(row)
        judge(self.calls, rows, self.tries, tally := Tally())
        known = set(self.tally.accusations)
        fresh = [one for one in tally.accusations if one not in known]
        for accusation in fresh:
            what, _, sentence = accusation.partition(": ")
            self.tally.accuse(what, f"at the end: {sentence}")
        self.tally.tries = tally.tries
        for key, before in self.rows.items():
            if rows.get(key) != before:
                self.tally.accuse("wrong", f"the rows of {key} were {before} and are {rows.get(key)}")
        if count := victim.open_calls():
            self.tally.accuse("open", f"{count} tries stand open at the end")
        if (found := victim.rows("PRAGMA integrity_check")) != [("ok",)]:
            self.tally.accuse("broken", f"the file is damaged: {found[:3]}")
        if found := victim.rows("PRAGMA foreign_key_check"):
            self.tally.accuse("broken", f"rows point nowhere: {found[:3]}")
        for name in sorted(path.name for path in (victim.data / "spill").glob("*")):
            self.tally.accuse("broken", f"a spill file is left: {name}")
        for kind, findings in victim.verified().items():
            self.tally.accuse("broken", f"verify finds {len(findings)} of {kind!r}: {findings[0]}")
        for fault in faults_in(victim.log):
            self.tally.accuse("broken", f"a gateway met a fault of its own: {fault}")

    def _line(self, number: int, fate: Fate) -> str:
        tally = self.tally
        return (
            f"{number:5} {fate.way:8} {fate.durability:8} {'routed' if fate.routed else 'straight':8}"
            f" {fate.clients:3} clients {fate.load:5.2f} s"
            f" | {tally.asked:7} asked {tally.answered:7} answered {len(tally.accusations):4} violations"
        )


def faults_in(log: str) -> list[str]:
    """The tracebacks in a log, but for those of calls that a drain cut off at its deadline."""
    found = []
    for block in log.split("Traceback (most recent call last):\n")[1:]:
        lines = block.splitlines()
        end = next((at for at, line in enumerate(lines) if line and not line.startswith(" ")), len(lines) - 1)
        if not lines[end].startswith("asyncio.exceptions.CancelledError"):
            found.append("\n".join(lines[max(0, end - 6) : end + 1]))
    return found


def _acts(victim: Victim, fate: Fate) -> list[tuple[float, Callable[[], None]]]:
    """What is done to the gateway during the load, each at its second; the last act ends it."""
    acts: list[tuple[float, Callable[[], None]]] = []
    if fate.locks:
        acts.append((fate.lock, victim.lock))
    if fate.way == "replay":
        acts.append((fate.unlock, victim.unlock))
    acts.append((fate.load, victim.terminate if fate.way == "drain" else victim.kill))
    return acts


def _spelt(hex_: str) -> str:
    return f"{hex_[:8]}-{hex_[8:12]}-{hex_[12:16]}-{hex_[16:20]}-{hex_[20:]}"


def table(tally: Tally, ways: Mapping[str, int], spilled: int, seconds: float) -> str:
    """The summary, one figure a line."""
    figures: list[tuple[str, Any]] = [
        ("rounds", tally.rounds),
        ("  of which", ", ".join(f"{count} {way}" for way, count in sorted(ways.items()))),
        ("rounds that left a spill file", spilled),
        ("calls asked", tally.asked),
        ("calls answered whole", tally.answered),
        ("rows on record", tally.rows),
        ("tries that the upstream saw", tally.tries),
        ("  of calls answered after another", tally.again),
        ("answered without a complete row", tally.missing),
        ("duplicates", tally.duplicates),
        ("calls left open", tally.open),
        ("unrecorded tries", tally.unrecorded),
        ("rows that tell it otherwise", tally.wrong),
        ("calls with a key", tally.keyed),
        ("  closed at what they held", tally.unpaid),
        ("charges that differ", tally.mischarged),
        ("other faults", tally.broken),
        ("seconds", round(seconds)),
    ]
    return "\n".join(f"{name:34}{value}" for name, value in figures)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rounds and print what was found. 1 on any violation."""
    parser = argparse.ArgumentParser(prog="tests.crash.rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--longest", type=float, default=0.4, help="longest load of a round, in seconds")
    parser.add_argument("--keep", action="store_true", help="leave the folder in place even when all is well")
    arguments = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="gemgate-crash-"))
    print(f"seed {arguments.seed}, folder {folder}", flush=True)
    start = time.monotonic()
    rounds = Rounds(folder, arguments.seed, arguments.longest)
    tally = rounds.run(arguments.rounds, lambda line: print(line, flush=True))
    print(table(tally, rounds.ways, rounds.spilled, time.monotonic() - start))
    for accusation in tally.accusations[:50]:
        print(accusation)
    if tally.clean and not arguments.keep:
        shutil.rmtree(folder)
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
