"""Every code with which gemgate refuses stands in the papers, with its status; and no other does."""

from __future__ import annotations

import ast
import re

from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini.errors import from_verdict
from gemgate.gateway import refusals

from .source import ROOT, Module, modules

PAGES = ("docs/keys.md", "docs/refusals.md")
MAKERS = {"Refused", "_refused", "Complaint"}
ROW = re.compile(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| ([\d, ]+) \|", re.MULTILINE)
# These say again what they are given.
PASSING = {
    "gemgate/core/access.py:_refused",
    "gemgate/dialects/gemini/errors.py:from_refused",
    "gemgate/dialects/gemini/errors.py:from_verdict",
    "gemgate/gateway/refusals.py:no_way",
}
Pairs = set[tuple[str, int]]


def constants() -> dict[str, object]:
    """Names of codes that more than one module uses."""
    found: dict[str, object] = {}
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                found |= {one.id: node.value.value for one in node.targets if isinstance(one, ast.Name)}
    return found


def makings(module: Module) -> list[tuple[str, ast.Call]]:
    """Where a refusal is made, each with the function around it."""
    found: list[tuple[str, ast.Call]] = []

    def walk(node: ast.AST, around: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else around
            if isinstance(child, ast.Call):
                called = getattr(child.func, "id", "") or getattr(child.func, "attr", "")
                if called in MAKERS:
                    found.append((name, child))
            walk(child, name)

    walk(module.tree, "")
    return found


def made() -> tuple[Pairs, set[str]]:
    """All codes of the source with their statuses, and the functions whose code is none that stands there."""
    named, pairs, passing = constants(), set[tuple[str, int]](), set[str]()
    for module in modules():
        if not module.name.startswith("gemgate/"):
            continue
        for function, call in makings(module):
            given = dict(zip(("status", "code"), call.args, strict=False))
            given |= {one.arg: one.value for one in call.keywords if one.arg in ("status", "code")}
            statuses = {one.value for one in ast.walk(given["status"]) if isinstance(one, ast.Constant)}
            code = given["code"]
            value = named.get(code.id) if isinstance(code, ast.Name) else getattr(code, "value", None)
            if not isinstance(value, str):
                passing.add(f"{module.name}:{function}")
                continue
            pairs |= {(value, one) for one in statuses if isinstance(one, int)}
    return pairs, passing


def told() -> Pairs:
    """All codes of the papers with their statuses."""
    return {
        (code, int(status))
        for page in PAGES
        for codes, statuses in ROW.findall((ROOT / page).read_text("utf-8"))
        for code in re.findall(r"[A-Z_]+", codes)
        for status in statuses.split(",")
    }


def test_every_code_stands_in_the_papers_with_its_status() -> None:
    pairs, passing = made()
    assert passing == PASSING
    again = {(reason.upper(), status) for reason, status in refusals._STATUS.items()}
    assert told() == pairs | again


def test_a_fault_of_the_upstream_has_its_reason_as_code() -> None:
    for code in ("CUT", "GARBAGE", "STALL_TIMEOUT"):
        assert from_verdict(Verdict(kind=Kind.BROKEN, reason=code.lower())).code == code
