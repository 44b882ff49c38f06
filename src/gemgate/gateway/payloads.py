"""Bodies that a rule asks for: taken on the way, handed over at the end of the call, stored by a process of its own.

Laws:

- without rules a call pays one look at an empty table; with rules, those calls that none is for pay for looking;
- nothing here delays a call or fails it: what there is no room for is dropped, and counted (``/healthz``);
- all bodies that wait or are being taken fill at most ``ROOM`` bytes;
- the answer is kept as the client got it, up to where it was sent; the request as the client sent it;
- what is handed over is in memory alone until it is stored: a crash loses it, never the record. Only calls that have
  a row are handed over;
- redacting is done in another process: a pattern of an administrator's that never ends must not hold the calls.
"""

from __future__ import annotations

import logging
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

import msgspec

from gemgate.config import Settings
from gemgate.core.redaction import faults
from gemgate.gateway.capture import Capture, Side, Taken
from gemgate.gateway.steady import Steady
from gemgate.gateway.ticket import Ticket
from gemgate.store import payloads, revisions
from gemgate.store.connection import Connection
from gemgate.store.payloads import REQUEST, RESPONSE, Rule

log = logging.getLogger("gemgate.gateway")

ROOM: Final = 32 * 2**20
"""Bytes of bodies that may be in memory."""
BATCH: Final = 64  # calls that the other process gets at once
PATIENCE: Final = 30.0  # seconds that it may take for them
_SECOND: Final = 1_000_000


