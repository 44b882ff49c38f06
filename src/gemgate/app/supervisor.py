"""Keeps the processes of `gemgate serve` running, and stops them in order.

One thread, one selector: children's stdout and signals wake it. Laws:

- the gateway and the simulator start together, the console when the gateway is ready;
- a child that dies is started again at the same port, after a pause that grows; but one that dies before the
  gateway was ever ready ends everything, for it would not do better the next time;
- a changed configuration goes to the gateway in place, and the console is started again with it at its port, so that
  both go by the same file;
- stopping goes gateway (and console) first, simulator last: calls under way may still need it;
- a second SIGTERM or SIGINT kills at once.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gemgate import __version__
from gemgate.app import ports
from gemgate.app.child import Child
from gemgate.app.plan import CONSOLE, GATEWAY, SIMULATOR, STEADY, Role, banner, pause
from gemgate.config import FILE_NAME, ConfigError, Settings
from gemgate.config.running import remove_running, write_running

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LOOK = 1.0  # seconds between looks at the configuration file
_MARGIN = 5.0  # seconds that a child gets beyond its drain before it is killed

Stamp = tuple[int, int, int] | None


def stamp(path: Path) -> Stamp:
    """What changes when the file does; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextlib.contextmanager
def heard() -> Iterator[socket.socket]:
    """Signals as bytes on a socket, so that one selector waits for everything."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in _WATCHED}
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


class Supervisor:
    """Runs ``roles`` until told to stop. ``reload`` reads settings anew, ``say`` takes lines for people.

    ``keyed`` says that virtual keys exist.
    """

    def __init__(
        self,
        settings: Settings,
        roles: dict[str, Role],
        reload: Callable[[], Settings],
        say: Callable[[str], None],
        *,
        keyed: bool = False,
    ) -> None:
        self._keyed = keyed
        self._settings = settings
        self._roles = roles
        self._reload = reload
        self._say = say
        self._selector = selectors.DefaultSelector()
        self._announced = False
        self._stopping = False
        self._renewed = False  # the console was told to end, and comes back with another configuration
        self._latest = settings  # as the file was at the last reload
        self._code = 0
        # Where there is no file yet, one may come: `gemgate init` and an editor, while the simulator runs.
        self._watched = settings.source or settings.data / FILE_NAME
        self._seen = stamp(self._watched)
        self._look_at = 0.0

    def run(self) -> int:
        """Until SIGTERM or SIGINT: then 0. 1 when a child could not be started at all. Main thread only."""
        with heard() as signals, self._selector:
            self._selector.register(signals, selectors.EVENT_READ, signals)
            try:
                for name in (GATEWAY, SIMULATOR):
                    if name in self._roles:
                        self._start(self._roles[name])
                if GATEWAY not in self._roles:
                    self._start(self._roles[CONSOLE])
                while not (self._stopping and not self._alive()):
                    self._turn()
            finally:
                self._kill()
                remove_running(self._settings.data, self._roles)
        return self._code

    def _alive(self) -> list[Role]:
        return [role for role in self._roles.values() if role.child is not None]

    def _kill(self) -> None:
        for role in self._alive():
            if role.child is not None:
                role.child.signal(signal.SIGKILL)

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.data, Role):
                self._listen(key.data)
            else:
                self._obey(key.data)
        now = time.monotonic()
        for role in list(self._roles.values()):
            self._tend(role, now)
        if not self._stopping and now >= self._look_at:
            self._look_at = now + _LOOK
            found = stamp(self._watched)
            if found is not None and found != self._seen:
                self._seen = found
                self._refresh()

    def _patience(self) -> float:
        """Seconds until something is due."""
        now = time.monotonic()
        due = [at for role in self._roles.values() for at in (role.again_at, role.stop_by) if at is not None]
        return max(0.0, min([*due, now + _LOOK]) - now)

    def _start(self, role: Role) -> None:
        role.again_at = None
        role.started_at = time.monotonic()
        role.child = Child(role.module, role.command(), role.environment)
        self._selector.register(role.child, selectors.EVENT_READ, role)

    def _listen(self, role: Role) -> None:
        if role.child is None:
            return
        lines, more = role.child.read()
        for line in lines:
            self._say(f"{role.name}: {line}")
        if not more:
            self._selector.unregister(role.child)
        if role.child.port is not None and not role.ready:
            role.ready = True
            role.port = role.child.port
            self._announce()
            if role.deaths or (self._renewed and role.name == CONSOLE):
                self._renewed = False
                self._say(f"{role.name} runs again at {role.url}")

    def _announce(self) -> None:
        """Write where things run; the first time that callers can be served, say it too."""
        ready = {name: role for name, role in self._roles.items() if role.ready and role.child}
        parts: dict[str, object] = {
            name: {
                "url": role.url,
                "host": role.host,
                "port": role.port,
                "pid": role.child and role.child.pid,
            }
            for name, role in ready.items()
        }
        if GATEWAY in self._roles:
            simulator = self._roles.get(SIMULATOR)
            parts["upstream"] = simulator.url if simulator else self._settings.upstream.base_url
        write_running(self._settings.data, {**parts, "version": __version__, "pid": os.getpid()})
        first = [name for name in self._roles if name != CONSOLE] or [CONSOLE]
        if self._announced or not all(name in ready for name in first):
            return
        self._announced = True
        for line in banner(self._settings, self._roles, __version__, keyed=self._keyed):
            self._say(line)
        console = self._roles.get(CONSOLE)
        if console is not None and console.child is None:
            self._start(console)

    def _tend(self, role: Role, now: float) -> None:
        """Notice a death, start again what is due, kill what outstays its time."""
        if role.child is None:
            if role.again_at is not None and now >= role.again_at and not self._stopping:
                self._start(role)
            return
        if role.stop_by is not None and now >= role.stop_by:
            role.child.signal(signal.SIGKILL)
            role.stop_by = now + _LOOK
        code = role.child.code
        if code is None:
            return
        told = role.stop_by is not None
        self._bury(role)
        if self._stopping:
            self._dismiss_last()
            return
        if told:
            role.again_at, self._renewed = now, True
            return
        if not self._announced:
            self._say(f"{role.name} stopped before it was ready ({_ending(code)}); see its message above.")
            self._code = 1
            self._stop()
            return
        role.deaths = 1 if now - role.started_at >= STEADY else role.deaths + 1
        role.again_at = now + pause(role.deaths)
        self._say(f"{role.name} died ({_ending(code)}); starting it again in {pause(role.deaths):.1f} s.")
        if role.name == CONSOLE and not self._settings.console.port:
            role.port = ports.pick(role.host)

    def _bury(self, role: Role) -> None:
        if role.child is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            self._listen(role)
            self._selector.unregister(role.child)
        role.child.close()
        role.child, role.ready, role.stop_by = None, False, None

    def _obey(self, signals: socket.socket) -> None:
        for number in signals.recv(4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP and not self._stopping:
                self._refresh()

    def _stop(self) -> None:
        """Begin to stop; asked twice, kill."""
        if self._stopping:
            self._kill()
            return
        self._stopping = True
        for role in self._roles.values():
            role.again_at = None
        if self._announced and GATEWAY in self._roles:
            self._say(
                f"Stopping; calls under way have up to {self._settings.gateway.drain:g} s. Again: at once."
            )
        self._dismiss([GATEWAY, CONSOLE])
        self._dismiss_last()

    def _dismiss_last(self) -> None:
        """Stop the simulator once nothing else is left."""
        if all(role.name == SIMULATOR for role in self._alive()):
            self._dismiss([SIMULATOR])

    def _dismiss(self, names: list[str]) -> None:
        for name in names:
            role = self._roles.get(name)
            if role is not None and role.child is not None and role.stop_by is None:
                drain = self._settings.gateway.drain if name == GATEWAY else 0.0
                role.stop_by = time.monotonic() + drain + _MARGIN
                role.child.signal(signal.SIGTERM)

    def _refresh(self) -> None:
        """Take over a changed configuration: only one that holds reaches the gateway."""
        try:
            fresh = self._reload()
        except ConfigError as error:
            self._say(f"The changed configuration is not used. {error}")
            return
        gateway = self._roles.get(GATEWAY)
        if fresh.simulated != self._settings.simulated and gateway is not None:
            self._say(
                "The changed configuration leads to another upstream: restart `gemgate serve` to use it."
            )
            return
        # Host, port and folder stay as they are until a restart; the children take the rest.
        if gateway is not None and gateway.child is not None:
            gateway.child.signal(signal.SIGHUP)
        self._renew(fresh)
        self._say("The configuration is reloaded.")

    def _renew(self, fresh: Settings) -> None:
        """Start the console again, unless all that has changed is what it reads by itself, such as a price file."""
        console = self._roles.get(CONSOLE)
        if console is None or fresh == self._latest:
            return
        self._latest = fresh
        console.environment = {**console.environment, "GEMGATE_CONSOLE_HOST": console.host}
        self._dismiss([CONSOLE])


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def tell(line: str) -> None:
    """Say a line on stdout at once: whoever started us may be waiting for it through a pipe."""
    with contextlib.suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
