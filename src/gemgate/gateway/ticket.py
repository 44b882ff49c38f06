"""The ticket carries the duty to record: whatever ends a call, one outcome is written, exactly once.

A ``Ticket`` gathers what becomes known of a call while it is under way; a ``Trial`` does the same for one try.
``gateway.settle`` turns them into the record.
"""

from __future__ import annotations

from time import perf_counter_ns

from gemgate.core.access import Key
from gemgate.core.call import Charged, Event, Kept, Made, Outcome, Streaming
from gemgate.core.errors import Refused
from gemgate.core.meter import Meter
from gemgate.core.quota import Bucket, Hold
from gemgate.core.routing import Target
from gemgate.core.spending import Share
from gemgate.core.verdict import Kind, Scope, Verdict
from gemgate.dialects.gemini.methods import Match
from gemgate.dialects.gemini.request import Asked
from gemgate.dialects.gemini.tenancy import ANYBODY, Tenant
from gemgate.gateway.body import EMPTY, Body
from gemgate.gateway.capture import Capture
from gemgate.gateway.doors import GOOGLE, Door
from gemgate.gateway.entry import Entry
from gemgate.gateway.exchange import Exchange
from gemgate.gateway.headers import Headers
from gemgate.gateway.snapshot import Snapshot
from gemgate.gateway.watch import Vigil

OUTCOMES = {
    Kind.OK: Outcome.OK,
    Kind.REFUSED: Outcome.REFUSED,
    Kind.BUSY: Outcome.FAILED,
    Kind.SPENT: Outcome.FAILED,
    Kind.BROKEN: Outcome.FAILED,
    Kind.CUT: Outcome.CUT,
    Kind.CANCELLED: Outcome.CANCELLED,
}


class Trial:
    """One try under way. Spans count from ``started`` (nanoseconds of a monotonic clock).

    ``holds`` are what it was charged: in the windows of its project, and in those of its route; ``held`` what it may
    cost of each budget, with ``output_estimate`` tokens of an answer. ``input_estimate`` is a rough guess of what it
    sends, in tokens, ``waited`` the µs spent waiting before it; ``kept`` says that its end is on record already,
    ``metered`` that its tokens belong to this call, ``routed`` that quota and health are kept of it. ``why`` is the
    target's reason, and ``passed`` the targets that would have come before it, each with what bars it.
    """

    __slots__ = (
        "credential",
        "ended",
        "first_byte",
        "hedge",
        "held",
        "holds",
        "input_estimate",
        "kept",
        "meter",
        "metered",
        "number",
        "output_estimate",
        "passed",
        "request_bytes",
        "response_bytes",
        "routed",
        "sent_at",
        "started",
        "target",
        "tier",
        "verdict",
        "waited",
        "why",
    )

    def __init__(self, number: int, target: Target, sent_at: int) -> None:
        self.number = number
        self.target = target
        self.why = target.why
        self.passed: tuple[tuple[Target, str], ...] = ()
        self.credential = ""
        self.sent_at = sent_at
        self.waited = 0
        self.hedge = False
        self.holds: tuple[Hold, ...] = ()
        self.held: tuple[Charged, ...] = ()
        self.input_estimate = 0
        self.output_estimate = 0
        self.kept = False
        self.metered = True
        self.routed = True
        self.started = perf_counter_ns()
        self.first_byte = 0
        self.ended = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.tier = ""
        self.meter: Meter | None = None
        self.verdict: Verdict | None = None

    def end(self, verdict: Verdict) -> None:
        """The try is over; the first verdict stands."""
        if self.verdict is None:
            self.verdict = verdict
            self.ended = perf_counter_ns()


