"""The tables of the record, for Alembic and for engines other than SQLite.

Laws:

- ``calls`` has one row per client request, ``attempts`` one per try; both are append-only (re-pricing alone
  changes their money) and their ``seq`` is commit-ordered: who has seen ``seq`` n has seen all below;
- a call's sums (tokens, money) are those of its attempts; NULL money is `unpriced`, and makes its sum NULL;
- a name stands once, in its own small table, and rows carry its integer; NULL stands for the empty name;
- keys, budgets and what they brought about are in ``store.schema_keys``, sums in ``store.schema_rollups``, what
  the console's API keeps in ``store.schema_admin``;
- times are UTC microseconds since 1970, spans microseconds, money nano-dollars, sizes bytes.

The hot ledger does not import this module (SQLAlchemy costs a third of a second and 28 MB): it writes the
columns named in ``store.columns``, and a test holds both lists together.
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
    UniqueConstraint,
    text,
)

from gemgate.store import schema_admin, schema_keys, schema_rollups
from gemgate.store.columns import NAME_LENGTH
from gemgate.store.tables import Key, big, dimensions, metadata, of, whole

__all__ = ["dimensions", "metadata", "schema_admin", "schema_keys", "schema_rollups"]

boots = Table(
    "boots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("boot", LargeBinary(16), nullable=False, unique=True),
    Column("node", String(NAME_LENGTH), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(40), nullable=False),
    big("started"),
    big("ended", null=True),
)

price_books = Table(
    "price_books",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    big("loaded"),
)

prices = Table(
    "prices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("book_id", Integer, ForeignKey("price_books.id"), nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("book_id", "name"),
)

open_calls = Table(
    "open_calls",
    metadata,
    Column("call_id", LargeBinary(16), primary_key=True),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    Column("boot_id", Integer, ForeignKey("boots.id"), nullable=False),
    big("received_at"),
    big("sent_at"),
    of("method_id", "methods"),
    of("version_id", "versions"),
    of("model_id", "models"),
    of("project_id", "projects"),
    of("credential_id", "credentials"),
    of("client_id", "clients"),
    of("streaming_id", "streamings"),
    of("tier_id", "tiers"),
    big("request_bytes"),
    big("input_estimate"),
    # The finished try as msgpack, once the call has gone on to another: a crash then closes it as it was.
    Column("finished", LargeBinary),
    of("route_id", "routes"),
    of("why_id", "whys"),
    Column("waited", BigInteger, nullable=False, server_default="0"),
    Column("hedge", SmallInteger, nullable=False, server_default="0"),
    Column("key_id", Integer, ForeignKey("virtual_keys.id")),
    of("user_id", "users"),
    of("door_id", "doors"),
    # Names of tags, and what the try holds of budgets (``call.Charged``), as msgpack; NULL for none.
    Column("tags", LargeBinary),
    Column("output_estimate", BigInteger, nullable=False, server_default="0"),
    Column("held", LargeBinary),
    sqlite_with_rowid=False,
)


def _some(column: str) -> Index:
    """An index of the calls that have something there."""
    there = text(f"{column} IS NOT NULL")
    return Index(None, column, "seq", sqlite_where=there, postgresql_where=there)


calls = Table(
    "calls",
    metadata,
    Column("seq", Key, primary_key=True),
    Column("call_id", LargeBinary(16), nullable=False, unique=True),
    Column("boot_id", Integer, ForeignKey("boots.id"), nullable=False),
    big("received_at"),
    big("first_byte", null=True),
    big("duration"),
    big("waited"),
    of("method_id", "methods"),
    of("version_id", "versions"),
    of("model_id", "models"),
    of("model_served_id", "models"),
    of("project_id", "projects"),
    of("client_id", "clients"),
    of("outcome_id", "outcomes", required=True),
    Column("status", SmallInteger, nullable=False),
    of("reason_id", "reasons"),
    of("finish_id", "finish_reasons"),
    of("block_id", "block_reasons"),
    of("streaming_id", "streamings"),
    of("tier_id", "tiers"),
    of("tier_served_id", "tiers"),
    big("request_bytes"),
    big("response_bytes"),
    Column("attempts", SmallInteger, nullable=False),
    big("input"),
    big("cached"),
    big("output"),
    big("thoughts"),
    big("tool"),
    big("estimated"),
    big("list_nano", null=True),
    big("billed_nano", null=True),
    big("estimated_list_nano", null=True),
    big("estimated_billed_nano", null=True),
    whole("tools"),
    whole("turns"),
    whole("media"),
    big("max_output", null=True),
    of("thinking_id", "thinkings"),
    Column("json_output", SmallInteger, nullable=False),
    Column("cached_content", SmallInteger, nullable=False),
    big("request_hash"),
    of("route_id", "routes"),
    # The number of the try whose answer the client got, 0: the last one.
    Column("answered", SmallInteger, nullable=False, server_default="0"),
    Column("key_id", Integer, ForeignKey("virtual_keys.id")),
    of("user_id", "users"),
    of("door_id", "doors"),
    Index(None, "received_at"),
    Index(None, "model_id", "seq"),
    Index(None, "project_id", "seq"),
    Index(None, "outcome_id", "seq"),
    # Almost all calls end in 200: an index of the others costs next to nothing.
    Index(None, "status", "seq", sqlite_where=text("status <> 200"), postgresql_where=text("status <> 200")),
    # Calls without a key or a user are not in these, and cost them nothing.
    _some("key_id"),
    _some("user_id"),
    _some("route_id"),
    # Why a call did not end well: of the few that have a reason.
    _some("reason_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("seq", Key, primary_key=True),
    Column("call_seq", Key, ForeignKey("calls.seq"), nullable=False),
    Column("number", SmallInteger, nullable=False),
    of("model_id", "models"),
    of("project_id", "projects"),
    of("credential_id", "credentials"),
    big("sent_at"),
    big("first_byte", null=True),
    big("duration"),
    of("verdict_id", "verdicts", required=True),
    Column("status", SmallInteger, nullable=False),
    of("reason_id", "reasons"),
    Column("message", Text),
    of("quota_id", "quotas"),
    big("retry_after"),
    of("model_served_id", "models"),
    of("tier_served_id", "tiers"),
    Column("response", String(NAME_LENGTH)),
    big("request_bytes"),
    big("response_bytes"),
    Column("seen", SmallInteger, nullable=False),
    Column("estimated", SmallInteger, nullable=False),
    big("input"),
    big("cached"),
    big("output"),
    big("thoughts"),
    big("tool"),
    whole("searches"),
    Column("grounded", SmallInteger, nullable=False),
    whole("maps"),
    big("input_nano"),
    big("cached_nano"),
    big("output_nano"),
    big("thoughts_nano"),
    big("tool_nano"),
    big("list_nano", null=True),
    big("billed_nano", null=True),
    Column("price_id", Integer, ForeignKey("prices.id")),
    of("why_id", "whys"),
    Column("waited", BigInteger, nullable=False, server_default="0"),
    Column("hedge", SmallInteger, nullable=False, server_default="0"),
    UniqueConstraint("call_seq", "number"),
)

charges = Table(
    "charges",
    metadata,
    Column("attempt_seq", Key, ForeignKey("attempts.seq"), primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    of("kind_id", "charge_kinds", required=True),
    big("quantity"),
    big("nano", null=True),
    sqlite_with_rowid=False,
)

details = Table(
    "details",
    metadata,
    Column("attempt_seq", Key, ForeignKey("attempts.seq"), primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    of("side_id", "sides", required=True),
    of("modality_id", "modalities", required=True),
    big("tokens"),
    sqlite_with_rowid=False,
)

prefixes = Table(
    "prefixes",
    metadata,
    Column("call_seq", Key, ForeignKey("calls.seq"), primary_key=True),
    Column("size", Integer, primary_key=True, autoincrement=False),
    big("hash"),
    sqlite_with_rowid=False,
)

call_tags = Table(
    "call_tags",
    metadata,
    Column("call_seq", Key, ForeignKey("calls.seq"), primary_key=True),
    Column("tag_id", Integer, ForeignKey("tags.id"), primary_key=True, autoincrement=False),
    Index(None, "tag_id", "call_seq"),
    sqlite_with_rowid=False,
)

# What belongs to the project that made it. A name that does not fit stands as a hash (``store.affinity``).
affinities = Table(
    "affinities",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    of("project_id", "projects"),
    of("model_id", "models"),
    big("made_at"),
    # 0: never. The sweep goes by this index.
    Column("expires_at", BigInteger, nullable=False, index=True),
    # Whose it is among the callers, NULL for nobody's.
    Column("tenant", String(NAME_LENGTH)),
    sqlite_with_rowid=False,
)

# The gateway's state as it was at ``as_of``; the newest row alone counts. Names stand as text: the tables are
# small, and what they hold comes from the configuration.
quota_windows = Table(
    "quota_windows",
    metadata,
    Column("project", String(NAME_LENGTH), primary_key=True),
    Column("family", String(NAME_LENGTH), primary_key=True),
    Column("window", String(8), primary_key=True),
    big("limit", null=True),
    Column("source", String(16), nullable=False),
    big("used"),
    big("closed_until"),
    Column("reason", String(NAME_LENGTH), nullable=False),
    big("room_at"),
    big("since"),
    big("as_of"),
    sqlite_with_rowid=False,
)

breakers = Table(
    "breakers",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("name", String(2 * NAME_LENGTH + 1), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(NAME_LENGTH), nullable=False),
    Column("message", Text, nullable=False),
    big("opened_at"),
    big("until"),
    whole("failures"),
    big("as_of"),
    sqlite_with_rowid=False,
)

# Append-only: what opened and closed which breaker, and when.
breaker_changes = Table(
    "breaker_changes",
    metadata,
    Column("seq", Key, primary_key=True),
    big("at"),
    Column("scope", String(16), nullable=False),
    Column("name", String(2 * NAME_LENGTH + 1), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(NAME_LENGTH), nullable=False),
    Column("message", Text, nullable=False),
    big("until"),
    whole("failures"),
    Index(None, "at"),
    Index(None, "scope", "name", "seq"),
)

# One row per living gateway: the rest of its state (queue, rates) as JSON.
gateway_states = Table(
    "gateway_states",
    metadata,
    Column("boot_id", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
    big("as_of"),
    Column("body", Text, nullable=False),
)

# Sums of tries by five minutes of their sending, and how far in the record they go (``store.uses``).
use_slots = Table(
    "use_slots",
    metadata,
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("project_id", Integer, ForeignKey("projects.id"), primary_key=True, autoincrement=False),
    Column("model_id", Integer, ForeignKey("models.id"), primary_key=True, autoincrement=False),
    big("requests"),
    big("tokens"),
    # The lowest of these tries' seq.
    big("first_seq"),
    sqlite_with_rowid=False,
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(40), primary_key=True),
    big("seq"),
    sqlite_with_rowid=False,
)
