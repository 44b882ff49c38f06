"""Stored bodies, their rules and their end."""

from __future__ import annotations

import hashlib

import msgspec
from sampled import START, identity

from gemgate.core.redaction import Rules
from gemgate.store import payloads, revisions
from gemgate.store.connection import Connection
from gemgate.store.payloads import REQUEST, RESPONSE, Body, Rule

HOUR = 3_600 * 1_000_000


def body(text: bytes, call_id: bytes, side: int = REQUEST, at: int = START, keep: int = HOUR) -> Body:
    """One side of a call."""
    digest, packed = payloads.pack(text)
    return Body(
        call_id=call_id,
        side=side,
        digest=digest,
        size=len(text),
        packed=packed,
        whole=True,
        redacted=2,
        at=at,
        expires_at=at + keep,
    )


def count(conn: Connection) -> tuple[int, int, int]:
    """Pointers, bodies, and the bytes that the bodies take."""
    pointers, bodies, size = conn.execute(
        "SELECT (SELECT count(*) FROM call_payloads), count(*), ifnull(sum(length(body)), 0) FROM payloads"
    ).fetchone()
    assert payloads.taken(conn) == size
    return pointers, bodies, size


def test_equal_bodies_stand_once(conn: Connection) -> None:
    one, two = identity(), identity()
    for call, side in ((one, REQUEST), (two, REQUEST), (two, RESPONSE)):
        payloads.keep(conn, body(b"the same " * 50, call, side))
    payloads.keep(conn, body(b"another", two, RESPONSE))  # a side that is there already stays
    assert count(conn)[0] == 3
    assert payloads.body(conn, two, RESPONSE, START) == b"the same " * 50
    assert payloads.body(conn, one, RESPONSE, START) is None
    (stored,) = payloads.of_call(conn, one, START)
    assert (stored.side, stored.size, stored.whole, stored.redacted) == ("request", 450, True, 2)
    assert stored.sha256 == hashlib.sha256(b"the same " * 50).hexdigest()


def test_what_is_too_old_goes_and_a_shared_body_with_its_last_pointer(conn: Connection) -> None:
    first, second = identity(), identity()
    payloads.keep(conn, body(b"shared", first, keep=HOUR))
    payloads.keep(conn, body(b"shared", second, at=START + 5, keep=3 * HOUR))
    assert not payloads.forget_one(conn, START + HOUR - 1, 0, 10**9)
    assert payloads.forget_one(conn, START + HOUR, 0, 10**9)
    assert not payloads.forget_one(conn, START + HOUR, 0, 10**9)
    assert count(conn)[:2] == (1, 1)
    # The configuration's age counts where the rule's is longer.
    assert payloads.forget_one(conn, START + HOUR, START + 6, 10**9)
    assert count(conn) == (0, 0, 0)


def test_what_is_over_its_time_is_not_read_though_it_is_there(conn: Connection) -> None:
    call = identity()
    payloads.keep(conn, body(b"secret", call, keep=HOUR))
    before, after = START + HOUR - 1, START + HOUR
    assert payloads.body(conn, call, REQUEST, before) == b"secret"
    assert len(payloads.of_call(conn, call, before)) == 1
    assert payloads.body(conn, call, REQUEST, after) is None
    assert payloads.of_call(conn, call, after) == []
    assert count(conn)[:2] == (1, 1)
    # Without a time it is the clock's.
    payloads.keep(conn, body(b"old", call, RESPONSE, at=1))
    assert payloads.body(conn, call, RESPONSE) is None


def test_tidying_goes_until_nothing_is_over_or_somebody_ends_it(conn: Connection) -> None:
    for _ in range(5):
        payloads.keep(conn, body(b"x", identity(), at=1))
    conn.keep()
    assert payloads.tidy(conn, 1e9, 10**9, lambda: True) == 1
    assert payloads.tidy(conn, 1e9, 10**9, lambda: False) == 4
    assert payloads.tidy(conn, 1e9, 10**9, lambda: False) == 0


def test_a_rule_made_when_more_could_be_kept_keeps_no_more_than_now(conn: Connection) -> None:
    payloads.put_rule(conn, Rule(scope="key", of="alice", max_bytes=4 * 2**20))
    assert [rule.max_bytes for rule in payloads.rules(conn)] == [payloads.MOST_BYTES]


def test_the_oldest_go_when_all_take_too_much(conn: Connection) -> None:
    calls = [identity() for _ in range(6)]
    for place, call in enumerate(calls):
        payloads.keep(conn, body(b"%d" % place * 40, call, at=START + (5 - place), keep=HOUR))
    _, _, size = count(conn)
    while payloads.forget_one(conn, START, 0, size // 2):
        pass
    left = count(conn)
    assert left[2] <= size // 2
    assert [bool(payloads.of_call(conn, call, START)) for call in calls] == [
        place < left[0] for place in range(6)
    ]


def test_rules_are_kept_and_each_change_counts(conn: Connection) -> None:
    before = revisions.number(conn, revisions.PAYLOADS)
    rule = Rule(scope="key", of="alice", redact=Rules(paths=["$..a"]), max_bytes=10, created_at=START)
    payloads.put_rule(conn, rule)
    changed = msgspec.structs.replace(rule, keep_seconds=60)
    payloads.put_rule(conn, changed)
    assert payloads.rules(conn) == [changed] == [payloads.rule(conn, "key", "alice")]
    assert payloads.drop_rule(conn, "key", "alice")
    assert not payloads.drop_rule(conn, "key", "alice")
    assert payloads.rules(conn) == []
    assert revisions.number(conn, revisions.PAYLOADS) == before + 3
