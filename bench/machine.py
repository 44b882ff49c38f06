"""What the operating system knows: processes and their memory, and the machine the figures belong to."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of some processes together, in MB (10^6 bytes).

    ``pss`` shares pages that several processes map among them; ``rss`` counts such pages for each.
    """

    pss: float
    rss: float

    def most(self, other: Memory) -> Memory:
        """The larger of both, each figure by itself."""
        return Memory(max(self.pss, other.pss), max(self.rss, other.rss))


def parent_of(stat: str) -> int:
    """The parent's id from the text of ``/proc/PID/stat``; the name in it may hold blanks and brackets."""
    return int(stat.rpartition(")")[2].split()[1])


def descendants(pid: int) -> list[int]:
    """The processes below ``pid``, itself left out."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                parent = parent_of((folder / "stat").read_text("utf-8", "replace"))
            except OSError:  # it ended while we looked
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    fresh = [pid]
    while fresh:
        fresh = [child for one in fresh for child in children.get(one, [])]
        found += fresh
    return found


def _kilobytes(text: str, names: Sequence[str]) -> dict[str, int]:
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in names:
            found[name] = int(rest.split()[0])
    return found


def memory_of(pids: Sequence[int]) -> Memory:
    """What these processes hold now. Raises OSError when one is gone."""
    pss = rss = 0
    for pid in pids:
        found = _kilobytes((PROC / str(pid) / "smaps_rollup").read_text(), ("Pss", "Rss"))
        pss += found["Pss"]
        rss += found["Rss"]
    return Memory(pss * 1024 / 1e6, rss * 1024 / 1e6)


def forget_peak(pids: Sequence[int]) -> None:
    """Start the kernel's high-water mark of resident memory anew."""
    for pid in pids:
        (PROC / str(pid) / "clear_refs").write_text("5")


def peak_rss(pids: Sequence[int]) -> float:
    """The kernel's high-water mark since ``forget_peak``, in MB: misses no moment, as a sampler would."""
    marks = [
        _kilobytes((PROC / str(pid) / "status").read_text("utf-8", "replace"), ("VmHWM",))["VmHWM"]
        for pid in pids
    ]
    return sum(marks) * 1024 / 1e6


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU seconds since the machine started: of all cores, spent in processes, taken by the host, spent by us."""

    cores: float
    processes: float
    stolen: float
    ours: float

    def disturbance(self, later: Moment) -> tuple[float, float]:
        """Shares of the time from here to ``later`` (%): taken by the host, and by processes not ours."""
        span = max(later.cores - self.cores, 1e-9)
        foreign = (later.processes - self.processes) - (later.ours - self.ours)
        return 100 * (later.stolen - self.stolen) / span, max(0.0, 100 * foreign / span)


def moment(pids: Sequence[int]) -> Moment:
    """Now. Ours are this process, its children that have ended, and ``pids``. Raises OSError when one is gone."""
    first = (PROC / "stat").read_text().partition("\n")[0]
    # Of the columns user nice system idle iowait irq softirq steal; what follows is counted in "user" too.
    ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in first.split()[1:9]]
    ours = sum(
        time.clock_gettime((~pid << 3) | 2) for pid in pids
    )  # the kernel's name of a process's CPU clock
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        ours += used.ru_utime + used.ru_stime
    return Moment(sum(ticks), sum(ticks[:3]), ticks[7], ours)


def _said(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip()


def commit_of(folder: Path) -> str:
    """The commit that is measured, with ``-dirty`` when the tree's source differs from it."""
    name = _said(["git", "-C", str(folder), "rev-parse", "--short=10", "HEAD"])
    changed = _said(["git", "-C", str(folder), "status", "--porcelain", "--", "src", "bench/native"])
    return f"{name}-dirty" if changed else name


def facts(nginx: str) -> dict[str, object]:
    """The machine, for the file of results. ``load_before`` above 0.3 or so: the machine was not idle."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in (PROC / "cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    total = _kilobytes((PROC / "meminfo").read_text(), ("MemTotal",))["MemTotal"]
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_mb": round(total * 1024 / 1e6),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": _said([nginx, "-v"]).rpartition("/")[2],
        "compiler": _said(["gcc", "-dumpfullversion"]),
        "load_before": round(os.getloadavg()[0], 2),
    }
