"""What the record holds, what runs beside it, what happened and who changed what: over the API."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as drawn
from hypothesis import strategies as st
from sampled import START, attempt, intent, record

from gemgate.api.app import build
from gemgate.config import Settings
from gemgate.core.call import Event
from gemgate.jobs.table import JOBS
from gemgate.store import audit, events, job_runs, ledger, rollups, sizes
from gemgate.store.connection import Connection, reader, visitor
from gemgate.store.migrate import upgrade

BOOT = b"b" * 16
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A record with a few calls, events, changes and a job's run."""
    folder = tmp_path_factory.mktemp("system")
    made = Settings(data=folder)
    upgrade(made.database)
    with writing(made) as conn:
        for _ in range(3):
            of = intent(BOOT)
            ledger.open_tries(conn, [of])
            ledger.settle(conn, [record(of, attempt(of))])
        for number in range(25):
            kind, subject = ("budget_soft", "all") if number % 2 else ("budget_spent", f"b{number % 3}")
            events.add(conn, [Event(START + number * HOUR, kind, subject, f"Sentence {number}.")])
            audit.add(
                conn,
                audit.Entry(
                    at=START + number * HOUR,
                    actor=f"a{number % 2}",
                    role="admin",
                    action="change",
                    kind="key",
                    subject=f"k{number % 4}",
                    before={"rpm": number} if number else None,
                    after={"rpm": number + 1},
                    request_id=f"r{number}",
                ),
            )
        run = job_runs.Run(name="rollup", started_at=5, ended_at=9, ok=True, message="Folded.", runs=2)
        job_runs.put(conn, run)
        job_runs.put(conn, run)
    return made


