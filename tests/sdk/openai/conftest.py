"""A simulator behind a gateway, and OpenAI's own client in front of it, at both of the door's addresses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.gateway.conftest import UNROUTED
from tests.gateway.launch import Gateway
from tests.sdk.openai.asking import Stage
from tests.sdk.sides import CLIENT_KEY, CLOCK
from tests.simulator.launch import Simulator

ROOTS = ("/openai/v1", "/v1")
ROUTE = """
[[route]]
name = "fast"
targets = ["gemini-3.8-flash", "gemini-3.6-flash"]
"""


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway as it comes, with one route of its own."""
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("openai"), simulator.url, ROUTE) as gateway,
    ):
        yield Stage(simulator, gateway)


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway with routing off: what one fault says of the one project does not weigh on the next test."""
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("faulty"), simulator.url, UNROUTED) as gateway,
    ):
        yield Stage(simulator, gateway)


@pytest.fixture(scope="session", params=ROOTS, ids=["own", "shared"])
def client(stage: Stage, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """OpenAI's client with nothing changed but base URL and key."""
    with OpenAI(base_url=stage.gateway.url + request.param, api_key=CLIENT_KEY) as made:
        yield made


@pytest.fixture(params=ROOTS, ids=["own", "shared"])
def once(faulty: Stage, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    """A client of the gateway without routing that asks once."""
    url = faulty.gateway.url + request.param
    with OpenAI(base_url=url, api_key=CLIENT_KEY, max_retries=0) as made:
        yield made
