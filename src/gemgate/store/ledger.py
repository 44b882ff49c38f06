"""The rows of calls: opened before a try goes to Google, settled before the end of an answer leaves.

Laws:

- an operation takes a list, runs inside the caller's transaction and may be repeated: a call settles once, by
  its id, however often its record arrives (a replayed spill, a commit whose success was not seen);
- settling removes what was open of the call, keeps what it made and charges what it spent, in the same
  transaction: budgets are charged once, with the row;
- sums are made here, from the attempts, so that they cannot differ from them;
- numbers from outside are held within 63 bits, texts within bounds: no answer of Google's makes a row fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gemgate.core.call import Attempt, Cost, Intent, Record
from gemgate.core.usage import Usage
from gemgate.store import affinity, events, signatures, spends
from gemgate.store.columns import (
    BLOCK,
    INSERT_ATTEMPT,
    INSERT_CALL,
    INSERT_CALL_TAG,
    INSERT_CHARGE,
    INSERT_DETAIL,
    INSERT_OPEN,
    INSERT_PREFIX,
    NAME_LENGTH,
)
from gemgate.store.connection import Connection
from gemgate.store.names import Names, clean

MESSAGE_LENGTH: Final = 1_000
MOST: Final = 2**63 - 1
_FIRST_PREFIX: Final = 8 * 1024
_CLOSE_BLOCK: Final = f"DELETE FROM open_calls WHERE call_id IN ({','.join('?' * BLOCK)})"  # noqa: S608
_NOTHING: Final = Usage()
_FREE: Final = Cost()
_encoder = msgspec.msgpack.Encoder()


class NextTry(msgspec.Struct, frozen=True):
    """A try has ended and the call goes on: what the old one met, and the intent of the new one."""

    finished: Attempt
    opened: Intent


def open_tries(conn: Connection, intents: Sequence[Intent]) -> None:
    """Put on record that these tries are about to be sent."""
    names = conn.names
    INSERT_OPEN.rows(conn, [_open_row(names, intent) for intent in intents])


def next_try(conn: Connection, moves: Sequence[NextTry]) -> None:
    """Keep what a finished try met and open the next try of the same call."""
    conn.executemany(
        "UPDATE open_calls SET finished = ? WHERE call_id = ? AND attempt = ?",
        [(_encoder.encode(move.finished), move.opened.call_id, move.finished.number) for move in moves],
    )
    open_tries(conn, [move.opened for move in moves])


def settle(conn: Connection, records: Sequence[Record]) -> None:
    """Write each call's one row with its attempts, and close what was open of it."""
    names = conn.names
    first = conn.execute("SELECT ifnull(max(seq), 0) + 1 FROM calls").fetchone()[0]
    rows = [call_row(names, first + place, record) for place, record in enumerate(records)]
    written = INSERT_CALL.rows(conn, rows)
    _close(conn, [record.call_id for record in records])
    if written == len(records):
        fresh = [(first + place, record) for place, record in enumerate(records)]
    else:
        taken = {seq for (seq,) in conn.execute("SELECT seq FROM calls WHERE seq >= ?", (first,))}
        fresh = [(first + at, record) for at, record in enumerate(records) if first + at in taken]
    _write_attempts(conn, names, fresh)
    _write_tags(conn, names, fresh)
    affinity.keep(conn, [record for _, record in fresh if record.made])
    spends.add(conn, [record.charged for _, record in fresh if record.charged])
    signatures.keep(conn, [kept for _, record in fresh for kept in record.kept])
    events.add(conn, [event for _, record in fresh for event in record.events])


def _close(conn: Connection, call_ids: Sequence[bytes]) -> None:
    whole = len(call_ids) - len(call_ids) % BLOCK
    for place in range(0, whole, BLOCK):
        conn.execute(_CLOSE_BLOCK, call_ids[place : place + BLOCK])
    conn.executemany("DELETE FROM open_calls WHERE call_id = ?", [(call_id,) for call_id in call_ids[whole:]])


