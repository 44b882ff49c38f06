"""What goes wrong with rows that people name: keys and budgets."""

from __future__ import annotations


class Exists(Exception):
    """The name is taken. ``args[0]`` is the name."""


class Missing(LookupError):
    """There is no row of that name. ``args[0]`` is the name."""
