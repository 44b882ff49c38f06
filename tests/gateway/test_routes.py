"""Routes from outside: who serves a call, what the answer's headers say of it, and what stays where it was made."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from tests.gateway.launch import Gateway, until
from tests.simulator.launch import Simulator

ONE, TWO = "AIzaRoutesFirstProjectKey0000000000000a", "AIzaRoutesSecondProjectKey000000000000b"
SCRIPT = {
    "projects": [
        {"name": "one", "tier": "open", "keys": [ONE]},
        {"name": "two", "tier": "open", "keys": [TWO]},
    ]
}
PROJECTS = f"""
[[project]]
name = "one"
keys = ["{ONE}"]
spend = 1000000
[[project]]
name = "two"
keys = ["{TWO}"]
spend = 1000000
"""
ROUTES = """
[routing]
patience = "5 s"
[[route]]
name = "fast"
targets = ["gemini-3.8-flash", "gemini-3.5-flash-lite"]
[[route]]
name = "careful"
targets = ["gemini-3.8-flash@one", "gemini-3.6-flash@two"]
hold_back = 400
[[route]]
name = "narrow"
targets = ["gemini-3.8-flash@one"]
limits = { rpm = 2 }
patience = "1 s"
"""
ASK = {"contents": [{"role": "user", "parts": [{"text": "Tell me about harbours."}]}]}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Two projects without limits."""
    with Simulator("--instant", script=SCRIPT, folder=tmp_path_factory.mktemp("script")) as running:
        yield running


@pytest.fixture
def gateway(simulator: Simulator, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of its own for each test: what one test breaks must not be broken for the next."""
    simulator.set_faults()
    simulator.clear()
    with Gateway(tmp_path, simulator.url, ROUTES, projects=PROJECTS) as running:
        yield running
    simulator.set_faults()


def ask(gateway: Gateway, model: str, **headers: str) -> httpx.Response:
    """One unary call."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(
        f"{gateway.url}/v1beta/models/{model}:generateContent", json=ASK, headers=named, timeout=30
    )


def tried(simulator: Simulator) -> list[tuple[str, str]]:
    """Model and project of each generating call that the simulator saw."""
    return [(line["model"], line["project"]) for line in simulator.log() if ":" in line["path"]]


def test_a_route_s_name_is_a_model(gateway: Gateway, simulator: Simulator) -> None:
    answer = ask(gateway, "fast")
    assert answer.status_code == 200
    assert answer.headers["x-gemgate-model"] == "gemini-3.8-flash"
    assert answer.headers["x-gemgate-route"] == "fast"
    assert answer.headers["x-gemgate-attempts"] == "1"
    assert tried(simulator) == [("gemini-3.8-flash", "one")]
    assert gateway.call(answer)["route"] == "fast"