def _open_row(names: Names, intent: Intent) -> tuple[Any, ...]:
    return (
        intent.call_id,
        intent.attempt,
        names.boots[intent.boot],
        intent.received_at,
        intent.sent_at,
        names.methods[intent.method],
        names.versions[intent.version],
        names.models[intent.model],
        names.projects[intent.project],
        names.credentials[intent.credential],
        names.clients[intent.client],
        names.streamings[intent.streaming],
        names.tiers[intent.tier],
        intent.request_bytes,
        intent.input_estimate,
        None,
        names.routes[intent.route],
        names.whys[intent.why],
        intent.waited,
        intent.hedge,
        intent.key or None,
        names.users[intent.user],
        names.doors[intent.door],
        _encoder.encode(intent.tags) if intent.tags else None,
        _held(intent.output_estimate),
        _encoder.encode(intent.held) if intent.held else None,
    )


def call_row(names: Names, seq: int, record: Record) -> tuple[Any, ...]:
    """The row of ``columns.CALLS``."""
    shape = record.shape
    given = _answered(record)
    return (
        seq,
        record.call_id,
        names.boots[record.boot],
        record.received_at,
        record.first_byte,
        record.duration,
        record.waited,
        names.methods[record.method],
        names.versions[record.version],
        names.models[record.model],
        names.models[given.model_served] if given else None,
        names.projects[given.project] if given else None,
        names.clients[record.client],
        names.outcomes[record.outcome],
        record.status,
        names.reasons[record.reason],
        names.finish_reasons[record.finish],
        names.block_reasons[record.block],
        names.streamings[record.streaming],
        names.tiers[record.tier],
        names.tiers[given.tier_served] if given else None,
        record.request_bytes,
        record.response_bytes,
        len(record.attempts),
        *_sums(record.attempts),
        shape.tools,
        shape.turns,
        shape.media,
        None if shape.max_output is None else _held(shape.max_output),
        names.thinkings[shape.thinking],
        shape.json_output,
        shape.cached_content,
        _signed(shape.request_hash),
        names.routes[record.route],
        record.answered,
        record.key or None,
        names.users[record.user],
        names.doors[record.door],
    )


def _answered(record: Record) -> Attempt | None:
    """The try whose answer the client got: the last one, unless the record says another."""
    for attempt in record.attempts if record.answered else ():
        if attempt.number == record.answered:
            return attempt
    return record.attempts[-1] if record.attempts else None


def _sums(attempts: Sequence[Attempt]) -> tuple[int | None, ...]:
    """Tokens by kind, tokens estimated, list and billed money, and how much of both is estimated."""
    if len(attempts) == 1 and not attempts[0].estimated:
        return (*_tokens(attempts[0].usage or _NOTHING), 0, *_money(attempts[0]), 0, 0)
    tokens = [0, 0, 0, 0, 0]
    estimated = 0
    money: list[int | None] = [0, 0]
    guessed: list[int | None] = [0, 0]
    for attempt in attempts:
        usage = attempt.usage or _NOTHING
        kinds = _tokens(usage)
        tokens = [_held(have + more) for have, more in zip(tokens, kinds, strict=True)]
        paid = _money(attempt)
        money = [_added(have, more) for have, more in zip(money, paid, strict=True)]
        if attempt.estimated:
            estimated = _held(estimated + kinds[0] + sum(kinds[2:]))
            guessed = [_added(have, more) for have, more in zip(guessed, paid, strict=True)]
    return (*tokens, estimated, *money, *guessed)


def _tokens(usage: Usage) -> tuple[int, int, int, int, int]:
    tokens = (usage.input, usage.cached, usage.output, usage.thoughts, usage.tool)
    if min(tokens) < 0 or max(tokens) > MOST:
        return (_held(tokens[0]), _held(tokens[1]), _held(tokens[2]), _held(tokens[3]), _held(tokens[4]))
    return tokens


def _money(attempt: Attempt) -> tuple[int | None, int | None]:
    """List and billed money. No cost where nothing was used is 0; no cost for tokens used is unpriced."""
    cost = attempt.cost
    if cost is None:
        nothing = attempt.usage is None or attempt.usage == _NOTHING
        return (0, 0) if nothing else (None, None)
    return (_known(cost.total), _known(cost.billed))


def _known(nano: int | None) -> int | None:
    """Money that no row can hold (absurd token counts) is not known either."""
    return None if nano is None or nano > MOST else nano


