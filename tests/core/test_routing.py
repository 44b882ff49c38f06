"""Plans: who may serve a call, in which order, and what the things that it names leave of that."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.config.faults import Fault
from gemgate.config.routes import read_routes
from gemgate.config.settings import Project as Configured
from gemgate.core import eligibility, routing
from gemgate.core.catalog import Card, Catalog
from gemgate.core.errors import Refused
from gemgate.core.routing import Conditions, Pin, Plan, Route, Routes, RouteTarget, Target, Wants

CATALOG = Catalog.load()
FLASH, LITE, PRO = "gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-3.1-pro-preview"
EMBED = "gemini-embedding-001"


class Project(msgspec.Struct, frozen=True):
    name: str
    tier: str = "tier1"


class Standing(msgspec.Struct, frozen=True):
    at: float = 0.0
    why: str = ""


A, B = Project("a"), Project("b")


def routes(*configured: Route, projects: tuple[Project, ...] = (A, B), **settings: Any) -> Routes:
    return Routes(CATALOG, configured, projects, **settings)


def asks(model: str = FLASH, **rest: Any) -> Wants:
    return Wants(model, **{"method": "models.generateContent", "reading": "generate", **rest})


def embeds(model: str = EMBED, **rest: Any) -> Wants:
    return asks(model, **{"method": "models.embedContent", "reading": "embed", **rest})


def named(plan: Plan) -> list[str]:
    return [target.name for target in plan.targets]


def code(book: Routes, wants: Wants) -> Refused:
    with pytest.raises(Refused) as caught:
        book.plan(wants, 0.0)
    assert caught.value.status == 400
    assert caught.value.hint
    return caught.value


# The default targets of a model.


def test_the_model_comes_first_on_all_projects_then_each_of_its_chain() -> None:
    plan = routes().plan(asks(), 0.0)
    assert named(plan) == [f"{FLASH}@a", f"{FLASH}@b", f"{LITE}@a", f"{LITE}@b"]
    assert [target.changes for target in plan.targets] == [(), (), ("model",), ("model",)]
    assert plan.targets[0].why == "the model that was asked for"
    assert plan.targets[3].why == "the newest stable flash-lite; another project"
    assert (plan.route, plan.seek) == ("", False)


@pytest.mark.parametrize(
    "wants",
    [
        asks(forbids=True),
        asks("gemini-9-flash"),
        embeds(),
        asks(method="models.countTokens", reading="count"),
        asks(method="cachedContents.create", reading="other"),
        asks(method="models.batchGenerateContent", reading="other"),
        asks("veo-3.1-generate-preview", method="models.predictLongRunning", reading="other"),
        asks("tunedModels/x", method="tunedModels.generateContent"),
        asks("gemini-embedding-2", method="openai.embeddings", reading="openai"),
    ],
    ids=lambda wants: f"{wants.method}:{wants.model}",
)
def test_what_stays_with_its_model(wants: Wants) -> None:
    assert named(routes().plan(wants, 0.0)) == [f"{wants.model}@a", f"{wants.model}@b"]


def test_fallback_can_be_switched_off_for_all() -> None:
    plan = routes(fallback=False).plan(asks(), 0.0)
    assert named(plan) == [f"{FLASH}@a", f"{FLASH}@b"]
    assert [(left.model, left.why) for left in plan.left_out] == [(LITE, "fallback is switched off")]


@pytest.mark.parametrize("method", ["interactions.create", "openai.chat.completions"])
def test_chat_and_interactions_fall_like_generating(method: str) -> None:
    assert len(routes().plan(asks(method=method, names_model="body"), 0.0).targets) == 4


def test_a_call_that_names_no_model_goes_to_each_project() -> None:
    plan = routes().plan(asks("", method="files.list", reading="other", names_model=""), 0.0)
    assert named(plan) == ["@a", "@b"]
    assert all(not target.changes for target in plan.targets)


def test_the_project_that_the_client_named_is_the_only_one() -> None:
    assert named(routes().plan(asks(project="b"), 0.0)) == [f"{FLASH}@b", f"{LITE}@b"]
    refused = code(routes(), asks(project="c"))
    assert refused.code == "UNKNOWN_PROJECT"
    assert "a, b" in refused.hint


# Who fits.


def test_penalties_stay_with_the_model_unless_a_route_says_otherwise() -> None:
    plan = routes().plan(asks(penalties=True), 0.0)
    assert named(plan) == [f"{FLASH}@a", f"{FLASH}@b"]
    assert "penalties" in plan.left_out[0].why
    mine = Route("mine", (RouteTarget(FLASH), RouteTarget(LITE)))
    assert len(routes(mine).plan(asks("mine", penalties=True), 0.0).targets) == 4


def test_too_small_a_context_leaves_a_target_out() -> None:
    mine = Route("mine", (RouteTarget("gemma-4-31b-it"), RouteTarget(FLASH)))
    book = routes(mine, projects=(A,))
    assert named(book.plan(asks("mine", tokens=262_144), 0.0)) == ["gemma-4-31b-it@a", f"{FLASH}@a"]
    plan = book.plan(asks("mine", tokens=262_145), 0.0)
    assert named(plan) == [f"{FLASH}@a"]
    assert "262144" in plan.left_out[0].why


def test_an_estimate_alone_refuses_no_model_that_was_asked_for() -> None:
    plan = routes(projects=(A,)).plan(asks(tokens=2_000_000), 0.0)
    assert named(plan) == [f"{FLASH}@a"]
    assert [left.model for left in plan.left_out] == [LITE]


def test_a_route_that_can_serve_nothing_says_why() -> None:
    mine = Route("mine", (RouteTarget("gemma-4-31b-it"), RouteTarget(EMBED)))
    refused = code(routes(mine), asks("mine", tokens=300_000))
    assert refused.code == "NO_ELIGIBLE_TARGET"
    assert "gemma-4-31b-it: its context" in refused.message
    assert f"{EMBED}: it makes embeddings only" in refused.message


@pytest.mark.parametrize(
    ("thinking", "model", "changes"),
    [
        ("level:low", FLASH, ("model",)),
        ("level:minimal", FLASH, ("model", "thinking:level:low")),  # 3.8 Flash refuses MINIMAL
        ("level:minimal", LITE, ("model",)),
        ("level:xhigh", FLASH, ("model", "thinking:level:high")),
        ("level:xhigh", "gemini-4-hydrogen", ("model",)),
        ("level:weird", FLASH, ("model", "thinking:drop")),
        ("level:medium", "gemini-2.5-flash", ("model", "thinking:budget:8192")),
        ("level:minimal", "gemini-2.5-pro", ("model", "thinking:budget:1024")),
        ("level:weird", "gemini-2.5-pro", ("model", "thinking:drop")),
        ("budget:1024", "gemini-2.5-flash", ("model",)),
        ("budget:-1", "gemini-2.5-pro", ("model",)),
        ("budget:0", "gemini-2.5-flash", ("model",)),
        ("budget:0", "gemini-2.5-pro", ("model", "thinking:drop")),  # it always thinks
        ("budget:32768", "gemini-2.5-flash", ("model", "thinking:budget:24576")),
        ("budget:0", LITE, ("model", "thinking:level:minimal")),
        ("budget:0", FLASH, ("model", "thinking:level:low")),
        ("budget:512", FLASH, ("model", "thinking:level:low")),
        ("budget:8000", FLASH, ("model", "thinking:level:medium")),
        ("budget:9000", FLASH, ("model", "thinking:level:high")),
        ("budget:-1", FLASH, ("model", "thinking:drop")),
        ("budget:many", FLASH, ("model", "thinking:drop")),
        ("level:low", "gemma-4-31b-it", ("model", "thinking:drop")),
        ("level:low", "gemini-9-flash", ("model",)),  # nobody knows what it takes
        ("", FLASH, ("model",)),
    ],
)
def test_thinking_is_put_into_what_a_stand_in_takes(
    thinking: str, model: str, changes: tuple[str, ...]
) -> None:
    mine = Route("mine", (RouteTarget(model),))
    plan = routes(mine).plan(asks("mine", thinking=thinking), 0.0)
    assert plan.targets[0].changes == changes


@given(
    st.sampled_from([card for card in CATALOG.cards if card.levels or card.budget]),
    st.one_of(
        st.sampled_from(["level:minimal", "level:low", "level:medium", "level:high", "level:xhigh"]),
        st.integers(-1, 40_000).map(lambda budget: f"budget:{budget}"),
    ),
)
def test_what_a_stand_in_is_asked_it_takes(card: Card, thinking: str) -> None:
    changes = eligibility.changes(card, asks("mine", thinking=thinking), card.id)
    word = changes[1].removeprefix("thinking:") if len(changes) > 1 else thinking
    kind, _, value = word.partition(":")
    if kind == "level":
        assert value in card.levels
    elif kind == "budget":
        assert card.budget
        assert int(value) <= 24_576
        assert int(value) != 0 or not card.always_thinks


def test_the_model_that_the_client_named_gets_its_body_as_it_came() -> None:
    for thinking in ("level:minimal", "budget:1024"):
        assert routes().plan(asks(FLASH, thinking=thinking), 0.0).targets[0].changes == ()


# Routes of one's own.


def test_the_settings_of_a_route_are_on_the_plan() -> None:
    mine = Route(
        "fast", (RouteTarget(LITE, ("b",)),), patience=5.0, hedge=True, hold_back=80, stall_timeout=9.0
    )
    plan = routes(mine).plan(asks("fast"), 0.0)
    assert named(plan) == [f"{LITE}@b"]
    assert plan.targets[0].changes == ("model",)
    assert (plan.route, plan.patience, plan.hedge, plan.hold_back, plan.stall_timeout) == (
        "fast", 5.0, True, 80, 9.0,
    )  # fmt: skip


def test_a_route_without_targets_only_sets_the_rest() -> None:
    plan = routes(Route(FLASH, patience=5.0)).plan(asks(), 0.0)
    assert named(plan) == named(routes().plan(asks(), 0.0))
    assert (plan.route, plan.patience) == (FLASH, 5.0)
    alone = routes(Route(FLASH, fallback=False)).plan(asks(), 0.0)
    assert named(alone) == [f"{FLASH}@a", f"{FLASH}@b"]


def test_a_route_may_put_another_model_in_front_of_the_one_asked_for() -> None:
    mine = Route(FLASH, (RouteTarget(LITE), RouteTarget(FLASH)))
    plan = routes(mine, projects=(A,)).plan(asks(), 0.0)
    assert [(one.name, one.changes) for one in plan.targets] == [
        (f"{LITE}@a", ("model",)),
        (f"{FLASH}@a", ()),
    ]


def test_a_target_twice_is_tried_once() -> None:
    mine = Route("fast", (RouteTarget(FLASH, ("b",)), RouteTarget(FLASH)))
    assert named(routes(mine).plan(asks("fast"), 0.0)) == [f"{FLASH}@b", f"{FLASH}@a"]


@pytest.mark.parametrize(
    ("when", "fits", "fails"),
    [
        (Conditions(methods=("generate",)), {}, {"method": "models.countTokens", "reading": "count"}),
        (Conditions(methods=("models.generateContent",)), {}, {"method": "models.streamGenerateContent"}),
        (
            Conditions(methods=("openai",)),
            {"method": "openai.chat.completions", "reading": "openai"},
            {},
        ),
        (Conditions(tools=True), {"tools": True}, {}),
        (Conditions(tools=False), {}, {"tools": True}),
        (Conditions(context=5000), {"tokens": 5000}, {"tokens": 4999}),
        (Conditions(media=("image", "video")), {"media": ("audio", "video")}, {"media": ("audio",)}),
    ],
    ids=str,
)
def test_conditions_choose_the_target_and_the_route(
    when: Conditions, fits: dict[str, Any], fails: dict[str, Any]
) -> None:
    by_target = routes(Route("x", (RouteTarget(PRO, when=when), RouteTarget(LITE))), projects=(A,))
    by_route = routes(
        Route("x", (RouteTarget(PRO),), when=when), Route("x", (RouteTarget(LITE),)), projects=(A,)
    )
    only = routes(Route("x", (RouteTarget(PRO),), when=when), projects=(A,))
    for book in (by_target, by_route):
        # One after the other in one book: what is remembered of one call is not taken for the other.
        assert named(book.plan(asks("x", **fails), 0.0))[0] == f"{LITE}@a"
        assert named(book.plan(asks("x", **fits), 0.0))[0] == f"{PRO}@a"
        assert named(book.plan(asks("x", **fails), 0.0))[0] == f"{LITE}@a"
    refused = code(only, asks("x", **fails))
    assert refused.code == "NO_ROUTE"
    assert "it is for calls" in refused.message


def test_a_models_own_route_that_does_not_fit_leaves_the_default() -> None:
    mine = Route(FLASH, (RouteTarget(PRO),), when=Conditions(tools=True))
    assert named(routes(mine).plan(asks(), 0.0))[0] == f"{FLASH}@a"


def test_one_model_embeds_for_a_route_whatever_the_weights() -> None:
    mine = Route(
        "vectors", (RouteTarget(FLASH), RouteTarget(EMBED), RouteTarget("gemini-embedding-2", weight=9)),
        balance="weighted",
    )  # fmt: skip
    book = routes(mine)
    for chance in (0.0, 0.5, 0.99):
        assert named(book.plan(embeds("vectors"), chance)) == [f"{EMBED}@a", f"{EMBED}@b"]


def test_a_route_without_fallback_stays_with_what_was_drawn() -> None:
    mine = Route("fast", (RouteTarget(FLASH), RouteTarget(LITE)), balance="weighted", fallback=False)
    book = routes(mine, projects=(A,))
    assert named(book.plan(asks("fast"), 0.1)) == [f"{FLASH}@a"]
    assert named(book.plan(asks("fast"), 0.9)) == [f"{LITE}@a"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.floats(0, 1, exclude_max=True))
def test_a_draw_lists_every_place_once_and_zeros_last(weights: list[int], chance: float) -> None:
    order = routing.draw(weights, chance)
    assert sorted(order) == list(range(len(weights)))
    zeros = [place for place in order if not weights[place]]
    assert list(order[len(order) - len(zeros) :]) == zeros == sorted(zeros)


def test_draws_follow_the_weights_at_every_place() -> None:
    steps = 12_000
    drawn = Counter(routing.draw((6, 3, 3), (step + 0.5) / steps) for step in range(steps))
    first = Counter[int]()
    for order, count in drawn.items():
        first[order[0]] += count
    assert [first[place] for place in range(3)] == pytest.approx([6000, 3000, 3000], abs=2)
    # After the first place the rest are drawn by their weights again.
    assert drawn[0, 1, 2] == pytest.approx(3000, abs=3)
    assert drawn[1, 0, 2] == pytest.approx(2000, abs=3)
    assert drawn[1, 2, 0] == pytest.approx(1000, abs=3)


def test_the_examples_of_the_docs_are_routes() -> None:
    text = (Path(__file__).parents[2] / "docs" / "routes.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    faults: list[Fault] = []
    projects = [Configured("paid", "tier1", ()), Configured("free", "free", ())]
    read = read_routes(tomllib.loads(example)["route"], projects, True, CATALOG, faults.append)
    assert not faults
    book = Routes(CATALOG, read, projects)
    fast = book.plan(asks("fast"), 0.0)
    assert named(fast) == [f"{FLASH}@paid", f"{FLASH}@free", f"{LITE}@free"]
    assert fast.patience == 10.0
    assert named(book.plan(asks("smart"), 0.9)) == ["gemini-4-argon@paid"]
    assert named(book.plan(asks("smart", tools=True), 0.9)) == [
        f"{PRO}@paid",
        f"{PRO}@free",
        "gemini-4-argon@paid",
    ]


# Things that stay where they were made.


def held(*pins: Pin, book: Routes | None = None, **rest: Any) -> Plan:
    return (book or routes()).plan(asks(**{"pins": pins, **rest}), 0.0)


def test_a_file_keeps_its_project_and_no_model() -> None:
    plan = held(Pin("files/x", "b"))
    assert named(plan) == [f"{FLASH}@b", f"{LITE}@b"]
    assert not plan.seek


@pytest.mark.parametrize("name", ["cachedContents/x", "interactions/x", "a continuation token"])
def test_a_strict_thing_leaves_one_target(name: str) -> None:
    assert named(held(Pin(name, "b", FLASH, "strict"))) == [f"{FLASH}@b"]


def test_what_a_stand_in_began_the_stand_in_goes_on_with() -> None:
    plan = held(Pin("interactions/x", "b", LITE, "strict"))
    assert [(one.name, one.changes) for one in plan.targets] == [(f"{LITE}@b", ("model",))]
    # A client that changes the model itself is not corrected; nor is a cache that no stand-in can have made.
    assert named(held(Pin("interactions/x", "b", PRO, "strict"))) == [f"{FLASH}@b"]
    assert named(held(Pin("cachedContents/x", "b", LITE, "strict"))) == [f"{FLASH}@b"]


def test_a_strict_thing_of_a_route_keeps_the_model_it_was_made_with() -> None:
    book = routes(Route("smart", (RouteTarget(PRO), RouteTarget(FLASH))))
    pin = Pin("cachedContents/x", "b", FLASH, "strict")
    assert named(held(pin, book=book, model="smart")) == [f"{FLASH}@b"]
    assert named(held(Pin("cachedContents/x", "b", "", "strict"), book=book, model="smart")) == [f"{PRO}@b"]


def test_an_unknown_owner_is_sought_with_the_first_model() -> None:
    for hold in ("project", "strict"):
        plan = held(Pin("files/x", hold=hold))
        assert named(plan) == [f"{FLASH}@a", f"{FLASH}@b"]
        assert plan.seek


def test_with_one_project_there_is_nothing_to_seek() -> None:
    plan = held(Pin("files/x"), book=routes(projects=(A,)))
    assert (named(plan), plan.seek) == ([f"{FLASH}@a", f"{LITE}@a"], False)
    plan = held(Pin("cachedContents/x", hold="strict"), project="b")
    assert (named(plan), plan.seek) == ([f"{FLASH}@b"], False)


def test_a_known_owner_decides_for_an_unknown_one() -> None:
    plan = held(Pin("files/x"), Pin("files/y", "b"))
    assert (named(plan), plan.seek) == ([f"{FLASH}@b", f"{LITE}@b"], False)


@pytest.mark.parametrize("holds", [("project", "project"), ("project", "strict"), ("strict", "strict")])
def test_things_of_two_projects_are_refused_with_both_names(holds: tuple[str, str]) -> None:
    pins = (Pin("files/x", "a", FLASH, holds[0]), Pin("cachedContents/y", "b", FLASH, holds[1]))
    refused = code(routes(), asks(pins=pins))
    assert refused.code == "PINNED_TWICE"
    for word in ("files/x", "'a'", "cachedContents/y", "'b'"):
        assert word in refused.message


@pytest.mark.parametrize(
    ("wants", "reason"),
    [
        (asks(pins=(Pin("files/x", "gone"),)), "PINNED_GONE"),
        (asks(pins=(Pin("files/x", "a"),), project="b"), "PINNED_ELSEWHERE"),
        (asks("only-b", pins=(Pin("files/x", "a"),)), "NO_ELIGIBLE_TARGET"),
    ],
)
def test_a_thing_that_cannot_be_reached_is_named(wants: Wants, reason: str) -> None:
    refused = code(routes(Route("only-b", (RouteTarget(FLASH, ("b",)),))), wants)
    assert refused.code == reason
    assert "files/x" in refused.message


SIGNED = Pin("thought signatures", "b", FLASH, "signatures")


def test_a_signed_conversation_goes_home_first_and_leaves_with_the_literal() -> None:
    plan = held(SIGNED)
    assert [(one.name, one.changes) for one in plan.targets] == [
        (f"{FLASH}@b", ()),
        (f"{FLASH}@a", ("signatures",)),
        (f"{LITE}@a", ("model", "signatures")),
        (f"{LITE}@b", ("model", "signatures")),
    ]
    assert "away from" in plan.targets[1].why


def test_a_signed_conversation_stays_with_the_stand_in_that_signed() -> None:
    plan = held(Pin("thought signatures", "a", LITE, "signatures"))
    assert [(one.name, one.changes) for one in plan.targets][:2] == [
        (f"{LITE}@a", ("model",)),
        (f"{FLASH}@a", ("signatures",)),
    ]


def test_a_signed_conversation_does_not_leave_where_that_is_the_setting() -> None:
    assert named(held(SIGNED, book=routes(signatures="refuse"))) == [f"{FLASH}@b"]
    mine = Route(FLASH, signatures="refuse")
    assert named(held(SIGNED, book=routes(mine))) == [f"{FLASH}@b"]
    # The client changed the model by itself: its history goes as it is, to the same project.
    plan = held(Pin("thought signatures", "b", PRO, "signatures"), book=routes(signatures="refuse"))
    assert [(one.name, one.changes) for one in plan.targets] == [(f"{FLASH}@b", ())]


def test_a_signed_conversation_whose_model_was_changed_prefers_its_project() -> None:
    plan = held(Pin("thought signatures", "b", PRO, "signatures"))
    assert named(plan) == [f"{FLASH}@b", f"{FLASH}@a", f"{LITE}@b", f"{LITE}@a"]
    assert all("signatures" in one.changes for one in plan.targets)


def test_a_signed_conversation_with_a_file_of_another_project() -> None:
    plan = held(SIGNED, Pin("files/x", "a"))
    assert [(one.name, one.changes) for one in plan.targets] == [
        (f"{FLASH}@a", ("signatures",)),
        (f"{LITE}@a", ("model", "signatures")),
    ]
    refused = code(routes(signatures="refuse"), asks(pins=(SIGNED, Pin("files/x", "a"))))
    assert refused.code == "SIGNATURES_ELSEWHERE"


def test_signatures_of_nobody_known_go_to_the_first_as_they_are() -> None:
    plan = held(foreign=True)
    assert [bool(one.changes) for one in plan.targets] == [False, True, True, True]
    assert plan.targets[1].changes == ("signatures",)
    assert named(held(foreign=True, book=routes(signatures="refuse"))) == [f"{FLASH}@a"]
    assert held(Pin("thought signatures", hold="signatures")) == plan


# Laws, for any call and any configuration.

models = st.sampled_from(
    [card.id for card in CATALOG.cards] + ["gemini-flash-latest", "gemini-9", "mine", ""]
)
methods = st.sampled_from(
    [
        ("models.generateContent", "generate"),
        ("models.streamGenerateContent", "generate"),
        ("models.embedContent", "embed"),
        ("models.countTokens", "count"),
        ("cachedContents.create", "other"),
        ("interactions.create", "interaction"),
        ("openai.chat.completions", "openai"),
        ("openai.embeddings", "openai"),
        ("files.list", "other"),
    ]
)
conditions = st.builds(
    Conditions,
    methods=st.sampled_from([(), ("generate",), ("embed",), ("openai", "count")]),
    tools=st.sampled_from([None, True, False]),
    context=st.sampled_from([None, 1000, 300_000]),
    media=st.sampled_from([(), ("image",)]),
)
targets = st.builds(
    RouteTarget,
    model=models.filter(bool),
    projects=st.sampled_from([(), ("a",), ("c", "b"), ("gone",)]),
    weight=st.integers(0, 3),
    when=conditions,
)
configured = st.builds(
    Route,
    name=st.sampled_from(["mine", FLASH, PRO, EMBED]),
    targets=st.lists(targets, max_size=4).map(tuple),
    balance=st.sampled_from(routing.BALANCES),
    fallback=st.booleans(),
    when=conditions,
    signatures=st.sampled_from(["", *routing.SIGNATURES]),
)
books = st.builds(
    lambda rows, names, fallback, signatures: Routes(
        CATALOG, rows, [Project(name) for name in names], fallback, signatures
    ),
    st.lists(configured, max_size=3),
    st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]),
    st.booleans(),
    st.sampled_from(routing.SIGNATURES),
)
pins = st.builds(
    Pin,
    name=st.sampled_from(["files/x", "cachedContents/y", "interactions/z"]),
    project=st.sampled_from(["", "a", "b", "c"]),
    model=st.sampled_from(["", FLASH, LITE]),
    hold=st.sampled_from(["project", "strict", "signatures"]),
)
calls = st.builds(
    lambda model, method, rest: Wants(model, *method, **rest),
    models,
    methods,
    st.fixed_dictionaries(
        {
            "tokens": st.sampled_from([0, 999, 1000, 262_145, 300_000, 5_000_000]),
            "tools": st.booleans(),
            "media": st.sampled_from([(), ("image",), ("audio",)]),
            "thinking": st.sampled_from(["", "level:minimal", "budget:0"]),
            "penalties": st.booleans(),
            "forbids": st.booleans(),
            "project": st.sampled_from(["", "", "a", "b", "d"]),
            "foreign": st.booleans(),
            "names_model": st.sampled_from(["path", "body", ""]),
        }
    ),
)
chances = st.floats(0, 1, exclude_max=True)


def planned(book: Routes, wants: Wants, chance: float) -> Plan | None:
    try:
        return book.plan(wants, chance)
    except Refused as refused:
        found = refused
    assert (found.status, bool(found.hint)) == (400, True)
    return None


@given(books, calls, chances)
def test_no_plan_holds_a_target_that_may_not_serve(book: Routes, wants: Wants, chance: float) -> None:
    plan = planned(book, wants, chance)
    if plan is None:
        return
    assert plan.targets
    names = named(plan)
    assert len(set(names)) == len(names)
    asked = [one for one in plan.targets if one.model in (wants.model, "")]
    assert all(not set(one.changes) - {"signatures"} for one in asked)
    models_left = {one.model for one in plan.targets}
    for one in plan.targets:
        assert one.why
        assert not wants.project or one.project == wants.project
        card = CATALOG.card(one.model)
        if one.model and not plan.route and one.model != wants.model:
            assert not eligibility.unfit(card, wants)
        elif models_left != {wants.model}:
            assert not eligibility.too_long(card, wants)
    if wants.forbids or not eligibility.movable(wants):
        assert len(models_left) == 1
    if not plan.route and not wants.pins and wants.names_model and not eligibility.too_long(
        CATALOG.card(wants.model), wants
    ):  # fmt: skip
        assert plan.targets[0].model == wants.model


@given(books, calls, chances, st.lists(pins, min_size=1, max_size=3).map(tuple))
def test_what_is_pinned_stays(book: Routes, wants: Wants, chance: float, held_by: tuple[Pin, ...]) -> None:
    wants = msgspec.structs.replace(wants, pins=held_by)
    plan = planned(book, wants, chance)
    if plan is None:
        return
    firm = [pin for pin in held_by if pin.hold != "signatures"]
    owners = {pin.project for pin in firm} - {""}
    assert len(owners) < 2
    if owners:
        assert {one.project for one in plan.targets} == owners
        assert not plan.seek
    strict = [pin for pin in firm if pin.hold == "strict"]
    if strict:
        assert len({one.model for one in plan.targets}) == 1
        assert len(plan.targets) == 1 or plan.seek
    if plan.seek:
        assert len({one.model for one in plan.targets}) == 1
    signers = [pin for pin in held_by if pin.hold == "signatures" and pin.project]
    if signers:
        home = (signers[0].model, signers[0].project)
        for one in plan.targets:
            assert "signatures" not in one.changes or (one.model, one.project) != home


@given(books, st.lists(st.tuples(calls, chances), min_size=2, max_size=6))
def test_a_plan_does_not_depend_on_the_calls_before(book: Routes, asked: list[tuple[Wants, float]]) -> None:
    fresh = [planned(_copy(book), wants, chance) for wants, chance in asked]
    assert [planned(book, wants, chance) for wants, chance in asked] == fresh


@pytest.mark.parametrize(
    "change",
    [
        {"model": LITE},
        {"method": "models.embedContent", "reading": "embed"},
        {"tokens": 300_000},
        {"tools": True},
        {"media": ("image",)},
        {"thinking": "level:xhigh"},
        {"penalties": True},
        {"forbids": True},
        {"project": "b"},
        {"names_model": ""},
        {"pins": (Pin("files/x", "b"),)},
        {"foreign": True},
    ],
    ids=str,
)
def test_each_wish_is_heard_whatever_was_asked_before(change: dict[str, Any]) -> None:
    mine = (
        Route(FLASH, (RouteTarget(PRO),), when=Conditions(tools=True)),
        Route(FLASH, (RouteTarget(PRO),), when=Conditions(media=("image",))),
        Route(FLASH, (RouteTarget(PRO),), when=Conditions(context=300_000)),
    )
    book = routes(*mine)
    plain, other = asks(), asks(**change)
    before = book.plan(plain, 0.0)
    assert book.plan(other, 0.0) != before
    assert book.plan(other, 0.0) == routes(*mine).plan(other, 0.0)
    assert book.plan(plain, 0.0) == before


def _copy(book: Routes) -> Routes:
    rows = [route for named in book._routes.values() for route in named]
    projects = [Project(name) for name in book._projects]
    return Routes(CATALOG, rows, projects, book._fallback, book._signatures)


# In words.


def test_a_plan_in_words() -> None:
    plan = routes().plan(asks(thinking="level:minimal", penalties=False), 0.0)
    stands = {
        f"{FLASH}@a": Standing(12.3, "quota:rpm"),
        f"{FLASH}@b": Standing(),
        f"{LITE}@a": Standing(math.inf, "closed"),
        f"{LITE}@b": Standing(),
    }
    rows = routing.explain(plan, lambda target: stands[target.name])
    assert [(row.place, row.target, row.room, row.verdict) for row in rows] == [
        (1, f"{FLASH}@a", "in 13 s (requests per minute)", "is passed over"),
        (2, f"{FLASH}@b", "now", "is tried first"),
        (3, f"{LITE}@a", "never (Google refused it for long)", "is passed over"),
        (4, f"{LITE}@b", "now", "is tried when those before it fail"),
    ]
    assert rows[2].why == "the newest stable flash-lite (changes: model)"


def test_a_plan_without_room_in_words() -> None:
    plan = routes(fallback=False).plan(asks(), 0.0)
    waits = {"a": Standing(90000.0, "quota:rpd"), "b": Standing(7000.0, "queue")}
    rows = routing.explain(plan, lambda target: waits[target.project])
    assert [row.room for row in rows] == [
        "in 25 h (requests per day)",
        "in 117 min (others wait before it)",
        "",
    ]
    assert [row.verdict for row in rows] == [
        "is passed over",
        "is waited for, if the call's patience lasts",
        "is left out",
    ]
    assert (rows[2].place, rows[2].target, rows[2].why) == (0, LITE, "fallback is switched off")
    never = routing.explain(plan, lambda target: Standing(math.inf, "quota:rpd"))
    assert [row.verdict for row in never] == ["is passed over", "is passed over", "is left out"]


def test_a_plan_of_one() -> None:
    assert routing.plan_of_one("m", ("a", "b")).targets == (Target("m", "a", "the first configured project"),)
    assert routing.plan_of_one("m", ("a", "b"), "b").targets[0].name == "m@b"
    with pytest.raises(Refused, match="No project 'c'"):
        routing.plan_of_one("m", ("a", "b"), "c")
