"""The benchmark of the record: ten million calls over 90 days, asked while the gateway goes on recording.

    python bench/records.py [--calls N] [--days D] [--folder DIR] [--trace FILE] [--rate N] [--asks N]
                             [--leg S] [--pairs N] [--quick]

The record is made by `gemgate seed` once and kept in the folder (bench/build/record by default); a later run goes on
with it. Ends with 1 when a bar fails, with 2 when it cannot run here. README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from asking import Asker, Question, ask, quantile
from legs import Field, Leg, errors_of, unary
from machine import commit_of, facts
from report import Figure, content, failed, show, write
from servers import (
    BUILD,
    HERE,
    BenchError,
    Cores,
    Server,
    build,
    console,
    gateway_on,
    gemgate,
    program,
    upstream,
)

THIN = 150.0  # ms, p95 of what is rolled up
REST = 1_000.0
SPANS = ("-24h", "-7d", "-90d")
CPU_BAR = 1.10
LAG_BAR = 2.0  # seconds


@dataclass(slots=True)
class Run:
    """What was measured so far."""

    figures: list[Figure] = field(default_factory=list)
    legs: dict[str, object] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description="Measure reports over a large record, beside traffic.")
    parser.add_argument("--calls", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--folder", type=Path, default=BUILD / "record")
    parser.add_argument("--trace", default="", help="a trace for `gemgate seed`")
    parser.add_argument(
        "--rate", type=float, default=100.0, help="calls per second that are recorded meanwhile"
    )
    parser.add_argument("--asks", type=float, default=5.0, help="questions per second")
    parser.add_argument("--leg", type=float, default=60.0, help="seconds of one leg")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of legs, alone and asked")
    parser.add_argument("--quick", action="store_true", help="200,000 calls, short legs")
    parser.add_argument("--no-save", action="store_true", help="write no file of results")
    asked = parser.parse_args()
    if asked.quick:
        asked.calls, asked.leg, asked.pairs = min(asked.calls, 200_000), 15.0, 1
        asked.folder = asked.folder.with_name("record-quick")
    return asked


def questions() -> list[Question]:
    """Every analytic question over a day, a week and 90 days, each with its bar."""
    found = []
    for span in SPANS:
        for report in ("usage", "performance", "costs", "errors", "fallbacks"):
            for group, most in (
                ("", THIN),
                ("model", THIN),
                ("key", THIN),
                ("status", THIN),
                ("model,key", REST),
                ("client,model", REST),
            ):
                path = f"/api/v1/{report}?from={span}" + (
                    "".join(f"&group={name}" for name in group.split(",") if name)
                )
                found.append(Question(f"{report} by {group or 'nothing'}, {span[1:]}", path, most))
        found.append(Question(f"usage compared, {span[1:]}", f"/api/v1/usage?from={span}&compare=true", REST))
        found.append(Question(f"calls, {span[1:]}", f"/api/v1/calls?from={span}", REST))
        found.append(Question(f"calls with 429, {span[1:]}", f"/api/v1/calls?from={span}&status=429", REST))
    found.append(Question("advice", "/api/v1/advice", REST))
    return found


def record(asked: argparse.Namespace) -> Path:
    """The folder with the record, made where it is not there yet. Raises BenchError."""
    folder: Path = asked.folder
    database = folder / "data" / "gemgate.db"
    done = folder / "seeded.json"
    if done.exists() and json.loads(done.read_text())["calls"] == asked.calls:
        return folder
    if database.exists():
        raise BenchError(f"{folder} holds another record; remove it, or name another folder with --folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    (folder / "gemgate.toml").touch(mode=0o600)
    words = ["seed", "--calls", str(asked.calls), "--days", str(asked.days)]
    took = {}
    for name, command in (
        ("seed", words + (["--trace", asked.trace] if asked.trace else [])),
        ("rollup", ["rollup", "rebuild", "--yes"]),
    ):
        begun = time.monotonic()
        if subprocess.run(gemgate(folder, *command), check=False).returncode != 0:
            raise BenchError(f"gemgate {command[0]} failed")
        took[name] = round(time.monotonic() - begun, 1)
    done.write_text(json.dumps({"calls": asked.calls, "days": asked.days, "seconds": took}))
    return folder


def sizes(database: Path, run: Run) -> None:
    """Bytes per call on disk, by part."""
    parts = {"rows": 0, "indexes": 0, "attempts": 0, "rollups": 0, "rest": 0}
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as conn:
        calls = conn.execute("SELECT count(*) FROM calls").fetchone()[0]
        owner = dict(conn.execute("SELECT name, tbl_name FROM sqlite_master"))
        for name, used in conn.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"):
            table = owner.get(name, name)
            if table in ("rollups", "sketches", "rollup_charges", "cells", "failures", "busy_minutes"):
                part = "rollups"
            elif table == "calls":
                part = "rows" if name == table else "indexes"
            elif table == "attempts":
                part = "attempts" if name == table else "indexes"
            else:
                part = "rest"
            parts[part] += used
    total = sum(parts.values())
    note = ", ".join(f"{name} {used / calls:.0f}" for name, used in parts.items())
    run.figures.append(Figure("bytes per call on disk", "B", total / calls, most=500, note=note))
    run.legs["bytes"] = {**parts, "calls": calls}


@contextlib.contextmanager
def asked_meanwhile(folder: Path, cores: Cores, asked: argparse.Namespace, run: Run) -> Iterator[list[float]]:
    """A console that is asked, for as long as the block lasts; gives the lags of its rollups, in seconds."""
    lags: list[float] = []
    with console(folder, cores) as port:
        asker = Asker(port, questions(), asked.asks)
        asker.start()
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(port, over, lags), name="lags")
        watch.start()
        try:
            yield lags
        finally:
            asker.stop()
            over.set()
            watch.join()
    for name, times in asker.answers.times.items():
        run.legs.setdefault("questions", {}).setdefault(name, []).extend(times)  # type: ignore[attr-defined]
    if asker.answers.wrong:
        wrong = asker.answers.wrong
        run.figures.append(Figure("questions not answered", "questions", len(wrong), most=0, note=wrong[0]))


def _watch(port: int, over: threading.Event, lags: list[float]) -> None:
    """Note each second how far (s) the sums that are kept up each second are behind."""
    while not over.wait(1.0):
        status, body = ask(port, "/api/v1/system")
        if status == 200:
            marks = {one["name"]: one["lag"] for one in json.loads(body)["marks"]}
            lags.append(marks["thin"] / 1e6)


def measure(asked: argparse.Namespace, folder: Path, scratch: Path) -> Run:
    """The gateway alone and beside a console that is asked, in turn."""
    run = Run()
    sizes(folder / "data" / "gemgate.db", run)
    # Nothing is bound to a core: people do not, and the console's reading then takes what the gateway leaves.
    cores = Cores()
    alone: list[Leg] = []
    beside: list[Leg] = []
    lags: list[float] = []
    with contextlib.ExitStack() as stack:
        google = stack.enter_context(upstream(scratch, cores, 250, 20))
        server = stack.enter_context(gateway_on(folder, cores, google.port))
        ground = Field(scratch, cores, (*google.pids, *server.pids))
        for turn in range(asked.pairs):
            for with_console in (False, True) if turn % 2 == 0 else (True, False):
                if with_console:
                    with asked_meanwhile(folder, cores, asked, run) as found:
                        beside.append(_leg(ground, server, asked))
                    lags += found
                else:
                    alone.append(_leg(ground, server, asked))
        spilled = _spilled(server)
    _judge(run, alone, beside)
    run.figures.append(Figure("rows spilled", "rows", spilled, most=0))
    if lags:
        note = f"of {len(lags)} looks; most {max(lags):.1f}"
        run.figures.append(Figure("rollup lag, p99", "s", quantile(lags, 0.99), most=LAG_BAR, note=note))
    return run


def _leg(ground: Field, server: Server, asked: argparse.Namespace) -> Leg:
    return unary(ground, server, connections=16, seconds=asked.leg, rate=asked.rate)[0]


def _spilled(server: Server) -> int:
    status, body = ask(server.port, "/healthz")
    said = json.loads(body) if status else {}
    return int(said.get("spilled", said.get("store", {}).get("spilled", 0)))


def _judge(run: Run, alone: list[Leg], beside: list[Leg]) -> None:
    pairs = list(zip(alone, beside, strict=True))
    ratios = [other.cpu_per_call / one.cpu_per_call for one, other in pairs]
    p99 = [(one.last["p99"] / 1000, other.last["p99"] / 1000) for one, other in pairs]
    one, other = (median(pair[side] for pair in p99) for side in (0, 1))
    run.figures += [
        Figure(
            "CPU for a call beside a console that is asked",
            "× alone",
            median(ratios),
            median(leg.cpu_per_call for leg in beside),
            median(leg.cpu_per_call for leg in alone),
            most=CPU_BAR,
            note=f"{min(ratios):.3g} to {max(ratios):.3g} in {len(ratios)} pairs",
        ),
        Figure("p99 beside it", "ms", other, other, one, most=max(2 * one, one + 5)),
    ]
    errors, reason = errors_of([*alone, *beside])
    run.figures.append(Figure("errors of calls", "calls", errors, most=0, note=reason))
    times: dict[str, list[float]] = run.legs.get("questions", {})  # type: ignore[assignment]
    for question in questions():
        if found := times.get(question.name):
            note = f"p50 {quantile(found, 0.5):.0f}, {len(found)} times"
            run.figures.append(
                Figure(question.name, "ms p95", quantile(found, 0.95), most=question.most, note=note)
            )
    run.legs["alone"], run.legs["beside"] = [asdict(leg) for leg in alone], [asdict(leg) for leg in beside]


def main() -> int:
    """Run it and say what came out."""
    asked = arguments()
    day = datetime.datetime.now(datetime.UTC)
    about: dict[str, object] = {"at": day.isoformat(timespec="seconds"), "commit": commit_of(HERE)}
    try:
        build()
        about["machine"] = facts(program("nginx"))
        folder = record(asked)
        with tempfile.TemporaryDirectory(prefix="gemgate-bench-") as scratch:
            run = measure(asked, folder, Path(scratch))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    show(run.figures, f"gemgate {about['commit']}, {day:%Y-%m-%d}, {asked.calls:,} calls", "alone")
    options = {"calls": asked.calls, "days": asked.days, "rate": asked.rate, "asks": asked.asks}
    if not asked.no_save:
        name = f"{day:%Y-%m-%d}-{about['commit']}-store" + ("-quick" if asked.quick else "")
        path = write(HERE / "results", name, content(run.figures, {**about, "options": options}, run.legs))
        print(f"written to bench/results/{path.name}")
    missed = failed(run.figures)
    print(f"failed: {'; '.join(missed)}" if missed else "every bar holds")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
