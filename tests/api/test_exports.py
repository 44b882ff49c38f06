"""Exports over the API: what is in the files, how they are made and downloaded, and what can go wrong."""

from __future__ import annotations

import csv
import datetime
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from keyed import key
from pyarrow import parquet
from recorded import blank, build, settle, writing
from sampled import START, attempt, identity, intent, record

from gemgate.api.context import SETTINGS
from gemgate.config import Settings
from gemgate.core.call import Record
from gemgate.core.verdict import Kind
from gemgate.jobs import exports as tending
from gemgate.jobs.context import Context
from gemgate.store import jobs

SECOND = 1_000_000
CALLS = 60
WILD = ("=1+2", "+x", "-y", "@z", "'quoted", 'comma, "quote"', "naïve ✓", "plain")


def made(place: int) -> Record:
    """One call: every third of another model with wild names, every fourth failed first, every sixth unpriced."""
    one = intent(identity(), received_at=START + (place % 7) * SECOND + place, client=WILD[place % len(WILD)])
    row = record(one, attempt(one), duration=place * 10, first_byte=None if place % 5 == 0 else 7)
    if place % 3 == 0:
        row = msgspec.structs.replace(row, model="gemini-other", key=1, user="-ann", tags=("a", "b:c"))
    if place % 4 == 0:
        first = attempt(one, verdict=Kind.BUSY, status=503, reason="overloaded", message="=cmd()", usage=None)
        row = msgspec.structs.replace(row, attempts=[first, attempt(one, number=2, project="second")])
    if place % 6 == 0:
        row = msgspec.structs.replace(row, attempts=[attempt(one, cost=None)])
    return row


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = blank(tmp_path_factory.mktemp("exports"))
    with writing(found) as conn:
        key(conn)
    settle(found, [made(place) for place in range(CALLS)])
    return found


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[FlaskClient]:
    yield build(settings).test_client()
    tending.leave()


def finished(client: FlaskClient, number: int) -> dict[str, Any]:
    """The export, once it has ended."""
    end = time.monotonic() + 30
    while True:
        found: dict[str, Any] = client.get(f"/api/v1/exports/{number}").get_json()
        if found["state"] not in ("queued", "running"):
            return found
        assert time.monotonic() < end, found
        tending.tend(client.application.config[SETTINGS])
        time.sleep(0.02)


def exported(client: FlaskClient, **asked: Any) -> bytes:
    """The file of an export."""
    answer = client.post("/api/v1/exports", json=asked)
    assert answer.status_code == 202, answer.get_json()
    found = finished(client, answer.get_json()["id"])
    assert (found["state"], found["message"]) == ("done", "")
    assert found["done"] == found["total"]
    with client.get(f"/api/v1/exports/{found['id']}/file") as file:
        assert file.status_code == 200
        assert found["bytes"] == len(file.data)
        return file.data


def plain(settings: Settings, sql: str) -> list[dict[str, Any]]:
    """What any program reads in the file."""
    conn = sqlite3.connect(settings.database)
    conn.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in conn.execute(sql)]
    finally:
        conn.close()


CALL_SQL = """SELECT hex(t.call_id) AS call_id, t.seq, t.received_at, t.first_byte, t.duration, t.list_nano, t.input,
    ifnull(m.name, '') AS model, ifnull(c.name, '') AS client, ifnull(k.name, '') AS key, t.json_output,
    (SELECT json_group_array(n.name) FROM call_tags AS l JOIN tags AS n ON n.id = l.tag_id WHERE l.call_seq = t.seq)
    AS tags FROM calls AS t LEFT JOIN models AS m ON m.id = t.model_id LEFT JOIN clients AS c ON c.id = t.client_id
    LEFT JOIN virtual_keys AS k ON k.id = t.key_id ORDER BY t.received_at, t.seq"""
TRY_SQL = """SELECT hex(c.call_id) AS call_id, t.number, t.sent_at, t.status, t.list_nano, ifnull(t.message, '')
    AS message, ifnull(p.name, '') AS project, t.estimated FROM attempts AS t JOIN calls AS c ON c.seq = t.call_seq
    LEFT JOIN projects AS p ON p.id = t.project_id ORDER BY c.received_at, c.seq, t.number"""


