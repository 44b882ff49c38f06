"""What all tables of the record are made of: the metadata with its naming, keys, dimensions, columns by kind."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String, Table

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


def of(name: str, dimension: str, *, required: bool = False) -> Column[int]:
    """A column that holds a dimension's integer."""
    return Column(name, Integer, ForeignKey(f"{dimension}.id"), nullable=not required)


def whole(name: str) -> Column[int]:
    """A small number."""
    return Column(name, Integer, nullable=False)


def big(name: str, *, null: bool = False) -> Column[int]:
    """A time, span, size, count or sum of money."""
    return Column(name, BigInteger, nullable=null)
