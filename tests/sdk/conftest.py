"""One simulator to ask straight, one behind a gateway.

A module whose tests mean one try at Google, and let the one project fail in turn, says ``ROUTED = False``: retries
would hide what they look at, and a breaker would carry over to the next test.
Where only one side is asked, ids that count up get out of step: what compares them asks for ``twins`` of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import UNROUTED
from tests.gateway.launch import Gateway
from tests.sdk.sides import CLOCK, Side, straight, through
from tests.simulator.launch import Simulator


@pytest.fixture(scope="session")
def plainly() -> Iterator[Side]:
    """The side that asks the simulator itself."""
    with Simulator(*CLOCK) as simulator:
        side = straight(simulator)
        yield side
        side.close()


@pytest.fixture(scope="session")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """The side that asks through a gateway as it comes."""
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("gateway"), simulator.url) as gateway,
    ):
        side = through(simulator, gateway)
        yield side
        side.close()


@pytest.fixture(scope="session")
def unrouted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """The side that asks through a gateway with routing off."""
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("unrouted"), simulator.url, UNROUTED) as gateway,
    ):
        side = through(simulator, gateway)
        yield side
        side.close()


@pytest.fixture(scope="module")
def proxied(request: pytest.FixtureRequest) -> Side:
    """The side that asks through the gateway."""
    side: Side = request.getfixturevalue("routed" if is_routed(request) else "unrouted")
    return side


@pytest.fixture(scope="module")
def twins(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Side, Side]]:
    """Both sides, fresh: straight and through."""
    with pair(tmp_path_factory.mktemp("twins"), "" if is_routed(request) else UNROUTED) as sides:
        yield sides


@pytest.fixture(scope="module")
def simple_twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """The same with routing off, whatever the module says."""
    with pair(tmp_path_factory.mktemp("simple-twins"), UNROUTED) as sides:
        yield sides


@contextlib.contextmanager
def pair(folder: Path, toml: str) -> Iterator[tuple[Side, Side]]:
    """Two sides of one pair of simulators."""
    with (
        Simulator(*CLOCK) as one,
        Simulator(*CLOCK) as other,
        Gateway(folder, other.url, toml) as gateway,
    ):
        sides = straight(one), through(other, gateway)
        yield sides
        for side in sides:
            side.close()


def is_routed(request: pytest.FixtureRequest) -> bool:
    """Whether the module's gateway has routing on, as it comes."""
    return getattr(request.module, "ROUTED", True)
