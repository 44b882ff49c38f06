"""What a refusal of Google's teaches about quota windows.

Laws:

- only the windows that the refusal names are closed; where it names none, the one its reason means;
- a daily refusal of the free tier closes to midnight in California, whatever delay it carries; a paid one
  that names a long delay is believed, since a paid day may roll;
- in the first minute of a day a daily refusal may still mean the day before: it closes for a minute;
- a limit of 0 never heals; a bare 429 names nothing and teaches nothing.
"""

from __future__ import annotations

import msgspec

from gemgate.core import pacific
from gemgate.core.verdict import Verdict
from gemgate.core.windows import DAY_WINDOWS, NEVER, SECOND

MINUTE = 60 * SECOND
PREPAID = 60 * SECOND
"""How long an account without money is left alone, in microseconds."""
# Free daily refusals carry a delay of seconds, which is wrong; an honest one is longer than this, in seconds.
_LONG = 300.0
_MEANS = {"quota_minute": "rpm", "quota_tokens": "tpm", "quota_day": "rpd", "quota_zero": "rpm"}


class Lesson(msgspec.Struct, frozen=True):
    """One window of one family is closed until a moment (UTC µs, NEVER), and may have shown its limit.

    ``rolls`` says that the window reopened by itself before midnight, so that what was counted is no measure.
    """

    family: str
    window: str
    until: int
    limit: int | None = None
    rolls: bool = False


def lessons(verdict: Verdict, family: str, now: int, margin: int) -> list[Lesson]:
    """What a verdict on a try of ``family`` teaches; ``margin`` (µs) is kept from the end of a day."""
    means = _MEANS.get(verdict.reason)
    if means is None:
        return []
    if verdict.reason == "quota_day" and "Token" in verdict.quota:
        means = "tpd"
    found: dict[tuple[str, str], Lesson] = {}
    for one in verdict.violations:
        # What was tried here was refused, under whatever name Google counts it.
        for name in dict.fromkeys((family, one.family or family)):
            limit = _limit(verdict, one.limit) if one.window else None
            found[name, one.window or means] = _lesson(
                verdict, (name, one.window or means), limit, now, margin
            )
    if not found:
        found[family, means] = _lesson(verdict, (family, means), _limit(verdict, None), now, margin)
    return list(found.values())


def _limit(verdict: Verdict, named: int | None) -> int | None:
    if verdict.reason == "quota_zero":
        return 0
    # A zero beside other numbers is a gap in the body rather than a limit: the verdict has weighed it.
    return named or None


def _lesson(verdict: Verdict, place: tuple[str, str], limit: int | None, now: int, margin: int) -> Lesson:
    family, window = place
    if verdict.reason == "quota_zero":
        return Lesson(family, window, NEVER, limit)
    if window not in DAY_WINDOWS:
        delay = verdict.retry_after if verdict.reason != "quota_day" else 0.0
        return Lesson(family, window, now + (max(SECOND, _micros(delay)) if delay else MINUTE), limit)
    midnight = pacific.next_midnight(now)
    if verdict.retry_after > _LONG and "FreeTier" not in verdict.quota:
        until = now + _micros(verdict.retry_after)
        return Lesson(family, window, until, limit, rolls=until < midnight)
    if now - pacific.midnight(pacific.day_of(now)) < MINUTE:
        return Lesson(family, window, now + MINUTE, limit)
    return Lesson(family, window, midnight + margin, limit)


def _micros(seconds: float) -> int:
    """Seconds as microseconds, held below NEVER."""
    return round(min(seconds, 1e11) * SECOND)
