"""One simulator and one gateway for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.launch import Gateway
from tests.simulator.launch import Simulator

SHORT = """
[upstream]
base_url = "UPSTREAM"
first_byte_timeout = "3s"
stall_timeout = "1s"
"""
UNROUTED = """
[routing]
enabled = false
"""


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """An upstream whose clock runs fifty times as fast as ours."""
    with Simulator("--speed", "50", "--seed", "7") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Gateway]:
    """A gateway in front of it, with short timeouts; with routing off where the module says ``ROUTED = False``.

    A module whose tests let the one project fail in turn needs that: a breaker would carry over to the next test.
    """
    folder: Path = tmp_path_factory.mktemp("gateway")
    routed = getattr(request.module, "ROUTED", True)
    with Gateway(folder, simulator.url, SHORT + ("" if routed else UNROUTED)) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    """A plain HTTP client of the gateway."""
    with httpx.Client(base_url=gateway.url, timeout=20) as session:
        yield session
