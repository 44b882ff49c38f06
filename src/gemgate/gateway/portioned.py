"""Batches of embeddings that are larger than Google takes: several requests, one answer.

Laws:

- they are one call: let in once, with all that it may take, and one row with every try;
- the portions go out one after the other; one that cannot be answered fails the call, and none is sent after it;
- each try is estimated, priced and counted in windows by its own portion;
- all vectors are of one model: no other model stands in for embeddings (``core.eligibility``).

Only at OpenAI's door, where nobody can know of Google's limit: bytes that come in Google's words pass as they are.
"""

from __future__ import annotations

import msgspec

from gemgate.core.errors import Refused
from gemgate.core.pursuit import Terms
from gemgate.core.routing import Plan
from gemgate.core.spending import Share
from gemgate.dialects.gemini import portions
from gemgate.gateway import judging
from gemgate.gateway.body import Body
from gemgate.gateway.desk import Desk
from gemgate.gateway.doors import OpenAIDoor
from gemgate.gateway.judging import Answer
from gemgate.gateway.pursue import pursue
from gemgate.gateway.ticket import Ticket

_SECOND = 1_000_000


def applies(ticket: Ticket) -> bool:
    """Whether the call is a batch that must be cut."""
    match, asked = ticket.match, ticket.asked
    return (
        isinstance(ticket.door, OpenAIDoor)
        and match is not None
        and match.method == "models.batchEmbedContents"
        and asked is not None
        and asked.shape.turns > portions.MOST
    )


async def pursue_all(plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> Answer:
    """Pursue one portion after the other. Returns the answer to the last one, or the first that is not good.

    Raises Refused as ``pursue`` does, and 502 for an answer that cannot be read.
    """
    whole = ticket.body
    try:
        return await _each(portions.cut(bytes(whole.view)), plan, terms, ticket, desk)
    finally:
        ticket.body, ticket.share = whole, None


async def _each(bodies: list[bytes], plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> Answer:
    door = ticket.door
    assert isinstance(door, OpenAIDoor)
    before, weight = 0, sum(map(len, bodies))
    left = terms.patience
    while True:
        body = bodies.pop(0)
        ticket.body = Body(body, len(body))
        ticket.share = Share(before, len(body), weight)
        ticket.winner = None
        began = desk.clock.now()
        answer = await pursue(plan, msgspec.structs.replace(terms, patience=left), ticket, desk)
        if not bodies or not answer.verdict.ok:
            return answer
        before += len(body)
        left = max(0.0, left - _lost(ticket, began))
        if answer.reply is not None:
            answer.close()
            raise Refused(502, "UNREADABLE_ANSWER", "The upstream's embeddings are too large to be read.")
        door.take(judging.decoded(answer.headers, answer.body))


def _lost(ticket: Ticket, began: int) -> float:
    """The seconds of the call's patience that a portion took: until the try went out that answered it.

    The time of answers is no waiting: else a large call would have no patience left at its end, where most is lost.
    """
    assert ticket.winner is not None
    return max(0, ticket.winner.sent_at - began) / _SECOND
