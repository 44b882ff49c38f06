"""The benchmark: gemgate with its record on against nginx that only passes on, in one run on one machine.

    python bench/run.py [--quick] [--only PART | --null | --routing | --door | --keys]
                        [--rate N] [--pairs N] [--no-pin] [--no-save]

The parts are memory, unary, streams and upload. With --routing, --door or --keys the gateway is held against itself.

Ends with 1 when a bar fails, with 2 when it cannot run here. README.md in this folder says how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from legs import Field
from machine import commit_of, facts
from pairs import COMPARISONS, paired, proven
from proof import recorded
from report import content, failed, show, write
from rounds import (
    QUICK,
    Bench,
    Extent,
    big_upload,
    calls,
    disturbance,
    memory,
    open_streams,
)
from servers import HERE, BenchError, Cores, Server, build, gateway, nginx, program, upstream

PARTS: dict[str, Callable[[Bench], None]] = {
    "memory": memory,
    "unary": calls,
    "streams": open_streams,
    "upload": big_upload,
}
# Against another nginx only what both sides answer can be compared.
NULL_PARTS = ("memory", "unary", "streams")


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description="Measure gemgate against nginx.")
    parser.add_argument(
        "--quick", action="store_true", help="about 30 s: fewer and shorter legs, noisier figures"
    )
    parser.add_argument("--only", choices=sorted(PARTS), help="one part alone")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--null", action="store_true", help="nginx in the gateway's place: the noise of the method"
    )
    for name, words in (
        ("routing", "the gateway against itself with routing off: what routing costs"),
        ("door", "calls at OpenAI's door against the same at Google's: what translation costs"),
        ("keys", "calls with a key, limits and budgets against a keyless gateway: what brakes cost"),
    ):
        instead.add_argument(f"--{name}", dest="pair", action="store_const", const=name, help=words)
    parser.add_argument(
        "--rate", type=float, help="calls per second offered to both (two thirds of the most)"
    )
    parser.add_argument("--pairs", type=int, help="pairs of legs")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel choose the cores")
    parser.add_argument("--no-save", action="store_true", help="write no file of results")
    return parser.parse_args()


def extent_of(asked: argparse.Namespace) -> Extent:
    """How much to measure."""
    extent = QUICK if asked.quick else Extent()
    if asked.rate:
        extent = replace(extent, rate=asked.rate)
    if asked.pairs:
        extent = replace(extent, pairs=asked.pairs)
    return extent


def cores_of(asked: argparse.Namespace) -> Cores:
    """The measured server on one core, load and upstream on another, where there are two."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores() if asked.no_pin or len(usable) < 2 else Cores(usable[0], usable[-1])


@contextlib.contextmanager
def against_nginx(folder: Path, cores: Cores, port: int, null: bool) -> Iterator[tuple[Server, Server]]:
    """The gateway and nginx; with ``null`` nginx twice."""
    with nginx(folder / "nginx", cores, port) as reference:
        if null:
            with nginx(folder / "second", cores, port) as second:
                yield replace(second, name="gateway"), reference
        else:
            with gateway(folder / "gateway", cores, port) as measured:
                yield measured, reference


def measure(asked: argparse.Namespace, folder: Path) -> Bench:
    """Start everything, run the parts, stop everything."""
    cores, extent = cores_of(asked), extent_of(asked)
    comparison = COMPARISONS.get(asked.pair)
    with contextlib.ExitStack() as stack:
        google = stack.enter_context(upstream(folder, cores, extent.interval_ms, extent.events))
        if comparison is not None:
            measured, reference = stack.enter_context(comparison.stage(folder, cores, google.port))
        else:
            measured, reference = stack.enter_context(against_nginx(folder, cores, google.port, asked.null))
        servers = {*google.pids, *reference.pids, *measured.pids}
        bench = Bench(Field(folder, cores, tuple(servers)), measured, reference, extent)
        if comparison is not None:
            print(f"… {asked.pair}", file=sys.stderr, flush=True)
            paired(bench, comparison)
        else:
            for name in [asked.only] if asked.only else NULL_PARTS if asked.null else PARTS:
                print(f"… {name}", file=sys.stderr, flush=True)
                PARTS[name](bench)
        recorded(bench)
        if comparison is not None:
            proven(bench, comparison)
        disturbance(bench)
    return bench


def main() -> int:
    """Run it and say what came out."""
    asked = arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    day = datetime.datetime.now(datetime.UTC)
    # A stop from outside leaves no server behind: the blocks that hold them are left as on any other end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    about: dict[str, object] = {"at": day.isoformat(timespec="seconds"), "commit": commit_of(HERE)}
    options = {
        "quick": asked.quick,
        "only": asked.only,
        "null": asked.null,
        "pair": asked.pair,
        "pinned": cores_of(asked).server is not None,
    }
    try:
        build()
        about["machine"] = facts(program("nginx"))
        with tempfile.TemporaryDirectory(prefix="gemgate-bench-") as folder:
            bench = measure(asked, Path(folder))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    show(
        bench.figures,
        f"gemgate {about['commit']}, {day:%Y-%m-%d}",
        COMPARISONS[asked.pair].against if asked.pair else "nginx",
    )
    if not asked.no_save and not asked.null:
        kind = "".join(
            f"-{word}"
            for word in ("quick" if asked.quick else "", asked.pair or "", asked.only or "")
            if word
        )
        name = f"{day:%Y-%m-%d}-{about['commit']}{kind}"
        path = write(
            HERE / "results", name, content(bench.figures, {**about, "options": options}, bench.legs)
        )
        print(f"written to bench/results/{path.name}")
    missed = failed(bench.figures)
    print(f"failed: {'; '.join(missed)}" if missed else "every bar holds")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