def test_a_broken_model_gives_way_and_the_answer_says_so(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults({"simulate": "overloaded", "model": "gemini-3.8-flash"})
    answer = ask(gateway, "fast")
    assert answer.status_code == 200
    assert answer.headers["x-gemgate-model"] == "gemini-3.5-flash-lite"
    assert answer.headers["x-gemgate-adapted"] == "model"
    assert answer.headers["x-gemgate-tries"].startswith("gemini-3.8-flash@one=overloaded")
    assert answer.headers["x-gemgate-tries"].endswith("=ok")
    rows = gateway.rows("SELECT count(*) AS n FROM attempts")
    assert int(answer.headers["x-gemgate-attempts"]) == rows[0]["n"] == len(tried(simulator))
    simulator.clear()
    assert ask(gateway, "fast").headers["x-gemgate-model"] == "gemini-3.5-flash-lite"
    assert ("gemini-3.8-flash", "two") not in tried(simulator)


def test_a_call_that_forbids_fallback_keeps_its_model(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults({"simulate": "quota_rpd_free", "model": "gemini-2.5-flash"})
    answer = ask(gateway, "gemini-2.5-flash", x_gemgate_fallback="off")
    assert answer.status_code == 429
    assert {model for model, _ in tried(simulator)} == {"gemini-2.5-flash"}
    assert {project for _, project in tried(simulator)} == {"one", "two"}
    assert (
        int(answer.headers["retry-after"]) > 60
    )  # midnight in California, not the seconds that Google names
    assert ask(gateway, "gemini-2.5-flash").status_code == 200


def test_a_header_that_says_nothing_is_refused(gateway: Gateway) -> None:
    for headers in (
        {"x_gemgate_fallback": "maybe"},
        {"x_gemgate_patience": "soon"},
        {"x_gemgate_patience": "nan"},
    ):
        answer = ask(gateway, "fast", **headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["reason"] == "BAD_HEADER"


def test_a_route_with_limits_of_its_own_waits_and_then_says_when(
    gateway: Gateway, simulator: Simulator
) -> None:
    assert [ask(gateway, "narrow").status_code for _ in range(2)] == [200, 200]
    answer = ask(gateway, "narrow")
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert error["details"][0]["reason"] == "NO_ROOM"
    assert "the route's own requests per minute are used up" in error["message"]
    assert 50 < int(answer.headers["retry-after"]) <= 62
    assert error["details"][1]["retryDelay"].startswith(tuple("56"))
    assert len(tried(simulator)) == 2
    assert ask(gateway, "gemini-3.8-flash").status_code == 200  # the model itself has room
    gateway.kill()
    gateway.start()
    again = ask(gateway, "narrow")
    assert again.status_code == 429
    assert abs(int(again.headers["retry-after"]) - int(answer.headers["retry-after"])) <= 10


def test_what_is_held_back_goes_another_way_unseen(gateway: Gateway, simulator: Simulator) -> None:
    simulator.set_faults({"simulate": "in-stream-error=2,events=40", "model": "gemini-3.8-flash"})
    path = ":streamGenerateContent?alt=sse"
    answer = httpx.post(f"{gateway.url}/v1beta/models/careful{path}", json=ASK, timeout=30)
    assert answer.status_code == 200
    assert '"error"' not in answer.text
    assert answer.headers["x-gemgate-model"] == "gemini-3.6-flash"
    plain = httpx.post(f"{gateway.url}/v1beta/models/gemini-3.8-flash@one{path}", json=ASK, timeout=30)
    assert plain.status_code == 404  # a target is no model that a client can name
    bare = httpx.post(
        f"{gateway.url}/v1beta/models/gemini-3.8-flash{path}",
        json=ASK,
        headers={"x-simulate": "in-stream-error=2,events=40"},
        timeout=30,
    )
    assert '"error"' in bare.text  # what is not held back is committed, and breaks in sight


@pytest.fixture
def client(gateway: Gateway) -> genai.Client:
    """Google's own SDK, pointed at the gateway."""
    return genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url))


def upload(gateway: Gateway, folder: Path, project: str) -> types.File:
    """A file made under a project."""
    path = folder / f"{project}.txt"
    path.write_text(f"A file of project {project}.")
    options = types.HttpOptions(base_url=gateway.url, headers={"x-gemgate-project": project})
    owner = genai.Client(api_key="any", http_options=options)  # it closes what it holds when it is collected
    return owner.files.upload(file=str(path))


def test_a_file_is_used_where_it_was_made_and_two_owners_are_refused(
    gateway: Gateway, simulator: Simulator, client: genai.Client, tmp_path: Path
) -> None:
    first = upload(gateway, tmp_path, "one")
    second = upload(gateway, tmp_path, "two")
    simulator.clear()
    said = client.models.generate_content(model="gemini-3.8-flash", contents=["Read it.", second])
    assert said.text
    assert tried(simulator) == [("gemini-3.8-flash", "two")]
    with pytest.raises(genai.errors.ClientError) as refused:
        client.models.generate_content(model="gemini-3.8-flash", contents=["Compare.", first, second])
    assert refused.value.code == 400
    assert str(first.name) in str(refused.value)
    assert str(second.name) in str(refused.value)


def test_owners_are_known_after_a_restart(gateway: Gateway, simulator: Simulator, tmp_path: Path) -> None:
    held = upload(gateway, tmp_path, "two")
    gateway.kill()
    gateway.start()
    again = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=gateway.url))
    simulator.clear()
    assert again.files.get(name=str(held.name)).name == held.name
    assert {line["project"] for line in simulator.log()} == {"two"}


def test_a_list_is_that_of_all_projects_page_by_page(
    gateway: Gateway, client: genai.Client, tmp_path: Path
) -> None:
    made = {str(upload(gateway, tmp_path, name).name) for name in ("one", "two", "one", "two", "one")}
    assert {str(file.name) for file in client.files.list()} >= made
    for size in (1, 2, 3, 50):
        names = [str(file.name) for file in client.files.list(config={"page_size": size})]
        assert set(names) >= made
        assert len(names) == len(set(names))
    alone = httpx.get(f"{gateway.url}/v1beta/files", headers={"x-gemgate-project": "two"}).json()["files"]
    assert len([file for file in alone if file["name"] in made]) == 2
    wrong = httpx.get(f"{gateway.url}/v1beta/files?pageToken=nonsense")
    assert wrong.status_code == 400
    assert wrong.json()["error"]["details"][0]["reason"] == "BAD_PAGE_TOKEN"


def signed(gateway: Gateway, model: str, project: str) -> list[dict[str, Any]]:
    """The turns of a conversation whose answer carries a thought signature."""
    url = f"{gateway.url}/v1beta/models/{model}:generateContent"
    answer = httpx.post(url, json=ASK, headers={"x-gemgate-project": project}, timeout=30)
    content = answer.json()["candidates"][0]["content"]
    assert "thoughtSignature" in json.dumps(content)
    return [*ASK["contents"], content, {"role": "user", "parts": [{"text": "Go on."}]}]


