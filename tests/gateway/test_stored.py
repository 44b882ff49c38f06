"""What the API stores is in force in a gateway that runs, and at its next start: routes, limits, prices, pauses."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from flask.testing import FlaskClient

from gemgate.api.app import build
from gemgate.config import Routing, Settings, load
from gemgate.config.book import load_book
from gemgate.core.call import mint
from gemgate.core.catalog import Catalog
from gemgate.core.errors import Refused
from gemgate.core.quota import Limits
from gemgate.core.routing import Target
from gemgate.gateway import process, stored
from gemgate.gateway.board import PAUSED, Board, Sight
from gemgate.gateway.brakes import Brakes
from gemgate.gateway.clock import Clock
from gemgate.gateway.desk import Desk
from gemgate.gateway.inforce import InForce
from gemgate.gateway.payloads import Payloads
from gemgate.gateway.snapshot import DEMO
from gemgate.gateway.stored import Configured, Stored
from gemgate.gateway.ticket import Ticket
from gemgate.store import boots, prices, stored_limits, stored_prices, stored_routes
from gemgate.store.connection import Connection, reader, visitor
from gemgate.store.database import FILE, Database
from tests.gateway.launch import Gateway, empty, until
from tests.simulator.launch import Simulator

ONE, TWO = "AIzaStoredFirstProjectKey0000000000000a", "AIzaStoredSecondProjectKey000000000000b"
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
TOML = """
[routing]
patience = "1 s"
[[route]]
name = "filed"
targets = ["gemini-3.8-flash@one"]
"""
FLASH, LITE = "gemini-3.8-flash", "gemini-3.5-flash-lite"
PRICE = {"model": LITE, "tier": "standard", "from": "2026-01-01", "input": 10**12, "output": 2 * 10**12}
ASK = {"contents": [{"role": "user", "parts": [{"text": "Tell me about harbours."}]}]}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Two projects without limits."""
    with Simulator("--instant", script=SCRIPT, folder=tmp_path_factory.mktemp("script")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all of them; its record is proven at the end."""
    with Gateway(tmp_path_factory.mktemp("gateway"), simulator.url, TOML, projects=PROJECTS) as running:
        yield running


@pytest.fixture(scope="module")
def console(gateway: Gateway) -> FlaskClient:
    """The console on the same folder."""
    return build(load(gateway.config, {}, {"data": gateway.data})).test_client()


def ask(gateway: Gateway, model: str, **headers: str) -> httpx.Response:
    """One unary call."""
    url = f"{gateway.url}/v1beta/models/{model}:generateContent"
    return httpx.post(url, json=ASK, headers=headers, timeout=30)


def done(answer: Any, status: int = 200) -> Any:
    """The JSON of an answer of the console."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_json()


def make(console: FlaskClient, name: str, **body: Any) -> None:
    done(console.post("/api/v1/routes", json={"name": name, **body}), 201)


def write(gateway: Gateway, work: Callable[[Connection], object]) -> None:
    """Write as the console does."""
    with contextlib.closing(visitor(gateway.data / "gemgate.db")) as conn:
        conn.execute("BEGIN IMMEDIATE")
        work(conn)
        conn.keep()


def healthz(gateway: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{gateway.url}/healthz").json()
    return found


def test_a_route_serves_calls_from_when_it_is_made_until_it_is_deleted(
    gateway: Gateway, console: FlaskClient
) -> None:
    assert ask(gateway, "brief").status_code == 404
    make(console, "brief", targets=[f"{LITE}@two"])
    until(lambda: ask(gateway, "brief").status_code == 200, "a call by the route")
    answer = ask(gateway, "brief")
    assert (answer.headers["x-gemgate-route"], answer.headers["x-gemgate-model"]) == ("brief", LITE)
    row = gateway.call(answer)
    assert (row["route"], row["project"]) == ("brief", "two")
    done(console.put("/api/v1/routes/brief", json={"targets": [f"{FLASH}@one"]}))
    until(lambda: ask(gateway, "brief").headers.get("x-gemgate-model") == FLASH, "the other target")
    done(console.delete("/api/v1/routes/brief"))
    until(lambda: ask(gateway, "brief").status_code == 404, "the end of the route")


def test_a_route_s_own_limit_bites(gateway: Gateway, console: FlaskClient) -> None:
    make(console, "narrow", targets=[LITE], limits={"rpm": 1}, patience=0.5)
    until(lambda: ask(gateway, "narrow").status_code == 200, "the route")
    answer = ask(gateway, "narrow")
    assert answer.status_code == 429
    assert "the route's own requests per minute" in answer.json()["error"]["message"]
    done(console.delete("/api/v1/routes/narrow"))


def test_a_stored_limit_of_a_project_bites_and_heals(gateway: Gateway, console: FlaskClient) -> None:
    place = ("one", "gemini-2.5-pro")
    write(gateway, lambda conn: stored_limits.put(conn, place, Limits(rpm=0), 1))

    def refused() -> bool:
        answer = ask(gateway, place[1], **{"x-gemgate-project": "one", "x-gemgate-fallback": "off"})
        return answer.status_code == 429

    until(refused, "the limit")
    found = done(console.get(f"/api/v1/routes/{place[1]}/outlook?project=one&fallback=false"))
    assert [(one["project"], one["at"], one["bar"]) for one in found["targets"]] == [
        ("one", None, "quota:rpm")
    ]
    (window,) = [one for one in found["targets"][0]["windows"] if one["window"] == "rpm"]
    assert (window["limit"], window["source"]) == (0, "stored")
    limits = done(console.get("/api/v1/projects/one"))["limits"]
    assert [(one["model"], one["source"], one["rpm"]) for one in limits] == [(place[1], "stored", 0)]
    write(gateway, lambda conn: stored_limits.remove(conn, place))
    until(lambda: not refused(), "room again")


def priced(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    """The one try of a call, with the name of the price row that priced it."""
    (row,) = gateway.rows(
        "SELECT a.input, a.output + a.thoughts AS said, a.list_nano, p.name FROM attempts AS a"
        " JOIN calls AS c ON c.seq = a.call_seq LEFT JOIN prices AS p ON p.id = a.price_id WHERE c.seq = ?",
        gateway.call(answer)["seq"],
    )
    return row


def test_a_stored_price_prices_the_next_call_and_is_on_record_before(gateway: Gateway) -> None:
    before = priced(gateway, ask(gateway, LITE))["name"]
    write(gateway, lambda conn: stored_prices.add(conn, PRICE, 1))
    seen: list[dict[str, Any]] = []

    def dearer() -> bool:
        seen.append(priced(gateway, ask(gateway, LITE)))
        return bool(seen[-1]["name"] == "stored/1")

    until(dearer, "a call at the new price")
    last = seen[-1]
    assert last["list_nano"] == 10**6 * (last["input"] + 2 * last["said"])
    assert {one["name"] for one in seen[:-1]} <= {before}  # never without a price
    write(gateway, lambda conn: stored_prices.remove(conn, 1))
    until(lambda: priced(gateway, ask(gateway, LITE))["name"] == before, "the old price")


def test_a_paused_project_gets_no_tries(gateway: Gateway, console: FlaskClient, simulator: Simulator) -> None:
    assert done(console.post("/api/v1/projects/one/pause"))["state"] == "paused"
    until(lambda: healthz(gateway)["paused"] == ["one"], "the pause")
    simulator.clear()
    answer = ask(gateway, FLASH)
    assert answer.status_code == 200
    assert gateway.call(answer)["project"] == "two"
    answer = ask(gateway, "filed")  # its only target is there
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["details"][0]["reason"] == "NO_TARGET"
    assert "an administrator has paused its project" in error["message"]
    assert {line["project"] for line in simulator.log() if ":" in line["path"]} == {"two"}
    assert done(console.get("/api/v1/quotas"))["paused"] == ["one"]
    outlook = done(console.get("/api/v1/routes/filed/outlook"))
    assert outlook["sentence"].endswith("every project that it may go to is paused.")
    assert done(console.post("/api/v1/projects/one/resume"))["state"] == "ready"
    until(lambda: ask(gateway, "filed").status_code == 200, "the end of the pause")


def test_a_call_under_way_keeps_its_plan_but_starts_no_try_on_a_paused_project(
    gateway: Gateway, console: FlaskClient
) -> None:
    make(console, "pair", targets=[f"{FLASH}@one", f"{LITE}@two"])
    write(gateway, lambda conn: stored_prices.add(conn, PRICE, 1))
    until(lambda: ask(gateway, "pair").headers.get("x-gemgate-model") == FLASH, "the route")
    until(lambda: priced(gateway, ask(gateway, LITE))["name"] == "stored/2", "the price")
    body = json.dumps(ASK).encode()
    link = http.client.HTTPConnection("127.0.0.1", int(gateway.url.rpartition(":")[2]), timeout=30)
    with contextlib.closing(link):
        link.putrequest("POST", "/v1beta/models/pair:generateContent")
        link.putheader("content-type", "application/json")
        link.putheader("content-length", str(len(body)))
        link.endheaders(body[:10])
        until(lambda: healthz(gateway)["calls_under_way"] == 1, "the call")
        done(console.delete("/api/v1/routes/pair"))
        done(console.post("/api/v1/projects/one/pause"))
        write(gateway, lambda conn: stored_prices.remove(conn, 2))
        until(lambda: ask(gateway, "pair").status_code == 404, "the end of the route")
        until(lambda: priced(gateway, ask(gateway, LITE))["name"] != "stored/2", "the end of the price")
        until(lambda: healthz(gateway)["paused"] == ["one"], "the pause")
        link.send(body[10:])
        answer = link.getresponse()
        assert (answer.status, answer.headers["x-gemgate-model"]) == (200, LITE)
        assert answer.headers["x-gemgate-route"] == "pair"
        answer.read()
    (row,) = gateway.rows(
        "SELECT p.name FROM attempts AS a JOIN calls AS c ON c.seq = a.call_seq LEFT JOIN prices AS p"
        " ON p.id = a.price_id JOIN routes AS r ON r.id = c.route_id WHERE r.name = 'pair'"
        " ORDER BY a.seq DESC LIMIT 1"
    )
    assert row["name"] == "stored/2"  # that which was in force as it came
    done(console.post("/api/v1/projects/one/resume"))
    until(lambda: healthz(gateway)["paused"] == [], "the end of the pause")


def test_what_cannot_be_meant_is_left_out_and_named(gateway: Gateway, console: FlaskClient) -> None:
    write(gateway, lambda conn: stored_routes.create(conn, "lost", {"targets": [f"{FLASH}@gone"]}, 1))
    until(lambda: healthz(gateway)["left_out"] == ["route lost"], "the word of it")
    assert (
        "the stored route lost cannot be meant and is left out: targets[0]: Expected a project" in gateway.log
    )
    assert ask(gateway, "filed").status_code == 200
    (shown,) = done(console.get("/api/v1/routes/lost"))["routes"]
    assert (shown["in_force"], shown["targets"]) == (False, [])
    assert shown["wrong"].startswith("targets[0]: Expected a project that is configured")
    done(console.delete("/api/v1/routes/lost"))
    until(lambda: healthz(gateway)["left_out"] == [], "its end")


def test_a_reload_of_the_file_and_a_new_start_keep_what_is_stored(
    gateway: Gateway, console: FlaskClient
) -> None:
    make(console, "kept", targets=[f"{LITE}@two"])
    make(console, "both", targets=[f"{LITE}@two"])
    done(console.post("/api/v1/projects/one/pause"))
    until(lambda: ask(gateway, "both").status_code == 200 and healthz(gateway)["paused"] == ["one"], "both")
    gateway.config.write_text(
        f'[[route]]\nname = "both"\ntargets = ["{FLASH}@two"]\n' + gateway.config.read_text()
    )
    gateway.process.send_signal(signal.SIGHUP)
    until(
        lambda: ask(gateway, "both").headers.get("x-gemgate-model") == FLASH, "the file's route of that name"
    )
    assert healthz(gateway)["left_out"] == ["route both"]
    assert ask(gateway, "kept").headers["x-gemgate-model"] == LITE
    assert ask(gateway, "filed").status_code == 503
    assert gateway.stop() == 0
    gateway.start()
    assert ask(gateway, "kept").headers["x-gemgate-model"] == LITE  # the very first call
    assert ask(gateway, "filed").status_code == 503
    assert healthz(gateway)["paused"] == ["one"]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_pause_holds_whether_or_not_calls_are_routed(tmp_path: Path, enabled: bool) -> None:
    settings = Settings(data=tmp_path, routing=Routing(enabled=enabled))
    configured = Configured(settings, load_book(), "", DEMO, Catalog.load())
    before = stored.build(configured, Stored(0))
    board = Board(Clock(), before)
    ticket = SimpleNamespace(
        snapshot=before, asked=None, match=None, input_estimate=0, denied=(), route_bucket=None
    )
    sight = Sight(board, cast(Ticket, ticket))
    target = Target(FLASH, "demo")
    assert (sight.standing(target).at, sight.fits(target, board.clock.now())) == (0.0, True)
    board.reload(stored.build(configured, Stored(1, paused=frozenset({"demo"}))), configured=False)
    assert (sight.standing(target), sight.fits(target, board.clock.now())) == (PAUSED, False)


class Balky:
    """A store that refuses its first writes."""

    def __init__(self, db: Database, refusals: int) -> None:
        self.db, self.refusals = db, refusals

    async def run(self, work: Callable[[Connection], object]) -> object:
        if self.refusals:
            self.refusals -= 1
            raise Refused(503, "STORE_DOWN", "Not now.")
        return await self.db.run(work)


async def test_a_price_is_in_force_only_once_the_record_has_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(empty())
    configured = Configured(Settings(data=tmp_path), load_book(), "", DEMO, Catalog.load())
    clock, snapshot = Clock(), stored.build(configured, Stored(0))
    db = await Database.open(tmp_path / FILE, boots.begin(tmp_path, mint(1, b"12345678")))
    board = Board(clock, snapshot)
    desk = cast(
        Desk,
        SimpleNamespace(
            snapshot=snapshot,
            db=Balky(db, 1),
            clock=clock,
            board=board,
            brakes=Brakes(clock, board),
            keys=None,
            revision=-1,
            good={},
            payloads=Payloads(),
        ),
    )
    in_force = InForce(desk, configured, Stored(0))
    row = {"model": LITE, "tier": "standard", "from": "2026-01-01", "input": 7, "output": 8}
    try:
        with contextlib.closing(visitor(tmp_path / FILE)) as conn:
            conn.execute("BEGIN IMMEDIATE")
            stored_prices.add(conn, row, 1)
            stored_routes.pause(conn, "demo", 1)
            conn.keep()
        await in_force.look()
        assert desk.snapshot is snapshot  # as it was
        assert desk.keys is not None  # what is read of access does not wait for it
        assert "access" not in desk.good
        await in_force.look()
        assert (desk.snapshot.revision, desk.snapshot.paused) == (2, {"demo"})
        assert desk.good["access"] > 0
        with contextlib.closing(reader(tmp_path / FILE)) as conn:
            assert [one.rates.input for one in prices.at(conn, clock.now()) if one.id == "stored/1"] == [7]
        known = desk.snapshot
        await in_force.look()
        assert desk.snapshot is known  # nothing has changed
        # Another configuration keeps what is stored, also while the store refuses its book.
        desk.db = cast(Database, Balky(db, 1))
        book = load_book().overlay(
            b'{"models":[{"id":"new","rows":[{"id":"new@1","tier":"standard","input":1}]}]}'
        )
        await in_force.configure(replace(configured, book=book))
        assert {"new@1", "stored/1"} <= {one.id for one in desk.snapshot.book.rows()}
        assert desk.snapshot.paused == {"demo"}
        await in_force.look()
        with contextlib.closing(reader(tmp_path / FILE)) as conn:
            assert "new@1" in {one.id for one in prices.at(conn, clock.now())}
    finally:
        await db.close()


def test_a_start_does_not_hang_on_what_is_stored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configured = Configured(Settings(data=tmp_path), load_book(), "", DEMO, Catalog.load())
    odd = cast(Any, [("odd", 5)])  # no row that the store reads is so
    snapshot, known = process.first(configured, Stored(7, routes=odd, paused=frozenset({"demo"})))
    assert (snapshot.paused, known.number) == ({"demo"}, -1)  # looked for again
    assert list(snapshot.left_out) == ["routes, limits and prices"]
    assert "all of it is left out" in caplog.text
    (tmp_path / FILE).write_bytes(empty())
    with contextlib.closing(visitor(tmp_path / FILE)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("INSERT INTO paused_projects(project, paused_at) VALUES('one', 'then')")
        conn.keep()
    assert process.stored_there(tmp_path / FILE).paused == {"one"}
    (tmp_path / FILE).write_bytes(b"no record")
    assert process.stored_there(tmp_path / FILE) == Stored()
