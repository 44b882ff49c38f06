"""One simulator to ask straight, one behind a gateway.

Where only one side is asked, ids that count up get out of step: what compares them asks for ``twins`` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """The side that asks through the gateway."""
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("gateway"), simulator.url) as gateway,
    ):
        side = through(simulator, gateway)
        yield side
        side.close()


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Both sides, fresh: straight and through."""
    with (
        Simulator(*CLOCK) as one,
        Simulator(*CLOCK) as other,
        Gateway(tmp_path_factory.mktemp("twins"), other.url) as gateway,
    ):
        sides = straight(one), through(other, gateway)
        yield sides
        for side in sides:
            side.close()
