"""What belongs to the Google project that made it: files, caches, batches, conversations.

Laws:

- rows are written by ``ledger.settle``, in the transaction of the call that showed them, so that whoever was
  given a name finds its project, also after a crash;
- the later answer wins: a name seen on another project has moved there. What an older call has to say of it
  (a spill that is moved late) changes nothing;
- a thing has the tenant that was last said to have made it; who only looks at it (no tenant) changes nothing.
  A thing that has moved to another project is another thing, and nobody's until somebody is said to have made it;
- a name that no column holds as it is (too long, not printable) stands as the hash of its bytes.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from gemgate.core.call import Record
from gemgate.store.columns import NAME_LENGTH
from gemgate.store.connection import Connection
from gemgate.store.names import OTHER, clean

_KEEP: Final = """
INSERT INTO affinities(name, project_id, model_id, made_at, expires_at, tenant) VALUES(?, ?, ?, ?, ?, ?)
ON CONFLICT(name) DO UPDATE SET
    model_id = CASE WHEN project_id = excluded.project_id THEN ifnull(excluded.model_id, model_id)
                    ELSE excluded.model_id END,
    tenant = CASE WHEN project_id = excluded.project_id THEN ifnull(excluded.tenant, tenant)
                  ELSE excluded.tenant END,
    project_id = excluded.project_id, made_at = excluded.made_at, expires_at = excluded.expires_at
WHERE excluded.made_at >= made_at
"""
# The maker's own word came late: whoever looked at the thing meanwhile did not know whose it is.
_OWN: Final = """
UPDATE affinities SET tenant = ?
WHERE name = ? AND project_id IS ? AND tenant IS NULL AND made_at > ?
"""
_FIND: Final = """
SELECT a.name, ifnull(p.name, ''), ifnull(m.name, ''), ifnull(a.tenant, '') FROM affinities AS a
LEFT JOIN projects AS p ON p.id = a.project_id
LEFT JOIN models AS m ON m.id = a.model_id
WHERE a.name IN ({})
"""
_MOST: Final = 500  # names in one statement


def keep(conn: Connection, records: Sequence[Record]) -> None:
    """Write what these calls have made or seen. Needs the caller's transaction."""
    names = conn.names
    rows = [
        (
            _spelled(made.name),
            names.projects[made.project],
            names.models[made.model],
            record.received_at + record.duration,
            made.expires_at,
            clean(made.tenant) or None,
        )
        for record in records
        for made in record.made
    ]
    if rows:
        conn.executemany(_KEEP, rows)
        owned = [(tenant, name, project, at) for name, project, _, at, _, tenant in rows if tenant]
        if owned:
            conn.executemany(_OWN, owned)


def find(conn: sqlite3.Connection, names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """The project, the model (empty where any will do) and the tenant (empty for nobody's) of each known name."""
    asked = {_spelled(name): name for name in names}
    found: dict[str, tuple[str, str, str]] = {}
    keys = list(asked)
    for place in range(0, len(keys), _MOST):
        some = keys[place : place + _MOST]
        for name, project, model, tenant in conn.execute(_FIND.format(",".join("?" * len(some))), some):
            if project != OTHER:  # the dimension was full: nobody knows which it was
                found[asked[name]] = (project, "" if model == OTHER else model, tenant)
    return found


def forget(conn: sqlite3.Connection, name: str) -> bool:
    """The thing was deleted. Returns whether it was known. Needs the caller's transaction."""
    return conn.execute("DELETE FROM affinities WHERE name = ?", (_spelled(name),)).rowcount > 0


def sweep(conn: sqlite3.Connection, now: int, limit: int = 500) -> int:
    """Delete up to ``limit`` rows that expired before ``now`` (UTC µs), oldest first; returns how many.

    Needs the caller's transaction.
    """
    return conn.execute(
        "DELETE FROM affinities WHERE name IN"
        " (SELECT name FROM affinities WHERE expires_at > 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?)",
        (now, limit),
    ).rowcount


def _spelled(name: str) -> str:
    """The name as its column holds it."""
    if len(name) <= NAME_LENGTH and name.isprintable():
        return name
    return "sha256:" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
