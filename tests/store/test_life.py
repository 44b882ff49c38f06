"""Whatever happens in whatever order: an answered call has one row, and after a restart so has every tried one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from keyed import budget
from sampled import assumed, findings, identity, intent, record

from gemgate.core.call import Charged, Intent
from gemgate.store import backlog, boots, connection, interrupted, ledger, operations, reports, spends
from gemgate.store.connection import Connection
from gemgate.store.database import FILE
from gemgate.store.faults import Fault

STEPS = st.lists(
    st.sampled_from(["open", "settle", "down", "up", "move", "kill", "kill moving"]), max_size=40
)

HELD = 1_000_000
"""What every try holds of one budget; a call that settles is charged 1."""


class Process:
    """The writer's rules, one step at a time: straight to the store, or behind what was spilled."""

    def __init__(self, data: Path) -> None:
        self.boot = boots.begin(data, identity())
        self.conn: Connection = connection.writer(data / FILE)
        self.backlog = backlog.Backlog(data, self.boot.id, sync=False)
        self.backlog.adopt()
        self.up = True
        self.torn = False
        self.transact(lambda conn: boots.register(conn, self.boot.id, "", "", 1))
        self.move()
        self.dead = boots.find_dead(self.conn, data)
        self.transact(lambda conn: interrupted.close_dead(conn, self.dead, assumed))

    def transact(self, work: object) -> Fault | Exception | None:
        """As the writer thread does it; when ``torn`` the process dies after the commit, before it is known."""
        assert callable(work)
        if not self.up:
            return Fault.LOCKED
        self.conn.execute("BEGIN IMMEDIATE")
        work(self.conn)
        self.conn.keep()
        return Fault.IO if self.torn else None

    def write(self, operation: operations.Operation, value: object) -> None:
        """Hand one value over."""
        if not self.up or self.backlog.pending:
            self.backlog.append([operations.encode(operation, value)])
        else:
            assert self.transact(lambda conn: operations.apply(conn, [(operation, value)])) is None

    def move(self) -> None:
        """Move what was spilled, if the store is up."""
        while self.up and self.backlog.pending and not self.torn:
            self.backlog.move(self.transact)

    def kill(self) -> None:
        """Die: what is committed or spilled stays, nothing else."""
        self.conn.close()
        self.boot.release()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
@example(steps=["open", "down", "settle", "up", "kill moving"])
@example(steps=["down", "open", "kill", "open", "settle", "kill"])
def test_exactly_one_row_per_call(blank: Path, steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        shutil.copy(blank, data / FILE)
        conn = connection.writer(data / FILE)
        conn.execute("BEGIN IMMEDIATE")
        assert budget(conn).id == 1
        conn.keep()
        conn.close()
        process = Process(data)
        tried: list[Intent] = []
        answered: set[bytes] = set()
        under_way: list[Intent] = []
        for step in steps:
            if step == "open":
                one = intent(process.boot.id, held=(Charged(1, 0, HELD),))
                process.write(ledger.open_tries, one)
                tried.append(one)
                under_way.append(one)
            elif step == "settle" and under_way:
                one = under_way.pop(0)
                process.write(ledger.settle, record(one, charged=(Charged(1, 0, 1),)))
                answered.add(one.call_id)
            elif step in ("down", "up"):
                process.up = step == "up"
            elif step == "move":
                process.move()
            elif step.startswith("kill"):
                if step == "kill moving" and process.up and process.backlog.pending:
                    process.torn = True
                    process.backlog.move(process.transact)
                process.kill()
                under_way.clear()
                process = Process(data)
        process.kill()
        process = Process(data)
        rows = reports.newest(process.conn, reports.Filter(), limit=1_000)
        spent = sum(one.amount for one in spends.since(process.conn))
        process.kill()
        assert sorted(row.call_id.replace("-", "") for row in rows) == sorted(
            one.call_id.hex() for one in tried
        )
        ok = {row.call_id.replace("-", "") for row in rows if row.outcome == "ok"}
        assert ok == {call_id.hex() for call_id in answered}
        # Every call is charged once: its truth, or what it held when its process died.
        assert spent == len(ok) + HELD * (len(tried) - len(ok))
        assert findings(data) == []
