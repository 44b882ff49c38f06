"""The tables of keys and brakes: who may call, how much, what was spent of it, and what people should hear of.

Laws:

- a key's token stands here as its SHA-256 and a hint, never as itself;
- a key or budget is never deleted, rows point to it: it is disabled;
- ``budget_spends`` is written by ``ledger.settle`` with the row of the call that spent it;
- whoever writes keys or budgets counts ``revisions`` up in the same transaction, so that gateways notice.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
)

from gemgate.store.columns import NAME_LENGTH
from gemgate.store.tables import Key, big, metadata

virtual_keys = Table(
    "virtual_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False, unique=True),
    Column("owner", String(NAME_LENGTH), nullable=False),
    # Lists of names, as JSON.
    Column("tags", Text, nullable=False),
    Column("routes", Text, nullable=False),
    Column("networks", Text, nullable=False),
    Column("rights", Text, nullable=False),
    big("rpm", null=True),
    big("tpm", null=True),
    big("concurrency", null=True),
    big("created_at"),
    # 0: never, here and below.
    big("expires_at"),
    big("disabled_at"),
    big("stopped_at"),
    Column("stopped_why", Text, nullable=False),
)

key_tokens = Table(
    "key_tokens",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("key_id", Integer, ForeignKey("virtual_keys.id"), nullable=False, index=True),
    big("created_at"),
    big("valid_until"),
    Column("hint", String(64), nullable=False),
    sqlite_with_rowid=False,
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False, unique=True),
    Column("scope", String(16), nullable=False),
    Column("of", String(NAME_LENGTH), nullable=False),
    Column("unit", String(16), nullable=False),
    big("amount"),
    Column("period", String(16), nullable=False),
    big("seconds"),
    Column("zone", String(64), nullable=False),
    Column("soft", Float, nullable=False),
    Column("unpriced", SmallInteger, nullable=False),
    big("disabled_at"),
    big("created_at"),
)

budget_spends = Table(
    "budget_spends",
    metadata,
    Column("budget_id", Integer, ForeignKey("budgets.id"), primary_key=True, autoincrement=False),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    big("spent"),
    sqlite_with_rowid=False,
)

# What keys spent by the hour of their calls' coming (``store.uses``); ``marks`` says how far.
key_hours = Table(
    "key_hours",
    metadata,
    Column("key_id", Integer, ForeignKey("virtual_keys.id"), primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    big("calls"),
    big("nano"),
    Index(None, "hour"),
    sqlite_with_rowid=False,
)

# Thought signatures of calls whose clients drop them. Several KiB each: beside the key, not in its tree.
signatures = Table(
    "signatures",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

# Append-only.
events = Table(
    "events",
    metadata,
    Column("seq", Key, primary_key=True),
    big("at"),
    Column("kind", String(40), nullable=False),
    Column("subject", String(NAME_LENGTH), nullable=False),
    Column("sentence", Text, nullable=False),
    Index(None, "at"),
    Index(None, "kind", "subject", "seq"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(40), primary_key=True),
    big("number"),
    sqlite_with_rowid=False,
)
