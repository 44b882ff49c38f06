"""One simulator to ask straight, one behind a gateway; both for the whole session."""

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
