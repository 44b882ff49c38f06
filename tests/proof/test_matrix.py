"""The fault matrix: every fault of the simulator × unary, SSE, array × first, second, last target of a route.

Each cell has a route and three projects of its own, so that nothing learned in one bears on another. In each the
right answer, the right rows, and the sums of the tries are looked at; the table at the end is what was seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from gemini_simulator import faults as simulated
from tests.gateway.launch import Gateway
from tests.proof import faults, stage
from tests.proof.caller import Answer, ask
from tests.proof.faults import APART, FAULTS, FORMS, OF_THE_MODEL, PLACES, SHUT, SHUT_REASON, Fault
from tests.simulator.launch import Simulator

MODELS = ("gemini-3.8-flash", "gemini-3.6-flash", "gemini-3.5-flash-lite")
SPEED = "50"
SIZE = "tokens=60,thoughts=0,events=5"
WELL = stage.Project("well")


class Cell(NamedTuple):
    """One fault at one place."""

    fault: Fault
    place: str

    @property
    def name(self) -> str:
        """Its route; its projects are ``NAME-first`` and so on."""
        return f"cell-{FAULTS.index(self.fault)}-{self.place}"

    def projects(self) -> list[stage.Project]:
        """The projects of its three targets."""
        return [stage.Project(f"{self.name}-{place}") for place in PLACES]

    def rules(self) -> list[dict[str, Any]]:
        """The simulator's faults for it: those before it are shut, it is struck."""
        struck = PLACES.index(self.place)
        rules = [{"simulate": SHUT, "project": f"{self.name}-{place}"} for place in PLACES[:struck]]
        rules.append({"simulate": self.fault.name, "project": f"{self.name}-{self.place}"})
        return [{"simulate": SIZE}, *rules]


CELLS = [Cell(fault, place) for fault in FAULTS for place in PLACES]
PROJECTS = [project for cell in CELLS for project in cell.projects()]
SEEN: dict[tuple[str, str, str], str] = {}


def toml() -> str:
    """A route for each cell, and times that are short enough to wait for."""
    text = '[upstream]\nbase_url = "UPSTREAM"\nfirst_byte_timeout = "1s"\nstall_timeout = "1s"\n'
    for cell in CELLS:
        targets = [f"{model}@{project.name}" for model, project in zip(MODELS, cell.projects(), strict=True)]
        text += stage.route(cell.name, targets)
    return text


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator for all forms."""
    folder = tmp_path_factory.mktemp("simulator")
    with stage.simulator(folder, [*PROJECTS, WELL], "--speed", SPEED) as running:
        yield running


@pytest.fixture(scope="module")
def gateways(
    upstream: Simulator, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Gateway]]:
    """The gateway of the form at hand; a form's is stopped, and its record proven, when the next one begins."""
    running: dict[str, Gateway] = {}
    yield running
    for gateway in running.values():
        gateway.__exit__(None, None, None)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + table(), file=sys.stderr, flush=True)


