"""The options that every command takes, and the settings they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from gemgate.config import Settings, load

Command = TypeVar("Command", bound=Callable[..., Any])


def common(command: Command) -> Command:
    """Add ``--data`` and ``--config``."""
    command = click.option(
        "--config",
        "config",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Configuration file. Default: gemgate.toml in the data folder, then in the working directory.",
    )(command)
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Data folder. Default: gemgate-data.",
    )(command)


def chosen(data: Path | None, more: Mapping[str, object] | None = None) -> dict[str, object]:
    """The overrides that a command line stands for; what was not given is left out."""
    found = {"data": data, **(more or {})}
    return {key: value for key, value in found.items() if value is not None}


def settings_of(config: Path | None, data: Path | None) -> Settings:
    """The settings for a command. Raises ConfigError."""
    return load(config, os.environ, chosen(data))
