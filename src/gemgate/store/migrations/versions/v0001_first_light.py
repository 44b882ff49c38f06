"""The record as the first release has it: dimensions, boots, prices, calls under way, calls and attempts.

A frozen copy of the tables: it must not follow ``store.schema``, which later steps move on.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NAMES = (
    "methods",
    "versions",
    "models",
    "projects",
    "credentials",
    "clients",
    "streamings",
    "tiers",
    "outcomes",
    "verdicts",
    "reasons",
    "finish_reasons",
    "block_reasons",
    "quotas",
    "thinkings",
    "charge_kinds",
    "sides",
    "modalities",
)

Key = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """From an empty file."""
    for name in NAMES:
        op.create_table(
            name,
            Column("id", Integer, primary_key=True),
            Column("name", String(200), nullable=False, unique=True),
        )
    _boots()
    _price_books()
    _prices()
    _open_calls()
    _calls()
    _attempts()
    _charges()
    _details()
    _prefixes()
    op.execute(CALL_LOG)


def _of(name: str, dimension: str, *, required: bool = False) -> Column[int]:
    return Column(name, Integer, ForeignKey(f"{dimension}.id"), nullable=not required)


def _int(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _big(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _boots() -> None:
    op.create_table(
        "boots",
        Column("id", Integer, primary_key=True),
        Column("boot", LargeBinary(16), nullable=False, unique=True),
        Column("node", String(200), nullable=False),
        Column("pid", Integer, nullable=False),
        Column("version", String(40), nullable=False),
        _big("started"),
        _big("ended", null=True),
    )


def _price_books() -> None:
    op.create_table(
        "price_books",
        Column("id", Integer, primary_key=True),
        Column("digest", String(64), nullable=False, unique=True),
        Column("name", String(200), nullable=False),
        _big("loaded"),
    )


def _prices() -> None:
    op.create_table(
        "prices",
        Column("id", Integer, primary_key=True),
        Column("name", String(200), nullable=False),
        Column("book_id", Integer, ForeignKey("price_books.id"), nullable=False),
        Column("body", Text, nullable=False),
        UniqueConstraint("book_id", "name"),
    )


def _open_calls() -> None:
    op.create_table(
        "open_calls",
        Column("call_id", LargeBinary(16), primary_key=True),
        Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
        Column("boot_id", Integer, ForeignKey("boots.id"), nullable=False),
        _big("received_at"),
        _big("sent_at"),
        _of("method_id", "methods"),
        _of("version_id", "versions"),
        _of("model_id", "models"),
        _of("project_id", "projects"),
        _of("credential_id", "credentials"),
        _of("client_id", "clients"),
        _of("streaming_id", "streamings"),
        _of("tier_id", "tiers"),
        _big("request_bytes"),
        _big("input_estimate"),
        Column("finished", LargeBinary),
        sqlite_with_rowid=False,
    )


def _calls() -> None:
    op.create_table(
        "calls",
        Column("seq", Key, primary_key=True),
        Column("call_id", LargeBinary(16), nullable=False, unique=True),
        Column("boot_id", Integer, ForeignKey("boots.id"), nullable=False),
        _big("received_at"),
        _big("first_byte", null=True),
        _big("duration"),
        _big("waited"),
        _of("method_id", "methods"),
        _of("version_id", "versions"),
        _of("model_id", "models"),
        _of("model_served_id", "models"),
        _of("project_id", "projects"),
        _of("client_id", "clients"),
        _of("outcome_id", "outcomes", required=True),
        Column("status", SmallInteger, nullable=False),
        _of("reason_id", "reasons"),
        _of("finish_id", "finish_reasons"),
        _of("block_id", "block_reasons"),
        _of("streaming_id", "streamings"),
        _of("tier_id", "tiers"),
        _of("tier_served_id", "tiers"),
        _big("request_bytes"),
        _big("response_bytes"),
        Column("attempts", SmallInteger, nullable=False),
        _big("input"),
        _big("cached"),
        _big("output"),
        _big("thoughts"),
        _big("tool"),
        _big("estimated"),
        _big("list_nano", null=True),
        _big("billed_nano", null=True),
        _big("estimated_list_nano", null=True),
        _big("estimated_billed_nano", null=True),
        _int("tools"),
        _int("turns"),
        _int("media"),
        _big("max_output", null=True),
        _of("thinking_id", "thinkings"),
        Column("json_output", SmallInteger, nullable=False),
        Column("cached_content", SmallInteger, nullable=False),
        _big("request_hash"),
    )
    op.create_index(op.f("ix_calls_received_at"), "calls", ["received_at"])
    op.create_index(op.f("ix_calls_model_id_seq"), "calls", ["model_id", "seq"])
    op.create_index(op.f("ix_calls_project_id_seq"), "calls", ["project_id", "seq"])
    op.create_index(op.f("ix_calls_outcome_id_seq"), "calls", ["outcome_id", "seq"])
    others = text("status <> 200")
    op.create_index(
        op.f("ix_calls_status_seq"), "calls", ["status", "seq"], sqlite_where=others, postgresql_where=others
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        Column("seq", Key, primary_key=True),
        Column("call_seq", Key, ForeignKey("calls.seq"), nullable=False),
        Column("number", SmallInteger, nullable=False),
        _of("model_id", "models"),
        _of("project_id", "projects"),
        _of("credential_id", "credentials"),
        _big("sent_at"),
        _big("first_byte", null=True),
        _big("duration"),
        _of("verdict_id", "verdicts", required=True),
        Column("status", SmallInteger, nullable=False),
        _of("reason_id", "reasons"),
        Column("message", Text),
        _of("quota_id", "quotas"),
        _big("retry_after"),
        _of("model_served_id", "models"),
        _of("tier_served_id", "tiers"),
        Column("response", String(200)),
        _big("request_bytes"),
        _big("response_bytes"),
        Column("seen", SmallInteger, nullable=False),
        Column("estimated", SmallInteger, nullable=False),
        _big("input"),
        _big("cached"),
        _big("output"),
        _big("thoughts"),
        _big("tool"),
        _int("searches"),
        Column("grounded", SmallInteger, nullable=False),
        _int("maps"),
        _big("input_nano"),
        _big("cached_nano"),
        _big("output_nano"),
        _big("thoughts_nano"),
        _big("tool_nano"),
        _big("list_nano", null=True),
        _big("billed_nano", null=True),
        Column("price_id", Integer, ForeignKey("prices.id")),
        UniqueConstraint("call_seq", "number"),
    )


def _charges() -> None:
    op.create_table(
        "charges",
        Column("attempt_seq", Key, ForeignKey("attempts.seq"), primary_key=True),
        Column("position", SmallInteger, primary_key=True, autoincrement=False),
        _of("kind_id", "charge_kinds", required=True),
        _big("quantity"),
        _big("nano", null=True),
        sqlite_with_rowid=False,
    )


def _details() -> None:
    op.create_table(
        "details",
        Column("attempt_seq", Key, ForeignKey("attempts.seq"), primary_key=True),
        Column("position", SmallInteger, primary_key=True, autoincrement=False),
        _of("side_id", "sides", required=True),
        _of("modality_id", "modalities", required=True),
        _big("tokens"),
        sqlite_with_rowid=False,
    )


def _prefixes() -> None:
    op.create_table(
        "prefixes",
        Column("call_seq", Key, ForeignKey("calls.seq"), primary_key=True),
        Column("size", Integer, primary_key=True, autoincrement=False),
        _big("hash"),
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
    outcomes.name AS outcome,
    c.status,
    reasons.name AS reason,
    finish_reasons.name AS finish,
    block_reasons.name AS block,
    streamings.name AS streaming,
    tiers.name AS tier_served,
    c.attempts,
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
LEFT JOIN reasons ON reasons.id = c.reason_id
LEFT JOIN finish_reasons ON finish_reasons.id = c.finish_id
LEFT JOIN block_reasons ON block_reasons.id = c.block_id
LEFT JOIN streamings ON streamings.id = c.streaming_id
LEFT JOIN tiers ON tiers.id = c.tier_served_id
"""
