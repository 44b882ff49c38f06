"""`gemgate serve`, from settings to running processes.

The order is what makes a warm start quick: what must be known before a child starts is asked with little code
(no SQLAlchemy in this process), then gateway and simulator import side by side.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence

from gemgate.app import ports
from gemgate.app.folder import FolderError, taken
from gemgate.app.plan import CONSOLE, GATEWAY, SIMULATOR, Role, roles
from gemgate.app.supervisor import Supervisor
from gemgate.config import ConfigError, Settings
from gemgate.config.fitness import keyless, tokenless
from gemgate.config.running import read_running
from gemgate.store import keys, tokens, version
from gemgate.store.connection import reader, reading

# The line that names a fault, less the name of the driver's own that SQLAlchemy puts before it. Its other lines
# (the statement, a link to a manual) help nobody here.
_FAULT = re.compile(r"^[A-Za-z_][\w.]*: (?:\([\w.]+\) )?(.+)$", re.MULTILINE)

_PATIENCE = 5.0  # seconds for a gateway whose supervisor was killed to finish and free its port


def serve(read: Callable[[], Settings], parts: Sequence[str], say: Callable[[str], None]) -> int:
    """Run these parts (``gateway``, ``console``) until told to stop; returns the exit code.

    ``read`` loads the settings, again at each reload. Raises ConfigError, FolderError and PortTaken when
    nothing can start: also where the gateway listens beyond loopback and no virtual key exists, or the console does
    and no admin token.
    """
    settings = read()
    # Files made from here on, by us and by our children, are for this user alone.
    os.umask(0o077)
    with taken(settings.data, parts):
        bring_up_to_date(settings, say)
        with_keys = GATEWAY in parts and keyed(settings)
        if CONSOLE in parts:
            closed(settings)
        simulated = settings.simulated and GATEWAY in parts
        found = roles(settings, parts, ports.pick("127.0.0.1") if simulated else 0)
        _claim(settings, found)
        for role in found.values():
            role.environment = {
                "GEMGATE_GATEWAY_PORT": str(settings.gateway.port),
                "GEMGATE_CONSOLE_PORT": str(found[CONSOLE].port if CONSOLE in found else 0),
            }
        return Supervisor(settings, found, read, say, keyed=with_keys).run()


def bring_up_to_date(settings: Settings, say: Callable[[str], None]) -> None:
    """See that the database exists and has the schema of this gemgate. Raises FolderError.

    The check is quick; the work itself, which is rare, is done by an interpreter of its own.
    """
    try:
        if not version.needs(settings.database):
            return
    except version.Newer as error:
        raise FolderError(str(error)) from None
    except sqlite3.Error as error:
        # The gateway knows what to do without its store, and `record.when_down` says which: not ours to refuse.
        say(f"{settings.database} cannot be read now ({error}); run `gemgate doctor`.")
        return
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", "gemgate.store.migrate", str(settings.database)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = last_words(done.stderr) or f"exit code {done.returncode}"
        raise FolderError(
            f"{settings.database} could not be made or brought up to date: {why}. "
            "See that the disk has room and that this user may write there, then start again."
        )


def keyed(settings: Settings) -> bool:
    """Whether virtual keys exist, so that clients need one. Raises ConfigError where one is needed and there is none,
    FolderError where one is needed and nobody can know."""
    fault = keyless(settings)
    try:
        with contextlib.closing(reader(settings.database)) as conn, reading(conn):
            # Keys without a token (`gemgate seed` makes such) are nobody's.
            _, found = keys.every(conn)
    except (sqlite3.Error, OSError) as error:
        if fault is None:
            return False
        raise FolderError(
            f"{settings.database} cannot be read now ({error}), so nobody knows the virtual keys that a gateway "
            f"at {settings.gateway.host} needs. Run `gemgate doctor`, then start again."
        ) from None
    if not found and fault is not None:
        raise ConfigError([fault])
    return bool(found)


def closed(settings: Settings) -> None:
    """See that a console which others reach has an admin token to ask for. Raises ConfigError where it has none,
    FolderError where nobody can know."""
    fault = tokenless(settings)
    if fault is None:
        return
    try:
        with contextlib.closing(reader(settings.database)) as conn, reading(conn):
            made = tokens.made(conn)
    except (sqlite3.Error, OSError) as error:
        raise FolderError(
            f"{settings.database} cannot be read now ({error}), so nobody knows the admin tokens that a console "
            f"at {settings.console.host} needs. Run `gemgate doctor`, then start again."
        ) from None
    if not made:
        raise ConfigError([fault])


def last_words(stderr: str) -> str:
    """The sentence of the fault that ended a process, out of its traceback; empty when it left none."""
    faults = _FAULT.findall(stderr)
    return faults[-1].strip().rstrip(".") if faults else ""


def _claim(settings: Settings, found: dict[str, Role]) -> None:
    """See that the wanted ports can be had before anything starts; pick the console's when any will do."""
    before = read_running(settings.data).get(GATEWAY)
    lingering = isinstance(before, dict) and _lives(before.get("pid"))
    for name, role in found.items():
        if name != SIMULATOR and role.port:
            ports.claim(role.host, role.port, f"--{name}-port", _PATIENCE if lingering else 0.0)
    console = found.get(CONSOLE)
    if console is not None and not console.port:
        # Chosen now, so that it can be told as soon as the gateway answers.
        console.port = ports.pick(console.host)


def _lives(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
