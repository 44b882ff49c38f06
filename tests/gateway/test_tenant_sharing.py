"""What a key made stays its own, whatever is changed: who owns the key, and whether the keys of an owner share."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gemgate.store import keys
from gemgate.store.connection import visitor
from tests.gateway.keyed import add_key, put_key, token
from tests.gateway.launch import Gateway, until
from tests.simulator.launch import Simulator

MODEL = "gemini-3.8-flash"
OWNERS = {"day": "ann", "night": "ann", "bob": "bob", "lone": ""}
SHARE = '[access]\nshare = "{}"\n'


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """One project."""
    with Simulator("--instant") as running:
        yield running


class House:
    """A gateway with four keys and what each of them has made."""

    def __init__(self, gateway: Gateway, simulator: Simulator) -> None:
        self.gateway = gateway
        self.simulator = simulator
        self.made: dict[str, set[str]] = {name: set() for name in OWNERS}
        self.said: dict[str, str] = {}

    def client(self, key: str) -> httpx.Client:
        """One that sends this key."""
        return httpx.Client(base_url=self.gateway.url, timeout=30, headers={"x-goog-api-key": token(key)})

    def make(self, key: str) -> None:
        """The key makes a file and a conversation."""
        with self.client(key) as client:
            headers = {"content-type": "text/plain"}
            file = client.post("/upload/v1beta/files?uploadType=media", content=b"Night.", headers=headers)
            self.made[key].add(file.json()["file"]["name"])
            said = client.post("/v1beta/interactions", json={"model": MODEL, "input": "Hello"})
            self.said[key] = said.json()["id"]

    def share(self, what: str) -> None:
        """``access.share`` becomes another."""
        other = {"key": "owner", "owner": "key"}[what]
        text = self.gateway.config.read_text(encoding="utf-8")
        assert SHARE.format(other) in text
        self.gateway.config.write_text(
            text.replace(SHARE.format(other), SHARE.format(what)), encoding="utf-8"
        )
        self.gateway.process.send_signal(signal.SIGHUP)

    def give(self, key: str, owner: str) -> None:
        """The key gets another owner."""
        with contextlib.closing(visitor(self.gateway.data / "gemgate.db")) as conn:
            conn.execute("BEGIN IMMEDIATE")
            keys.change(conn, key, owner=owner)
            conn.keep()

    def files(self, key: str) -> set[str]:
        """What the key is shown when it lists files."""
        with self.client(key) as client:
            answer = client.get("/v1beta/files")
            assert answer.status_code == 200, answer.text
            return {file["name"] for file in answer.json().get("files", [])}

    def assert_seen(self, **seen: tuple[str, ...]) -> None:
        """Each key sees what these keys have made, in lists and by name, and nothing else."""
        whole = {key: set().union(*(self.made[one] for one in others)) for key, others in seen.items()}
        until(lambda: all(self.files(key) == names for key, names in whole.items()), f"{seen}")
        for key, others in seen.items():
            with self.client(key) as client:
                for one in OWNERS:
                    status = 200 if one in others else 404
                    for path in (*self.made[one], f"interactions/{self.said[one]}"):
                        self.simulator.clear()
                        answer = client.get(f"/v1beta/{path}")
                        assert answer.status_code == status, (key, one, answer.text)
                        assert bool(self.simulator.log()) is (status == 200)


def test_what_a_key_made_stays_its_own(simulator: Simulator, tmp_path: Path) -> None:
    with Gateway(tmp_path, simulator.url, SHARE.format("key")) as gateway:
        for name in ("night", "bob", "lone"):
            put_key(gateway, name, OWNERS[name])
        with add_key(gateway, "day", OWNERS["day"]):
            house = House(gateway, simulator)
        for name in OWNERS:
            house.make(name)
        apart = {name: (name,) for name in OWNERS}
        house.assert_seen(**apart)

        house.share("owner")
        together = {**apart, "day": ("day", "night"), "night": ("day", "night")}
        house.assert_seen(**together)
        house.make("day")  # what is made while keys share is the maker's all the same
        house.assert_seen(**together)
        house.share("key")
        house.assert_seen(**apart)

        house.share("owner")
        house.assert_seen(**together)
        house.give("day", "bob")
        house.assert_seen(day=("day", "bob"), night=("night",), bob=("day", "bob"), lone=("lone",))
        gateway.kill()
        gateway.start()
        house.assert_seen(day=("day", "bob"), night=("night",), bob=("day", "bob"), lone=("lone",))
        house.give("day", "")
        house.assert_seen(**apart)
        house.give("day", "ann")
        house.assert_seen(**together)

        owners = {row["tenant"] for row in gateway.rows("SELECT DISTINCT tenant FROM affinities")}
        assert {owner.partition(":")[0] for owner in owners if owner} == {"key"}
