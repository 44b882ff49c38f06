"""What to do with a parameter that the model behind has no like of, and with requests that cannot be understood.

The setting ``openai.parameters`` decides: ``drop`` leaves it out and names it in the answer's header, ``refuse``
refuses the call, ``send`` passes on what Google has a field for, and leaves out the rest.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from gemgate.core.errors import Refused

INVALID = "INVALID_REQUEST"
UNSUPPORTED = "UNSUPPORTED_PARAMETER"
_MOST = 32  # names that are kept: they go into a header
_LONGEST = 64
_ODD = re.compile(r"[^A-Za-z0-9_.\-\[\]]")
_WHERE = re.compile(r"^(.*?) - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)


class Unsupported(StrEnum):
    """The values of the setting ``openai.parameters``."""

    DROP = "drop"
    REFUSE = "refuse"
    SEND = "send"


class Leftovers:
    """Collects the parameters that cannot be honoured."""

    __slots__ = ("_how", "_names")

    def __init__(self, how: str) -> None:
        self._how = how
        self._names: dict[str, None] = {}

    def note(self, name: str, *, known: bool = False) -> bool:
        """Whether to send it all the same. ``known``: Google has a field for it, though many models refuse it.

        A name may be a client's own invention: it is kept to what a header can carry. Raises ``Refused`` (400)
        where such parameters are refused.
        """
        name = _ODD.sub("?", name)[:_LONGEST]
        if self._how == Unsupported.REFUSE:
            raise Refused(
                400,
                UNSUPPORTED,
                f"Unsupported parameter: '{name}' has no like at Google.",
                hint='Leave it out, or have the gateway drop it with openai.parameters = "drop".',
            )
        if known and self._how == Unsupported.SEND:
            return True
        if len(self._names) < _MOST:
            self._names[name] = None
        return False

    @property
    def names(self) -> tuple[str, ...]:
        """What was left out, each once, of very many the first."""
        return tuple(self._names)


def invalid(name: str, why: str) -> Refused:
    """The refusal of a request whose field ``name`` cannot be understood; ``why`` begins in lower case."""
    return Refused(400, INVALID, f"Invalid '{name}': {why}" if name else f"Invalid request: {why}")


def misread(fault: msgspec.DecodeError | UnicodeDecodeError | RecursionError) -> Refused:
    """The refusal of a body that could not be decoded, naming the field where one is at fault."""
    found = _WHERE.match(str(fault)) if isinstance(fault, msgspec.ValidationError) else None
    if found is not None:
        return invalid(found[2].removesuffix("[...]"), found[1][:1].lower() + found[1][1:])
    if isinstance(fault, msgspec.ValidationError):
        return invalid("", str(fault)[:1].lower() + str(fault)[1:])
    return invalid("", f"the body is no JSON ({fault})")
