"""One leg is one load on one server. Here are the legs, and the order in which two servers take turns."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from machine import Memory, memory_of, moment
from servers import BUILD, BenchError, Cores, Server, program

T = TypeVar("T")
SAMPLE_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class Leg:
    """What the load generator saw. Times are µs, ``cpu`` is the server's CPU time in seconds.

    ``digest`` is a hash of a stream's bytes (of its texts in OpenAI's dialect), ``words`` one of its texts.
    """

    calls: int
    errors: int
    answered: int
    first_error: str
    cpu: float
    span: float
    last: dict[str, float]
    first: dict[str, float]
    events: int
    peak_open: int
    bodies_that_differ: int
    digest: str
    words: str

    @property
    def cpu_per_call(self) -> float:
        """CPU µs of the server for each call."""
        return self.cpu * 1e6 / max(self.calls, 1)

    @property
    def cpu_per_thousand(self) -> float:
        """CPU ms of the server for 1,000 events of streams."""
        return self.cpu * 1e6 / max(self.events, 1)


@dataclass(slots=True)
class Field:
    """Where the legs run: the folder with bodies, the cores, and what was seen on the way.

    ``servers`` are the ids of all that we started. ``answered`` counts each server's answers; ``disturbed`` has,
    for each leg, the shares of the machine's time (%) that its host and foreign processes took: where they are
    high, times are not the server's own.
    """

    folder: Path
    cores: Cores
    servers: tuple[int, ...] = ()
    answered: dict[str, int] = field(default_factory=dict)
    disturbed: list[tuple[float, float]] = field(default_factory=list)

    def body(self, request: bytes) -> Path:
        """The request as a file."""
        path = self.folder / f"body-{hashlib.sha256(request).hexdigest()[:16]}.json"
        if not path.exists():
            path.write_bytes(request)
        return path

    def count(self, server: Server, answered: int) -> None:
        """Add to the answers that the server gave; the record must hold as many rows."""
        self.answered[server.name] = self.answered.get(server.name, 0) + answered


def read_leg(line: str) -> Leg:
    """The generator's JSON line as a value."""
    said: dict[str, Any] = json.loads(line)
    return Leg(
        calls=said["calls"],
        errors=said["errors"],
        answered=said["answered"],
        first_error=said["first_error"],
        cpu=said["cpu_ns"] / 1e9,
        span=said["span_ns"] / 1e9,
        last=said.get("latency_us") or said["last_byte_us"],
        first=said.get("first_event_us", {}),
        events=said.get("events", 0),
        peak_open=said["peak_open"],
        bodies_that_differ=said.get("bodies_that_differ", 0),
        digest=said.get("digest", ""),
        words=said.get("words", ""),
    )


def _load(ground: Field, server: Server, mode: str, options: Mapping[str, float]) -> tuple[Leg, Memory]:
    """Run the generator as the server's client; the greatest memory of the server meanwhile is returned too.

    Reading a process's memory map holds it up for a moment, so it is done where no latency is measured: under
    closed-loop load of several connections, and for streams.
    """
    sampled = mode == "streams" or (options["rate"] == 0 and options["connections"] != 1)
    client = server.client
    path, body = (client.unary, client.unary_body) if mode == "unary" else (client.stream, client.stream_body)
    command = [str(BUILD / "load"), mode, "--port", str(server.port), "--path", path]
    command += ["--body", str(ground.body(body)), "--dialect", client.dialect]
    for name, number in options.items():
        command += [f"--{name}", str(number)]
    for name, value in client.headers.items():
        command += ["--header", f"{name}: {value}"]
    for pid in server.pids:
        command += ["--watch", str(pid)]
    before = moment(ground.servers)
    process = subprocess.Popen(
        ground.cores.wrap(ground.cores.rest, command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    most = Memory(0.0, 0.0)
    try:
        while process.poll() is None:
            if sampled:
                most = most.most(memory_of(server.pids))
            time.sleep(SAMPLE_EVERY)
        out, err = process.communicate()
    except OSError as error:
        raise BenchError(f"{server.name} died under load ({error})") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise BenchError(f"load on {server.name}: {err.strip()}")
    ground.disturbed.append(before.disturbance(moment(ground.servers)))
    leg = read_leg(out)
    ground.count(server, leg.answered)
    return leg, most


def unary(
    ground: Field, server: Server, *, connections: int, seconds: float, rate: float = 0
) -> tuple[Leg, Memory]:
    """Unary calls: at a rate per second (open loop), or each connection as fast as it is answered (0)."""
    options = {"connections": connections, "seconds": seconds, "warmup": 0.5, "rate": rate}
    return _load(ground, server, "unary", options)


def streams(ground: Field, server: Server, *, count: int, ramp: float, events: int) -> tuple[Leg, Memory]:
    """``count`` streams, opened evenly over ``ramp`` seconds."""
    return _load(ground, server, "streams", {"count": count, "ramp": ramp, "events": events})


_RATE = re.compile(r"Requests/sec:\s*([\d.]+)")
_TOTAL = re.compile(r"(\d+) requests in")
_WRONG = re.compile(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)")


def wrk_figures(said: str) -> tuple[float, int, str]:
    """Calls per second, calls in all and what went wrong, from the text that wrk prints."""
    rate, total, wrong = _RATE.search(said), _TOTAL.search(said), _WRONG.search(said)
    if rate is None or total is None:
        raise BenchError(f"wrk said no rate: {said[-300:]}")
    # wrk stops in the middle of calls: a count of its own, "timeout 0", is no fault.
    faults = wrong[1] if wrong and re.search(r"[1-9]", wrong[1]) else ""
    return float(rate[1]), int(total[1]), faults


def wrk(ground: Field, server: Server, *, connections: int, seconds: float) -> tuple[float, str]:
    """The most calls per second, as an outside witness sees it, and what went wrong (empty: nothing)."""
    script = ground.folder / "post.lua"
    client = server.client
    headers = {"content-type": "application/json", **client.headers}
    lines = ['wrk.method = "POST"', f'wrk.body = io.open("{ground.body(client.unary_body)}"):read("*a")']
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    script.write_text("\n".join(lines) + "\n")
    command = [program("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
    command.append(f"http://127.0.0.1:{server.port}{client.unary}")
    done = subprocess.run(
        ground.cores.wrap(ground.cores.rest, command), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"wrk on {server.name}: {done.stderr.strip() or done.stdout.strip()}")
    rate, total, wrong = wrk_figures(done.stdout)
    ground.count(server, total)
    return rate, wrong


def in_turn(count: int, first: Callable[[], T], second: Callable[[], T]) -> list[tuple[T, T]]:
    """``count`` pairs in the order ABBA, so that a drift of the machine favours neither."""
    pairs = []
    for number in range(count):
        if number % 2 == 0:
            one = first()
            pairs.append((one, second()))
        else:
            other = second()
            pairs.append((first(), other))
    return pairs


def errors_of(legs: Sequence[Leg]) -> tuple[int, str]:
    """How many calls failed in these legs, and the first reason."""
    return sum(leg.errors for leg in legs), next((leg.first_error for leg in legs if leg.first_error), "")
