"""The columns that the ledger writes, and the SQL made of them once at import.

Plain names, so that the gateway starts without SQLAlchemy; ``tests/store`` holds them equal to ``schema``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

NAME_LENGTH: Final = 200
"""Characters that a name in a dimension may have; longer ones are cut."""

DIMENSIONS: Final = (
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
    "routes",
    "whys",
    "doors",
    "users",
    "tags",
)

OPEN_CALLS: Final = (
    "call_id",
    "attempt",
    "boot_id",
    "received_at",
    "sent_at",
    "method_id",
    "version_id",
    "model_id",
    "project_id",
    "credential_id",
    "client_id",
    "streaming_id",
    "tier_id",
    "request_bytes",
    "input_estimate",
    "finished",
    "route_id",
    "why_id",
    "waited",
    "hedge",
    "key_id",
    "user_id",
    "door_id",
    "tags",
    "output_estimate",
    "held",
)

CALLS: Final = (
    "seq",
    "call_id",
    "boot_id",
    "received_at",
    "first_byte",
    "duration",
    "waited",
    "method_id",
    "version_id",
    "model_id",
    "model_served_id",
    "project_id",
    "client_id",
    "outcome_id",
    "status",
    "reason_id",
    "finish_id",
    "block_id",
    "streaming_id",
    "tier_id",
    "tier_served_id",
    "request_bytes",
    "response_bytes",
    "attempts",
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
    "tools",
    "turns",
    "media",
    "max_output",
    "thinking_id",
    "json_output",
    "cached_content",
    "request_hash",
    "route_id",
    "answered",
    "key_id",
    "user_id",
    "door_id",
)

ATTEMPTS: Final = (
    "seq",
    "call_seq",
    "number",
    "model_id",
    "project_id",
    "credential_id",
    "sent_at",
    "first_byte",
    "duration",
    "verdict_id",
    "status",
    "reason_id",
    "message",
    "quota_id",
    "retry_after",
    "model_served_id",
    "tier_served_id",
    "response",
    "request_bytes",
    "response_bytes",
    "seen",
    "estimated",
    "input",
    "cached",
    "output",
    "thoughts",
    "tool",
    "searches",
    "grounded",
    "maps",
    "input_nano",
    "cached_nano",
    "output_nano",
    "thoughts_nano",
    "tool_nano",
    "list_nano",
    "billed_nano",
    "price_id",
    "why_id",
    "waited",
    "hedge",
)

CHARGES: Final = ("attempt_seq", "position", "kind_id", "quantity", "nano")
DETAILS: Final = ("attempt_seq", "position", "side_id", "modality_id", "tokens")
PREFIXES: Final = ("call_seq", "size", "hash")
CALL_TAGS: Final = ("call_seq", "tag_id")
BUDGET_SPENDS: Final = ("budget_id", "slot", "spent")
EVENTS: Final = ("at", "kind", "subject", "sentence")


BLOCK: Final = 16
"""Rows in one statement: one step of SQLite for all of them, so Python's lock changes hands once."""


class Insert:
    """An INSERT into one table. ``unique`` names the columns whose repetition is no fault, ``then`` is what it
    does to the row that is there."""

    def __init__(
        self, table: str, columns: tuple[str, ...], *, unique: str = "", then: str = "NOTHING"
    ) -> None:
        marks = f"({','.join('?' * len(columns))})"
        head = f"INSERT INTO {table}({','.join(columns)}) VALUES"
        tail = f" ON CONFLICT({unique}) DO {then}" if unique else ""
        self.one: Final = head + marks + tail
        self.block: Final = head + ",".join([marks] * BLOCK) + tail

    def rows(self, conn: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> int:
        """Insert the rows in order; returns how many were new, or changed."""
        new = 0
        whole = len(rows) - len(rows) % BLOCK
        for place in range(0, whole, BLOCK):
            new += conn.execute(self.block, list(chain.from_iterable(rows[place : place + BLOCK]))).rowcount
        if whole < len(rows):
            new += conn.executemany(self.one, rows[whole:]).rowcount
        return new


INSERT_OPEN: Final = Insert("open_calls", OPEN_CALLS, unique="call_id,attempt")
INSERT_CALL: Final = Insert("calls", CALLS, unique="call_id")
INSERT_ATTEMPT: Final = Insert("attempts", ATTEMPTS)
INSERT_CHARGE: Final = Insert("charges", CHARGES)
INSERT_DETAIL: Final = Insert("details", DETAILS)
INSERT_PREFIX: Final = Insert("prefixes", PREFIXES)
# Two names of a full dimension are one tag.
INSERT_CALL_TAG: Final = Insert("call_tags", CALL_TAGS, unique="call_seq,tag_id")
INSERT_EVENT: Final = Insert("events", EVENTS)
# SQLite makes a float of a sum beyond 63 bits, which is more than the most there is.
ADD_SPENDS: Final = Insert(
    "budget_spends",
    BUDGET_SPENDS,
    unique="budget_id,slot",
    then=f"UPDATE SET spent = min({2**63 - 1}, spent + excluded.spent)",
)
