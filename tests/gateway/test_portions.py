"""More texts than Google takes at once: one call of the client's, several tries, one row, and one answer or none.

The gateway and the simulator share a clock that runs sixty times as fast as ours.
"""

from __future__ import annotations

import base64
import struct
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import APIStatusError, BadRequestError, OpenAI, OpenAIError

from gemini_simulator.embeddings import vector
from tests.gateway.launch import Gateway, until
from tests.proof import braked, stage
from tests.proof.stage import Clock, Project
from tests.simulator.launch import Simulator

COUNTED, UNCOUNTED = "gemini-embedding-2", "gemini-embedding-001"
PROJECT = Project("one", {UNCOUNTED: {"rpm": 3}})
PATIENT = '[routing]\npatience = "30s"\nmax_patience = "600s"\n'
TEXTS = [f"text number {at}" for at in range(250)]
SIZE = 4
TOKENS = 1_100  # the first guess of 250 texts is more, and Google's count is less

ROW = "SELECT l.*, c.input, c.billed_nano FROM call_log AS l JOIN calls AS c ON c.seq = l.seq"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with stage.simulator(tmp_path_factory.mktemp("simulator"), [PROJECT]) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    rows = [("all tokens", 10**9, ""), ("tag tokens", TOKENS, "narrow"), ("far too small", 100, "tiny")]
    limits = [
        braked.budget(name, amount, unit="tokens", scope="tag" if of else "all", of=of)
        for name, amount, of in rows
    ]
    braked.put(folder / "data", [], [*limits, braked.budget("money", 10**12)])
    clock = Clock(60)
    with stage.gateway(folder, upstream, [PROJECT], PATIENT, clock=clock) as running:
        clock.set(upstream)
        yield running


@pytest.fixture
def client(gateway: Gateway, upstream: Simulator) -> Iterator[OpenAI]:
    upstream.set_faults()
    upstream.clear()
    with OpenAI(base_url=gateway.url + "/openai/v1", api_key="none", max_retries=0, timeout=60) as made:
        yield made


def embed(client: OpenAI, model: str = COUNTED, texts: list[str] = TEXTS, **more: Any) -> Any:
    return client.embeddings.with_raw_response.create(model=model, input=texts, dimensions=SIZE, **more)


def tries(gateway: Gateway, call_id: str) -> list[dict[str, Any]]:
    number = row(gateway, call_id)["seq"]
    return gateway.rows(stage.TRIES + " WHERE c.seq = ? ORDER BY a.number", number)


def row(gateway: Gateway, call_id: str) -> dict[str, Any]:
    (found,) = gateway.rows(ROW + " WHERE l.call_id = ?", call_id)
    return found


def moved(gateway: Gateway, before: dict[str, int]) -> dict[str, int]:
    """What has been charged to budgets since."""
    after = braked.spent(gateway)
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


@pytest.mark.parametrize("form", ["float", "base64"])
def test_every_text_has_its_vector_in_order(client: OpenAI, form: str) -> None:
    answer = embed(client, encoding_format=form).parse()
    assert [one.index for one in answer.data] == list(range(250))
    vectors = [one.embedding for one in answer.data]
    if form == "base64":
        vectors = [list(struct.unpack(f"<{SIZE}f", base64.b64decode(one))) for one in vectors]
    for text, found in zip(TEXTS, vectors, strict=True):
        assert found == pytest.approx(vector(text, SIZE), abs=1e-6)


