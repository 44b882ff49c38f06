"""[routing], [[route]] and the limits of projects: what is read, and which faults are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.config import ConfigError, Fault, Project, Routing, Settings, load
from gemgate.config.fitness import cautions, compare
from gemgate.config.projects import read_projects
from gemgate.config.routes import read_routes
from gemgate.core.catalog import Card, Catalog, Served
from gemgate.core.quota import Limits
from gemgate.core.routes import Conditions, Route, RouteTarget

TWO = "[[project]]\nname = 'free'\nkey = 'a'\ntier = 'free'\n[[project]]\nname = 'paid'\nkey = 'b'\n"
KEY = "AIzaSyPlantedSecretOfTheTests0123456789"


def loaded(folder: Path, text: str, env: dict[str, str] | None = None) -> Settings:
    """The settings of a file with two projects and this text."""
    path = folder / "gemgate.toml"
    path.write_text(text + "\n" + TWO, "utf-8")
    return load(path, env or {}, {})


def faults(folder: Path, text: str) -> list[Fault]:
    """What load has to say about this text."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return caught.value.faults


def test_routing_has_the_defaults_of_its_page(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").routing == Routing()
    assert (Routing().enabled, Routing().fallback, Routing().hedge) == (True, True, False)
    assert (Routing().patience, Routing().max_patience, Routing().repeats) == (30.0, 600.0, 2)
    assert (Routing().hedge_allowance, Routing().signatures) == (0.05, "replace")


def test_routing_is_read_from_file_and_environment(tmp_path: Path) -> None:
    text = "[routing]\nenabled = false\npatience = '5 s'\nhedge_allowance = 0.1\nsignatures = 'refuse'\n"
    env = {"GEMGATE_ROUTING_MAX_PATIENCE": "1 min", "GEMGATE_ROUTING_HEDGE_ALLOWANCE": "0.2"}
    routing = loaded(tmp_path, text, env).routing
    assert (routing.enabled, routing.patience, routing.max_patience) == (False, 5.0, 60.0)
    assert (routing.hedge_allowance, routing.signatures) == (0.2, "refuse")


def test_a_route_in_the_short_form(tmp_path: Path) -> None:
    text = (
        "[[route]]\nname = 'fast'\ntargets = ['gemini-2.5-flash', 'models/gemini-2.5-flash-lite@free']\n"
        "patience = '10 s'\nfirst_byte_timeout = 3\nhedge = true\nhold_back = 80\nfallback = false\n"
        "signatures = 'refuse'\nlimits = { rpm = 30 }\nwhen = { methods = ['generate'], media = ['image'] }\n"
    )
    (route,) = loaded(tmp_path, text).routes
    assert [(one.model, one.projects, one.weight) for one in route.targets] == [
        ("gemini-2.5-flash", (), 1),
        ("gemini-2.5-flash-lite", ("free",), 1),
    ]
    assert (route.name, route.balance, route.fallback) == ("fast", "ordered", False)
    assert (route.patience, route.first_byte_timeout, route.stall_timeout) == (10.0, 3.0, None)
    assert (route.hedge, route.hold_back, route.signatures) == (True, 80, "refuse")
    assert route.limits == Limits(rpm=30)
    assert route.when == Conditions(methods=("generate",), media=("image",))


def test_a_route_in_the_long_form(tmp_path: Path) -> None:
    text = (
        "[[route]]\nname = 'shared'\nbalance = 'weighted'\n"
        "[[route.target]]\nmodel = 'gemini-2.5-flash'\nproject = 'paid'\nweight = 3\n"
        "[[route.target]]\nmodel = 'gemini-2.5-pro'\nprojects = ['paid', 'free']\n"
        "when = { tools = true, context = 200000 }\n"
        "[[route]]\nname = 'own'\ntargets = ['gemini-2.5-pro']\n"
    )
    shared, own = loaded(tmp_path, text).routes
    assert [(one.model, one.projects, one.weight) for one in shared.targets] == [
        ("gemini-2.5-flash", ("paid",), 3),
        ("gemini-2.5-pro", ("paid", "free"), 1),
    ]
    assert shared.balance == "weighted"
    assert shared.targets[1].when == Conditions(tools=True, context=200000)
    assert own.name == "own"


def test_a_silent_route_falls_back_as_routing_says(tmp_path: Path) -> None:
    text = "[[route]]\nname = 'a'\ntargets = ['x']\n[[route]]\nname = 'b'\ntargets = ['x']\nfallback = true\n"
    assert [one.fallback for one in loaded(tmp_path, text).routes] == [True, True]
    silent = loaded(tmp_path, "[routing]\nfallback = false\n" + text).routes
    assert [one.fallback for one in silent] == [True, True]  # what is written down is meant
    bare = loaded(
        tmp_path, "[routing]\nfallback = false\n[[route]]\nname = 'gemini-2.5-flash'\nhold_back = 9\n"
    )
    assert [one.fallback for one in bare.routes] == [False]


def test_a_route_may_be_named_like_a_model(tmp_path: Path) -> None:
    text = "[[route]]\nname = 'gemini-2.5-flash'\ntargets = ['gemini-2.5-flash', 'gemini-2.5-pro']\n"
    (route,) = loaded(tmp_path, text).routes
    assert route == Route(
        "gemini-2.5-flash", (RouteTarget("gemini-2.5-flash"), RouteTarget("gemini-2.5-pro"))
    )


def test_a_route_without_targets_sets_the_rest_for_its_model(tmp_path: Path) -> None:
    (route,) = loaded(tmp_path, "[[route]]\nname = 'gemini-2.5-flash'\npatience = 3\n").routes
    assert route == Route("gemini-2.5-flash", patience=3.0)


def test_routes_of_one_name_differ_in_what_they_are_for(tmp_path: Path) -> None:
    text = (
        "[[route]]\nname = 'a'\ntargets = ['x']\nwhen = { tools = true }\n"
        "[[route]]\nname = 'a'\ntargets = ['y']\nwhen = { methods = ['embed', 'models.countTokens'] }\n"
        "[[route]]\nname = 'a'\ntargets = ['z']\n"
    )
    assert [one.targets[0].model for one in loaded(tmp_path, text).routes] == ["x", "y", "z"]


def test_a_project_with_limits_and_spend(tmp_path: Path) -> None:
    path = tmp_path / "gemgate.toml"
    path.write_text(
        "[[project]]\nname = 'a'\nkey = 'x'\nspend = 10\n"
        "limits = { 'models/gemini-2.5-flash' = { rpm = 10, tpm = 250000, rpd = 0 }, '*' = { tpd = 7 } }\n",
        "utf-8",
    )
    (project,) = load(path, {}, {}).projects
    assert project.spend == 10.0
    assert project.limits == (
        ("gemini-2.5-flash", Limits(rpm=10, tpm=250000, rpd=0)),
        ("*", Limits(tpd=7)),
    )


ONE = "[[route]]\nname = 'a'\n"


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[routing]\npatience = '11 min'\n", "routing.patience", "routing.max_patience"),
        ("[routing]\nhedge_allowance = 5\n", "routing.hedge_allowance", "0.05"),
        ("[routing]\nhedge_allowance = '5 %'\n", "routing.hedge_allowance", "0.05"),
        ("[routing]\nrepeats = -1\n", "routing.repeats", "without quotes"),
        ("[routing]\nsignatures = 'drop'\n", "routing.signatures", "replace, refuse"),
        ("[routing]\npatient = 3\n", "routing.patient", "routing.patience"),
        ("[route]\nname = 'a'\n", "route", "two brackets"),
        ("route = ['a']\n", "route[0]", "[[route]]"),
        ("[[route]]\ntargets = ['x']\n", "route[0].name", "Add name"),
        (ONE, "route[0].targets", 'targets = ["gemini-2.5-flash"]'),
        (ONE + "targets = []\n", "route[0].targets", "Write it as a list"),
        (ONE + "targets = 'x'\n", "route[0].targets", "Write it as a list"),
        (ONE + "targets = [3]\n", "route[0].targets[0]", "model@project"),
        (ONE + "targets = ['x', '']\n", "route[0].targets[1]", "model@project"),
        (ONE + "targets = ['x@nowhere']\n", "route[0].targets[0]", "free, paid"),
        (ONE + "targets = ['x@fre']\n", "route[0].targets[0]", "Did you mean free?"),
        (ONE + "targets = ['x@']\n", "route[0].targets[0]", "model@project"),
        (ONE + "targets = ['@free']\n", "route[0].targets[0]", "model@project"),
        (ONE + "target = ['x']\n", "route[0].target", "two brackets"),
        (ONE + "targets = ['x', 'x']\n", "route[0].targets[1]", "Remove it"),
        (ONE + "targets = ['x', 'x@free', 'models/x']\n", "route[0].targets[2]", "Remove it"),
        (ONE + "targets = ['x']\n[[route.target]]\nmodel = 'y'\n", "route[0].targets", "one of the two"),
        (ONE + "[[route.target]]\nweight = 1\n", "route[0].target[0].model", "Add model"),
        (
            ONE + "[[route.target]]\nmodel = 'x'\nweight = 0\n",
            "route[0].target[0].weight",
            "remove the target",
        ),
        (ONE + "[[route.target]]\nmodel = 'x'\nwieght = 1\n", "route[0].target[0].wieght", "weight"),
        (ONE + "[[route.target]]\nmodel = 'x'\nproject = 'no'\n", "route[0].target[0].project", "free, paid"),
        (
            ONE + "[[route.target]]\nmodel = 'x'\nproject = 'free'\nprojects = ['paid']\n",
            "route[0].target[0].projects",
            "one of the two",
        ),
        (
            ONE + "[[route.target]]\nmodel = 'x'\nprojects = []\n",
            "route[0].target[0].projects",
            "every project",
        ),
        (ONE + "targets = ['x']\nbalance = 'fair'\n", "route[0].balance", "ordered, weighted"),
        (ONE + "targets = ['x']\npatience = -1\n", "route[0].patience", "above zero"),
        (ONE + "targets = ['x']\nhold_back = -1\n", "route[0].hold_back", "without quotes"),
        (ONE + "targets = ['x']\npatients = 1\n", "route[0].patients", "route[0].patience"),
        (ONE + "targets = ['x']\nwhen = { method = ['generate'] }\n", "route[0].when.method", "methods"),
        (ONE + "targets = ['x']\nwhen = { methods = ['chat'] }\n", "route[0].when.methods", "generate"),
        (ONE + "targets = ['x']\nwhen = { media = [] }\n", "route[0].when.media", "image"),
        (ONE + "targets = ['x']\nwhen = 'tools'\n", "route[0].when", "when = {"),
        (ONE + "targets = ['x']\nlimits = { rpm = -1 }\n", "route[0].limits.rpm", "without quotes"),
        (ONE + "targets = ['x']\nlimits = { rpn = 1 }\n", "route[0].limits.rpn", "rpm"),
        (ONE + "targets = ['x']\nlimits = 3\n", "route[0].limits", "rpm = 10"),
        (ONE + "targets = ['x']\nlimits = {}\n", "route[0].limits", "remove it"),
        (ONE + "targets = ['x']\n[[route]]\nname = 'a'\ntargets = ['x']\n", "route 'a'", "Rename one"),
        (
            ONE + "targets = ['x']\nwhen = { tools = true }\n[[route]]\nname = 'a'\ntargets = ['y']\n"
            "when = { tools = true }\n",
            "route 'a'",
            "Rename one",
        ),
        (ONE + "targets = ['x']\nlimits = { rpd = 3 }\n", "route[0].limits.rpd", "route[0].limits.rpm"),
        (
            ONE + "targets = ['b']\n[[route]]\nname = 'b'\ntargets = ['x']\n",
            "route 'a'",
            "targets of route 'b'",
        ),
        (
            ONE + "targets = ['gemini-2.5-flash', 'gemini-embedding-001']\n",
            "route 'a'",
            "Give embedding models a route of their own",
        ),
        ("[[route]]\nname = 'models/a'\ntargets = ['x']\n", "route[0].name", "no models/"),
        ("[[route]]\nname = 'a b'\ntargets = ['x']\n", "route[0].name", "letters"),
        ("[[project]]\nname = 'a@b'\nkey = 'x'\n", "project[0].name", "model@project"),
        ("[[project]]\nname = 'a/b'\nkey = 'x'\n", "project[0].name", "model@project"),
        ("[[project]]\nname = 'a'\nkey = 'x'\nspend = 0\n", "project[0].spend", "10 or 2.5"),
        ("[[project]]\nname = 'a'\nkey = 'x'\nspend = '10'\n", "project[0].spend", "without quotes"),
        ("[[project]]\nname = 'a'\nkey = 'x'\nlimits = { rpm = 3 }\n", "project[0].limits.rpm", '"*"'),
        ("[[project]]\nname = 'a'\nkey = 'x'\nlimits = 3\n", "project[0].limits", "rpm = 10"),
        (
            "[[project]]\nname = 'a'\nkey = 'x'\nlimits = { m = { rpm = 1.5 } }\n",
            "project[0].limits.m.rpm",
            "100",
        ),
        (
            "[[project]]\nname = 'a'\nkey = 'x'\nlimits = { 'gemini-2.5-flash' = { rpm = 1 }, "
            "'gemini-2.5-flash-001' = { rpm = 2 } }\n",
            "project 'a'.limits",
            "Keep one",
        ),
        (
            "[[project]]\nname = 'a'\nkey = 'x'\nbilling_account = 'B'\nspend = 1\n"
            "[[project]]\nname = 'b'\nkey = 'y'\nbilling_account = 'B'\nspend = 2\n",
            "project 'b'.spend",
            "project 'a'",
        ),
    ],
)
def test_a_fault_names_its_key_and_its_remedy(tmp_path: Path, text: str, key: str, hint: str) -> None:
    found = faults(tmp_path, text)
    assert key in [fault.key for fault in found]
    assert hint in " ".join(fault.remedy for fault in found if fault.key == key)
    # One mistake, one fault: no other is reported in its wake.
    assert len(found) == 1, found


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "[routing]\nrepeats = 'x'\n[[route]]\nname = 'a'\ntargets = ['x@no', '']\nhedge = 1\n"
        "when = { tools = 1 }\n[[route]]\ntargets = 3\n",
    )
    assert [fault.key for fault in found] == [
        "routing.repeats",
        "route[0].hedge",
        "route[0].when.tools",
        "route[0].targets[0]",
        "route[0].targets[1]",
        "route[1].name",
        "route[1].targets",
    ]


