"""`gemgate serve` with everything: gateway, console and the simulator as upstream."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from served import Served, ended, get, served

from gemgate.app.child import ready_port
from gemgate.app.plan import STEADY, banner, pause, roles
from gemgate.config import Project, Secret, Settings, Upstream

FREE = ("--gateway-port", "0", "--console-port", "0")
KEY = "AIzaPlantedForTheProcessTest"


def call(one: Served) -> int:
    """The status of a real call through the gateway."""
    return get(one.running()["gateway"]["url"] + "/v1beta/models", {"x-goog-api-key": "any"})[0]


def pids(one: Served) -> list[int]:
    """The children's, as the kernel lists them."""
    text = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text("ascii")
    return [int(word) for word in text.split()]


def test_without_a_key_the_simulator_answers_and_is_named_loudly(tmp_path: Path) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        assert "THE SIMULATOR, NOT GOOGLE" in one.lines[2]
        assert one.running()["upstream"] == one.running()["simulator"]["url"]
        assert call(one) == 200
        assert f"GOOGLE_GEMINI_BASE_URL={one.running()['gateway']['url']}" in one.lines[4]


@pytest.mark.parametrize("name", ["gateway", "simulator"])
def test_a_killed_process_comes_back_where_it_was(tmp_path: Path, name: str) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        before = one.running()[name]
        os.kill(before["pid"], signal.SIGKILL)
        one.until(f"{name} runs again")
        after = one.running()[name]
        assert (after["url"], after["pid"] != before["pid"]) == (before["url"], True)
        assert call(one) == 200


def test_every_child_ends_with_a_killed_supervisor(tmp_path: Path) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        children = pids(one)
        assert len(children) >= 2
        one.signal(signal.SIGKILL)
        for child in children:
            ended(child)


def test_a_new_supervisor_follows_a_killed_one_on_the_same_port(tmp_path: Path) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        port = str(one.running()["gateway"]["port"])
        one.signal(signal.SIGKILL)
    with served(tmp_path, "--gateway-port", port, "--console-port", "0") as one:
        one.until("use it")
        assert call(one) == 200


def test_a_drained_stop_ends_every_process(tmp_path: Path) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        children = pids(one)
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        for child in children:
            ended(child)
        assert not (one.data / "run.json").exists()


def test_a_reload_takes_what_holds_and_a_key_is_in_no_argument(tmp_path: Path) -> None:
    path = tmp_path / "gemgate.toml"
    text = f'[[project]]\nname = "a"\nkeys = ["{KEY}"]\n[upstream]\nbase_url = "http://127.0.0.1:9"\n'
    path.write_text(text, "utf-8")
    with served(tmp_path, *FREE, "--only", "gateway", "--config", str(path)) as one:
        one.until("use it")
        assert "1 key of a" in one.lines[2]
        for child in pids(one):
            assert KEY not in Path(f"/proc/{child}/cmdline").read_text("utf-8")
        path.write_text(text + "stall_timeout = 7\n", "utf-8")
        one.until("is reloaded")
        path.write_text(text + "demo = 1\n", "utf-8")
        one.until("is not used")
        one.signal(signal.SIGHUP)
        one.until("is not used")
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        assert KEY not in "\n".join(one.lines)


def test_a_first_configuration_is_noticed_while_the_simulator_runs(tmp_path: Path) -> None:
    with served(tmp_path, *FREE) as one:
        one.until("use it")
        fresh = one.data / "gemgate.toml.new"
        fresh.write_text("[upstream]\nstall_timeout = 9\n", "utf-8")
        fresh.rename(one.data / "gemgate.toml")
        one.until("is reloaded")
        fresh.write_text(f'[[project]]\nname = "a"\nkey = "{KEY}"\n', "utf-8")
        fresh.rename(one.data / "gemgate.toml")
        assert KEY not in one.until("restart `gemgate serve`")
        assert call(one) == 200


def test_a_clients_own_key_never_meets_the_simulator(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, upstream=Upstream(credentials="client"))
    found = roles(settings, ["gateway", "console"], 1)
    assert list(found) == ["gateway", "console"]
    assert "--demo-key" not in found["gateway"].arguments
    assert "each client's own key" in banner(settings, found, "0")[2]
    assert "your own API key)" in banner(settings, found, "0")[4]
    assert "and a virtual key as x-gemgate-key" in banner(settings, found, "0", keyed=True)[4]
    with served(tmp_path, "--demo", env={"GEMGATE_UPSTREAM_CREDENTIALS": "client"}) as one:
        assert one.wait() == 1
        assert "demo" in one.lines[-1]


def test_the_banner_counts_keys_and_shows_none(tmp_path: Path) -> None:
    projects = (
        Project("a", "free", (Secret(KEY), Secret(KEY + "2"))),
        Project("b", "tier1", (Secret(KEY + "3"),)),
    )
    settings = Settings(data=tmp_path, projects=projects)
    lines = banner(settings, roles(settings, ["gateway"], 0), "0")
    assert "3 keys of a, b" in lines[2]
    assert KEY not in "".join(lines)


def test_pauses_between_starts_grow_to_a_bound() -> None:
    pauses = [pause(deaths) for deaths in range(1, 40)]
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < 1
    assert pauses[-1] == pauses[-2] < STEADY


@pytest.mark.parametrize(
    ("line", "port"),
    [
        ('{"ready": true, "port": 8080}', 8080),
        ("listening on http://127.0.0.1:4711", 4711),
        ('{"ready": false, "port": 1}', None),
        ('{"ready": true}', None),
        ("[1]", None),
        ("", None),
        ("listening to music", None),
    ],
)
def test_a_ready_line_is_told_from_any_other(line: str, port: int | None) -> None:
    assert ready_port(line) == port
