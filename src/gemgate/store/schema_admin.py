"""The tables of administration: who may change what, what was changed, what was made in the API, jobs and bodies.

Laws:

- an admin token stands here as its SHA-256 and a hint, never as itself;
- ``audit`` is append-only, and written in the transaction of the change that it tells of;
- what gemgate.toml defines does not stand here: one name in both is refused;
- bodies of calls are here only where a rule asks for them, under the hash of what is kept, once.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
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
from gemgate.store.tables import Key, big, metadata, whole

admin_tokens = Table(
    "admin_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    # Whether it may read bodies of calls.
    Column("payloads", SmallInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("hint", String(64), nullable=False),
    big("created_at"),
    # 0: never, here and below.
    big("expires_at"),
    big("disabled_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Key, primary_key=True),
    big("at"),
    Column("actor", String(NAME_LENGTH), nullable=False),
    Column("role", String(16), nullable=False),
    Column("action", String(40), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("subject", String(NAME_LENGTH), nullable=False),
    # JSON, NULL where there was or is nothing.
    Column("before", Text),
    Column("after", Text),
    Column("request_id", String(64), nullable=False),
    Index(None, "at"),
    Index(None, "kind", "subject", "seq"),
)

stored_routes = Table(
    "stored_routes",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("body", Text, nullable=False),
    big("created_at"),
    big("changed_at"),
)

stored_limits = Table(
    "stored_limits",
    metadata,
    Column("project", String(NAME_LENGTH), primary_key=True),
    Column("model", String(NAME_LENGTH), primary_key=True),
    Column("body", Text, nullable=False),
    big("changed_at"),
)

stored_prices = Table(
    "stored_prices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    big("created_at"),
)

paused_projects = Table(
    "paused_projects",
    metadata,
    Column("project", String(NAME_LENGTH), primary_key=True),
    big("paused_at"),
)

# What somebody asked for and what takes long: exports, re-pricings.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("actor", String(NAME_LENGTH), nullable=False),
    Column("body", Text, nullable=False),
    big("done"),
    big("total"),
    Column("result", Text, nullable=False),
    Column("message", Text, nullable=False),
    big("created_at"),
    big("started_at"),
    big("ended_at"),
    big("expires_at"),
    Index(None, "kind", "state"),
)

# The last run of what runs by itself.
job_runs = Table(
    "job_runs",
    metadata,
    Column("name", String(40), primary_key=True),
    big("started_at"),
    big("ended_at"),
    Column("ok", SmallInteger, nullable=False),
    Column("message", Text, nullable=False),
    big("runs"),
)

payloads = Table(
    "payloads",
    metadata,
    Column("id", Key, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    big("size"),
    Column("body", LargeBinary, nullable=False),
    big("made_at"),
    big("used_at"),
    Index(None, "used_at"),
)

call_payloads = Table(
    "call_payloads",
    metadata,
    Column("call_id", LargeBinary(16), primary_key=True),
    # 0: the request, 1: the answer.
    Column("side", SmallInteger, primary_key=True, autoincrement=False),
    Column("payload_id", Key, ForeignKey("payloads.id"), nullable=False, index=True),
    big("size"),
    Column("whole", SmallInteger, nullable=False),
    whole("redacted"),
    Column("at", BigInteger, nullable=False, index=True),
    # When it goes by the age that its rule names.
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

payload_rules = Table(
    "payload_rules",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("of", String(NAME_LENGTH), primary_key=True),
    Column("redact", Text, nullable=False),
    big("max_bytes"),
    big("keep_seconds"),
    big("created_at"),
)

# What `gemgate seed` made, so that it can be taken away again.
seeds = Table(
    "seeds",
    metadata,
    Column("boot_id", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
    big("calls"),
    big("low"),
    big("high"),
    big("made_at"),
    Column("body", Text, nullable=False),
)
