"""Routes, reasons of choice, waiting and hedging on calls and tries; affinities; quota and health.

Columns are added in place, so a large file takes no longer than a small one. A frozen copy, as the first step.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Key = BigInteger().with_variant(Integer, "sqlite")

# Alembic would copy a whole table on SQLite to add a column that refers to another table.
COLUMNS = (
    ("open_calls", "route_id INTEGER REFERENCES routes(id)"),
    ("open_calls", "why_id INTEGER REFERENCES whys(id)"),
    ("open_calls", "waited BIGINT DEFAULT 0 NOT NULL"),
    ("open_calls", "hedge SMALLINT DEFAULT 0 NOT NULL"),
    ("calls", "route_id INTEGER REFERENCES routes(id)"),
    ("calls", "answered SMALLINT DEFAULT 0 NOT NULL"),
    ("attempts", "why_id INTEGER REFERENCES whys(id)"),
    ("attempts", "waited BIGINT DEFAULT 0 NOT NULL"),
    ("attempts", "hedge SMALLINT DEFAULT 0 NOT NULL"),
)


def upgrade() -> None:
    """From the first release's file."""
    for name in ("routes", "whys"):
        op.create_table(
            name,
            Column("id", Integer, primary_key=True),
            Column("name", String(200), nullable=False, unique=True),
        )
    for table, column in COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    _affinities()
    _quota_windows()
    _breakers()
    _breaker_changes()
    op.create_table(
        "gateway_states",
        Column("boot_id", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        _big("as_of"),
        Column("body", Text, nullable=False),
    )
    _use_slots()
    op.create_table(
        "marks",
        Column("name", String(40), primary_key=True),
        _big("seq"),
        sqlite_with_rowid=False,
    )
    op.execute("DROP VIEW call_log")
    op.execute(CALL_LOG)


def _int(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _big(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _affinities() -> None:
    op.create_table(
        "affinities",
        Column("name", String(200), primary_key=True),
        Column("project_id", Integer, ForeignKey("projects.id")),
        Column("model_id", Integer, ForeignKey("models.id")),
        _big("made_at"),
        _big("expires_at"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_affinities_expires_at"), "affinities", ["expires_at"])


def _quota_windows() -> None:
    op.create_table(
        "quota_windows",
        Column("project", String(200), primary_key=True),
        Column("family", String(200), primary_key=True),
        Column("window", String(8), primary_key=True),
        _big("limit", null=True),
        Column("source", String(16), nullable=False),
        _big("used"),
        _big("closed_until"),
        Column("reason", String(200), nullable=False),
        _big("room_at"),
        _big("since"),
        _big("as_of"),
        sqlite_with_rowid=False,
    )


def _breakers() -> None:
    op.create_table(
        "breakers",
        Column("scope", String(16), primary_key=True),
        Column("name", String(401), primary_key=True),
        Column("state", String(16), nullable=False),
        Column("reason", String(200), nullable=False),
        Column("message", Text, nullable=False),
        _big("opened_at"),
        _big("until"),
        _int("failures"),
        _big("as_of"),
        sqlite_with_rowid=False,
    )


def _breaker_changes() -> None:
    op.create_table(
        "breaker_changes",
        Column("seq", Key, primary_key=True),
        _big("at"),
        Column("scope", String(16), nullable=False),
        Column("name", String(401), nullable=False),
        Column("state", String(16), nullable=False),
        Column("reason", String(200), nullable=False),
        Column("message", Text, nullable=False),
        _big("until"),
        _int("failures"),
    )
    op.create_index(op.f("ix_breaker_changes_at"), "breaker_changes", ["at"])
    op.create_index(op.f("ix_breaker_changes_scope_name_seq"), "breaker_changes", ["scope", "name", "seq"])


def _use_slots() -> None:
    op.create_table(
        "use_slots",
        Column("slot", BigInteger, primary_key=True, autoincrement=False),
        Column("project_id", Integer, ForeignKey("projects.id"), primary_key=True, autoincrement=False),
        Column("model_id", Integer, ForeignKey("models.id"), primary_key=True, autoincrement=False),
        _big("requests"),
        _big("tokens"),
        _big("first_seq"),
        sqlite_with_rowid=False,
    )


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
LEFT JOIN reasons ON reasons.id = c.reason_id
LEFT JOIN finish_reasons ON finish_reasons.id = c.finish_id
LEFT JOIN block_reasons ON block_reasons.id = c.block_id
LEFT JOIN streamings ON streamings.id = c.streaming_id
LEFT JOIN tiers ON tiers.id = c.tier_served_id
"""
