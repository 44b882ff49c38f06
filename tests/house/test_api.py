"""What every operation of the API owes: a sentence, its role, and a trail where it changes something."""

from __future__ import annotations

import ast
import inspect

import pytest

from gemgate.api import schemas
from gemgate.api.namespaces import NAMESPACES
from gemgate.api.operation import Declared, declared_of
from gemgate.api.roles import Role

from .source import Module, modules

# These change nothing of gemgate's: they ask a model, look at something anew, or make and end a file of answers.
UNTRAILED = {"gemgate/api/generate.py", "gemgate/api/advice.py"}
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [
    (f"{namespace.name}.{resource.__name__}.{method}", getattr(resource, method))
    for namespace in NAMESPACES
    for resource, *_ in namespace.resources
    for method in METHODS
    if hasattr(resource, method)
]


def declared(method: object) -> Declared:
    found = declared_of(method)
    assert found is not None, "it does not declare itself with `operation`"
    return found


@pytest.mark.parametrize(("name", "method"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_says_what_it_is_for_and_who_may(name: str, method: object) -> None:
    summary = (inspect.getdoc(method) or "").partition("\n")[0]
    assert summary.endswith("."), "the first line of its docstring is a sentence"
    assert len(summary) <= 105
    found = declared(method)
    if not name.endswith(".get"):
        assert found.role in (Role.OPERATOR, Role.ADMIN), "whoever only reads changes nothing"
    if found.role is Role.ANYONE:
        assert name.startswith("health."), "only health is told to anyone"


def test_what_comes_in_is_read_strictly() -> None:
    for name, method in OPERATIONS:
        body = declared(method).body
        if body is not None:
            _, parts = schemas.definitions([body])
            loose = [part for part, one in parts.items() if one.get("additionalProperties", True) is True]
            assert loose == [], f"{name} passes over unknown fields of {loose}"


def changing() -> list[Module]:
    """The files of the API that open a write transaction."""
    return [
        module
        for module in modules()
        if module.name.startswith("gemgate/api/") and "changing()" in module.text
    ]


@pytest.mark.parametrize("module", changing(), ids=lambda module: str(module.name))
def test_every_change_leaves_a_trail(module: Module) -> None:
    if module.name in UNTRAILED or module.name == "gemgate/api/context.py":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.With):
            opened = [ast.unparse(item.context_expr) for item in node.items]
            if any(one.endswith("changing()") for one in opened):
                said = ast.unparse(node)
                assert ".audit(" in said or "change)" in said, (
                    f"line {node.lineno} changes and does not tell of it"
                )


def test_only_the_context_opens_the_record_for_requests() -> None:
    """Readers and writers of the API have bounds; whoever opens the file past them has none."""
    for module in modules():
        if module.name.startswith("gemgate/api/") and module.name != "gemgate/api/context.py":
            assert "visitor(" not in module.text, module.name