class Payloads:
    """The rules in force, and the way of bodies to where they are stored. One for all calls of a gateway.

    ``rules`` is empty while nobody's bodies are kept. ``most`` is the largest body that any rule keeps.
    """

    def __init__(self) -> None:
        self.rules: dict[tuple[str, str], Rule] = {}
        self.most = 0
        self.stored = 0
        self.lost = 0
        self._number = 0
        self._held = 0
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[Taken, int] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._settings: Settings | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._storing = Steady("bodies of calls cannot be stored")
        self._ending = False

    def look(self, conn: Connection) -> None:
        """Take over the rules, if they are others than what is known. Runs beside the loop."""
        number = revisions.number(conn, revisions.PAYLOADS)
        if number == self._number:
            return
        good: dict[tuple[str, str], Rule] = {}
        try:
            for rule in payloads.rules(conn):
                if faults(rule.redact):
                    log.error(
                        "the payload rule of %s %s cannot be meant: nothing is kept by it",
                        rule.scope,
                        rule.of,
                    )
                else:
                    good[rule.scope, rule.of] = rule
        except msgspec.MsgspecError as error:
            log.error("the payload rules cannot be read, nothing is kept: %s", error)
            good = {}
        self.most = max((rule.max_bytes for rule in good.values()), default=0)
        self.rules, self._number = good, number

    def begin(self, ticket: Ticket) -> None:
        """Take what passes of a call, from here on."""
        ticket.capture = capture = Capture(partial(self.rule_of, ticket), self.room, self.most)
        ticket.exchange.show(capture.answered)

    def rule_of(self, ticket: Ticket) -> Rule | None:
        """The rule for a call: its key's, else its route's, or that of the model asked for."""
        rules = self.rules
        found = rules.get(("key", ticket.key.name)) if ticket.key is not None else None
        if found is None and ticket.route:
            found = rules.get(("route", ticket.route))
        if found is None:
            asked, match = ticket.asked, ticket.match
            model = asked.model if asked is not None else (match.model if match is not None else "")
            found = rules.get(("route", model)) if model else None
        return found

    def room(self, size: int) -> bool:
        """Take room for so many bytes; False when there is none."""
        with self._lock:
            if self._held + size > ROOM:
                return False
            self._held += size
            return True

    def _free(self, size: int) -> None:
        with self._lock:
            self._held -= size

    def hand_over(self, ticket: Ticket) -> None:
        """The call has ended: what was taken of it goes to be stored."""
        capture = ticket.capture
        if capture is None:
            return
        ticket.capture = None
        # Asked again: who takes a rule away means the calls under way too.
        rule = self.rule_of(ticket) if capture.rule is not None else None
        if rule is None or not ticket.settled:
            self._free(capture.held)
            return
        if not capture.own and ticket.body.size:
            view = ticket.body.view
            capture.asked(view if len(view) <= rule.max_bytes else view[: rule.max_bytes])
            capture.request_size = ticket.body.size
        if capture.lost or self._ending:
            self.lost += 1
            self._free(capture.held)
            return
        settings = ticket.snapshot.settings
        keep = settings.payloads.keep
        if rule.keep_seconds:
            keep = min(keep, rule.keep_seconds)
        taken = Taken(
            call_id=ticket.call_id,
            at=ticket.received_at,
            expires_at=ticket.received_at + round(keep * _SECOND),
            most=rule.max_bytes,
            redact=rule.redact,
            sides=_sides(capture, ticket, rule.max_bytes),
        )
        self._hand(taken, capture.held, settings)

    def _hand(self, taken: Taken, held: int, settings: Settings) -> None:
        self._queue.put((taken, held))
        if self._thread is None:
            self._settings = settings
            self._thread = threading.Thread(target=self._run, name="payloads", daemon=True)
            self._thread.start()

    def shown(self) -> Mapping[str, int]:
        """For ``/healthz``: calls whose bodies were stored, that were lost, and bytes that wait."""
        return {
            "rules": len(self.rules),
            "stored": self.stored,
            "lost": self.lost,
            "waiting_bytes": self._held,
        }

    def close(self, deadline: float = 3.0) -> None:
        """Store what waits, as far as it goes within so many seconds. Blocks."""
        self._ending = True
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(deadline)
        if self._thread.is_alive():
            log.warning("the gateway stops before all bodies of calls were stored")

    def _run(self) -> None:
        """The thread's life: until a None comes out of the queue."""
        ending = False
        while not ending:
            batch, ending = self._next()
            if batch:
                done = -1
                with self._storing.turn():
                    done = self._give([taken for taken, _ in batch])
                self.stored += max(done, 0)
                self.lost += len(batch) - max(done, 0)
                self._free(sum(held for _, held in batch))
                if done < 0:
                    self._leave()
                elif done < len(batch):
                    log.warning(
                        "bodies of %d calls could not be redacted, nothing is kept of them", len(batch) - done
                    )
        self._leave()

    def _next(self) -> tuple[list[tuple[Taken, int]], bool]:
        batch: list[tuple[Taken, int]] = []
        one = self._queue.get()
        with suppress(Empty):
            while one is not None:
                batch.append(one)
                if len(batch) >= BATCH:
                    return batch, False
                one = self._queue.get_nowait()
            return batch, True
        return batch, False

    def _give(self, batch: list[Taken]) -> int:
        """Have a batch stored. Returns of how many calls it was done. Raises OSError when the process that stores
        does not do it in time."""
        child = self._process()
        assert child.stdin is not None
        assert child.stdout is not None
        frame = msgspec.msgpack.encode(batch)
        child.stdin.write(len(frame).to_bytes(8, "big") + frame)
        child.stdin.flush()
        # Not select.select: with many connections open the pipe's number is above what that can take.
        ready = select.poll()
        ready.register(child.stdout, select.POLLIN)
        said = child.stdout.readline() if ready.poll(PATIENCE * 1000) else b""
        word, _, number = said.decode("utf-8", "replace").strip().partition(" ")
        if word != "stored" or not number.isdigit():
            raise OSError(f"{word} {number}".strip() or "the process that stores them gave no answer")
        return int(number)

    def _process(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            assert self._settings is not None
            part = self._settings.payloads
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    *(
                        sys.executable,
                        "-m",
                        "gemgate.gateway.storing",
                        "--data",
                        str(self._settings.database),
                    ),
                    *("--keep", str(part.keep), "--room", str(part.max_bytes), "--patience", str(PATIENCE)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._child

    def _leave(self) -> None:
        """End the process that stores."""
        child, self._child = self._child, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            child.wait(1.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _sides(capture: Capture, ticket: Ticket, most: int) -> list[Side]:
    """What was taken, at most ``most`` bytes of each, the request first; an empty body is none."""
    sides = []
    if capture.request_size:
        body = bytes(capture.request[:most])
        coding = ticket.exchange.header(b"content-encoding").strip().lower()
        sides.append(Side(REQUEST, body, coding, len(body) == capture.request_size, capture.request_size))
    if capture.response_size:
        body = bytes(capture.response[:most])
        whole = len(body) == capture.response_size and ticket.exchange.completed
        sides.append(Side(RESPONSE, body, capture.coding, whole, capture.response_size))
    return sides
