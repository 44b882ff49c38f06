"""Budgets through the API; and what is changed there as a gateway that runs beside it takes it over."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from recorded import blank, build, settle
from sampled import PLAIN, attempt, identity, intent, record
from served import Served, served

from gemgate.api import context
from gemgate.config import Settings
from gemgate.store import audit
from gemgate.store.connection import reader
from gemgate.store.verify import verify
from tests.gateway.launch import until as come

URL = "/api/v1/budgets"
MODEL = "gemini-2.5-flash"
BODY = {"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": {"maxOutputTokens": 50}}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return blank(tmp_path_factory.mktemp("budgets"))


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def budget(name: str, **more: Any) -> dict[str, Any]:
    """A budget to be made."""
    return {"name": name, "scope": "all", "unit": "tokens", "amount": 10_000, "period": "day", **more}


def test_a_budget_is_made_with_what_was_spent_changed_and_removed(
    client: FlaskClient, settings: Settings
) -> None:
    at = context.now()
    one = intent(identity(), received_at=at, sent_at=at)
    settle(settings, [record(one, attempt(one))])
    answer = client.post(URL, json=budget("all-day", zone="Europe/Berlin"))
    assert answer.status_code == 201
    made = answer.json
    assert (made["spent"], made["left"], made["held"]) == (PLAIN.total, 10_000 - PLAIN.total, 0)
    assert made["resets_at"] > at
    assert client.get(f"{URL}/all-day").json == made

    changed = client.patch(f"{URL}/all-day", json={"amount": 20_000, "soft": 1}).json
    assert (changed["amount"], changed["soft"], changed["spent"]) == (20_000, 1.0, PLAIN.total)
    assert client.post(URL, json=budget("all-day")).json["code"] == "BUDGET_EXISTS"

    assert client.delete(f"{URL}/all-day").json["disabled_at"] >= at
    again = client.delete(f"{URL}/all-day")
    assert (again.status_code, again.json["code"]) == (409, "BUDGET_REMOVED")
    assert client.get(URL).json["items"] == []
    assert [one["name"] for one in client.get(URL, query_string={"removed": "true"}).json["items"]] == [
        "all-day"
    ]
    conn = reader(settings.database)
    rows = audit.listing(conn, 9, 0, {"kind": "budget"})[::-1]
    conn.close()
    assert [one.action for one in rows] == ["create", "change", "delete"]
    assert (rows[1].before["amount"], rows[1].after["amount"]) == (10_000, 20_000)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"unit": "euros"}, "unit"),
        ({"zone": "Europe/Berln"}, "zone"),
        ({"scope": "key"}, "of"),
        ({"scope": "key", "of": "nobody"}, "of"),
        ({"scope": "project", "of": "nowhere"}, "of"),
        ({"of": "somebody"}, "of"),
        ({"period": "rolling"}, "seconds"),
        ({"seconds": 90}, "seconds"),
        ({"soft": 0}, "soft"),
        ({"name": "a,b"}, "name"),
    ],
)
def test_a_field_at_fault_is_named(client: FlaskClient, more: dict[str, Any], field: str) -> None:
    answer = client.post(URL, json=budget("wrong") | more)
    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])
    assert client.get(f"{URL}/wrong").status_code == 404


def test_of_a_tag_there_may_be_a_budget_before_there_is_a_call(client: FlaskClient) -> None:
    made = client.post(URL, json=budget("tagged", scope="tag", of="Nightly")).json
    assert (made["scope"], made["of"]) == ("tag", "nightly")
    rolling = client.post(URL, json=budget("rolling", period="rolling", seconds=3600, unit="money")).json
    assert (rolling["unit"], rolling["seconds"]) == ("money", 3600)
    found = client.get(URL, query_string={"limit": 1}).json
    assert client.get(URL, query_string={"limit": 1, "cursor": found["next"]}).json == {
        "items": [rolling],
        "next": None,
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway on the simulator and its console."""
    with served(
        tmp_path_factory.mktemp("run"), "--demo", "--gateway-port", "0", "--console-port", "0"
    ) as one:
        one.until("use it")
        come(lambda: "console" in one.running(), "the console")
        yield one


