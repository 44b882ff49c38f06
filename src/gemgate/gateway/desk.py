"""What all calls of one gateway share."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from gemgate.core.access import Keys
from gemgate.core.call import mint
from gemgate.gateway.affinity import Affinity
from gemgate.gateway.board import Board
from gemgate.gateway.brakes import Brakes
from gemgate.gateway.clock import Clock
from gemgate.gateway.payloads import Payloads
from gemgate.gateway.signatures import Signatures
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.waiting import Waiting
from gemgate.gateway.watch import Watch
from gemgate.store.database import Database
from gemgate.upstream.client import Upstream


@dataclass(slots=True)
class Desk:
    """The open database, the upstream client, the watch and the configuration in force.

    ``secret`` keys the hashes of this installation; ``boot`` names this process in the record;
    ``board`` is the state of quota and health, ``waiting`` where calls wait for room, ``affinity`` what belongs
    to which project, ``signatures`` what clients of OpenAI's API do not send back. ``keys`` are the virtual keys in
    force (None while they could not be read) and ``brakes`` their budgets and limits, both as of ``revision``.
    ``tidied`` is set once what earlier processes left open has been closed. ``good`` is when (UTC µs) each of what
    runs by itself did well last: ``access`` the looking for what is in force, ``state`` the keeping of the state.
    """

    snapshot: Snapshot
    db: Database
    upstream: Upstream
    boot: bytes
    secret: bytes
    clock: Clock
    board: Board
    waiting: Waiting
    affinity: Affinity
    signatures: Signatures
    brakes: Brakes
    keys: Keys | None = None
    revision: int = -1
    watch: Watch = field(default_factory=Watch)
    payloads: Payloads = field(default_factory=Payloads)
    tidied: asyncio.Event = field(default_factory=asyncio.Event)
    good: dict[str, int] = field(default_factory=dict)
    under_way: int = 0
    _chance: random.Random = field(default_factory=random.Random)

    def mint(self) -> tuple[bytes, int]:
        """A new call id and the time it stands for (µs)."""
        now = self.clock.now()
        # Ids must be unique, not secret: the system's randomness is read once, when the desk is made.
        return mint(now, self._chance.randbytes(8)), now
