"""What a command reports instead of a result."""

from __future__ import annotations


class CommandFault(Exception):
    """An expected fault: one sentence for the user with the remedy, exit code 1."""
