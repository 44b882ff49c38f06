"""Builds the native tools and runs the servers of a benchmark: the fake upstream, nginx, the gateway.

Each server is a context manager, listens on a free port of 127.0.0.1 and is stopped when its block is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients import GOOGLE, Client
from machine import descendants

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
# Shaped like a Google key; no such key exists.
FAKE_KEY = "AIza" + "BenchmarkOnly".ljust(35, "0")
MUCH = 10**9  # a limit that no leg reaches, also of dollars
KEY = "bench"  # the virtual key, and the tag of its calls
# Three budgets that apply to each of its calls, with three sorts of periods.
BUDGETS = (
    ("of-the-key", "day", "--key", KEY),
    ("of-the-tag", "30d", "--tag", KEY),
    ("of-all", "month", "--all"),
)
START_LIMIT = 60.0
STOP_LIMIT = 20.0


class BenchError(Exception):
    """The benchmark cannot run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and who calls it.

    ``pids`` are the processes that serve: supervisors and masters are left out. ``data`` is the data folder of a
    gateway. Answers are counted by ``name``.
    """

    name: str
    port: int
    pids: tuple[int, ...]
    data: Path | None = None
    client: Client = GOOGLE


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the measured server, and that of load and upstream; None leaves it to the kernel."""

    server: int | None = None
    rest: int | None = None

    @staticmethod
    def wrap(core: int | None, command: Sequence[str]) -> list[str]:
        """The command, bound to the core."""
        return list(command) if core is None else ["taskset", "-c", str(core), *command]


def program(name: str) -> str:
    """Where a program of the system stands; nginx is often off the path of ordinary users. Raises BenchError."""
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )
    if found is None:
        raise BenchError(f"{name} is not installed (Debian: apt install gcc nginx wrk)")
    return found


def build() -> None:
    """Compile the native tools where they are older than their source. Raises BenchError."""
    BUILD.mkdir(exist_ok=True)
    native = HERE / "native"
    for tool in ("load", "upstream"):
        source, target = native / f"{tool}.c", BUILD / tool
        newest = max(source.stat().st_mtime, (native / "http.h").stat().st_mtime)
        if target.exists() and target.stat().st_mtime > newest:
            continue
        flags = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        try:
            subprocess.run([program("gcc"), *flags, "-o", str(target), str(source), "-lm"], check=True)
        except subprocess.CalledProcessError as error:
            raise BenchError(f"{tool} does not compile: {error}") from None


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _process(
    command: Sequence[str], log: Path, env: dict[str, str] | None = None, *, heard: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose words go to the log; with ``heard`` those on stdout come to us."""
    try:
        with log.open("wb") as sink:
            out = subprocess.PIPE if heard else sink
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=sink, env=env)
    except FileNotFoundError as error:
        raise BenchError(f"{error.filename} is not installed") from None
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:])


@contextlib.contextmanager
def upstream(folder: Path, cores: Cores, interval_ms: int, events: int) -> Iterator[Server]:
    """The fake Google: unary answers, streams of ``events`` at the interval, a sink for uploads."""
    command = [str(BUILD / "upstream"), "--interval-ms", str(interval_ms), "--events", str(events)]
    with _process(cores.wrap(cores.rest, command), folder / "upstream.log", heard=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError("the fake upstream did not start:\n" + _tail(folder / "upstream.log"))
        yield Server("upstream", json.loads(line)["port"], (process.pid,))


def nginx_conf(folder: Path, port: int, upstream_port: int) -> str:
    """nginx as a plain proxy at its best: one worker, upstream connections kept, no log, no buffering."""
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};\n" if os.getuid() == 0 else ""
    temp = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 8192; }}
http {{
{temp}  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  upstream google {{
    server 127.0.0.1:{upstream_port};
    keepalive 1024;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://google;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, cores: Cores, upstream_port: int) -> Iterator[Server]:
    """The reference: nginx that passes everything on and records nothing. Raises BenchError."""
    folder.mkdir()
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(nginx_conf(folder, port, upstream_port))
    log = folder / "nginx.log"
    command = [program("nginx"), "-p", str(folder), "-c", str(conf), "-e", str(folder / "nginx-error.log")]
    with _process(cores.wrap(cores.server, command), log) as process:
        deadline = time.monotonic() + START_LIMIT
        while not _answers(port, "/"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("nginx did not start:\n" + _tail(log) + _tail(folder / "nginx-error.log"))
            time.sleep(0.05)
        yield Server("nginx", port, tuple(descendants(process.pid)))


def _clean_environment() -> dict[str, str]:
    """Ours without any Google key or setting: the benchmark reaches nobody but its own upstream."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GEMGATE_") and name not in ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    }