def test_it_is_one_call_whose_tries_are_counted_priced_and_charged(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    before = braked.spent(gateway)
    raw = embed(client)
    call_id = raw.headers["x-gemgate-call"]
    whole, parts = row(gateway, call_id), tries(gateway, call_id)
    assert (whole["outcome"], whole["attempts"], raw.headers["x-gemgate-attempts"]) == ("ok", 3, "3")
    assert [part["verdict"] for part in parts] == ["ok"] * 3
    assert not any(part["estimated"] for part in parts)
    lines = upstream.log()
    assert [line["status"] for line in lines] == [200] * 3
    used = raw.parse().usage.total_tokens
    assert used == whole["input"] == sum(part["tokens"] for part in parts)
    assert all(part["tokens"] and part["list_nano"] for part in parts)
    assert whole["billed_nano"] == sum(part["list_nano"] for part in parts)
    assert moved(gateway, before) == {"all tokens": used, "money": whole["billed_nano"]}


def test_portions_wait_for_room_and_are_estimated_each_by_itself(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    # Four requests of a model that takes three a minute; Google does not count their tokens.
    texts = ["a text of some length"] * 350
    raw = embed(client, UNCOUNTED, texts, extra_headers={"x-gemgate-patience": "120"})
    call_id = raw.headers["x-gemgate-call"]
    parts = tries(gateway, call_id)
    assert [part["verdict"] for part in parts] == ["ok"] * 4
    assert [line["status"] for line in upstream.log()] == [200] * 4  # none was sent to be refused
    assert parts[3]["sent_at"] - parts[0]["sent_at"] >= 60_000_000
    assert parts[3]["waited"] > 0
    assert all(part["estimated"] for part in parts)
    first, *others, last = (part["tokens"] for part in parts)
    assert all(abs(first - other) <= 1 for other in others)
    assert abs(first - 2 * last) <= 10
    assert row(gateway, call_id)["input"] == sum(part["tokens"] for part in parts)


def test_a_passing_fault_of_a_portion_is_not_seen(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    upstream.set_faults({"simulate": "overloaded", "nth": 2})
    raw = embed(client, encoding_format="float")
    assert len(raw.parse().data) == 250
    assert raw.parse().data[249].embedding == pytest.approx(vector(TEXTS[249], SIZE), abs=1e-6)
    found = [part["status"] for part in tries(gateway, raw.headers["x-gemgate-call"])]
    assert found == [200, 503, 200, 200]


def test_the_time_of_good_answers_takes_nothing_of_the_patience(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    slow = {"simulate": "slow=25", "nth": [1, 2]}
    upstream.set_faults(slow, {"simulate": "overloaded", "nth": 3})
    raw = embed(client)
    parts = tries(gateway, raw.headers["x-gemgate-call"])
    assert [part["status"] for part in parts] == [200, 200, 503, 200]
    assert parts[3]["sent_at"] - parts[0]["sent_at"] > 50_000_000  # longer than the patience


def test_a_portion_that_fails_for_good_fails_the_call_and_ends_it(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    before = braked.spent(gateway)
    upstream.set_faults({"simulate": "context_overflow", "nth": 2})
    with pytest.raises(BadRequestError, match="input token count exceeds") as caught:
        embed(client)
    call_id = caught.value.response.headers["x-gemgate-call"]
    whole, parts = row(gateway, call_id), tries(gateway, call_id)
    assert [part["status"] for part in parts] == [200, 400]
    assert len(upstream.log()) == 2
    assert (whole["status"], whole["outcome"] != "ok") == (400, True)
    # What Google answered is paid for.
    assert whole["input"] == parts[0]["tokens"] > 0
    assert moved(gateway, before)["all tokens"] == parts[0]["tokens"]


def test_a_budget_takes_the_whole_call_or_none_of_it(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    with pytest.raises(APIStatusError) as caught:
        embed(client, extra_headers={"x-gemgate-tags": "tiny"})
    assert (caught.value.status_code, caught.value.code) == (402, "budget_spent")
    assert upstream.log() == []
    before = braked.spent(gateway)
    used = embed(client, extra_headers={"x-gemgate-tags": "narrow"}).parse().usage.total_tokens
    assert moved(gateway, before)["tag tokens"] == used
    assert len(upstream.log()) == 3


def test_what_is_answered_before_a_crash_counts_as_answered(
    client: OpenAI, gateway: Gateway, upstream: Simulator
) -> None:
    before = braked.spent(gateway)
    upstream.set_faults({"simulate": "slow=3000", "nth": 2})

    def ask() -> None:
        with pytest.raises((OpenAIError, httpx.HTTPError)):
            embed(client)

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: len(gateway.rows("SELECT 1 FROM open_calls")) == 2, "a second portion")
    held = braked.held(gateway)
    gateway.kill()
    asking.join()
    upstream.set_faults()
    gateway.start()
    until(lambda: not gateway.rows("SELECT 1 FROM open_calls"), "the end of what was left open")
    (whole,) = gateway.rows(ROW + " ORDER BY l.seq DESC LIMIT 1")
    parts = gateway.rows(stage.TRIES + " WHERE c.seq = ? ORDER BY a.number", whole["seq"])
    assert whole["outcome"] == "interrupted"
    assert [(part["verdict"], part["estimated"]) for part in parts] == [("ok", 0), ("cut", 1)]
    assert 0 < parts[1]["tokens"] < whole["input"]
    assert moved(gateway, before)["all tokens"] == held["all tokens"]
