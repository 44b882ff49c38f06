"""Proof that what was measured was on: every answer on record, at its door, under its key, charged to its budgets."""

from __future__ import annotations

import http.client
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from report import Figure
from rounds import Bench
from servers import BUDGETS, BenchError, Server


def recorded(bench: Bench) -> None:
    """As many rows as answers, in the record of each gateway: the sides may be two, or two doors of one."""
    sides = [side for side in (bench.gateway, bench.reference) if side.data is not None]
    for data in dict.fromkeys(side.data for side in sides):
        here = [side for side in sides if side.data == data]
        of_whom = f" by {here[0].name}" if len(sides) > len(here) else ""
        answered = sum(bench.ground.answered.get(side.name, 0) for side in here)
        _rows(bench, f"calls on record{of_whom}, of those answered", here[0], "calls", answered)


def at_the_door(bench: Bench) -> None:
    """As many rows of OpenAI's door as it gave answers."""
    answered = bench.ground.answered.get(bench.gateway.name, 0)
    _rows(bench, "of them at OpenAI's door", bench.gateway, "calls WHERE door_id IS NOT NULL", answered)


def under_the_key(bench: Bench) -> None:
    """Each answered call has its key and its tag, and each budget is charged with what all of them cost."""
    answered = bench.ground.answered.get(bench.gateway.name, 0)
    _rows(bench, "of them under the key", bench.gateway, "calls WHERE key_id IS NOT NULL", answered)
    _rows(bench, "of them with its tag", bench.gateway, "call_tags", answered)
    cost = "sum(coalesce(billed_nano, 0) + coalesce(estimated_billed_nano, 0))"
    spent, billed = _read(
        bench.gateway, f"SELECT (SELECT sum(spent) FROM budget_spends), (SELECT {cost} FROM calls)"
    )
    wanted = len(BUDGETS) * billed
    bench.figures += [
        Figure("cost of all calls", "$", billed / 1e9, least=1e-9),
        Figure(
            "charged to the budgets, beside what it should be",
            "nano-$",
            spent - wanted,
            most=0,
            least=0,
            note=f"{len(BUDGETS)} budgets",
        ),
    ]


def same_words(bench: Bench) -> None:
    """Both sides answer the question with the same text. Asks each of them once."""
    said = [_ask(bench, side) for side in (bench.gateway, bench.reference)]
    differ = 0 if said[0] == said[1] and said[0] else 1
    bench.figures.append(
        Figure("answers that differ in their text", "answers", differ, most=0, note=f"{len(said[0])} letters")
    )


def text_of(dialect: str, body: bytes) -> str:
    """The text of a unary answer. Raises BenchError when it has none."""
    try:
        said = json.loads(body)
        if dialect == "openai":
            return str(said["choices"][0]["message"]["content"])
        return "".join(part["text"] for part in said["candidates"][0]["content"]["parts"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise BenchError(f"no answer in {dialect}'s words: {body[:300]!r}") from None


def _ask(bench: Bench, side: Server) -> str:
    client = side.client
    headers = {"content-type": "application/json", **client.headers}
    with closing(http.client.HTTPConnection("127.0.0.1", side.port, timeout=60)) as connection:
        connection.request("POST", client.unary, body=client.unary_body, headers=headers)
        text = text_of(client.dialect, connection.getresponse().read())
    bench.ground.count(side, 1)
    return text


def _rows(bench: Bench, name: str, side: Server, source: str, answered: int) -> None:
    """Hold the record to at least so many rows: a load may break off its last calls, never the record."""
    (rows,) = _read(side, f"SELECT count(*) FROM {source}")
    bench.figures.append(Figure(name, "rows", rows, least=answered, note=f"{answered:,} answered"))


def _read(side: Server, query: str) -> list[int]:
    """The numbers of one row. The gateway may be in the middle of its last rows: reading blocks nobody."""
    assert side.data is not None
    try:
        with closing(sqlite3.connect(f"file:{_database(side.data)}?mode=ro", uri=True)) as connection:
            return [int(value or 0) for value in connection.execute(query).fetchone()]
    except sqlite3.Error as error:
        raise BenchError(f"the record cannot be read: {error}") from None


def _database(data: Path) -> Path:
    found = sorted(data.glob("*.sqlite*")) + sorted(data.glob("*.db"))
    main = [path for path in found if not path.name.endswith(("-wal", "-shm"))]
    if len(main) != 1:
        raise BenchError(f"one database was expected in the data folder, found {len(main)}")
    return main[0]
