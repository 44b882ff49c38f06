"""Drives ``core.pursuit``: each move becomes a try, a wait or a race, and what it met is told.

Laws:

- ``core.pursuit`` decides, this follows: there is no other loop that tries again on the call path;
- a try that is not the one returned has been closed, and a loser of a race is on record as cancelled;
- a body that streams through can be sent once: the first answer to it ends the pursuit;
- no answer is committed to the client here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import takewhile
from math import inf

from gemgate.core import pursuit
from gemgate.core.actions import UNREACHED, Action, rule
from gemgate.core.errors import Refused
from gemgate.core.pursuit import End, Met, Race, Terms, Told, Try, Wait
from gemgate.core.routing import Plan, Target
from gemgate.core.verdict import Kind, Verdict
from gemgate.dialects.gemini import verdict
from gemgate.gateway import judging, refusals
from gemgate.gateway.attempt import attempt, new_trial
from gemgate.gateway.board import Sight
from gemgate.gateway.desk import Desk
from gemgate.gateway.judging import Answer
from gemgate.gateway.ticket import Ticket, Trial
from gemgate.gateway.watch import Vigil

SAME = 0.005  # seconds by which two looks at a standing differ at most
MOST_EARLY = 2.0  # seconds by which a delay of Google's may be too short
HEDGED = Verdict(kind=Kind.CANCELLED, reason="hedged", message="Another try answered first.", billed=True)


async def pursue(plan: Plan, terms: Terms, ticket: Ticket, desk: Desk) -> Answer:
    """Follow the pursuit to its end. Returns the answer that the client gets, good or bad.

    Raises Refused when no target could be tried, and when what is left lacks nothing but room.
    """
    chase = Chase(ticket, desk, terms, plan)
    if terms.hedge:
        desk.board.allowance.earn()
    moves = pursuit.pursue(plan, terms, chase.sight)
    end: End
    try:
        move = next(moves)
        while True:
            told = await chase.make(move)
            if told.met and chase.body_is_gone(told.met[-1]):
                end = End(told.met[-1], "refused")
                break
            move = moves.send(told)
    except StopIteration as stop:
        end = stop.value
    except BaseException:
        chase.close()
        raise
    return chase.result(end)


@dataclass(slots=True)
class Chase:
    """One pursuit under way, and the answers it has met."""

    ticket: Ticket
    desk: Desk
    terms: Terms
    plan: Plan
    sight: Sight = field(init=False)
    began: int = field(init=False)
    waited: int = 0
    granted: Trial | None = None
    answers: list[tuple[Met, Trial, Answer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sight = Sight(self.desk.board, self.ticket)
        self.began = self.desk.clock.now()

    async def make(self, move: Try | Wait | Race) -> Told:
        """Make one move."""
        for _, _, before in self.answers:
            before.close()
        if isinstance(move, Try):
            met: tuple[Met, ...] = (await self._try(self._trial(move.target), self.ticket.vigil),)
        elif isinstance(move, Wait):
            await self._wait(move)
            met = ()
        else:
            met = await self._race(move)
        return Told(self._elapsed(), met)

    def body_is_gone(self, met: Met) -> bool:
        """Whether the request cannot be sent again: its body streams through, and a try has reached upstream."""
        ticket = self.ticket
        return ticket.asked is None and ticket.exchange.has_body and met.verdict.reason not in UNREACHED

    def _elapsed(self) -> float:
        return (self.desk.clock.now() - self.began) / 1_000_000

    def _trial(self, target: Target) -> Trial:
        """The try that goes out now, with the room that was taken for it in the line."""
        trial = new_trial(target, self.ticket, self.desk)
        trial.waited, self.waited = self.waited, 0
        granted, self.granted = self.granted, None
        self.sight.granted = None
        if target is not self.plan.targets[0]:
            self._pass_over(trial)
        if granted is not None:
            if granted.target == target:
                trial.holds = granted.holds
            else:
                self.desk.board.unused(granted)
        self.desk.board.take(trial, self.sight)
        return trial

    def _pass_over(self, trial: Trial) -> None:
        """Say on the try which targets before it were not tried, and what bars them."""
        tried = {each.target for each in self.ticket.trials}
        ahead = takewhile(lambda one: one != trial.target, self.plan.targets)
        stand = [(one, self.sight.standing(one)) for one in ahead if one not in tried]
        trial.passed = tuple((one, standing.why) for one, standing in stand if standing.at > 0.0)
        if trial.passed:
            trial.why = f"{trial.why}; {refusals.passed_over(trial.passed)}".removeprefix("; ")

    async def _try(self, trial: Trial, vigil: Vigil) -> Met:
        answer = await attempt(trial, self.ticket, self.desk, vigil)
        met = Met(trial.target, answer.verdict)
        self.answers.append((met, trial, answer))
        return met

    async def _wait(self, move: Wait) -> None:
        # Room that could not be used at once counts from too early a moment: it is taken anew.
        self._drop_grant()
        start = self.desk.clock.now()
        try:
            if move.targets:
                granted = await self.desk.waiting.wait(self.sight, move.targets, self._longest(move))
                if granted is not None:
                    self.granted, self.sight.granted = granted, granted.target
            else:
                await asyncio.sleep(self.desk.clock.real(move.seconds))
        finally:
            spent = self.desk.clock.now() - start
            self.waited += spent
            self.ticket.waited += spent

    def _longest(self, move: Wait) -> float:
        """The seconds that a wait for these targets may last.

        Who stands in line keeps the place: room may come sooner or later than was foreseen. But a wait that is
        shorter than any of these targets needs is for another one, which only rests.
        """
        standings = [self.sight.standing(target) for target in move.targets]
        rests = move.seconds + SAME < min(one.at for one in standings)
        if rests or not any(one.room for one in standings):
            return move.seconds
        return max(move.seconds, self.terms.patience - self._elapsed())

    async def _race(self, move: Race) -> tuple[Met, ...]:
        """A try, and a second one when the first shows nothing in time. The first good answer wins."""
        first = self._trial(move.first)
        tasks, trials = [self._runner(first, spare=False)], [first]
        won = False
        try:
            done, _ = await asyncio.wait(tasks, timeout=self.desk.clock.real(move.after))
            if not done and self.sight.standing(move.second).at <= 0.0 and self.desk.board.allowance.spend():
                second = self._trial(move.second)
                second.hedge = True
                tasks.append(self._runner(second, spare=True))
                trials.append(second)
            met: list[Met] = []
            for finished in asyncio.as_completed(tasks):
                one = await finished
                if one is None:
                    continue
                met.append(one)
                won = rule(one.verdict).action is Action.ANSWER
                if won:
                    break
            return tuple(met)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for trial in trials:
                if trial not in self.ticket.trials and trial.holds:
                    self.desk.board.unsent(trial)  # it was called off before it began
                elif won and trial.verdict is None and not self._answered(trial):
                    trial.end(HEDGED)

    def _runner(self, trial: Trial, *, spare: bool) -> asyncio.Task[Met | None]:
        loop = asyncio.get_running_loop()

        async def run() -> Met | None:
            """The try, under a watch of its own: it must not end the call when it is late. A spare one that is not
            let out (a budget has no room for it) is none, and the first goes on."""
            vigil = Vigil(self.desk.watch, self.ticket.exchange.receive, loop)
            try:
                return await self._try(trial, vigil)
            except Refused:
                if spare:
                    return None
                raise

        return loop.create_task(run())

    def _answered(self, trial: Trial) -> bool:
        return any(of is trial for _, of, _ in self.answers)

    def result(self, end: End) -> Answer:
        """The answer that the end of the pursuit names. Raises Refused where gemgate says it itself."""
        ticket = self.ticket
        if ticket.snapshot.routed and end.reason not in ("answered", "refused"):
            ticket.retry_after = inf if end.retry_after is None else end.retry_after
        chosen = next((row for row in reversed(self.answers) if row[0] is end.met), None)
        for row in self.answers:
            if row is not chosen:
                row[1].end(HEDGED)  # a failed try has ended already
                row[2].close()
        self._drop_grant()
        if chosen is None and end.standings and all(one.why == "budget" for _, one in end.standings):
            raise self.desk.brakes.refusal(ticket, end.standings[0][0])
        if chosen is None or (end.reason == "no_room" and self._outdated(chosen[2])):
            raise refusals.no_way(end, ticket, self.sight.bar(end.standings[0][0]) if end.standings else None)
        ticket.winner = chosen[1]
        if self.terms.seek and chosen[2].verdict.ok:
            self.desk.affinity.found(ticket, chosen[1], self.desk.clock.now())
        return chosen[2]

    def _outdated(self, answer: Answer) -> bool:
        """Whether Google's own words no longer say what the client must know: it was tried several times, or room
        comes later than they say: others wait before it, or the day is spent, or it never comes."""
        if len(self.ticket.trials) > 1:
            return True
        found, comes = answer.verdict, self.ticket.retry_after or 0.0
        if found.reason in ("quota_minute", "quota_tokens"):
            return comes > found.retry_after + MOST_EARLY
        if found.reason in ("quota_day", "quota_zero"):
            # The delay beside these is often one of seconds, and a client that believes it asks in vain for hours.
            named = verdict.named_delay(found, judging.decoded(answer.headers, answer.body))
            return 0.0 < named < comes - MOST_EARLY
        return False

    def close(self) -> None:
        """The call ends from outside."""
        for _, _, answer in self.answers:
            answer.close()
        self._drop_grant()

    def _drop_grant(self) -> None:
        if self.granted is not None:
            self.desk.board.unused(self.granted)
            self.granted = self.sight.granted = None