@contextlib.contextmanager
def writing(settings: Settings) -> Iterator[Connection]:
    with contextlib.closing(visitor(settings.database)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield conn
        conn.keep()


@pytest.fixture(scope="module")
def client(settings: Settings) -> FlaskClient:
    return build(settings).test_client()


def test_the_system_is_what_a_look_at_the_file_shows(client: FlaskClient, settings: Settings) -> None:
    found = client.get("/api/v1/system").get_json()
    rows = {one["table"]: one for one in found["rows"]}
    with contextlib.closing(reader(settings.database)) as conn:
        names = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert set(rows) == {name for name in names if not name.startswith("sqlite_")}
        for name, one in rows.items():
            count = conn.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            assert (one["rows"], one["exact"]) == (count, True), name
    assert rows["calls"]["rows"] == 3
    assert found["sizes"]["database"] == settings.database.stat().st_size
    assert found["sizes"]["spill"] == 0
    assert {job["name"] for job in found["jobs"]} == {job.name for job in JOBS}
    assert found["versions"]["schema"] == "0004"
    assert found["lag"] == max(one["lag"] for one in found["marks"] if one["name"] == "thin") / 1e6 > 0
    assert [life["version"] for life in found["gateways"]] == [""]


def test_a_jobs_runs_add_up(settings: Settings) -> None:
    with contextlib.closing(reader(settings.database)) as conn:
        (run,) = job_runs.every(conn)
    assert (run.runs, run.ok, run.message, run.started_at, run.ended_at) == (4, True, "Folded.", 5, 9)


def test_marks_say_how_far_the_sums_are_behind(settings: Settings) -> None:
    with contextlib.closing(visitor(settings.database)) as conn:
        before = {one.name: one for one in sizes.marks(conn, START + HOUR)}
        assert {one.behind for one in before.values()} == {3}
        ended = START + 1_000
        assert before["thin"].lag == HOUR - (ended - START)
        while rollups.advance(conn, "thin", START + HOUR):
            pass
        after = {one.name: one for one in sizes.marks(conn, START + HOUR)}
    assert (after["thin"].behind, after["thin"].lag) == (0, 0)
    assert after["cells"].behind == 3


def test_a_long_table_is_not_counted(tmp_path: Path) -> None:
    upgrade(tmp_path / "gemgate.db")
    many = sizes.COUNTED + 5
    with writing(Settings(data=tmp_path)) as conn:
        conn.executemany(
            "INSERT INTO events(at, kind, subject, sentence) VALUES(?, 'k', 's', 'w')",
            [(number,) for number in range(many)],
        )
        found = {one.table: one for one in sizes.rows(conn)}
    assert (found["events"].rows, found["events"].exact) == (many, False)
    assert found["calls"].exact
    assert not found["events"].at_least


def test_a_table_without_numbers_says_that_it_has_at_least_so_many(tmp_path: Path) -> None:
    upgrade(tmp_path / "gemgate.db")
    with writing(Settings(data=tmp_path)) as conn:
        conn.executemany(
            "INSERT INTO busy_minutes(minute, busy) VALUES(?, 1)",
            [(number,) for number in range(sizes.COUNTED + 5)],
        )
        found = {one.table: one for one in sizes.rows(conn)}["busy_minutes"]
    assert (found.rows, found.exact, found.at_least) == (sizes.COUNTED, False, True)


def walked(client: FlaskClient, path: str, query: dict[str, str], size: int) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get(
            path, query_string={**query, "limit": str(size), **({"cursor": cursor} if cursor else {})}
        )
        assert answer.status_code == 200, answer.text
        page = answer.get_json()
        assert len(page["items"]) <= size
        items += page["items"]
        cursor = page["next"]
    return items


@given(
    size=st.integers(1, 30),
    kind=st.sampled_from(["", "budget_soft", "budget_spent", "other"]),
    subject=st.sampled_from(["", "all", "b0", "b2"]),
    start=st.integers(-2, 26),
    length=st.integers(1, 30),
)
@drawn(max_examples=25)
def test_events_are_listed_whole_and_once(
    client: FlaskClient, size: int, kind: str, subject: str, start: int, length: int
) -> None:
    since, until = START + start * HOUR, START + (start + length) * HOUR
    query = {"kind": kind, "subject": subject, "from": str(since), "to": str(until)}
    found = walked(client, "/api/v1/events", query, size)
    expected = [
        number
        for number in reversed(range(25))
        if start <= number < start + length
        and kind in ("", "budget_soft" if number % 2 else "budget_spent")
        and subject in ("", "all" if number % 2 else f"b{number % 3}")
    ]
    assert [one["sentence"] for one in found] == [f"Sentence {number}." for number in expected]


@given(
    size=st.integers(1, 30),
    actor=st.sampled_from(["", "a0", "a1"]),
    subject=st.sampled_from(["", "k0", "k3", "none"]),
)
@drawn(max_examples=15)
def test_changes_are_listed_whole_and_once(client: FlaskClient, size: int, actor: str, subject: str) -> None:
    found = walked(client, "/api/v1/audit", {"actor": actor, "subject": subject}, size)
    expected = [
        number
        for number in reversed(range(25))
        if actor in ("", f"a{number % 2}") and subject in ("", f"k{number % 4}")
    ]
    assert [one["request_id"] for one in found] == [f"r{number}" for number in expected]
    for one, number in zip(found, expected, strict=True):
        assert one["after"] == {"rpm": number + 1}
        assert one["before"] == ({"rpm": number} if number else None)


def test_a_page_stays_in_place_while_rows_arrive(client: FlaskClient, settings: Settings) -> None:
    first = client.get("/api/v1/events?limit=5").get_json()
    with writing(settings) as conn:
        events.add(conn, [Event(START, "late", "late", "Late.")])
    second = client.get("/api/v1/events", query_string={"limit": "5", "cursor": first["next"]}).get_json()
    with writing(settings) as conn:
        conn.execute("DELETE FROM events WHERE kind = 'late'")
    assert max(one["seq"] for one in second["items"]) == min(one["seq"] for one in first["items"]) - 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("from=yesterday", "from"),
        ("from=2026-11-23&to=2026-11-22", "to"),
        ("zone=Moon/Base&from=2026-11-23", "zone"),
        ("cursor=abc", "cursor"),
        ("colour=red", "colour"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/audit"])
def test_a_bad_question_names_its_field(client: FlaskClient, path: str, query: str, field: str) -> None:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert list(answer.get_json()["errors"]) == [field]


def test_a_cursor_of_another_question_is_refused(client: FlaskClient) -> None:
    cursor = client.get("/api/v1/events?limit=5").get_json()["next"]
    for path in (f"/api/v1/events?kind=budget_soft&cursor={cursor}", f"/api/v1/audit?cursor={cursor}"):
        assert client.get(path).get_json()["errors"].keys() == {"cursor"}
