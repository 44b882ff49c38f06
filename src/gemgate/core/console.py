"""How the console proves itself to the gateway: both know the secret of their data folder.

Laws:

- the proof is of one whole request (method, path, query and body), good for half a minute, and counts once;
- the head is proven before the body is read; ``holds`` says of the body that it is the one that was meant;
- it says who asks, not what may be done: the gateway takes it from its own machine only;
- it is compared in constant time, and no word of a client's breaks the comparison.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

HEADER: Final = "x-gemgate-console"
CLIENT: Final = "gemgate console"
"""The client program that the record names for such calls."""
GOOD_FOR: Final = 30_000_000
"""µs for which a proof is good, before and after its time: two processes read the clock."""

_WORD: Final = re.compile(r"([0-9]{1,18})\.([0-9a-f]{16})\.([0-9a-f]{64})\.([0-9a-f]{64})")


class Head(NamedTuple):
    """The head of a request; ``query`` without its question mark."""

    verb: str
    path: str
    query: str


def prove(secret: bytes, at: int, once: str, head: Head, body: bytes) -> str:
    """The proof for a request at a moment (UTC µs), as the header's value; ``once`` are 16 hexadecimal digits that no
    other proof has."""
    return _word(secret, at, once, head, hashlib.sha256(body).hexdigest())


def _word(secret: bytes, at: int, once: str, head: Head, digest: str) -> str:
    text = "\n".join(("gemgate-console", str(at), once, *head, digest))
    return f"{at}.{once}.{digest}.{hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}"


def proven(secret: bytes, word: str, now: int, head: Head) -> bool:
    """Whether a header's value is a proof for a request with this head that is good now (UTC µs)."""
    found = _WORD.fullmatch(word)
    if found is None or abs(now - int(found[1])) > GOOD_FOR:
        return False
    return hmac.compare_digest(_word(secret, int(found[1]), found[2], head, found[3]), word)


def holds(word: str, body: bytes) -> bool:
    """Whether this is the body that a proof is of."""
    found = _WORD.fullmatch(word)
    return found is not None and hmac.compare_digest(hashlib.sha256(body).hexdigest(), found[3])


class Used:
    """The proofs that have counted already, as long as they would be good. A process that began anew knows none."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._until)

    def first(self, word: str, now: int) -> bool:
        """Whether this proof, which is good now (UTC µs), comes for the first time."""
        while self._until and (oldest := next(iter(self._until))) and self._until[oldest] < now:
            del self._until[oldest]
        if word in self._until:
            return False
        # The latest that any proof of now is good, so that they are in the order of their ends.
        self._until[word] = now + 2 * GOOD_FOR
        return True