def send(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    parts = urlsplit(url)
    link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        fields = headers if body is None else {"content-type": "application/json", **headers}
        link.request(method, path, None if body is None else json.dumps(body), fields)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        link.close()


def test_a_gateway_that_runs_takes_over_what_is_changed(running: Served) -> None:
    where = running.running()
    gateway, console = where["gateway"]["url"], where["console"]["url"]

    def api(method: str, path: str, body: Any = None) -> Any:
        """What the console answers, when it does as it was told."""
        status, found = send(console, method, f"/api/v1{path}", body)
        assert status < 300, found
        return found

    def call(key: str = "") -> tuple[int, str]:
        """The status of a call, and the code of its error."""
        fields = {"x-goog-api-key": key} if key else {}
        status, found = send(gateway, "POST", f"/v1beta/models/{MODEL}:generateContent", BODY, **fields)
        return status, found["error"]["details"][0]["reason"] if status >= 400 else ""

    def until(wanted: tuple[int, str], key: str = "") -> None:
        """Ask until the gateway has noticed; one that never does is ended by the guard of ``served``."""
        while call(key) != wanted:
            continue

    assert call() == (200, "")
    secret = api("POST", "/keys", {"name": "ci"})["secret"]
    until((200, ""), secret)
    until((401, "KEY_MISSING"))
    api("POST", "/keys/ci/disable")
    until((403, "KEY_DISABLED"), secret)
    api("POST", "/keys/ci/enable")
    until((200, ""), secret)
    api("POST", "/budgets", budget("b", scope="key", of="ci", amount=1))
    until((402, "BUDGET_SPENT"), secret)
    assert api("GET", "/budgets/b")["left"] == 0
    api("PATCH", "/budgets/b", {"amount": 1_000_000})
    until((200, ""), secret)
    api("PUT", f"/limits/stored/demo/{MODEL}", {"rpd": 0})
    while tries(running)[-1][0] == MODEL:
        assert call(secret) == (200, "")  # another model stands in
    api("DELETE", f"/limits/stored/demo/{MODEL}")
    while tries(running)[-1][0] != MODEL:
        assert call(secret) == (200, "")
    _dearer(running, api, lambda: call(secret))


def tries(running: Served) -> list[tuple[str, int]]:
    """The model and the cost of each try that was answered, the newest last."""
    conn = reader(running.data / "gemgate.db")
    try:
        return conn.execute(
            "SELECT m.name, a.list_nano FROM attempts AS a JOIN models AS m ON m.id = a.model_id"
            " WHERE a.status = 200 ORDER BY a.seq"
        ).fetchall()
    finally:
        conn.close()


def _dearer(running: Served, api: Callable[..., Any], call: Callable[[], tuple[int, str]]) -> None:
    """A price that is added prices the next calls, and by a re-pricing those before."""
    price = {"model": MODEL, "input": 10**12, "output": 10**12, "replace": True}
    added = api("POST", "/prices", price)
    assert added["replaces"]

    def nanos() -> list[int]:
        """What the tries at the model cost, the newest last."""
        return [nano for model, nano in tries(running) if model == MODEL]

    cheap = nanos()
    while nanos()[-1] <= 100 * max(cheap):
        assert call()[0] == 200
    job = api("POST", "/prices/reprice", {"from": "-24h", "to": "now", "dry_run": False})
    while job["state"] in ("queued", "running"):
        job = api("GET", f"/prices/reprice/{job['id']}")
    assert job["state"] == "done"
    assert job["models"][MODEL]["changed"] >= len(cheap)
    assert min(nanos()) > 100 * max(cheap)
    conn = reader(running.data / "gemgate.db")
    assert verify(conn, running.data) == []
    conn.close()
