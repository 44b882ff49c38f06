"""Opens the store for commands that change it: keys and budgets, with a gateway running or without one."""

from __future__ import annotations

import contextlib
import getpass
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from gemgate.app.folder import FolderError, prepare, taken
from gemgate.app.plan import CONSOLE, GATEWAY
from gemgate.app.serve import bring_up_to_date
from gemgate.cli.faults import CommandFault
from gemgate.config import Settings
from gemgate.store import audit, version
from gemgate.store.connection import Connection, sliced, visitor

Result = TypeVar("Result")


class Audited(NamedTuple):
    """What the audit says of a change: the verb, what kind of thing it is and its name.

    ``look`` gives the thing as the record has it, a Struct or JSON-able, None where it is not there; no secret.
    """

    action: str
    kind: str
    subject: str
    look: Callable[[Connection], Any]


@contextlib.contextmanager
def changing(settings: Settings) -> Iterator[Connection]:
    """A connection for short writes; the file is made where there is none. See ``written``.

    Raises CommandFault for what SQLite reports, also inside the block, and FolderError.
    """
    # What is made here is for this user alone.
    usual = os.umask(0o077)
    try:
        _make(settings)
        with contextlib.closing(visitor(settings.database)) as conn:
            yield conn
    except version.Newer as error:
        raise CommandFault(str(error)) from None
    except sqlite3.Error as error:
        raise CommandFault(
            f"{settings.database} cannot be written: {error}. `gemgate doctor` looks at it closer."
        ) from None
    finally:
        os.umask(usual)


def written(conn: Connection, work: Callable[[Connection], Result], audited: Audited | None = None) -> Result:
    """What ``work`` gives, in one short write transaction that is undone when it raises.

    With ``audited`` the transaction also says who changed what, before and after.
    """
    results: list[Result] = []

    def step(inside: Connection) -> bool:
        before = msgspec.to_builtins(audited.look(inside)) if audited else None
        results.append(work(inside))
        if audited:
            _tell(inside, audited, before)
        return False

    sliced(conn, step)
    return results[0]


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[bool]:
    """Whether no gateway lives on the folder; then none can start meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(taken(settings.data, [GATEWAY]))
        except FolderError:
            nobody = False
        else:
            nobody = True
        yield nobody


def _tell(conn: Connection, audited: Audited, before: Any) -> None:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    audit.add(
        conn,
        audit.Entry(
            at=time.time_ns() // 1000,
            actor=f"cli:{user}",
            role="admin",
            action=audited.action,
            kind=audited.kind,
            subject=audited.subject,
            before=before,
            after=msgspec.to_builtins(audited.look(conn)),
        ),
    )


def _make(settings: Settings) -> None:
    """See that the file exists and has the schema of this gemgate."""
    if not version.needs(settings.database):
        return
    prepare(settings.data)
    if version.found(settings.database) is None:
        bring_up_to_date(settings, _say)
        return
    # An older gateway that runs on the file knows nothing of the new schema.
    with taken(settings.data, [GATEWAY, CONSOLE]):
        bring_up_to_date(settings, _say)


def _say(line: str) -> None:
    click.echo(line, err=True)
