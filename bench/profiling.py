"""Where the gateway's time goes: runs it under load with py-spy at its side and prints the dearest functions.

    python bench/profiling.py [--streams] [--door | --keys] [--seconds N] [--rate N] [--waiting]

py-spy comes from the package index: `.venv/bin/pip install py-spy`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from clients import OPENAI
from legs import Field, streams, unary
from servers import BenchError, Cores, Server, build, gateway, upstream

SHOWN = 45
SAMPLES_PER_SECOND = 400


def shares(lines: Iterable[str]) -> tuple[Counter[str], Counter[str], int]:
    """From folded stacks (``outer;inner 12``): samples by function itself, by function with callees, and in all."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if not stack or not count.isdigit():
            continue
        frames = stack.split(";")
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):  # a recursive function counts once
            within[frame] += int(count)
    return own, within, total


def _spy(pid: int, seconds: float, target: Path, waiting: bool) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "py-spy"), "record", "--pid", str(pid), "--format", "raw"]
    command += [
        "--duration",
        str(int(seconds)),
        "--rate",
        str(SAMPLES_PER_SECOND),
        "--threads",
        "--nonblocking",
    ]
    command += ["--function", "--output", str(target), *(["--idle"] if waiting else [])]
    try:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise BenchError("py-spy is not installed: .venv/bin/pip install py-spy") from None


def _load(ground: Field, server: Server, asked: argparse.Namespace) -> str:
    if asked.streams:
        leg, _ = streams(ground, server, count=1000, ramp=1, events=20)
        return f"{leg.cpu_per_thousand:.0f} CPU ms for 1,000 events, {leg.errors} errors"
    # Longer than the profile, which so sees nothing but load.
    leg, _ = unary(ground, server, connections=64, seconds=asked.seconds + 2, rate=asked.rate)
    rate = leg.calls / leg.span
    return (
        f"{leg.cpu_per_call:.0f} CPU µs a call at {rate:,.0f} calls/s, {leg.errors} errors {leg.first_error}"
    )


def profile(asked: argparse.Namespace, folder: Path) -> None:
    """Run it and print. Raises BenchError."""
    target = folder / "stacks.txt"
    cores = Cores()
    interval = int(asked.seconds * 1000 / 20) + 50
    with (
        upstream(folder, cores, interval, 20) as google,
        gateway(folder / "gateway", cores, google.port, keyed=asked.keys) as server,
    ):
        if asked.door:
            server = replace(server, client=OPENAI)
        ground = Field(folder, cores)
        unary(ground, server, connections=64, seconds=1)
        spy = _spy(server.pids[0], asked.seconds, target, asked.waiting)
        said = _load(ground, server, asked)
        _, complaint = spy.communicate()
    if spy.returncode != 0 or not target.exists():
        raise BenchError(f"py-spy: {complaint.decode(errors='replace')[-500:]}")
    own, within, total = shares(target.read_text("utf-8").splitlines())
    print(f"{said}\n{total:,} samples\n\n   own  with callees  function")
    for name, count in own.most_common(SHOWN):
        print(f"{count / total:6.1%} {within[name] / total:12.1%}  {name}")
    print("\nwith callees")
    for name, count in within.most_common(SHOWN):
        print(f"{count / total:6.1%} {own[name] / total:12.1%}  {name}")


def main() -> int:
    """Read what was asked and profile."""
    parser = argparse.ArgumentParser(description="Profile the gateway under load.")
    parser.add_argument("--streams", action="store_true", help="1,000 streams instead of unary calls")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--door", action="store_true", help="through OpenAI's door")
    whose.add_argument("--keys", action="store_true", help="with a key, limits and budgets")
    parser.add_argument("--seconds", type=float, default=15, help="how long")
    parser.add_argument(
        "--rate", type=float, default=0, help="unary calls per second (0: as fast as it answers)"
    )
    parser.add_argument("--waiting", action="store_true", help="show waiting threads too")
    asked = parser.parse_args()
    try:
        build()
        with tempfile.TemporaryDirectory(prefix="gemgate-profile-") as folder:
            profile(asked, Path(folder))
    except BenchError as error:
        print(f"profile: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
