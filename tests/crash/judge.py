"""What the record must say of what the clients saw. Pure: values in, accusations out.

Laws:

- a call answered whole has exactly one complete row: its own id, the status and outcome the client saw, the
  tokens the answer named, and an attempt for every try;
- a call whose answer began has exactly one row, and so has one whose end nobody received but whose try the
  upstream saw: every try that may cost money is on record;
- no call has two rows, and no row is of a call that nobody made;
- a call asked after another was answered whole stands behind it in the record, however it got there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.crash.wire import Seen

Key = tuple[int, int]
"""Round and number of a call."""

SHUTDOWN = "SHUTDOWN"
OUTCOMES = frozenset({"ok", "refused", "failed", "cut", "cancelled", "interrupted"})
TOKENS = (
    "promptTokenCount",
    "cachedContentTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
)
NOTHING = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """What one client knows of its call. ``outcome`` is empty when it does not know the end."""

    form: str
    call_id: str
    status: int
    tries: int
    whole: bool
    outcome: str
    tokens: tuple[int, ...] | None
    asked: int = 0
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One call as the record has it. ``attempts`` is what the row says, ``tries`` counts the rows of attempts."""

    seq: int
    call_id: str
    outcome: str
    status: int
    attempts: int
    tries: int
    tokens: tuple[int, ...]
    estimated: int


@dataclass(slots=True)
class Tally:
    """The counts of all rounds, and a sentence for each violation."""

    rounds: int = 0
    asked: int = 0
    answered: int = 0
    rows: int = 0
    tries: int = 0
    again: int = 0
    missing: int = 0
    duplicates: int = 0
    wrong: int = 0
    open: int = 0
    unrecorded: int = 0
    broken: int = 0
    mischarged: int = 0
    keyed: int = 0
    unpaid: int = 0
    accusations: list[str] = field(default_factory=list)

    def accuse(self, what: str, sentence: str) -> None:
        """Count a violation: ``what`` names the count."""
        setattr(self, what, getattr(self, what) + 1)
        self.accusations.append(f"{what}: {sentence}")

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.accusations


def told(seen: Seen) -> Told:
    """What the client can swear to once its connection is done."""
    form = seen.question.form
    outcome, tokens = "", None
    if seen.whole:
        try:
            events = _events(seen)
        except ValueError:
            # A whole answer that nobody can read: no outcome of the record will match.
            outcome, events = "unreadable", []
        outcome = outcome or _outcome(seen.status, events)
        usage = [event["usageMetadata"] for event in events if "usageMetadata" in event]
        if usage:
            tokens = tuple(int(usage[-1].get(name, 0)) for name in TOKENS)
        elif outcome == "ok":
            tokens = NOTHING
    return Told(
        form, seen.call_id, seen.status, seen.tries, seen.whole, outcome, tokens, seen.asked, seen.ended
    )


def _events(seen: Seen) -> list[dict[str, Any]]:
    """The JSON objects of an answer, however it travelled. Raises ValueError."""
    body = bytes(seen.body)
    if "alt=sse" in seen.question.path and seen.status < 400:
        lines = (line[5:] for line in body.split(b"\n") if line.startswith(b"data:"))
        return [json.loads(line) for line in lines]
    if seen.status >= 400 and not body.strip():
        return []
    value = json.loads(body)
    return value if isinstance(value, list) else [value]


def _outcome(status: int, events: Sequence[Mapping[str, Any]]) -> str:
    errors = [event["error"] for event in events if "error" in event]
    if any(_reason(error) == SHUTDOWN for error in errors):
        return "interrupted"  # the gateway stopped, and said so in the answer's own form
    if status == 402 and any(_reason(error) for error in errors):
        return "refused"  # by a budget of ours; Google's own is one of money that failed
    if status >= 400:
        return "failed" if status >= 500 or status in (402, 429) else "refused"
    return "cut" if errors else "ok"


def _reason(error: Mapping[str, Any]) -> str:
    """The gateway's own reason in an error, empty for one of Google's."""
    infos = (info for info in error.get("details", ()) if info.get("domain") == "gemgate")
    return next((str(info.get("reason", "")) for info in infos), "")


def judge(
    calls: Mapping[Key, Told], rows: Mapping[Key, Sequence[Row]], tries: Counter[Key], tally: Tally
) -> None:
    """Compare; every difference becomes an accusation in ``tally``."""
    for key, call in calls.items():
        name = f"round {key[0]}, call {key[1]} ({call.form}, {call.call_id or 'no id seen'})"
        found = rows.get(key, ())
        tally.asked += 1
        tally.answered += call.whole
        tally.rows += len(found)
        tally.tries += tries[key]
        tally.again += call.outcome == "ok" and tries[key] > 1
        if len(found) > 1:
            tally.accuse("duplicates", f"{name} has {len(found)} rows")
        elif found and call.whole and found[0].outcome == "interrupted" != call.outcome:
            tally.accuse("missing", f"{name}, answered whole with {call.status}, has no complete row")
        elif found:
            for fault in _differences(call, found[0], tries[key]):
                tally.accuse("wrong", f"{name}: {fault}")
        elif call.call_id or call.whole:
            tally.accuse("missing", f"{name}, answered with {call.status}, has no row")
        elif tries[key]:
            tally.accuse("unrecorded", f"{name} was tried {tries[key]} times and has no row")
    for key in rows.keys() - calls.keys():
        tally.accuse("wrong", f"round {key[0]}, call {key[1]}: a row of a call that nobody made")


def judge_order(calls: Mapping[Key, Told], rows: Mapping[Key, Sequence[Row]], tally: Tally) -> None:
    """Compare the order of one round's rows with that of its calls."""
    moments: list[tuple[int, bool, Key]] = []
    for key, call in calls.items():
        moments.append((call.asked, False, key))
        if call.whole:
            moments.append((call.ended, True, key))
    highest, holder = 0, (0, 0)
    for _, ended, key in sorted(moments):
        seq = max((row.seq for row in rows.get(key, ())), default=0)
        if ended and seq > highest:
            highest, holder = seq, key
        elif not ended and 0 < seq < highest:
            tally.accuse("wrong", f"call {key} was asked after {holder} was answered and stands before it")


def _differences(call: Told, row: Row, tries: int) -> Iterable[str]:
    """What the row says otherwise than the client or the upstream saw."""
    if call.call_id and row.call_id != call.call_id:
        yield f"the row's id is {row.call_id}"
    if row.outcome not in OUTCOMES:
        yield f"the outcome is {row.outcome!r}"
    if row.attempts != row.tries:
        yield f"the row says {row.attempts} attempts, there are {row.tries}"
    if row.tries < max(tries, call.tries):
        yield f"{row.tries} attempts on record, upstream saw {tries}, the answer said {call.tries}"
    if not call.whole:
        return
    if row.outcome != call.outcome:
        yield f"the outcome is {row.outcome}, the client saw {call.outcome}"
    if row.status != call.status:
        yield f"the status is {row.status}, the client saw {call.status}"
    if call.tokens is not None and row.tokens != call.tokens:
        yield f"the tokens are {row.tokens}, the client saw {call.tokens}"
    if call.outcome == "ok" and row.estimated:
        yield "the tokens are marked as estimated"
