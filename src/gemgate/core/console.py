"""How the console proves itself to the gateway: both know the secret of their data folder.

Laws:

- the proof is of one method and path, and good for half a minute;
- it says who asks, not what may be done: the gateway takes it from its own machine only;
- it is compared in constant time, and no word of a client's breaks the comparison.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

HEADER: Final = "x-gemgate-console"
CLIENT: Final = "gemgate console"
"""The client program that the record names for such calls."""
GOOD_FOR: Final = 30_000_000
"""µs for which a proof is good, before and after its time: two processes read the clock."""

_WORD: Final = re.compile(r"([0-9]{1,18})\.([0-9a-f]{64})")


def prove(secret: bytes, at: int, verb: str, path: str) -> str:
    """The proof for a request at a moment (UTC µs), as the header's value."""
    text = f"gemgate-console\n{at}\n{verb}\n{path}"
    return f"{at}.{hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}"


def proven(secret: bytes, word: str, now: int, verb: str, path: str) -> bool:
    """Whether a header's value is a proof for this request that is good now (UTC µs)."""
    found = _WORD.fullmatch(word)
    if found is None or abs(now - int(found[1])) > GOOD_FOR:
        return False
    return hmac.compare_digest(prove(secret, int(found[1]), verb, path), word)