def test_a_signed_conversation_stays_where_it_was_signed(gateway: Gateway, simulator: Simulator) -> None:
    turns = signed(gateway, "gemini-3.8-flash", "two")
    until(lambda: bool(gateway.rows("SELECT 1 FROM affinities")), "the signature on record")
    gateway.kill()
    gateway.start()
    simulator.clear()
    url = f"{gateway.url}/v1beta/models/gemini-3.8-flash:generateContent"
    answer = httpx.post(url, json={"contents": turns}, timeout=30)
    assert answer.status_code == 200
    assert tried(simulator) == [("gemini-3.8-flash", "two")]
    assert "x-gemgate-adapted" not in answer.headers


def test_a_signed_conversation_that_must_leave_says_so(gateway: Gateway, simulator: Simulator) -> None:
    turns = signed(gateway, "gemini-3.8-flash", "two")
    simulator.set_faults({"simulate": "quota_rpd_free", "model": "gemini-3.8-flash"})
    url = f"{gateway.url}/v1beta/models/gemini-3.8-flash:generateContent"
    answer = httpx.post(url, json={"contents": turns}, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["x-gemgate-model"] == "gemini-3.5-flash-lite"
    assert "signatures" in answer.headers["x-gemgate-adapted"]


def test_a_client_that_changes_the_model_means_it(gateway: Gateway, simulator: Simulator) -> None:
    turns = signed(gateway, "gemini-3.8-flash", "two")
    simulator.clear()
    url = f"{gateway.url}/v1beta/models/gemini-3.6-flash:generateContent"
    answer = httpx.post(url, json={"contents": turns}, timeout=30)
    assert answer.status_code == 200
    assert tried(simulator) == [("gemini-3.6-flash", "two")]
    assert answer.headers["x-gemgate-adapted"] == "signatures"


def test_a_conversation_that_another_model_took_over_stays_with_it(
    gateway: Gateway, simulator: Simulator
) -> None:
    simulator.set_faults({"simulate": "overloaded", "model": "gemini-3.6-flash"})
    turns = signed(gateway, "gemini-3.6-flash", "two")
    (model, project) = tried(simulator)[-1]
    assert model != "gemini-3.6-flash"
    simulator.set_faults()
    for restart in (False, True):
        if restart:
            gateway.kill()
            gateway.start()
        simulator.clear()
        url = f"{gateway.url}/v1beta/models/gemini-3.6-flash:generateContent"
        assert httpx.post(url, json={"contents": turns}, timeout=30).status_code == 200
        assert tried(simulator) == [(model, project)]


def test_a_key_that_is_replaced_is_asked_at_once(simulator: Simulator, tmp_path: Path) -> None:
    project = f'[[project]]\nname = "one"\nkeys = ["{ONE}"]\n'
    with Gateway(tmp_path, simulator.url, "", projects=project) as gateway:
        simulator.set_faults({"simulate": "leaked-key"})
        assert ask(gateway, "gemini-3.8-flash").status_code == 403
        assert ask(gateway, "gemini-3.8-flash").status_code == 503
        simulator.set_faults()
        gateway.config.write_text(gateway.config.read_text().replace(ONE, TWO))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: ask(gateway, "gemini-3.8-flash").status_code == 200, "an answer with the new key")


def test_a_follow_up_of_an_interaction_goes_to_its_project(gateway: Gateway, simulator: Simulator) -> None:
    url = f"{gateway.url}/v1beta/interactions"
    body = {"model": "gemini-3.8-flash", "input": "Remember the harbour."}
    first = httpx.post(url, json=body, headers={"x-gemgate-project": "two"}, timeout=30).json()
    simulator.clear()
    simulator.set_faults({"simulate": "overloaded", "model": "gemini-3.8-flash", "first": 1})
    follow = {**body, "previous_interaction_id": first["id"]}
    answer = httpx.post(url, json=follow, timeout=30)
    assert answer.status_code == 200
    assert {line["project"] for line in simulator.log()} == {"two"}
    assert httpx.get(f"{url}/{first['id']}").json()["id"] == first["id"]


def test_an_unknown_thing_is_sought_on_every_project(gateway: Gateway, simulator: Simulator) -> None:
    made = httpx.post(
        f"{simulator.url}/v1beta/cachedContents",
        json={
            "model": "models/gemini-3.8-flash",
            "contents": [{"role": "user", "parts": [{"text": "word " * 9000}]}],
        },
        headers={"x-goog-api-key": TWO},
    ).json()
    simulator.clear()
    body = {**ASK, "cachedContent": made["name"]}
    path = "/v1beta/models/gemini-3.8-flash:generateContent"
    assert httpx.post(gateway.url + path, json=body, timeout=30).status_code == 200
    assert [project for _, project in tried(simulator)] == ["one", "two"]
    simulator.clear()
    answer = httpx.get(f"{gateway.url}/v1beta/{made['name']}")
    assert answer.status_code == 200
    assert [line["project"] for line in simulator.log()] == ["two"]
    simulator.clear()
    used = httpx.post(
        f"{gateway.url}/v1beta/models/gemini-3.8-flash:generateContent",
        json={**ASK, "cachedContent": made["name"]},
        timeout=30,
    )
    assert used.status_code == 200
    assert tried(simulator) == [("gemini-3.8-flash", "two")]
