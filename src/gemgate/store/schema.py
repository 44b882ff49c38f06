"""The tables of the record, for Alembic and for engines other than SQLite.

Laws:

- ``calls`` has one row per client request, ``attempts`` one per try; both are append-only (re-pricing alone
  changes their money) and their ``seq`` is commit-ordered: who has seen ``seq`` n has seen all below;
- a call's sums (tokens, money) are those of its attempts; NULL money is `unpriced`, and makes its sum NULL;
- a name stands once, in its own small table, and rows carry its integer; NULL stands for the empty name;
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
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gemgate.store.columns import DIMENSIONS, NAME_LENGTH

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives a rowid key only to INTEGER, the other engines need 64 bits.
Key = BigInteger().with_variant(Integer, "sqlite")


def _dimension(name: str) -> Table:
    """A table of names: small integers stand for them everywhere else."""
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(NAME_LENGTH), nullable=False, unique=True),
    )


dimensions: dict[str, Table] = {name: _dimension(name) for name in DIMENSIONS}


def _of(name: str, dimension: str, *, required: bool = False) -> Column[int]:
    """A column that holds a dimension's integer."""
    return Column(name, Integer, ForeignKey(f"{dimension}.id"), nullable=not required)


def _int(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _big(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


boots = Table(
    "boots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("boot", LargeBinary(16), nullable=False, unique=True),
    Column("node", String(NAME_LENGTH), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(40), nullable=False),
    _big("started"),
    _big("ended", null=True),
)

price_books = Table(
    "price_books",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String(NAME_LENGTH), nullable=False),
    _big("loaded"),
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
    # The finished try as msgpack, once the call has gone on to another: a crash then closes it as it was.
    Column("finished", LargeBinary),
    _of("route_id", "routes"),
    _of("why_id", "whys"),
    Column("waited", BigInteger, nullable=False, server_default="0"),
    Column("hedge", SmallInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

calls = Table(
    "calls",
    metadata,
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
    _of("route_id", "routes"),
    # The number of the try whose answer the client got, 0: the last one.
    Column("answered", SmallInteger, nullable=False, server_default="0"),
    Index(None, "received_at"),
    Index(None, "model_id", "seq"),
    Index(None, "project_id", "seq"),
    Index(None, "outcome_id", "seq"),
    # Almost all calls end in 200: an index of the others costs next to nothing.
    Index(None, "status", "seq", sqlite_where=text("status <> 200"), postgresql_where=text("status <> 200")),
)

attempts = Table(
    "attempts",
    metadata,
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
    Column("response", String(NAME_LENGTH)),
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
    _of("why_id", "whys"),
    Column("waited", BigInteger, nullable=False, server_default="0"),
    Column("hedge", SmallInteger, nullable=False, server_default="0"),
    UniqueConstraint("call_seq", "number"),
)

charges = Table(
    "charges",
    metadata,
    Column("attempt_seq", Key, ForeignKey("attempts.seq"), primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    _of("kind_id", "charge_kinds", required=True),
    _big("quantity"),
    _big("nano", null=True),
    sqlite_with_rowid=False,
)

details = Table(
    "details",
    metadata,
    Column("attempt_seq", Key, ForeignKey("attempts.seq"), primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    _of("side_id", "sides", required=True),
    _of("modality_id", "modalities", required=True),
    _big("tokens"),
    sqlite_with_rowid=False,
)

prefixes = Table(
    "prefixes",
    metadata,
    Column("call_seq", Key, ForeignKey("calls.seq"), primary_key=True),
    Column("size", Integer, primary_key=True, autoincrement=False),
    _big("hash"),
    sqlite_with_rowid=False,
)

# What belongs to the project that made it. A name that does not fit stands as a hash (``store.affinity``).
affinities = Table(
    "affinities",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    _of("project_id", "projects"),
    _of("model_id", "models"),
    _big("made_at"),
    # 0: never. The sweep goes by this index.
    Column("expires_at", BigInteger, nullable=False, index=True),
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
    _big("limit", null=True),
    Column("source", String(16), nullable=False),
    _big("used"),
    _big("closed_until"),
    Column("reason", String(NAME_LENGTH), nullable=False),
    _big("room_at"),
    _big("since"),
    _big("as_of"),
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
    _big("opened_at"),
    _big("until"),
    _int("failures"),
    _big("as_of"),
    sqlite_with_rowid=False,
)

# Append-only: what opened and closed which breaker, and when.
breaker_changes = Table(
    "breaker_changes",
    metadata,
    Column("seq", Key, primary_key=True),
    _big("at"),
    Column("scope", String(16), nullable=False),
    Column("name", String(2 * NAME_LENGTH + 1), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(NAME_LENGTH), nullable=False),
    Column("message", Text, nullable=False),
    _big("until"),
    _int("failures"),
    Index(None, "at"),
    Index(None, "scope", "name", "seq"),
)

# One row per living gateway: the rest of its state (queue, rates) as JSON.
gateway_states = Table(
    "gateway_states",
    metadata,
    Column("boot_id", Integer, ForeignKey("boots.id"), primary_key=True, autoincrement=False),
    _big("as_of"),
    Column("body", Text, nullable=False),
)

# Sums of tries by five minutes of their sending, and how far in the record they go (``store.uses``).
use_slots = Table(
    "use_slots",
    metadata,
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("project_id", Integer, ForeignKey("projects.id"), primary_key=True, autoincrement=False),
    Column("model_id", Integer, ForeignKey("models.id"), primary_key=True, autoincrement=False),
    _big("requests"),
    _big("tokens"),
    # The lowest of these tries' seq.
    _big("first_seq"),
    sqlite_with_rowid=False,
)

marks = Table(
    "marks",
    metadata,
    Column("name", String(40), primary_key=True),
    _big("seq"),
    sqlite_with_rowid=False,
)
