"""Virtual keys, budgets, tags, users and doors; what calls have spent; signatures and events.

Columns are added in place. The indexes of calls by key and by user read the table (some seconds for ten million
calls) and are empty then. A frozen copy, as the steps before.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    text,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Key = BigInteger().with_variant(Integer, "sqlite")

# Alembic would copy a whole table on SQLite to add a column that refers to another table.
COLUMNS = (
    ("open_calls", "key_id INTEGER REFERENCES virtual_keys(id)"),
    ("open_calls", "user_id INTEGER REFERENCES users(id)"),
    ("open_calls", "door_id INTEGER REFERENCES doors(id)"),
    ("open_calls", "tags BLOB"),
    ("open_calls", "output_estimate BIGINT DEFAULT 0 NOT NULL"),
    ("open_calls", "held BLOB"),
    ("calls", "key_id INTEGER REFERENCES virtual_keys(id)"),
    ("calls", "user_id INTEGER REFERENCES users(id)"),
    ("calls", "door_id INTEGER REFERENCES doors(id)"),
    ("affinities", "tenant VARCHAR(200)"),
)


def upgrade() -> None:
    """From a file without keys."""
    for name in ("doors", "users", "tags"):
        op.create_table(
            name,
            Column("id", Integer, primary_key=True),
            Column("name", String(200), nullable=False, unique=True),
        )
    _virtual_keys()
    _key_tokens()
    _budgets()
    _events()
    op.create_table(
        "signatures",
        Column("name", String(200), primary_key=True),
        Column("body", LargeBinary, nullable=False),
        _big("expires_at"),
    )
    op.create_index(op.f("ix_signatures_expires_at"), "signatures", ["expires_at"])
    op.create_table(
        "revisions",
        Column("name", String(40), primary_key=True),
        _big("number"),
        sqlite_with_rowid=False,
    )
    for table, column in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    for column in ("key_id", "user_id"):
        there = text(f"{column} IS NOT NULL")
        op.create_index(
            op.f(f"ix_calls_{column}_seq"),
            "calls",
            [column, "seq"],
            sqlite_where=there,
            postgresql_where=there,
        )
    _call_tags()
    _key_hours()
    op.execute("DROP VIEW call_log")
    op.execute(CALL_LOG)


def _big(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _virtual_keys() -> None:
    op.create_table(
        "virtual_keys",
        Column("id", Integer, primary_key=True),
        Column("name", String(200), nullable=False, unique=True),
        Column("owner", String(200), nullable=False),
        Column("tags", Text, nullable=False),
        Column("routes", Text, nullable=False),
        Column("networks", Text, nullable=False),
        Column("rights", Text, nullable=False),
        _big("rpm", null=True),
        _big("tpm", null=True),
        _big("concurrency", null=True),
        _big("created_at"),
        _big("expires_at"),
        _big("disabled_at"),
        _big("stopped_at"),
        Column("stopped_why", Text, nullable=False),
    )


def _key_tokens() -> None:
    op.create_table(
        "key_tokens",
        Column("digest", LargeBinary(32), primary_key=True),
        Column("key_id", Integer, ForeignKey("virtual_keys.id"), nullable=False),
        _big("created_at"),
        _big("valid_until"),
        Column("hint", String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_key_tokens_key_id"), "key_tokens", ["key_id"])


def _budgets() -> None:
    op.create_table(
        "budgets",
        Column("id", Integer, primary_key=True),
        Column("name", String(200), nullable=False, unique=True),
        Column("scope", String(16), nullable=False),
        Column("of", String(200), nullable=False),
        Column("unit", String(16), nullable=False),
        _big("amount"),
        Column("period", String(16), nullable=False),
        _big("seconds"),
        Column("zone", String(64), nullable=False),
        Column("soft", Float, nullable=False),
        Column("unpriced", SmallInteger, nullable=False),
        _big("disabled_at"),
        _big("created_at"),
    )
    op.create_table(
        "budget_spends",
        Column("budget_id", Integer, ForeignKey("budgets.id"), primary_key=True, autoincrement=False),
        Column("slot", BigInteger, primary_key=True, autoincrement=False),
        _big("spent"),
        sqlite_with_rowid=False,
    )


def _events() -> None:
    op.create_table(
        "events",
        Column("seq", Key, primary_key=True),
        _big("at"),
        Column("kind", String(40), nullable=False),
        Column("subject", String(200), nullable=False),
        Column("sentence", Text, nullable=False),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"])
    op.create_index(op.f("ix_events_kind_subject_seq"), "events", ["kind", "subject", "seq"])


def _call_tags() -> None:
    op.create_table(
        "call_tags",
        Column("call_seq", Key, ForeignKey("calls.seq"), primary_key=True),
        Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_call_tags_tag_id_call_seq"), "call_tags", ["tag_id", "call_seq"])


def _key_hours() -> None:
    op.create_table(
        "key_hours",
        Column("key_id", Integer, ForeignKey("virtual_keys.id"), primary_key=True, autoincrement=False),
        Column("hour", BigInteger, primary_key=True, autoincrement=False),
        _big("calls"),
        _big("nano"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_key_hours_hour"), "key_hours", ["hour"])
    # No call so far had a key: nothing of them is to be summed.
    op.execute("INSERT INTO marks(name, seq) SELECT 'key_hours', ifnull(max(seq), 0) FROM calls")


# For people who open the file with any SQLite tool. Nothing of gemgate reads it.
CALL_LOG = """
CREATE VIEW call_log AS
SELECT
    c.seq,
    lower(substr(hex(c.call_id), 1, 8) || '-' || substr(hex(c.call_id), 9, 4) || '-'
        || substr(hex(c.call_id), 13, 4) || '-' || substr(hex(c.call_id), 17, 4) || '-'
        || substr(hex(c.call_id), 21)) AS call_id,
    strftime('%Y-%m-%dT%H:%M:%S', c.received_at / 1000000, 'unixepoch')
        || printf('.%06dZ', c.received_at % 1000000) AS received,
    methods.name AS method,
    versions.name AS version,
    asked.name AS model,
    served.name AS model_served,
    projects.name AS project,
    clients.name AS client,
    routes.name AS route,
    virtual_keys.name AS key,
    users.name AS user,
    doors.name AS door,
    outcomes.name AS outcome,
    c.status,
    reasons.name AS reason,
    finish_reasons.name AS finish,
    block_reasons.name AS block,
    streamings.name AS streaming,
    tiers.name AS tier_served,
    c.attempts,
    c.waited / 1000.0 AS waited_ms,
    c.first_byte / 1000.0 AS first_byte_ms,
    c.duration / 1000.0 AS duration_ms,
    c.request_bytes,
    c.response_bytes,
    c.input AS input_tokens,
    c.cached AS cached_tokens,
    c.output AS output_tokens,
    c.thoughts AS thoughts_tokens,
    c.tool AS tool_tokens,
    c.estimated AS estimated_tokens,
    c.list_nano / 1e9 AS list_dollars,
    c.billed_nano / 1e9 AS billed_dollars,
    c.estimated_billed_nano / 1e9 AS estimated_billed_dollars
FROM calls AS c
JOIN outcomes ON outcomes.id = c.outcome_id
LEFT JOIN methods ON methods.id = c.method_id
LEFT JOIN versions ON versions.id = c.version_id
LEFT JOIN models AS asked ON asked.id = c.model_id
LEFT JOIN models AS served ON served.id = c.model_served_id
LEFT JOIN projects ON projects.id = c.project_id
LEFT JOIN clients ON clients.id = c.client_id
LEFT JOIN routes ON routes.id = c.route_id
LEFT JOIN virtual_keys ON virtual_keys.id = c.key_id
LEFT JOIN users ON users.id = c.user_id
LEFT JOIN doors ON doors.id = c.door_id
LEFT JOIN reasons ON reasons.id = c.reason_id
LEFT JOIN finish_reasons ON finish_reasons.id = c.finish_id
LEFT JOIN block_reasons ON block_reasons.id = c.block_id
LEFT JOIN streamings ON streamings.id = c.streaming_id
LEFT JOIN tiers ON tiers.id = c.tier_served_id
"""
