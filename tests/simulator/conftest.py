"""One instant simulator for all tests of this folder that need no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulator.launch import Simulator


@pytest.fixture(scope="session")
def upstream() -> Iterator[Simulator]:
    with Simulator("--instant", "--now", "2026-11-23T20:00:00Z") as simulator:
        yield simulator