def from_csv(data: bytes) -> list[dict[str, Any]]:
    """Rows as texts, each cell without the apostrophe that keeps it from being a formula."""
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    return [{name: cell.removeprefix("'") for name, cell in row.items()} for row in rows]


def as_text(row: dict[str, Any]) -> dict[str, str]:
    """A row of SQL as CSV has it."""
    flags = ("json_output", "estimated")
    texts = {name: "" if value is None else str(value) for name, value in row.items()}
    for name in flags:
        if name in row:
            texts[name] = "true" if row[name] else "false"
    if texts.get("tags") == "[]":
        texts["tags"] = ""
    return texts


@pytest.mark.parametrize(("what", "sql"), [("calls", CALL_SQL), ("attempts", TRY_SQL)])
def test_every_format_has_the_rows_of_the_record(
    client: FlaskClient, settings: Settings, what: str, sql: str
) -> None:
    rows = plain(settings, sql)
    assert len(rows) >= CALLS
    names = list(rows[0])
    for row in rows:
        row["call_id"] = row["call_id"].lower()

    def bare(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The columns of the SQL, the id without dashes."""
        return [
            {name: row[name].replace("-", "") if name == "call_id" else row[name] for name in names}
            for row in found
        ]

    table = from_csv(exported(client, what=what, format="csv"))
    assert bare(table) == [as_text(row) for row in rows]
    for row in rows:
        if "tags" in row:
            row["tags"] = json.loads(row["tags"])
    lines = [json.loads(line) for line in exported(client, what=what, format="jsonl").splitlines()]
    assert bare(lines) == rows
    file = parquet.read_table(io.BytesIO(exported(client, what=what, format="parquet")))
    assert bare(file.to_pylist()) == rows
    assert str(file.schema.field("time").type) == "timestamp[us, tz=UTC]"
    at = "received_at" if what == "calls" else "sent_at"
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert [(one - epoch) // datetime.timedelta(microseconds=1) for one in file["time"].to_pylist()] == [
        row[at] for row in rows
    ]


def test_columns_and_filters_are_those_asked_for(client: FlaskClient, settings: Settings) -> None:
    data = exported(client, what="calls", columns=["model", "seq"], key=["alpha"], min_duration=100)
    want = plain(
        settings, "SELECT seq FROM calls WHERE key_id = 1 AND duration >= 100 ORDER BY received_at, seq"
    )
    assert data.decode() == "model,seq\r\n" + "".join(f"gemini-other,{row['seq']}\r\n" for row in want)
    assert exported(client, what="calls", columns=["seq"], model=["nobody"]) == b"seq\r\n"


def test_sums_are_those_of_the_rows(client: FlaskClient, settings: Settings) -> None:
    span = {"from": str(START), "to": str(START + 7 * SECOND)}
    data = exported(client, what="usage", format="jsonl", step="minute", group=["project"], **span)
    rows = [json.loads(line) for line in data.splitlines()]
    want = plain(
        settings,
        "SELECT ifnull(p.name, '') AS project, sum(t.input) AS input, sum(t.billed_nano) AS billed_nano,"
        " sum(t.input + t.output + t.thoughts + t.tool) AS tokens, sum(t.list_nano) AS list_nano,"
        " sum(t.list_nano IS NULL) AS unpriced"
        " FROM attempts AS t LEFT JOIN projects AS p ON p.id = t.project_id GROUP BY 1 ORDER BY 1",
    )
    for name in ("input", "tokens", "list_nano", "billed_nano", "unpriced"):
        sums: dict[str, int] = {}
        for row in rows:
            sums[row["project"]] = sums.get(row["project"], 0) + row[name]
        assert sorted(sums.items()) == [(row["project"], row[name] or 0) for row in want]
    assert sum(row["calls"] for row in rows) == CALLS


def test_a_download_goes_on_where_it_was(client: FlaskClient) -> None:
    answer = client.post("/api/v1/exports", json={"what": "calls"})
    number = answer.get_json()["id"]
    finished(client, number)
    whole = client.get(f"/api/v1/exports/{number}/file")
    data = whole.data
    whole.close()
    assert whole.headers["Content-Disposition"] == f"attachment; filename=gemgate-calls-{number}.csv"
    assert whole.headers["Content-Type"] == "text/csv; charset=utf-8"
    part = client.get(
        f"/api/v1/exports/{number}/file",
        headers={"Range": "bytes=100-199", "If-Range": whole.headers["ETag"]},
    )
    assert (part.status_code, part.data) == (206, data[100:200])
    part.close()
    beyond = client.get(f"/api/v1/exports/{number}/file", headers={"Range": "bytes=99999999-"})
    assert (beyond.status_code, beyond.mimetype) == (416, "application/problem+json")
    for other in ("bytes=0-1,5-9", "lines=0-1", "bytes=9-2", "nothing"):
        with client.get(f"/api/v1/exports/{number}/file", headers={"Range": other}) as answer:
            assert (answer.status_code, answer.data) == (200, data), other


def test_what_was_made_goes(client: FlaskClient, settings: Settings) -> None:
    number = client.post("/api/v1/exports", json={"what": "calls"}).get_json()["id"]
    finished(client, number)
    path = settings.data / "exports" / f"{number}.csv"
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    lost = client.get(f"/api/v1/exports/{number}/file")
    assert (lost.status_code, lost.get_json()["code"]) == (410, "FILE_LOST")
    with writing(settings) as conn:
        jobs.keep_until(conn, number, 1)
    tending.run(Context(settings))
    assert client.get(f"/api/v1/exports/{number}").get_json()["state"] == "expired"
    assert client.get(f"/api/v1/exports/{number}/file").status_code == 410


def test_an_export_that_finds_no_folder_has_failed_and_what_it_left_goes(
    client: FlaskClient, settings: Settings
) -> None:
    done = client.post("/api/v1/exports", json={"what": "calls"}).get_json()["id"]
    finished(client, done)
    folder = settings.data / "exports"
    aside = folder.rename(settings.data / "aside")
    folder.write_text("no folder")
    try:
        number = client.post("/api/v1/exports", json={"what": "calls"}).get_json()["id"]
        found = finished(client, number)
        assert (found["state"], found["message"][:26]) == ("failed", "The file cannot be written")
        assert client.get(f"/api/v1/exports/{done}/file").status_code == 410
        assert client.delete(f"/api/v1/exports/{done}").get_json()["state"] == "expired"
    finally:
        folder.unlink()
        aside.rename(folder)


def test_the_console_takes_its_exports_with_it(client: FlaskClient, settings: Settings) -> None:
    context = Context(settings)
    for _ in range(2):
        tending.run(context)
    assert context.at_end == [tending.leave]
    number = client.post("/api/v1/exports", json={"what": "calls"}).get_json()["id"]
    context.at_end.pop()()
    assert tending._children == {}
    assert finished(client, number)["state"] in ("done", "failed")


def test_what_died_has_failed_and_what_was_cancelled_is_not_made(
    client: FlaskClient, settings: Settings
) -> None:
    with writing(settings) as conn:
        dead = jobs.create(conn, "export", "x", {"what": "calls", "format": "csv"}, START)
        jobs.start(conn, dead, START)
        waiting = jobs.create(conn, "export", "x", {"what": "calls", "format": "csv"}, START)
    part: Path = settings.data / "exports" / f"{dead}.csv.part"
    part.parent.mkdir(exist_ok=True)
    part.write_text("half")
    assert client.delete(f"/api/v1/exports/{waiting}").get_json()["state"] == "cancelled"
    tending.run(Context(settings))
    tending.run(Context(settings))
    found = client.get(f"/api/v1/exports/{dead}").get_json()
    assert (found["state"], part.exists()) == ("failed", False)
    assert client.get(f"/api/v1/exports/{dead}/file").status_code == 410


def test_bad_questions_name_their_field(client: FlaskClient) -> None:
    for asked, field in (
        ({"what": "calls", "columns": ["nope"]}, "columns"),
        ({"what": "calls", "from": "yesterdayish"}, "from"),
        ({"what": "calls", "group": ["model"]}, "group"),
        ({"what": "usage", "min_duration": 1}, "min_duration"),
        ({"what": "usage", "zone": "Nowhere/None"}, "zone"),
        ({"what": "nothing"}, "what"),
    ):
        answer = client.post("/api/v1/exports", json=asked)
        assert answer.status_code == 400, asked
        assert field in answer.get_json()["errors"], answer.get_json()
    assert client.get("/api/v1/exports/999999/file").status_code == 404


def test_the_list_is_read_in_pages(client: FlaskClient) -> None:
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        page = client.get(f"/api/v1/exports?limit=2&cursor={cursor}").get_json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) > 4
