"""CPU cost of the ledger itself: one open and one settle per call, in batches, without loop and futures.

    python -m bench.store_micro [calls]

Prints µs of CPU per call for several batch sizes, and bytes on disk per call: without keys, and with a key, a tag
and two budgets (held before, charged after) on every call. Both run in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from gemgate.core.access import Key, Token
from gemgate.core.budget import Budget
from gemgate.core.call import Attempt, Charged, Cost, Intent, Outcome, Record, Shape, Streaming, mint
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import budgets, connection, keys, ledger, migrate

MODELS = ("gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-4-argon")
KEYS = 20
TURNS = 3


def intents(boot: bytes, count: int, start: int) -> list[Intent]:
    """Intents a hundred microseconds apart."""
    return [
        Intent(
            call_id=mint(start + place * 100, os.urandom(10)),
            attempt=1,
            boot=boot,
            received_at=start + place * 100,
            sent_at=start + place * 100 + 40,
            method="generateContent",
            version="v1beta",
            model=MODELS[place % 3],
            project="default",
            credential="key-1",
            client="google-genai-sdk/3.4.0 gl-python/3.11",
            streaming=Streaming.SSE,
            request_bytes=1_000 + place % 900,
            input_estimate=300,
        )
        for place in range(count)
    ]


def record(intent: Intent, chance: int) -> Record:
    """A plain answered call of that intent."""
    usage = Usage(input=1_200 + chance % 5_000, cached=0, output=300 + chance % 700, thoughts=chance % 2_000)
    cost = Cost(
        input=usage.input * 300,
        output=usage.output * 2_500,
        thoughts=usage.thoughts * 2_500,
        total=usage.input * 300 + (usage.output + usage.thoughts) * 2_500,
        billed=usage.input * 300 + (usage.output + usage.thoughts) * 2_500,
        price="gemini-3.8-flash",
    )
    attempt = Attempt(
        number=1,
        model=intent.model,
        project=intent.project,
        credential=intent.credential,
        sent_at=intent.sent_at,
        first_byte=240_000 + chance,
        duration=890_000 + chance,
        verdict=Kind.OK,
        status=200,
        model_served=intent.model,
        tier_served="standard",
        response="Vq0kaZ3wLNuWxN8PsIWqyAg",
        request_bytes=intent.request_bytes,
        response_bytes=2_000 + chance,
        usage=usage,
        cost=cost,
    )
    return Record(
        call_id=intent.call_id,
        boot=intent.boot,
        received_at=intent.received_at,
        first_byte=240_100 + chance,
        duration=890_200 + chance,
        method=intent.method,
        version=intent.version,
        model=intent.model,
        client=intent.client,
        outcome=Outcome.OK,
        status=200,
        finish="STOP",
        streaming=intent.streaming,
        request_bytes=intent.request_bytes,
        response_bytes=2_000 + chance,
        shape=Shape(
            turns=1 + chance % 9, thinking="level:high", request_hash=int.from_bytes(os.urandom(8), "big")
        ),
        attempts=[attempt],
    )


def keyed(opened: list[Intent], settled: list[Record]) -> None:
    """Give these calls keys, tags and budgets."""
    for place, (intent, record) in enumerate(zip(opened, settled, strict=True)):
        slot = intent.received_at // 3_600_000_000 * 3_600_000_000
        number = place % KEYS + 1
        held = (Charged(1, slot, 5_000_000), Charged(number + 1, slot, 4_096))
        intent.key = record.key = number
        intent.tags = record.tags = (f"team-{number % 5}",)
        intent.output_estimate = 900
        intent.held = held
        record.charged = (Charged(1, slot, 3_200_000 + place), Charged(number + 1, slot, 2_100))


def prepare(conn: connection.Connection) -> None:
    """Twenty keys, a budget for each and one for all."""
    conn.execute("BEGIN IMMEDIATE")
    whole = Budget(id=0, name="all", scope="all", unit="money", amount=10**15, period="month")
    budgets.create(conn, whole, 1)
    for number in range(1, KEYS + 1):
        token = Token(digest=number.to_bytes(32, "big"), key=0)
        key = keys.create(conn, Key(id=0, name=f"key-{number}", created_at=1), token)
        of_key = {"name": key.name, "scope": "key", "of": key.name, "unit": "tokens"}
        budgets.create(conn, msgspec.structs.replace(whole, **of_key), 1)
    conn.keep()


def measure(batch: int, count: int, *, with_keys: bool) -> tuple[float, float]:
    """CPU µs and bytes per call."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        migrate.upgrade(path)
        conn = connection.writer(path)
        prepare(conn)
        opened = intents(b"b" * 16, count, time.time_ns() // 1000)
        settled = [record(intent, (place * 7_919) % 100_003) for place, intent in enumerate(opened)]
        if with_keys:
            keyed(opened, settled)
        begin = time.process_time()
        for place in range(0, count, batch):
            conn.execute("BEGIN IMMEDIATE")
            ledger.open_tries(conn, opened[place : place + batch])
            conn.keep()
            conn.execute("BEGIN IMMEDIATE")
            ledger.settle(conn, settled[place : place + batch])
            conn.keep()
            if place % (batch * 64) == 0:
                conn.execute("PRAGMA wal_checkpoint(PASSIVE)")
        spent = time.process_time() - begin
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()
        return spent / count * 1e6, path.stat().st_size / count


def main(arguments: list[str]) -> None:
    """The command."""
    count = int(arguments[0]) if arguments else 20_000
    print("batch   µs CPU per call: plain   keyed    bytes per call: plain   keyed")
    for batch in (1, 4, 16, 64, 256):
        pairs = [
            (measure(batch, count, with_keys=False), measure(batch, count, with_keys=True))
            for _ in range(TURNS)
        ]
        plain, more = (min(pair[side][0] for pair in pairs) for side in (0, 1))
        sizes = [pairs[0][side][1] for side in (0, 1)]
        print(f"{batch:5}   {plain:22.1f} {more:7.1f}   {sizes[0]:21.0f} {sizes[1]:7.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
