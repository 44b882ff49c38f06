"""A disk that is really full: a file system of two megabytes, where the system lets us mount one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sampled import ask, findings, identity, intent, record

from gemgate.core.errors import Refused
from gemgate.store import boots, ledger
from gemgate.store.database import FILE, Database


@pytest.fixture
def small(tmp_path: Path, blank: Path) -> Iterator[Path]:
    """A data folder on a disk of two megabytes."""
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        shutil.copy(blank, tmp_path / FILE)
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


async def test_on_a_full_disk_no_answered_call_is_lost_and_it_heals(small: Path) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    database = await Database.open(small / FILE, boots.begin(small, identity()))
    ends = Counter[str]()
    answered = []
    try:
        while ends["RECORD_DOWN"] < 20:
            one = intent(database.boot.id)
            try:
                ends[(await database.write(ledger.settle, record(one))).value] += 1
                answered.append(one.call_id)
            except Refused as refused:
                ends[refused.code] += 1
        assert ends["stored"] > 0
        assert set(ends) <= {"stored", "spilled", "RECORD_DOWN"}
        assert database.health().reason == "disk full"
        ballast.unlink()
        while not database.health().up:  # noqa: ASYNC110 - the store tells nobody, it is looked at
            await asyncio.sleep(0)
        await database.write(ledger.settle, record(one))
        answered.append(one.call_id)
    finally:
        assert await database.close(30.0)
    assert [call_id for (call_id,) in ask(small, "SELECT call_id FROM calls ORDER BY seq")] == answered
    assert findings(small) == []
