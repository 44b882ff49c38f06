"""The command `gemgate`. Each command's module is loaded when the command is used, by name: `gemgate serve`
must not pay for tables, nor `gemgate --help` for everything.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import cast

import click

from gemgate import __version__
from gemgate.app.folder import FolderError
from gemgate.app.ports import PortTaken
from gemgate.cli.faults import CommandFault
from gemgate.config import ConfigError

COMMANDS: dict[str, str] = {
    "serve": "Run the gateway and the console.",
    "init": "Write a commented gemgate.toml to start from.",
    "keys": "Make and manage virtual keys: who may use the gateway.",
    "budgets": "Make and manage budgets: how much may be spent.",
    "admin-token": "Make and manage admin tokens: who may use the console.",
    "calls": "Show the newest calls.",
    "call": "Tell the story of one call and its tries.",
    "route": "Show what would happen now to a call for a model.",
    "usage": "Show how much is used: calls, tokens and money over any span.",
    "costs": "Show what calls cost: by kind, billed, saved and burnt.",
    "performance": "Show how quick answers were.",
    "errors": "Show what went wrong, and what to do about it.",
    "quota": "Show the quota windows, and when room returns.",
    "events": "Show what budgets and keys have brought about.",
    "verify": "Prove that the record is whole and its sums are true.",
    "rollup": "See how far the sums of calls are, or make them anew.",
    "prices": "Show the price book in force.",
    "advice": "Show what could cost less, and what will end.",
    "export": "Write calls, tries or sums to a file: CSV, JSON Lines or Parquet.",
    "seed": "Fill the store with a realistic record, for trials.",
    "doctor": "Check configuration, keys, disk, database and clock.",
}
"""Every command with its sentence; the module of the same name (``_`` for ``-``) holds it as ``command``."""


class Commands(click.Group):
    """The group that loads commands by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module loaded; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gemgate.cli.{cmd_name.replace('-', '_')}")
        return cast(click.Command, module.command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that --help loads no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `gemgate serve`; add --demo to try it without a Google key.",
)
@click.version_option(__version__, prog_name="gemgate")
def group() -> None:
    """A gateway to Google's Gemini API that keeps a complete, priced record of every call."""


def main() -> None:
    """Run the command line. Exit codes: 0 fine, 1 a fault (said in a sentence on stderr), 2 wrong usage."""
    try:
        code = group.main(prog_name="gemgate", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except (CommandFault, ConfigError, FolderError, PortTaken) as error:
        click.echo(f"gemgate: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        sys.exit(_unwritten(error))
    sys.exit(code if isinstance(code, int) else 0)


def _unwritten(error: OSError) -> int:
    """The exit code when the output could not be written: whoever reads it left (`| head`), or a disk is full."""
    # What is still buffered would be written, and fail, once more when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        click.echo(f"gemgate: {error.strerror or error}.", err=True)
    return 1


if __name__ == "__main__":
    main()
