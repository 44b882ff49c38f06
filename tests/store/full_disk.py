"""A store on a disk that takes no more: files may not grow past a limit, which is lifted after a while.

Prints where each value was kept, and at the end what health says.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sampled import identity, intent, record

from gemgate.core.errors import Refused
from gemgate.store import boots, ledger
from gemgate.store.database import FILE, Database


async def main() -> None:
    """Write 60 calls, twenty of them with room."""
    data = Path(sys.argv[1])
    boot = boots.begin(data, identity())
    database = await Database.open(data / FILE, boot)
    kept: list[str] = []
    reasons: list[str] = []
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for number in range(60):
        if number == 20:
            wal = (data / (FILE + "-wal")).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (wal if sys.argv[2] == "store" else 0, hard))
        if number == 40:
            reasons.append(database.health().reason)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        one = intent(boot.id)
        try:
            kept.append((await database.write(ledger.settle, record(one))).value)
        except Refused as refused:
            kept.append(refused.code)
    while not database.health().up:  # noqa: ASYNC110 - the store tells nobody, it is looked at
        await asyncio.sleep(0)
    await database.close()
    print(json.dumps({"kept": kept, "reasons": reasons}))


asyncio.run(main())
