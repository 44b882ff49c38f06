"""Opens the store for commands that change it: keys and budgets, with a gateway running or without one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import TypeVar

import click

from gemgate.app.folder import prepare, taken
from gemgate.app.plan import CONSOLE, GATEWAY
from gemgate.app.serve import bring_up_to_date
from gemgate.cli.faults import CommandFault
from gemgate.config import Settings
from gemgate.store import version
from gemgate.store.connection import Connection, sliced, visitor

Result = TypeVar("Result")


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


def written(conn: Connection, work: Callable[[Connection], Result]) -> Result:
    """What ``work`` gives, in one short write transaction that is undone when it raises."""
    results: list[Result] = []

    def step(inside: Connection) -> bool:
        results.append(work(inside))
        return False

    sliced(conn, step)
    return results[0]


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
