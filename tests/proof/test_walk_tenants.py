"""What one key makes, another does not see: shown for every method of the inventory that names or lists a thing.

One key walks through all methods and makes a thing of every kind. Before each step another key, with the same
rights, asks the same with the same names: it finds nothing, and the upstream does not hear of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gemgate.core import access
from tests.gateway.keyed import token
from tests.gateway.launch import Gateway
from tests.proof.braked import key, put
from tests.sdk.inventory import RAW, STEPS, Step
from tests.sdk.sides import CLOCK
from tests.sdk.test_inventory import EARLIER, NOW, filled, found
from tests.simulator.launch import Simulator

RIGHTS = frozenset(access.RIGHTS) - {"shared"}
OPEN_LISTS = {"models.list", "openai.models.list"}
"""Lists of what is everybody's."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    """One project without limits, in which no time passes by itself."""
    with Simulator(*CLOCK) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with two keys that have every right but that to what others made."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    put(folder / "data", [key("ann", rights=RIGHTS), key("bob", rights=RIGHTS)])
    with Gateway(folder, upstream.url) as running:
        yield running


def ask(client: httpx.Client, upstream: Simulator, step: Step, kept: dict[str, str]) -> httpx.Response:
    """Take one step."""
    more: dict[str, Any] = {}
    if step.raw:
        more = {"headers": RAW | {"content-type": "text/plain"}, "content": step.body}
    elif step.body is not None:
        more = {"json": filled(step.body, kept)}
    upstream.set_clock(EARLIER if step.early else NOW)
    answer = client.request(step.verb, filled(step.path, kept), **more)
    upstream.set_clock(NOW)
    return answer


def names_a_thing(step: Step) -> bool:
    """Whether path or body name something that a step before has made."""
    names = set(re.findall(r"\{(\w+)\}", step.path + json.dumps(step.body)))
    return bool(names - {"v"}) or "tuned-{v}" in step.path.partition("?")[0]


def ids(value: Any) -> set[str]:
    """The last segments of all names and ids in an answer."""
    if isinstance(value, dict):
        own = {str(value[name]).rpartition("/")[2] for name in ("name", "id") if name in value}
        return own.union(*(ids(one) for one in value.values()))
    return set().union(*(ids(one) for one in value)) if isinstance(value, list) else set()


def test_a_key_sees_nothing_of_what_another_made(gateway: Gateway, upstream: Simulator) -> None:
    kept = {"v": "v1beta"}
    unseen: set[str] = set()
    looked: set[str] = set()
    with (
        httpx.Client(base_url=gateway.url, headers={"x-goog-api-key": token("ann")}, timeout=30) as ann,
        httpx.Client(base_url=gateway.url, headers={"x-goog-api-key": token("bob")}, timeout=30) as bob,
    ):
        for step in STEPS:
            if names_a_thing(step):
                heard = upstream.state()["requests"]
                answer = ask(bob, upstream, step, kept)
                assert answer.status_code == 404, (step, answer.text)
                assert "THING_NOT_FOUND" in answer.text, (step, answer.text)
                assert upstream.state()["requests"] == heard, step
                unseen.add(step.method)
            elif step.method.endswith(".list") and step.method not in OPEN_LISTS:
                answer = ask(bob, upstream, step, kept)
                assert answer.status_code == 200, (step, answer.text)
                assert not ids(answer.json()) & set(kept.values()), step
                looked.add(step.method)
            answer = ask(ann, upstream, step, kept)
            assert answer.status_code == step.status, (step, answer.text)
            for name, place in step.keep.items():
                kept[name] = found(answer.json(), place)
    assert len(unseen) > 50
    assert len(looked) > 8
