"""What a command reports instead of a result."""

from __future__ import annotations

import difflib
from collections.abc import Collection


class CommandFault(Exception):
    """An expected fault: one sentence for the user with the remedy, exit code 1."""


def missing(what: str, name: str, known: Collection[str], make: str) -> CommandFault:
    """The fault of a name that is not there: the near ones, else those that are, else how to make one."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        remedy = f"Did you mean {' or '.join(near)}?"
    elif known:
        some = ", ".join(sorted(known)[:10])
        remedy = f"There {'is' if len(known) == 1 else 'are'} {some}{' …' if len(known) > 10 else ''}."
    else:
        remedy = f"There is none yet. {make}"
    return CommandFault(f"No {what} is named {name}. {remedy}")