class Ticket:
    """One call under way.

    ``denied`` are the credentials that Google refused to this call. ``winner`` is the try whose answer the client
    gets, where that is not the last one. ``retry_after`` are the seconds until a way is open again, once there is
    none (infinity: never); ``waited`` the µs spent waiting. ``whole``: its answers
    are read whole, however large. ``route_bucket`` is where its route counts calls, for a
    route with limits of its own.

    ``key`` is the virtual key it came with, ``tenant`` for whom it acts (false: no keys are in force),
    ``entry`` what it was let in with and holds of budgets and limits, ``marks`` headers that its answer gets.
    ``kept``, ``charged`` and ``events`` go on record with its row; ``learned``: quota, health and owners have heard
    what it has shown. ``share`` is the part of it that goes out now, with ``body``,
    where it goes out in parts. ``capture`` is what is taken of its bodies, where a rule may ask for them.
    """

    __slots__ = (
        "asked",
        "body",
        "call_id",
        "capture",
        "charged",
        "client",
        "denied",
        "door",
        "entry",
        "events",
        "exchange",
        "hold_back",
        "kept",
        "key",
        "learned",
        "made",
        "marks",
        "match",
        "outcome",
        "reason",
        "received_at",
        "response_bytes",
        "retry_after",
        "route",
        "route_bucket",
        "settled",
        "share",
        "snapshot",
        "started",
        "status",
        "tags",
        "tenant",
        "timeouts",
        "trials",
        "user",
        "vigil",
        "waited",
        "whole",
        "winner",
    )

    def __init__(
        self, call_id: bytes, exchange: Exchange, snapshot: Snapshot, vigil: Vigil, received_at: int
    ) -> None:
        self.call_id = call_id
        self.exchange = exchange
        self.snapshot = snapshot
        self.vigil = vigil
        self.received_at = received_at
        self.started = perf_counter_ns()
        self.match: Match | None = None
        self.asked: Asked | None = None
        self.client = ""
        self.door: Door = GOOGLE
        self.key: Key | None = None
        self.tenant: Tenant = ANYBODY
        self.tags: tuple[str, ...] = ()
        self.user = ""
        self.entry: Entry | None = None
        self.marks: Headers = []
        self.kept: tuple[Kept, ...] = ()
        self.charged: tuple[Charged, ...] = ()
        self.learned = False
        self.capture: Capture | None = None
        self.events: tuple[Event, ...] = ()
        self.body: Body = EMPTY
        self.share: Share | None = None
        self.trials: list[Trial] = []
        self.denied: tuple[str, ...] = ()
        self.winner: Trial | None = None
        self.made: tuple[Made, ...] = ()
        self.route = ""
        self.route_bucket: Bucket | None = None
        self.timeouts = snapshot.timeouts
        self.hold_back = 0
        self.waited = 0
        self.whole = False
        self.retry_after: float | None = None
        self.outcome: Outcome | None = None
        self.status = 0
        self.reason = ""
        self.response_bytes = 0
        self.settled = False

    @property
    def streaming(self) -> Streaming:
        """The form of the answer that was asked for."""
        return self.asked.streaming if self.asked is not None else Streaming.NONE

    @property
    def input_estimate(self) -> int:
        """The input tokens of the request that goes out now, a rough guess; 0 where nobody can say."""
        if self.asked is None:
            return 0
        whole = self.asked.input_estimate
        return whole if self.share is None else self.share.of(whole)

    @property
    def trial(self) -> Trial | None:
        """The try whose answer the client gets: the one chosen, else the try under way or the last one."""
        return self.winner or (self.trials[-1] if self.trials else None)

    def conclude(self, verdict: Verdict, status: int) -> None:
        """The call ended with this verdict of its last try; ``status`` is what the client is told."""
        if (trial := self.trial) is not None:
            trial.end(verdict)
        if self.outcome is None:
            self.outcome = OUTCOMES[verdict.kind]
            if verdict.scope in (Scope.KEY, Scope.PROJECT) and not self.snapshot.passthrough:
                self.outcome = Outcome.FAILED  # our key or project was refused, not what the caller asked
            self.reason = verdict.reason
            self.status = status

    def refuse(self, refused: Refused) -> None:
        """gemgate itself ended the call."""
        self._end_tries(Verdict(kind=Kind.CANCELLED, reason=refused.code.lower(), billed=True))
        if self.outcome is None:
            ours = refused.status == 501 or (refused.status < 500 and refused.status != 429)
            self.outcome = Outcome.REFUSED if ours else Outcome.FAILED
            self.reason = refused.code.lower()
            self.status = self.exchange.status or refused.status

    def abandon(self, outcome: Outcome, status: int, reason: str) -> None:
        """The client left, or the gateway stops: the try under way is cancelled and may have been billed."""
        self._end_tries(Verdict(kind=Kind.CANCELLED, status=status, reason=reason, billed=True))
        if self.outcome is None:
            self.outcome = outcome
            self.reason = reason
            self.status = status

    def _end_tries(self, verdict: Verdict) -> None:
        """In a race two are under way."""
        for trial in self.trials:
            trial.end(verdict)