def test_a_key_pasted_into_a_route_is_not_shown(tmp_path: Path) -> None:
    text = (
        f"[[route]]\nname = '{KEY}'\ntargets = ['{KEY}', 'x@{KEY}']\n{KEY} = 1\n"
        f"[[route]]\nname = '{KEY}'\ntargets = ['{KEY}', '{KEY}']\n"
    )
    assert KEY not in str(ConfigError(faults(tmp_path, text)))


def test_what_is_most_likely_not_meant_is_a_caution_and_no_fault(tmp_path: Path) -> None:
    catalog = Catalog(
        (
            Card(id="old", status="shut_down", shutdown="2026-06-01"),
            Card(id="way", status="routed", served=Served("new", "2026-07-01")),
            Card(id="ageing", status="deprecated", shutdown="2027-01-01"),
            Card(id="new", status="stable"),
        ),
        {},
    )
    text = (
        "[[route]]\nname = 'r'\ntargets = ['old', 'way', 'ageing', 'new', 'unheard', 'tunedModels/x']\n"
        "[[project]]\nname = 'p'\nkey = 'k'\nlimits = { new = { rpm = 1 }, typo = { rpm = 1 }, '*' = { rpm = 1 } }\n"
    )
    assert [one.text for one in cautions(loaded(tmp_path, text), catalog)] == [
        "route 'r': old is shut down since 2026-06-01",
        "route 'r': way is answered by new since 2026-07-01",
        "route 'r': ageing is deprecated, to be shut down on 2027-01-01",
        "route 'r': unheard is not known here; it is used as it is written",
        "project 'p' has limits for typo, which is not known here",
    ]


CATALOG = Catalog.load()
WORDS = st.sampled_from(
    [
        *("name", "targets", "target", "when", "limits", "model", "project", "projects", "weight", "methods"),
        *(
            "tools",
            "context",
            "media",
            "rpm",
            "tpd",
            "*",
            "key",
            "keys",
            "spend",
            "balance",
            "patience",
            "other",
        ),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["x@free", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(WORDS, VALUES, max_size=6), max_size=3) | VALUES)
def test_whatever_stands_there_is_read_or_reported(tables: object) -> None:
    found: list[Fault] = []
    projects = [Project("free"), *read_projects(tables, Path("nowhere"), {}, found.append)]
    routes = read_routes(tables, projects, True, CATALOG, found.append)
    compare(projects, routes, CATALOG, found.append)
    assert all(fault.key and fault.remedy for fault in found)
    if not found:
        assert tables in ([], None), "no table here is both a whole project and a whole route"
    for route in routes:
        assert all(target.model and target.weight > 0 for target in route.targets)
