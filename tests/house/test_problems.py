"""Every code of the API's problems stands in docs/api.md with its status, and no other; so does every namespace."""

from __future__ import annotations

import ast
import re

from waitress import utilities
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from gemgate.api import problems
from gemgate.api.namespaces import NAMESPACES
from gemgate.insight.advice.study import KINDS

from .source import ROOT, Module, modules

ROW = re.compile(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| ([\d, ]+) \|", re.MULTILINE)
# These say again what they are given.
PASSING = {
    "gemgate/api/generate.py:_problem",  # what the gateway refuses: docs/refusals.md
    "gemgate/api/named.py:missing",
    "gemgate/api/named.py:wrong",
    "gemgate/api/problems.py:of_refused",
    "gemgate/api/problems.py:on_http_error",
    "gemgate/api/reading.py:_made",
    "gemgate/api/wire.py:execute",
}
# What waitress refuses before there is a request, and what Werkzeug says where a download cannot go on.
SERVER = {
    (error.code, error.reason)
    for error in (
        utilities.BadRequest,
        utilities.RequestEntityTooLarge,
        utilities.RequestHeaderFieldsTooLarge,
        utilities.ServerNotImplemented,
        utilities.InternalServerError,
    )
} | {(RequestedRangeNotSatisfiable.code, RequestedRangeNotSatisfiable().name)}
Pairs = set[tuple[str, int]]


def made() -> tuple[Pairs, set[str]]:
    """All codes of the API with their statuses, and the functions whose code is none that stands there."""
    pairs, passing = set[tuple[str, int]](), set[str]()

    def walk(module: Module, node: ast.AST, around: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = child.name if isinstance(child, ast.FunctionDef) else around
            if isinstance(child, ast.Call):
                called = getattr(child.func, "id", "") or getattr(child.func, "attr", "")
                values = [getattr(one, "value", None) for one in child.args[:2]]
                if called == "Problem":
                    if isinstance(values[0], int) and isinstance(values[1], str):
                        pairs.add((values[1], values[0]))
                    else:
                        passing.add(f"{module.name}:{name}")
                elif called == "missing" and isinstance(values[0], str):
                    pairs.add((f"{values[0].upper()}_NOT_FOUND", 404))
            walk(module, child, name)

    for module in modules():
        if module.name.startswith("gemgate/api/"):
            walk(module, module.tree, "")
    return pairs, passing


def test_every_code_of_the_api_stands_on_its_page_with_its_status() -> None:
    pairs, passing = made()
    assert passing == PASSING
    pairs |= {(code, status) for status, (code, _, _) in problems._WORDS.items()}
    pairs |= {(re.sub(r"\W+", "_", name).upper(), status) for status, name in SERVER if status}
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    told = {
        (code, int(status))
        for codes, statuses in ROW.findall(page)
        for code in re.findall(r"[A-Z_]+", codes)
        for status in statuses.split(",")
    }
    assert told == pairs


def test_every_namespace_has_its_place_on_the_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == [one.name for one in NAMESPACES if one.resources]


def test_every_kind_of_advice_is_explained() -> None:
    page = (ROOT / "docs" / "analytics.md").read_text("utf-8").partition("\n## Advice\n")[2]
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(KINDS)
