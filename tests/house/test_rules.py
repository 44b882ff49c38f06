"""The house rules of the design, each as a test that fails when it is broken."""

from __future__ import annotations

import ast
import re
import subprocess

import pytest

from .source import ROOT, Module, functions, modules

FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager", "service", "util", "helper"}
CLOCKS = {
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "now",
    "utcnow",
    "today",
}
PURE = {"core", "dialects", "insight"}
# The edges, where anything that a program can do wrong must be caught and reported.
EDGES = {
    "gemgate/gateway/surface.py",
    "gemgate/gateway/steady.py",
    "gemgate/cli/main.py",
    "gemgate/api/problems.py",
    "gemgate/jobs/runner.py",
    "gemini_simulator/app.py",
    "gemgate/store/database.py",
    "gemgate/store/writer.py",
}
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE|BEGIN\s+IMMEDIATE|PRAGMA\s)",
    re.IGNORECASE | re.DOTALL,
)


def each(rule: str) -> pytest.MarkDecorator:
    """One test case a module, named after it."""
    return pytest.mark.parametrize("module", modules(), ids=lambda module: f"{rule}:{module.name}")


@each("length")
def test_a_module_has_at_most_400_lines(module: Module) -> None:
    if "/migrations/versions/" in module.name:
        return
    assert module.text.count("\n") <= 400


@each("functions")
def test_a_function_has_at_most_60_lines_and_6_parameters(module: Module) -> None:
    for function in functions(module.tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= 60, f"{function.name} has {lines} lines"
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        count = len([one for one in named if one.arg not in ("self", "cls")])
        assert count <= 6, f"{function.name} has {count} parameters"


@each("imports")
def test_imports_stand_at_the_top_and_nothing_is_global(module: Module) -> None:
    for function in functions(module.tree):
        for node in ast.walk(function):
            assert not isinstance(node, ast.Import | ast.ImportFrom), f"an import inside {function.name}"
            assert not isinstance(node, ast.Global), f"a global in {function.name}"


@each("names")
def test_rooms_are_named_by_subject(module: Module) -> None:
    for part in module.name.removesuffix(".py").split("/"):
        assert part not in FORBIDDEN_NAMES


@each("sql")
def test_sql_lives_in_the_store(module: Module) -> None:
    if module.room == "store" or not module.name.startswith("gemgate/"):
        return
    docs = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            assert not SQL.search(node.value), f"line {node.lineno} speaks SQL"


@each("clocks")
def test_pure_rooms_read_no_clock(module: Module) -> None:
    if module.room not in PURE:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            read = node.func.attr in CLOCKS and isinstance(node.func.value, ast.Name)
            assert not (read and node.func.value.id in ("time", "datetime", "date")), f"line {node.lineno}"


@each("catching")
def test_everything_is_caught_only_at_the_edges(module: Module) -> None:
    if module.name in EDGES:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            names = {getattr(node.type, "id", "")} if node.type is not None else {""}
            wide = names & {"Exception", "BaseException", ""} and not isinstance(
                node.type, ast.Tuple | ast.Attribute
            )
            again = any(isinstance(one, ast.Raise) and one.exc is None for one in ast.walk(node))
            assert not wide or again, f"line {node.lineno} catches everything and goes on"


@each("docstrings")
def test_public_things_say_what_they_are_for(module: Module) -> None:
    if module.text.strip():
        assert ast.get_docstring(module.tree), "the module has no docstring"
    bodies = [module.tree.body]
    bodies += [node.body for node in module.tree.body if isinstance(node, ast.ClassDef)]
    for node in (one for body in bodies for one in body):
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} (line {node.lineno}) has no docstring"


def test_the_pursuit_is_the_only_retry_loop_on_the_call_path() -> None:
    """One room sends, only the driver makes tries, and its one loop follows the generator of ``core.pursuit``."""
    gateway = [module for module in modules() if module.name.startswith("gemgate/gateway/")]
    sending = [module for module in gateway if "upstream.send(" in module.text]
    assert [module.name for module in sending] == ["gemgate/gateway/attempt.py"]
    assert not any(
        "upstream.send(" in ast.unparse(node)
        for node in ast.walk(sending[0].tree)
        if isinstance(node, ast.While | ast.For | ast.AsyncFor)
    )
    assert [module.name for module in gateway if "await attempt(" in module.text] == [
        "gemgate/gateway/pursue.py"
    ]
    (pursue,) = (module for module in gateway if module.name == "gemgate/gateway/pursue.py")
    loops = [node for node in ast.walk(pursue.tree) if isinstance(node, ast.While | ast.For | ast.AsyncFor)]
    following = [loop for loop in loops if "moves.send(" in ast.unparse(loop)]
    assert len(following) == 1
    assert not any("_try(" in ast.unparse(loop) for loop in loops)


def test_tests_use_no_mocks() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        if path.parent.name == "house":
            continue
        text = path.read_text("utf-8")
        assert "unittest.mock" not in text, path
        assert "MagicMock" not in text, path
        assert "monkeypatch.setattr" not in text, path


def test_the_readme_is_short_and_the_papers_are_there() -> None:
    assert (ROOT / "README.md").read_text("utf-8").count("\n") < 200
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs/architecture.md", "docs/decisions.md"):
        assert (ROOT / name).read_text("utf-8").strip(), name


def test_nothing_committed_names_this_workplace() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    pattern = re.compile(rb"(/" + b"work/|/ro" + rb"ot/|\." + rb"library\b|https?://(registry|deb|files)\.)")
    for name in filter(None, listed.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".gif"):
            found = pattern.search(path.read_bytes())
            assert found is None, f"{name} holds {found and found[0]!r}"
