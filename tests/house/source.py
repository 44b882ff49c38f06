"""The project's own sources, parsed once for the house rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"


@dataclass(frozen=True)
class Module:
    """One source file: its path below ``src``, its text and its tree."""

    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder of the package that it lies in: ``store``, ``gateway``, …"""
        parts = self.name.split("/")
        return parts[1] if len(parts) > 2 else ""


@lru_cache(maxsize=1)
def modules() -> tuple[Module, ...]:
    """Every module of both packages."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        text = path.read_text("utf-8")
        found.append(Module(path.relative_to(SRC).as_posix(), text, ast.parse(text)))
    return tuple(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