@pytest.fixture
def gateway(
    form: str, gateways: dict[str, Gateway], upstream: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Gateway:
    """A gateway for each form, so that no cell is asked twice."""
    if form not in gateways:
        while gateways:
            gateways.popitem()[1].__exit__(None, None, None)
        folder = tmp_path_factory.mktemp(form)
        gateways[form] = stage.gateway(folder, upstream, [*PROJECTS, WELL], toml()).__enter__()
    return gateways[form]


def table() -> str:
    """What was seen: a line a fault, a column a form and place; status (or ``cut``) and number of tries."""
    heads = [f"{form} {place}" for form in FORMS for place in PLACES]
    width = max(map(len, heads)) + 2
    lines = [f"{'fault matrix: status / tries':<30}" + "".join(f"{head:<{width}}" for head in heads)]
    for fault in FAULTS:
        cells = [SEEN.get((fault.name, form, place), "-") for form in FORMS for place in PLACES]
        lines.append(f"{fault.name:<30}" + "".join(f"{cell:<{width}}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)


def heal(gateway: Gateway, upstream: Simulator, model: str) -> None:
    """A good answer from the model closes its breaker; it is waited for until a probe may go."""
    upstream.set_faults({"simulate": SIZE})
    headers = (("x-gemgate-fallback", "off"), ("x-gemgate-project", WELL.name), ("x-gemgate-patience", "60"))
    answer = ask(gateway.url, f"/v1beta/models/{model}:generateContent", stage.prompt(20, "Well?"), *headers)
    assert answer.good, answer.body


CASES = [
    pytest.param(form, fault, id=f"{form}-{fault.name}")
    for form in FORMS
    for fault in FAULTS
    if form in fault.forms
]


@pytest.mark.parametrize(("form", "fault"), CASES)
def test_a_fault_at_every_place(form: str, fault: Fault, gateway: Gateway, upstream: Simulator) -> None:
    for number, place in enumerate(PLACES):
        cell = Cell(fault, place)
        upstream.set_faults(*cell.rules())
        upstream.clear()
        path = f"/v1beta/models/{cell.name}{FORMS[form]}"
        # Nothing begins after the patience: it must outlast a timeout, and no cell is to wait long for cool-downs.
        patience = "3" if fault.reason.endswith("timeout") else "1"
        answer = ask(gateway.url, path, stage.prompt(20, cell.name), ("x-gemgate-patience", patience))
        rows = stage.tries(gateway, answer.call)
        outcome = "cut" if fault.leads == faults.CUT else str(answer.status)
        SEEN[fault.name, form, place] = f"{outcome} / {len(rows)}"
        right_answer(cell, form, answer)
        right_rows(cell, answer, rows, gateway)
        mine = [line for line in upstream.log() if line.get("project", "").startswith(cell.name)]
        assert len(mine) == len(rows), (
            f"{place}: the simulator saw {len(mine)} tries, the record has {len(rows)}"
        )
        if fault.reason in OF_THE_MODEL:
            heal(gateway, upstream, MODELS[number])


def right_answer(cell: Cell, form: str, answer: Answer) -> None:
    """The status, the body's form, and the model that served."""
    fault, place = cell
    assert answer.status == faults.expected(fault, place), f"{place}: {answer.body!r}"
    assert answer.whole
    if fault.leads == faults.CUT:
        events = answer.parts()
        assert [bool(event.get("candidates")) for event in events] == [True, True, False], place
        assert answer.error()["code"] >= 500
    elif answer.status == 200:
        assert answer.finished, f"{place}: {answer.body!r}"
        assert answer.sse == (form == "sse")
        at = PLACES.index(place) + faults.goes_on(fault, place)
        assert answer.model == MODELS[at], place
    else:
        error = answer.error()
        assert error["code"] == answer.status
        assert error["message"]


def right_rows(cell: Cell, answer: Answer, rows: list[dict[str, Any]], gateway: Gateway) -> None:
    """The tries in their order with their verdicts, and a call that is their sum."""
    fault, place = cell
    at = PLACES.index(place)
    reasons = [row["reason"] or "" for row in rows]
    before, after = reasons[:at], reasons[at:]
    assert before == [SHUT_REASON] * at, reasons
    if faults.goes_on(fault, place):
        assert after.pop() == "", reasons
        assert rows[-1]["verdict"] == "ok"
        assert rows[-1]["project"] == f"{cell.name}-{PLACES[at + 1]}"
    assert after, reasons
    assert set(after) == {fault.reason}, reasons
    assert len(after) <= (1 if place != "last" else faults.most_tries(fault)), reasons
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(row["model"] == MODELS[PLACES.index(row["project"].rpartition("-")[2])] for row in rows)
    (call,) = gateway.rows("SELECT * FROM call_log WHERE call_id = ?", answer.call)
    assert call["status"] == answer.status
    assert call["attempts"] == len(rows)
    assert answer.tries == len(rows)
    outcomes = {faults.CUT: {"cut"}} if fault.leads == faults.CUT else {}
    wanted = outcomes.get(fault.leads, {"ok"} if answer.status == 200 else {"refused", "failed"})
    assert call["outcome"] in wanted
    tokens = call["input_tokens"] + call["output_tokens"] + call["thoughts_tokens"] + call["tool_tokens"]
    assert tokens == sum(row["tokens"] for row in rows)
    assert round(call["list_dollars"] * 1e9) == sum(row["list_nano"] for row in rows)


def test_every_fault_of_the_simulator_is_in_the_matrix() -> None:
    named = {fault.name.partition("=")[0] for fault in FAULTS}
    apart = {name for names in APART.values() for name in names}
    assert named | apart == set(simulated.names())
    assert not named & apart
