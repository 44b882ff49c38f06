"""How values are said to people: spans, money, sizes, and text that comes from elsewhere."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def span(micros: int | None) -> str:
    """A time span in the unit that fits."""
    if micros is None:
        return "–"
    if micros < 1_000:
        return f"{micros} µs"
    if micros < 1_000_000:
        return f"{micros / 1e3:.0f} ms" if micros >= 10_000 else f"{micros / 1e3:.1f} ms"
    return f"{micros / 1e6:.2f} s" if micros < 60_000_000 else f"{micros / 6e7:.1f} min"


def dollars(nano: int | None) -> str:
    """Money as dollars, with as many digits as it has; unpriced where there is none."""
    if nano is None:
        return "unpriced"
    sign, whole, part = "-" if nano < 0 else "", abs(nano) // 10**9, abs(nano) % 10**9
    text = f"{part:09d}".rstrip("0")
    return f"{sign}${whole:,}.{text:0<2}"


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    if count < 1000:
        return f"{count} B"
    for unit, factor in (("kB", 10**3), ("MB", 10**6)):
        if count < factor * 1000:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 10**9:.1f} GB"


def plain(text: str) -> str:
    """Text from a client or an upstream, unable to move the cursor or colour the screen."""
    return _CONTROL.sub("�", text)


def sentence(text: str) -> str:
    """An upstream's message in one line: Google's have several, whose ends the record keeps as ``�``."""
    return plain(" ".join(text.replace("�", " ").split()))
