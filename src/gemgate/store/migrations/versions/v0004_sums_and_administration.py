"""Sums of calls for reports, and the tables of administration. A frozen copy, as the steps before.

The sums are empty: the console makes them of the calls that are there, beside the traffic. The indexes of calls
by reason and route read the table (some seconds for ten million calls).
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

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Key = BigInteger().with_variant(Integer, "sqlite")

FACTS = (
    "calls",
    "ok",
    "refused",
    "failed",
    "cut",
    "cancelled",
    "interrupted",
    "streamed",
    "retried",
    "switched",
    "rescued",
    "hedged",
    "hedges_won",
    "waited",
    "busy",
    "request_bytes",
    "response_bytes",
    "tries",
    "tries_failed",
    "input",
    "cached",
    "output",
    "thoughts",
    "tool",
    "estimated",
    "list_nano",
    "billed_nano",
    "estimated_list_nano",
    "estimated_billed_nano",
    "unpriced",
    "unpriced_tokens",
    "input_nano",
    "cached_nano",
    "output_nano",
    "thoughts_nano",
    "tool_nano",
    "other_nano",
    "saved_nano",
    "failed_list_nano",
    "failed_billed_nano",
    "cancelled_list_nano",
    "cancelled_billed_nano",
    "hedged_list_nano",
    "hedged_billed_nano",
)
CELL = ("model", "route", "key", "project", "method", "status", "client", "reason")
FAILURE = (
    "grain",
    "slot",
    "model",
    "project",
    "verdict",
    "reason",
    "status",
    "next_model",
    "next_project",
)


def upgrade() -> None:
    """From a file without sums."""
    _rollups()
    _failures()
    _access()
    _stored()
    _jobs()
    _payloads()
    for column in ("reason_id", "route_id"):
        there = text(f"{column} IS NOT NULL")
        op.create_index(
            op.f(f"ix_calls_{column}_seq"),
            "calls",
            [column, "seq"],
            sqlite_where=there,
            postgresql_where=there,
        )


def _big(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _whole(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _part(name: str) -> Column[int]:
    kind = {"cube": SmallInteger, "slot": BigInteger}.get(name, Integer)
    return Column(name, kind, primary_key=True, autoincrement=False)


def _rollups() -> None:
    place = ("cube", "grain", "slot", "a", "b")
    op.create_table(
        "rollups",
        *(_part(name) for name in place),
        *(_big(name) for name in FACTS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sketches",
        Column("id", Key, primary_key=True),
        Column("cube", SmallInteger, nullable=False),
        _whole("grain"),
        _big("slot"),
        _whole("a"),
        _whole("b"),
        Column("body", LargeBinary, nullable=False),
        UniqueConstraint(*place, name=op.f("uq_sketches_cube_grain_slot_a_b")),
    )
    op.create_table(
        "rollup_charges",
        *(_part(name) for name in (*place, "kind_id")),
        _big("quantity"),
        _big("nano"),
        _whole("unpriced"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cells",
        Column("id", Integer, primary_key=True),
        *(_whole(name) for name in CELL),
        UniqueConstraint(*CELL, name=op.f("uq_cells_" + "_".join(CELL))),
    )


def _failures() -> None:
    op.create_table(
        "failures",
        *(_part(name) for name in FAILURE),
        _big("tries"),
        _big("list_nano"),
        _big("billed_nano"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "busy_minutes",
        Column("minute", BigInteger, primary_key=True, autoincrement=False),
        _big("busy"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "findings",
        Column("id", Integer, primary_key=True),
        Column("body", LargeBinary, nullable=False),
        _big("as_of"),
    )
    op.create_index(op.f("ix_findings_as_of"), "findings", ["as_of"])


def _access() -> None:
    op.create_table(
        "admin_tokens",
        Column("id", Integer, primary_key=True),
        Column("name", String(200), nullable=False, unique=True),
        Column("role", String(16), nullable=False),
        Column("payloads", SmallInteger, nullable=False),
        Column("digest", LargeBinary(32), nullable=False, unique=True),
        Column("hint", String(64), nullable=False),
        _big("created_at"),
        _big("expires_at"),
        _big("disabled_at"),
    )
    op.create_table(
        "audit",
        Column("seq", Key, primary_key=True),
        _big("at"),
        Column("actor", String(200), nullable=False),
        Column("role", String(16), nullable=False),
        Column("action", String(40), nullable=False),
        Column("kind", String(40), nullable=False),
        Column("subject", String(200), nullable=False),
        Column("before", Text),
        Column("after", Text),
        Column("request_id", String(64), nullable=False),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
    op.create_index(op.f("ix_audit_kind_subject_seq"), "audit", ["kind", "subject", "seq"])


def _stored() -> None:
    op.create_table(
        "stored_routes",
        Column("name", String(200), primary_key=True),
        Column("body", Text, nullable=False),
        _big("created_at"),
        _big("changed_at"),
    )
    op.create_table(
        "stored_limits",
        Column("project", String(200), primary_key=True),
        Column("model", String(200), primary_key=True),
        Column("body", Text, nullable=False),
        _big("changed_at"),
    )
    op.create_table(
        "stored_prices",
        Column("id", Integer, primary_key=True),
        Column("body", Text, nullable=False),
        _big("created_at"),
    )
    op.create_table(
        "paused_projects",
        Column("project", String(200), primary_key=True),
        _big("paused_at"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        Column("id", Integer, primary_key=True),
        Column("kind", String(40), nullable=False),
        Column("state", String(16), nullable=False),
        Column("actor", String(200), nullable=False),
        Column("body", Text, nullable=False),
        _big("done"),
        _big("total"),
        Column("result", Text, nullable=False),
        Column("message", Text, nullable=False),
        _big("created_at"),
        _big("started_at"),
        _big("ended_at"),
        _big("expires_at"),
    )
    op.create_index(op.f("ix_jobs_kind_state"), "jobs", ["kind", "state"])
    op.create_table(
        "job_runs",
        Column("name", String(40), primary_key=True),
        _big("started_at"),
        _big("ended_at"),
        Column("ok", SmallInteger, nullable=False),
        Column("message", Text, nullable=False),
        _big("runs"),
    )
    op.create_table(
        "seeds",
        Column("boot_id", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
        _big("calls"),
        _big("low"),
        _big("high"),
        _big("made_at"),
        Column("body", Text, nullable=False),
    )


def _payloads() -> None:
    op.create_table(
        "payloads",
        Column("id", Key, primary_key=True),
        Column("digest", LargeBinary(32), nullable=False, unique=True),
        _big("size"),
        Column("body", LargeBinary, nullable=False),
        _big("made_at"),
        _big("used_at"),
    )
    op.create_index(op.f("ix_payloads_used_at"), "payloads", ["used_at"])
    op.create_table(
        "call_payloads",
        Column("call_id", LargeBinary(16), primary_key=True),
        Column("side", SmallInteger, primary_key=True, autoincrement=False),
        Column("payload_id", Key, ForeignKey("payloads.id"), nullable=False),
        _big("size"),
        Column("whole", SmallInteger, nullable=False),
        _whole("redacted"),
        _big("at"),
        _big("expires_at"),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_call_payloads_payload_id"), "call_payloads", ["payload_id"])
    op.create_index(op.f("ix_call_payloads_at"), "call_payloads", ["at"])
    op.create_index(op.f("ix_call_payloads_expires_at"), "call_payloads", ["expires_at"])
    op.create_table(
        "payload_rules",
        Column("scope", String(16), primary_key=True),
        Column("of", String(200), primary_key=True),
        Column("redact", Text, nullable=False),
        _big("max_bytes"),
        _big("keep_seconds"),
        _big("created_at"),
    )
