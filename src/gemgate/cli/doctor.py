"""`gemgate doctor`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gemgate.cli import checks, database, reach
from gemgate.cli.checks import Finding, Level
from gemgate.cli.options import common, settings_of
from gemgate.config import ConfigError

_COLORS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("doctor")
@common
@click.pass_context
def command(ctx: click.Context, /, data: Path | None, config: Path | None) -> None:
    """Check configuration, keys, disk, database and clock.

    Each line says ok, warn or fail, and what to do about it. Keys are tried with a real request that costs
    nothing; they are named by project and number, never shown. Exit code 1 when anything fails.
    """
    failed = False
    for finding in _findings(config, data):
        failed = failed or finding.level is Level.FAIL
        _print(finding)
    ctx.exit(1 if failed else 0)


def _findings(config: Path | None, data: Path | None) -> list[Finding]:
    found = checks.versions()
    try:
        settings = settings_of(config, data)
    except ConfigError as error:
        faults = [
            Finding(
                Level.FAIL, "config", f"{one.key}: expected {one.expected}, found {one.got_kind}", one.remedy
            )
            for one in error.faults
        ]
        return found + faults
    return [
        *found,
        *checks.configuration(settings),
        *checks.routes(settings),
        *checks.disk(settings.data),
        *database.look(settings.database),
        *database.access(settings),
        *database.console(settings),
        *checks.prices(settings),
        *checks.addresses(settings),
        *reach.keys(settings, time.time),
    ]


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:<5}", fg=_COLORS[finding.level])
    click.echo(
        f"{level} {finding.name:<9} {finding.text}" + (f". {finding.remedy}" if finding.remedy else "")
    )
