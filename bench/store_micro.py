"""CPU cost of the ledger itself: one open and one settle per call, in batches, without loop and futures.

    python -m bench.store_micro [calls]

Prints µs of CPU per call for several batch sizes, and bytes on disk per call.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from gemgate.core.call import Attempt, Cost, Intent, Outcome, Record, Shape, Streaming, mint
from gemgate.core.usage import Usage
from gemgate.core.verdict import Kind
from gemgate.store import connection, ledger, migrate

MODELS = ("gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-4-argon")


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


def measure(batch: int, count: int) -> tuple[float, float]:
    """CPU µs and bytes per call."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        migrate.upgrade(path)
        conn = connection.writer(path)
        opened = intents(b"b" * 16, count, time.time_ns() // 1000)
        settled = [record(intent, (place * 7_919) % 100_003) for place, intent in enumerate(opened)]
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
    print("batch   µs CPU per call   bytes per call")
    for batch in (1, 4, 16, 64, 256):
        spent, size = measure(batch, count)
        print(f"{batch:5}   {spent:15.1f}   {size:14.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