def _part_of(data: Path, name: str) -> tuple[int, int] | None:
    try:
        part = json.loads((data / "run.json").read_text("utf-8"))[name]
        return int(part["port"]), int(part["pid"])
    except (OSError, ValueError, KeyError):
        return None


def gemgate(folder: Path, *words: str) -> list[str]:
    """A command of gemgate with the gateway's data folder and configuration."""
    places = ["--data", str(folder / "data"), "--config", str(folder / "gemgate.toml")]
    return [str(Path(sys.executable).parent / "gemgate"), *words, *places]


def _make_key(folder: Path) -> str:
    """A virtual key with every limit, under three budgets, none of which is reached; its secret comes back.

    Raises BenchError.
    """
    limits = ["--rpm", str(MUCH), "--tpm", str(MUCH), "--concurrency", str(MUCH)]
    key = ["keys", "create", KEY, "--tag", KEY, *limits, "--quiet"]
    budgets = [
        ["budgets", "create", name, "--money", str(MUCH - 1), "--per", period, *whose]
        for name, period, *whose in BUDGETS
    ]
    said = []
    for words in (key, *budgets):
        done = subprocess.run(
            gemgate(folder, *words), capture_output=True, text=True, check=False, env=_clean_environment()
        )
        if done.returncode != 0:
            raise BenchError(f"gemgate {' '.join(words[:3])}: {done.stderr.strip() or done.stdout.strip()}")
        said.append(done.stdout.strip())
    return said[0]


def _configure(folder: Path, upstream_port: int, *, routing: bool) -> None:
    config = folder / "gemgate.toml"
    config.write_text(
        f'[upstream]\nbase_url = "http://127.0.0.1:{upstream_port}"\n\n'
        f"[routing]\nenabled = {'true' if routing else 'false'}\n\n"
        f'[[project]]\nname = "bench"\ntier = "tier1"\nkeys = ["{FAKE_KEY}"]\nspend = {MUCH}\n'
        f'limits = {{ "*" = {{ rpm = {MUCH}, tpm = {MUCH}, rpd = {MUCH}, tpd = {MUCH} }} }}\n'
    )
    config.chmod(0o600)


@contextlib.contextmanager
def gateway(
    folder: Path, cores: Cores, upstream_port: int, *, routing: bool = True, keyed: bool = False
) -> Iterator[Server]:
    """The gateway as it is delivered, with its record on, in a fresh data folder. Raises BenchError.

    Its project has a limit in every window, too large to be reached: every call is counted and compared.
    ``routing`` false turns routes, windows, breakers and retries off. ``keyed`` makes a virtual key with limits and
    budgets, which its client sends.
    """
    data = folder / "data"
    data.mkdir(mode=0o700, parents=True)
    _configure(folder, upstream_port, routing=routing)
    client = GOOGLE.with_key(_make_key(folder)) if keyed else GOOGLE
    with _serving(folder, cores, client) as server:
        yield server


@contextlib.contextmanager
def gateway_on(folder: Path, cores: Cores, upstream_port: int) -> Iterator[Server]:
    """The gateway on the record that stands in the folder. Raises BenchError."""
    _configure(folder, upstream_port, routing=True)
    with _serving(folder, cores, GOOGLE) as server:
        yield server


@contextlib.contextmanager
def console(folder: Path, cores: Cores) -> Iterator[int]:
    """The console on the folder's record; its port comes back. Raises BenchError."""
    command = gemgate(folder, "serve", "--only", "console", "--console-port", "0")
    log = folder / "console.log"
    with _process(cores.wrap(cores.rest, command), log, _clean_environment()) as process:
        yield _awaited(folder / "data", "console", process, log)[0]


@contextlib.contextmanager
def _serving(folder: Path, cores: Cores, client: Client) -> Iterator[Server]:
    log = folder / "gateway.log"
    command = gemgate(folder, "serve", "--only", "gateway", "--gateway-port", "0")
    with _process(cores.wrap(cores.server, command), log, _clean_environment()) as process:
        port, pid = _awaited(folder / "data", "gateway", process, log)
        yield Server("gateway", port, (pid, *descendants(pid)), folder / "data", client)


def _awaited(data: Path, part: str, process: subprocess.Popen[bytes], log: Path) -> tuple[int, int]:
    """Port and process of a part of gemgate, once it answers."""
    deadline = time.monotonic() + START_LIMIT
    while (found := _part_of(data, part)) is None or not _answers(found[0], "/healthz"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"the {part} did not start:\n" + _tail(log))
        time.sleep(0.05)
    return found
