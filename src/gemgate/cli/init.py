"""`gemgate init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gemgate.app.folder import prepare
from gemgate.cli.faults import CommandFault
from gemgate.cli.options import common
from gemgate.config import FILE_NAME
from gemgate.config.document import example


@click.command("init")
@common
def command(data: Path | None, config: Path | None) -> None:
    """Write a commented gemgate.toml.

    It goes to --config FILE, else into the data folder when --data names one, else here. An existing file is
    never overwritten. Only you can read it: it may come to hold keys.
    """
    if config is None and data is not None:
        prepare(data)
    target = config or (data or Path()) / FILE_NAME
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandFault(f"{target} exists already; edit it, or name another with --config.") from None
    except OSError as error:
        raise CommandFault(f"{target} cannot be written: {error.strerror}.") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(example())
    click.echo(f"Wrote {target}. Next: put a key in it (or set GEMINI_API_KEY), then run `gemgate serve`.")
