"""Names to integers, on the connection that writes.

Laws:

- the empty name is NULL;
- a name comes from anyone (a model in a URL, a client's header), so it is freed of credentials and of control
  characters, cut to 200 characters, and a dimension takes at most 10,000 of them: every later one is ``(other)``;
- an integer is only remembered for good when the transaction that made it is: ``forget`` after a rollback.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from gemgate.core import fingerprint
from gemgate.store.columns import DIMENSIONS, NAME_LENGTH

MOST: Final = 10_000
OTHER: Final = "(other)"
_BOOKS: Final = 16  # price books whose names are known; some 400 rows each


def clean(name: str, length: int = NAME_LENGTH) -> str:
    """The name as the record can keep it: without credentials, printable, encodable, bounded."""
    name = fingerprint.redact_name(name)
    if len(name) > length:
        name = name[: length - 1] + "…"
    if not name.isprintable():
        # Lone surrogates cannot be stored, control characters would play with the reader's terminal.
        name = "".join(mark if mark.isprintable() else "\ufffd" for mark in name)
    return name


class Dimension(dict[str, int | None]):
    """The names of one table that are known already; asking for another one finds or makes its integer."""

    def __init__(self, conn: sqlite3.Connection, table: str, most: int = MOST) -> None:
        super().__init__()
        self._conn = conn
        self._most = most
        self._find = f"SELECT id FROM {table} WHERE name = ?"  # noqa: S608 - our own table names
        self._make = f"INSERT INTO {table}(name) VALUES(?) RETURNING id"
        self._fresh: list[str] = []
        self[""] = None
        for number, name in conn.execute(f"SELECT id, name FROM {table}"):  # noqa: S608
            self[name] = number
        self._count = len(self) - 1

    def __missing__(self, name: str) -> int | None:
        known = clean(name)
        if known in self:
            return self[known]
        row = self._conn.execute(self._find, (known,)).fetchone()
        if row is None:
            if self._count >= self._most and known != OTHER:
                # Not remembered under its own name: hostile names must not fill our memory either.
                return self[OTHER]
            row = self._conn.execute(self._make, (known,)).fetchone()
            self._count += 1
        number: int = row[0]
        self[known] = number
        self._fresh.append(known)
        return number

    def keep(self) -> None:
        """The transaction was committed."""
        self._fresh.clear()

    def forget(self) -> None:
        """The transaction was rolled back: integers made in it are void."""
        for name in self._fresh:
            del self[name]
        self._count -= len(self._fresh)
        self._fresh.clear()


class Boots(dict[bytes, int]):
    """Boot ids to integers; a boot that never registered (its start fell into the spill) gets a bare row."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        super().__init__()
        self._conn = conn
        self._fresh: list[bytes] = []
        for number, boot in conn.execute("SELECT id, boot FROM boots"):
            self[boot] = number

    def __missing__(self, boot: bytes) -> int:
        row = self._conn.execute("SELECT id FROM boots WHERE boot = ?", (boot,)).fetchone()
        if row is None:
            row = self._conn.execute(
                "INSERT INTO boots(boot, node, pid, version, started) VALUES(?, '', 0, '', 0) RETURNING id",
                (boot,),
            ).fetchone()
        number: int = row[0]
        self[boot] = number
        self._fresh.append(boot)
        return number

    def keep(self) -> None:
        """The transaction was committed."""
        self._fresh.clear()

    def forget(self) -> None:
        """The transaction was rolled back."""
        for boot in self._fresh:
            del self[boot]
        self._fresh.clear()


class Names:
    """All dimensions of one connection."""

    def __init__(self, conn: sqlite3.Connection, most: int = MOST) -> None:
        tables = {name: Dimension(conn, name, most) for name in DIMENSIONS}
        self.methods = tables["methods"]
        self.versions = tables["versions"]
        self.models = tables["models"]
        self.projects = tables["projects"]
        self.credentials = tables["credentials"]
        self.clients = tables["clients"]
        self.streamings = tables["streamings"]
        self.tiers = tables["tiers"]
        self.outcomes = tables["outcomes"]
        self.verdicts = tables["verdicts"]
        self.reasons = tables["reasons"]
        self.finish_reasons = tables["finish_reasons"]
        self.block_reasons = tables["block_reasons"]
        self.quotas = tables["quotas"]
        self.thinkings = tables["thinkings"]
        self.charge_kinds = tables["charge_kinds"]
        self.sides = tables["sides"]
        self.modalities = tables["modalities"]
        self.routes = tables["routes"]
        self.whys = tables["whys"]
        self.doors = tables["doors"]
        self.users = tables["users"]
        self.tags = tables["tags"]
        self.boots = Boots(conn)
        self.prices: dict[str, int] = {}
        self._all = tuple(tables.values())
        self._conn = conn
        self.load_prices()

    def load_prices(self) -> None:
        """Read which row of ``prices`` stands for a price's name now: that of the book loaded last.

        A call under way is priced by the book that it began with: a name that the last book has no longer stands for
        the row of the last one that had it, of the last few.
        """
        self.prices = dict(
            self._conn.execute(
                "SELECT p.name, p.id FROM"
                " (SELECT id, loaded FROM price_books ORDER BY loaded DESC, id DESC LIMIT ?) AS b"
                " CROSS JOIN prices AS p ON p.book_id = b.id ORDER BY b.loaded, b.id",
                (_BOOKS,),
            )
        )

    def keep(self) -> None:
        """The transaction was committed."""
        for table in self._all:
            table.keep()
        self.boots.keep()

    def forget(self) -> None:
        """The transaction was rolled back."""
        for table in self._all:
            table.forget()
        self.boots.forget()
        self.load_prices()
