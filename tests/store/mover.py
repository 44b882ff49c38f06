"""A gateway's store that opens on a spill file of a dead boot, and is killed while it moves it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gemgate.store import boots
from gemgate.store.database import FILE, Database


async def main() -> None:
    """Move until killed."""
    data = Path(sys.argv[1])
    boot = boots.begin(data, bytes.fromhex(sys.argv[2]))
    await Database.open(data / FILE, boot)
    await asyncio.Event().wait()


asyncio.run(main())
