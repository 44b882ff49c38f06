"""Calls as the gateway would hand them over, each with true money, and looks at what became of them."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from gemgate.core.call import Attempt, Cost, Intent, Outcome, Record, Shape, Streaming, mint
from gemgate.core.pricing import PriceBook, cost
from gemgate.core.usage import Detail, Usage
from gemgate.core.verdict import Kind
from gemgate.store import connection
from gemgate.store.database import FILE
from gemgate.store.verify import Finding, verify

START = 1_795_000_000_000_000
MODEL = "gemini-sample"
BOOK = PriceBook.load(
    msgspec.json.encode(
        {
            "models": [
                {
                    "id": MODEL,
                    "grounding": {"search": 14_000_000, "per": "query"},
                    "rows": [
                        {
                            "id": "gemini-sample@standard",
                            "tier": "standard",
                            "input": 300_000_000,
                            "input_audio": 1_000_000_000,
                            "cached": 30_000_000,
                            "output": 2_500_000_000,
                        }
                    ],
                }
            ]
        }
    )
)
PLAIN = Usage(input=1_200, cached=200, output=340, thoughts=77)
RICH = Usage(
    input=900, output=10, tool=5, details=(Detail("input", "audio", 400),), searches=2, grounded=True
)
_count = itertools.count()


def identity() -> bytes:
    """A call or boot id that no other has."""
    place = next(_count)
    return mint(START + place, place.to_bytes(10, "big"))


def priced(usage: Usage, model: str = MODEL, *, free: bool = False) -> Cost:
    """What the book says."""
    return cost(BOOK.price(model, "standard", START), usage, free=free)


def assumed(_: Intent, usage: Usage) -> Cost:
    """The price of a try that was lost."""
    return priced(usage)


def intent(boot: bytes, **changes: Any) -> Intent:
    """A try about to be sent."""
    made = Intent(
        call_id=identity(),
        attempt=1,
        boot=boot,
        received_at=START,
        sent_at=START + 40,
        method="generateContent",
        version="v1beta",
        model=MODEL,
        project="default",
        credential="key-1",
        client="tests",
        streaming=Streaming.SSE,
        request_bytes=1_000,
        input_estimate=321,
    )
    return msgspec.structs.replace(made, **changes)


def attempt(of: Intent, **changes: Any) -> Attempt:
    """How that try ended: well, unless told otherwise."""
    made = Attempt(
        number=of.attempt,
        model=of.model,
        project=of.project,
        credential=of.credential,
        sent_at=of.sent_at,
        first_byte=100,
        duration=900,
        verdict=Kind.OK,
        status=200,
        model_served=of.model,
        tier_served="standard",
        response="r-1",
        request_bytes=of.request_bytes,
        response_bytes=2_000,
        usage=PLAIN,
    )
    made = msgspec.structs.replace(made, **changes)
    if made.usage is not None and made.cost is None and "cost" not in changes:
        made.cost = priced(made.usage, made.model)
    return made


def record(of: Intent, *attempts: Attempt, **changes: Any) -> Record:
    """The call's row."""
    made = Record(
        call_id=of.call_id,
        boot=of.boot,
        received_at=of.received_at,
        first_byte=150,
        duration=1_000,
        method=of.method,
        version=of.version,
        model=of.model,
        client=of.client,
        outcome=Outcome.OK,
        status=200,
        finish="STOP",
        streaming=of.streaming,
        request_bytes=of.request_bytes,
        response_bytes=2_000,
        shape=Shape(turns=1, request_hash=2**64 - 7, thinking="level:high", prefix_hashes=(2**63 + 1, 5)),
        attempts=list(attempts) or [attempt(of)],
    )
    return msgspec.structs.replace(made, **changes)


def ask(data: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the file says, read by a connection of its own."""
    conn = sqlite3.connect(data / FILE)
    try:
        return conn.execute(sql, values).fetchall()
    finally:
        conn.close()


def change(data: Path, sql: str, *values: Any) -> None:
    """Change the file by hand."""
    conn = sqlite3.connect(data / FILE)
    try:
        with conn:
            conn.execute(sql, values)
    finally:
        conn.close()


def findings(data: Path) -> list[Finding]:
    """What ``verify`` says."""
    conn = connection.reader(data / FILE)
    try:
        return verify(conn, data, START + 10_000_000)
    finally:
        conn.close()
