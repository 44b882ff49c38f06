"""Keys on record: what was written is read, secrets are not there, and every change is counted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyed import key, token
from sampled import START

from gemgate.core import access
from gemgate.core.access import Key
from gemgate.store import connection, keys, revisions
from gemgate.store.connection import Connection
from gemgate.store.database import FILE

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_TEXTS = st.lists(_TEXT, max_size=4).map(tuple)
_TIME = st.integers(0, 2**62)
_LIMIT = st.none() | _TIME


def revision(conn: Connection) -> int:
    return revisions.number(conn, revisions.ACCESS)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        Key,
        id=st.just(0),
        name=_TEXT,
        owner=_TEXT,
        tags=_TEXTS,
        routes=_TEXTS,
        networks=_TEXTS,
        rights=st.frozensets(st.sampled_from(sorted(access.RIGHTS))),
        rpm=_LIMIT,
        tpm=_LIMIT,
        concurrency=_LIMIT,
        created_at=_TIME,
        expires_at=_TIME,
        disabled_at=_TIME,
        stopped_at=_TIME,
        stopped_why=_TEXT,
    )
)
def test_what_was_written_is_read(conn: Connection, wanted: Key) -> None:
    conn.execute("DELETE FROM key_tokens")
    conn.execute("DELETE FROM virtual_keys")
    made = keys.create(conn, wanted, token("one"))
    assert msgspec.structs.replace(made, id=0) == wanted
    assert keys.every(conn)[0] == [made]
    assert keys.find(conn, wanted.name) == made
    assert [one.key for one in keys.every(conn)[1]] == [made.id]


def test_the_gateway_finds_a_key_by_its_secret_and_the_file_has_no_secret(
    conn: Connection, data: Path
) -> None:
    secret = access.mint(access.digest("alpha"))
    made = key(conn)
    conn.keep()
    assert access.Keys(*keys.every(conn)).find(secret, START) == made
    held = (data / FILE).read_bytes() + (data / f"{FILE}-wal").read_bytes()
    assert access.digest(secret) in held
    assert secret.encode() not in held
    assert secret.removeprefix(access.PREFIX)[4:-4].encode() not in held


def test_a_name_is_taken_once(conn: Connection) -> None:
    key(conn)
    before = revision(conn)
    with pytest.raises(keys.Exists, match="alpha"):
        keys.create(conn, Key(id=0, name="alpha", created_at=START), token("other"))
    assert revision(conn) == before
    assert len(keys.every(conn)[1]) == 1


def test_a_rotated_key_has_both_tokens_until_the_old_ones_time_is_over(conn: Connection) -> None:
    made = key(conn)
    keys.add_token(conn, made.id, token("second"), START + 5, START + 100)
    keys.add_token(conn, made.id, token("third"), START + 6, START + 200)
    until = {one.digest: one.valid_until for one in keys.every(conn)[1]}
    # A later rotation does not lengthen the life of a token that was to end sooner.
    assert until == {
        token("alpha").digest: START + 100,
        token("second").digest: START + 200,
        token("third").digest: 0,
    }
    keys.add_token(conn, made.id, token("fourth"), START + 7, 0)
    found = access.Keys(*keys.every(conn))
    assert found.find(access.mint(access.digest("fourth")), START + 8).id == made.id
    for old in ("alpha", "second", "third"):
        with pytest.raises(access.Refused, match="rotated"):
            found.find(access.mint(access.digest(old)), START + 8)


def test_a_token_is_of_one_key(conn: Connection) -> None:
    made = key(conn)
    with pytest.raises(sqlite3.IntegrityError):
        keys.add_token(conn, made.id, token("alpha"), START, START)


def test_fields_are_changed_and_others_are_not(conn: Connection) -> None:
    made = key(conn, owner="ann", tags=("a",), rights=frozenset({"shared"}))
    other = key(conn, "beta", rpm=5)
    changed = keys.change(conn, "alpha", tags=("b", "c"), rpm=7, rights=frozenset(), disabled_at=START)
    assert changed == msgspec.structs.replace(
        made, tags=("b", "c"), rpm=7, rights=frozenset(), disabled_at=START
    )
    assert keys.every(conn)[0] == [changed, other]
    with pytest.raises(keys.Missing):
        keys.change(conn, "gamma", rpm=1)
    for field in ("id", "name", "created_at", "rpm = 1 --"):
        with pytest.raises(TypeError):
            keys.change(conn, "alpha", **{field: 1})
    assert keys.every(conn)[0] == [changed, other]


def test_a_key_is_stopped_once_and_keeps_the_first_reason(conn: Connection) -> None:
    made = key(conn)
    assert keys.stop(conn, made.id, START + 1, "ran\x1b away")
    number = revision(conn)
    assert not keys.stop(conn, made.id, START + 2, "again")
    assert not keys.stop(conn, 99, START + 2, "nobody")
    assert revision(conn) == number
    assert keys.find(conn, "alpha") == msgspec.structs.replace(
        made, stopped_at=START + 1, stopped_why="ran\ufffd away"
    )


def test_every_write_is_counted_with_its_transaction(conn: Connection, data: Path) -> None:
    conn.keep()
    reader = connection.reader(data / FILE)
    seen = [revision(reader)]
    steps = (
        lambda: key(conn),
        lambda: keys.add_token(conn, 1, token("second"), START, START),
        lambda: keys.change(conn, "alpha", rpm=1),
        lambda: keys.stop(conn, 1, START, "why"),
    )
    for step in steps:
        conn.execute("BEGIN IMMEDIATE")
        step()
        assert revision(reader) == seen[-1]
        conn.keep()
        seen.append(revision(reader))
    reader.close()
    assert seen == [0, 1, 2, 3, 4]
    assert revisions.number(conn, "other") == 0