def _added(have: int | None, more: int | None) -> int | None:
    return None if have is None or more is None else _known(have + more)


class Parts(NamedTuple):
    """The rows of what hangs on calls, as the columns of ``store.columns`` have them."""

    attempts: list[tuple[Any, ...]]
    charges: list[tuple[Any, ...]]
    details: list[tuple[Any, ...]]
    prefixes: list[tuple[int, int, int]]


def parts(names: Names, seq: int, calls: Sequence[tuple[int, Record]]) -> Parts:
    """What hangs on these calls (each with its number); its tries are numbered from ``seq`` + 1 on."""
    made = Parts([], [], [], [])
    for call_seq, record in calls:
        for attempt in record.attempts:
            seq += 1
            made.attempts.append(_attempt_row(names, seq, call_seq, attempt))
            if attempt.cost is not None:
                for place, charge in enumerate(attempt.cost.charges):
                    kind = names.charge_kinds[charge.kind]
                    made.charges.append((seq, place, kind, _held(charge.quantity), _known(charge.nano)))
            if attempt.usage is not None:
                for place, detail in enumerate(attempt.usage.details):
                    side, modality = names.sides[detail.side], names.modalities[detail.modality]
                    made.details.append((seq, place, side, modality, _held(detail.tokens)))
        for place, value in enumerate(record.shape.prefix_hashes):
            made.prefixes.append((call_seq, _FIRST_PREFIX << place, _signed(value)))
    return made


def insert(conn: Connection, made: Parts) -> None:
    """Write these rows. Needs the caller's transaction."""
    INSERT_ATTEMPT.rows(conn, made.attempts)
    if made.charges:
        INSERT_CHARGE.rows(conn, made.charges)
    if made.details:
        INSERT_DETAIL.rows(conn, made.details)
    if made.prefixes:
        INSERT_PREFIX.rows(conn, made.prefixes)


def _write_attempts(conn: Connection, names: Names, calls: Sequence[tuple[int, Record]]) -> None:
    """Write the attempts of calls that were just inserted, and what hangs on them."""
    seq = conn.execute("SELECT ifnull(max(seq), 0) FROM attempts").fetchone()[0]
    insert(conn, parts(names, seq, calls))


def _write_tags(conn: Connection, names: Names, calls: Sequence[tuple[int, Record]]) -> None:
    links = [(seq, names.tags[tag]) for seq, record in calls for tag in record.tags]
    if links:
        INSERT_CALL_TAG.rows(conn, links)


def _attempt_row(names: Names, seq: int, call_seq: int, attempt: Attempt) -> tuple[Any, ...]:
    """The row of ``columns.ATTEMPTS``."""
    usage = attempt.usage or _NOTHING
    cost = attempt.cost or _FREE
    return (
        seq,
        call_seq,
        attempt.number,
        names.models[attempt.model],
        names.projects[attempt.project],
        names.credentials[attempt.credential],
        attempt.sent_at,
        attempt.first_byte,
        attempt.duration,
        names.verdicts[attempt.verdict],
        attempt.status,
        names.reasons[attempt.reason],
        clean(attempt.message, MESSAGE_LENGTH) or None,
        names.quotas[attempt.quota],
        _held(attempt.retry_after),
        names.models[attempt.model_served],
        names.tiers[attempt.tier_served],
        clean(attempt.response, NAME_LENGTH) or None,
        attempt.request_bytes,
        attempt.response_bytes,
        attempt.usage is not None,
        attempt.estimated,
        *_tokens(usage),
        _held(usage.searches),
        usage.grounded,
        _held(usage.maps),
        _held(cost.input),
        _held(cost.cached),
        _held(cost.output),
        _held(cost.thoughts),
        _held(cost.tool),
        *_money(attempt),
        names.prices.get(cost.price),
        names.whys[attempt.why],
        _held(attempt.waited),
        attempt.hedge,
    )


def _held(number: int) -> int:
    """The number within what the record can hold."""
    return number if 0 <= number <= MOST else (MOST if number > 0 else 0)


def _signed(value: int) -> int:
    """A 64-bit hash as the signed integer of the same bits."""
    return value if value <= MOST else value - 2**64
