"""What the words of the API mean: one sentence for each name of a field, and for each variable of a path.

A name means the same wherever it stands; where it cannot (``before`` of a report and of a change in the audit), the
sentence stands under ``Struct.name``, or for a variable under ``namespace.name``. The sentences themselves are data:
``gemgate/data/glossary.toml``. What a field says of itself (``msgspec.Meta``) goes before them.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Final

_FILE: Final = "glossary.toml"


def field(struct: str, name: str) -> str:
    """The sentence for a field of a Struct, by the Struct's own name; "" when the glossary has none."""
    return _said("fields", struct.rpartition(".")[2], name)


def variable(namespace: str, name: str) -> str:
    """The sentence for a variable of a path below this namespace; "" when the glossary has none."""
    return _said("variables", namespace, name)


def _said(part: str, owner: str, name: str) -> str:
    known = words()[part]
    return known.get(f"{owner}.{name}") or known.get(name, "")


@functools.cache
def words() -> dict[str, dict[str, str]]:
    """All sentences, ``fields`` and ``variables``. Raises OSError or ValueError for a broken installation."""
    return tomllib.loads((resources.files("gemgate") / "data" / _FILE).read_text("utf-8"))
