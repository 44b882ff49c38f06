"""Which windows a 429 says are full, and how much fits into them.

Laws:

- the quotaId alone tells a minute from a day: both share one metric on the free tier;
- a value of zero is left out of Google's JSON, so what a violation does not say is looked up in the message,
  whose lines name the metric, the limit and the model family;
- where several lines share a metric they belong to its violations in order, if there are as many of both;
- what Google counts that is neither requests nor input tokens (pictures, jobs, output) has no window of ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gemgate.core.verdict import Violation


class Row(msgspec.Struct, gc=False, rename="camel"):
    """One violation of a QuotaFailure as Google writes it."""

    quota_metric: str = ""
    quota_id: str = ""
    quota_value: str | int = ""
    quota_dimensions: msgspec.Raw = msgspec.Raw(b"")


class _Dimensions(msgspec.Struct, gc=False):
    model: str = ""


class _Line(msgspec.Struct, frozen=True):
    metric: str
    limit: int
    family: str


_dimensions = msgspec.json.Decoder(_Dimensions)
_LINE = re.compile(
    r"Quota exceeded for metric: (?:[\w.\-]+/)?([\w\-]+), limit: (\d{1,18})(?![\d.])(?:, model: ([\w.\-]+))?"
)


def violations(message: str, rows: Sequence[Row]) -> tuple[Violation, ...]:
    """The windows that a refusal's message and violations name, in their order. Never raises."""
    lines = [_Line(metric, int(limit), family) for metric, limit, family in _LINE.findall(message)]
    if not rows:
        return tuple(Violation(_window("", line.metric), line.limit, line.family) for line in lines)
    found = []
    metrics = [row.quota_metric.rpartition("/")[2] for row in rows]
    for place, (row, metric) in enumerate(zip(rows, metrics, strict=True)):
        same = [line for line in lines if line.metric == metric]
        line = None
        if len(same) == metrics.count(metric):
            line = same[metrics[:place].count(metric)]
        elif len(set(same)) == 1:
            line = same[0]
        limit = _number(row.quota_value)
        if limit is None and line is not None:
            limit = line.limit
        family = _family(row.quota_dimensions) or (line.family if line is not None else "")
        found.append(Violation(_window(row.quota_id, metric), limit, family))
    return tuple(found)


def _number(value: str | int) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _family(raw: msgspec.Raw) -> str:
    try:
        return _dimensions.decode(raw).model.removeprefix("models/")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _window(quota: str, metric: str) -> str:
    """``rpm``, ``tpm``, ``rpd``, ``tpd``, or empty when the names tell none."""
    if "PerDay" in quota or (not quota and "_per_day" in metric):
        span = "d"
    elif "PerMinute" in quota:
        span = "m"
    else:
        return ""
    name = quota or metric
    if "InputToken" in name or "input_token" in name:
        return f"tp{span}"
    return f"rp{span}" if "equest" in name else ""
