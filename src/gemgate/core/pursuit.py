"""How a call is pursued: which try comes next, given what the last one met.

Laws:

- this generator is the only retry loop on the call path; its driver (``gateway.pursue``) adds none;
- it sees no clock and no network: it yields a move and is sent the ``Verdict`` of that move;
- an answer, a refusal that is the caller's own fault, and a client that left end the pursuit at once;
- what was committed to the client is never tried again: the driver sends CUT only after commitment.

A test is a conversation: ``asked(plan, busy, ok) == [Try(a), Try(b)]``.
"""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Verdict

FINAL = frozenset({Kind.OK, Kind.REFUSED, Kind.CUT, Kind.CANCELLED})


class Try(msgspec.Struct, frozen=True):
    """Send the call to this target now."""

    target: Target


def once(plan: Plan) -> Generator[Try, Verdict, Verdict]:
    """Try the plan's targets in order, each once. Returns the verdict that ends the call."""
    verdict = Verdict(kind=Kind.BROKEN, status=503, reason="no_target", message="The plan has no target.")
    for target in plan.targets:
        verdict = yield Try(target)
        if verdict.kind in FINAL:
            return verdict
    return verdict
