"""Virtual keys: what they look like, how a token is found, and what its key may do.

Laws:

- a token is stored as the SHA-256 of the whole of it, nothing else; it has 256 bits of chance, so no salt and no
  slow hash are needed;
- a token is looked up by that digest, and the digest that was found is compared in constant time;
- only who holds a token learns that it is known: expired, disabled and stopped are said after it was found;
- a key without routes may use every model, a key without networks comes from everywhere, a key without rights has
  none of the rights below.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

import msgspec

from gemgate.core.errors import Refused

PREFIX: Final = "sk-gemgate-"
"""How every token begins, so that people and scanners know one when they see it."""
CHANCE: Final = 32
"""The random bytes in a token."""
SECRET: Final = 43
"""The signs after the prefix: 32 bytes in base 62."""
RIGHTS: Final[dict[str, str]] = {
    "shared": "see and use what other keys, or nobody known, made",
    "credentials": "mint, read and change credentials of Google's (auth_tokens, credentials)",
    "webhooks": "set webhooks and triggers, which make Google call others or act by itself",
    "permissions": "share corpora and tuned models, and give them away",
    "unknown": "call paths that gemgate's inventory of Google's API does not know",
}
"""The rights that a key has only when they are named, each with what it allows."""

_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHOWN = 4
_BY_COLLECTION = {
    "auth_tokens": "credentials",
    "credentials": "credentials",
    "webhooks": "webhooks",
    "triggers": "webhooks",
    "unknown": "unknown",
}
_NETWORKS = 4096


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One virtual key. Times are UTC microseconds, 0 for never.

    ``routes`` are patterns (``fnmatch``) of the models and routes it may ask for; ``networks`` are CIDR ranges;
    ``rights`` are names of ``RIGHTS``. ``rpm`` (calls) and ``tpm`` (tokens) are per minute, ``concurrency`` counts
    calls under way; None is no limit, 0 nothing at all. ``stopped_why`` is the sentence of who stopped it.
    """

    id: int
    name: str
    owner: str = ""
    tags: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    rights: frozenset[str] = frozenset()
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    created_at: int = 0
    expires_at: int = 0
    disabled_at: int = 0
    stopped_at: int = 0
    stopped_why: str = ""

    @property
    def tenant(self) -> str:
        """The name to which belongs what the key makes. It stays, whoever the key's owner is."""
        return f"key:{self.id}"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of a key: its ``digest``, the key's number, and until when it is good (UTC µs, 0 for good)."""

    digest: bytes
    key: int
    valid_until: int = 0
    hint: str = ""


def mint(chance: bytes) -> str:
    """A new token from 32 random bytes. Raises ValueError for another number of them."""
    if len(chance) != CHANCE:
        raise ValueError(f"a token is made of {CHANCE} random bytes, these are {len(chance)}")
    number, signs = int.from_bytes(chance, "big"), ""
    for _ in range(SECRET):
        number, rest = divmod(number, len(_SIGNS))
        signs = _SIGNS[rest] + signs
    return PREFIX + signs


def digest(token: str) -> bytes:
    """What the store keeps of a token: the SHA-256 of the whole of it, 32 bytes."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def hint(token: str) -> str:
    """What people may see of a token: ``sk-gemgate-ab12…wxyz``."""
    secret = token.removeprefix(PREFIX)
    return f"{PREFIX}{secret[:_SHOWN]}…{secret[-_SHOWN:]}" if len(secret) > 2 * _SHOWN else f"{PREFIX}…"


def needed(method: str) -> str:
    """The right that a method of Google's (by its id, ``unknown`` for no known one) asks for; empty for none."""
    if ".permissions." in method or method.endswith(".transferOwnership"):
        return "permissions"
    return _BY_COLLECTION.get(method.partition(".")[0], "")


class Keys:
    """All keys and tokens at one moment, to be swapped whole when the store has others."""

    __slots__ = ("_families", "_keys", "_tokens")

    def __init__(self, keys: Iterable[Key], tokens: Iterable[Token]) -> None:
        self._keys = {key.id: key for key in keys}
        self._tokens = {token.digest: token for token in tokens if token.key in self._keys}
        families: dict[str, list[str]] = {}
        for key in self._keys.values():
            families.setdefault(key.owner, []).append(key.tenant)
        self._families = {owner: frozenset(names) for owner, names in families.items() if owner}

    @property
    def any(self) -> bool:
        """Whether there is a key that somebody can hold, so that every call needs one.

        Keys without any token are made by ``gemgate seed``: nobody can call with them.
        """
        return bool(self._tokens)

    @property
    def every(self) -> tuple[Key, ...]:
        """All keys, in the order in which they came."""
        return tuple(self._keys.values())

    def key(self, number: int) -> Key | None:
        """The key of a number, or None."""
        return self._keys.get(number)

    def family(self, key: Key) -> frozenset[str]:
        """The tenants of all keys that have this key's owner now, disabled and expired ones too: what these made is
        still their owner's. A key without an owner is alone."""
        return self._families.get(key.owner) or frozenset((key.tenant,))

    def find(self, token: str, now: int) -> Key:
        """The key that a token belongs to, if it may be used now (UTC µs).

        Raises Refused: 401 KEY_UNKNOWN, KEY_EXPIRED; 403 KEY_DISABLED, KEY_STOPPED.
        """
        found = self._token(token)
        if found is None:
            raise unknown()
        if found.valid_until and now >= found.valid_until:
            raise _refused(401, "KEY_EXPIRED", "This key was rotated and its time of grace is over.", _NEW)
        key = self._keys[found.key]
        fit(key, now)
        return key

    def of_tenant(self, tenant: str) -> Key | None:
        """The key whose things are this tenant's; None where that is no key's name."""
        head, _, number = tenant.partition(":")
        return self._keys.get(int(number)) if head == "key" and number.isdecimal() else None

    def holder(self, token: str) -> Key | None:
        """The key that a token belongs to, whether or not it may be used; None for a foreign one."""
        found = self._token(token)
        return self._keys[found.key] if found is not None else None

    def _token(self, token: str) -> Token | None:
        sum_ = digest(token)
        found = self._tokens.get(sum_)
        return found if found is not None and hmac.compare_digest(found.digest, sum_) else None

    def admit(self, key: Key, address: str) -> None:
        """Raise Refused 403 ADDRESS_NOT_ALLOWED when the key may not be used from this IP address."""
        if not key.networks or allowed(address, key.networks):
            return
        raise _refused(
            403,
            "ADDRESS_NOT_ALLOWED",
            f"The key {key.name!r} may not be used from {address or 'an unknown address'}.",
            "Call from one of the networks of the key, or ask for it to be allowed from this one.",
        )


def fit(key: Key, now: int) -> None:
    """Raise Refused 401 KEY_EXPIRED, 403 KEY_DISABLED or KEY_STOPPED for a key that may not be used now (UTC µs)."""
    if key.expires_at and now >= key.expires_at:
        raise _refused(401, "KEY_EXPIRED", f"The key {key.name!r} has expired.", _NEW)
    if key.disabled_at and now >= key.disabled_at:
        raise _refused(403, "KEY_DISABLED", f"The key {key.name!r} is disabled.", _ASK)
    if key.stopped_at:
        raise stopped(key.name, key.stopped_why)


def may_use(key: Key, model: str, route: str = "") -> bool:
    """Whether the key may ask for this model (with or without ``models/``), or for the route that serves it."""
    if not key.routes:
        return True
    name = model.removeprefix("models/")
    return any(fnmatchcase(name, one) or (route and fnmatchcase(route, one)) for one in key.routes)


def strangers(patterns: Iterable[str], known: Iterable[str]) -> list[str]:
    """A sentence for each pattern that fits none of these names; a model may be newer than what is known."""
    names = tuple(known)
    return [
        f"{one!r} fits no route and no model that is known here. Look at it, or leave it if it is new."
        for one in patterns
        if not any(may_use(Key(id=0, name="", routes=(one,)), name) for name in names)
    ]


def allowed(address: str, networks: Iterable[str]) -> bool:
    """Whether an IP address lies in one of these CIDR ranges. What is no address lies in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped  # how an IPv4 client appears on a socket for both
    return any(found in network(one) for one in networks)


@lru_cache(maxsize=_NETWORKS)
def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The range that ``10.0.0.0/8`` or ``::1`` names. Raises ValueError where it is none."""
    return ipaddress.ip_network(text.strip(), strict=False)


# Each refusal is made anew: an exception that is raised again keeps the frames of every raising before.
def missing() -> Refused:
    """The refusal of a call that came without a key where one is needed."""
    return _refused(
        401,
        "KEY_MISSING",
        "The call came without a key.",
        "Send a key of this gateway as x-goog-api-key, as `Authorization: Bearer`, as `?key=`, or, where these "
        "carry a Google key of your own, as x-gemgate-key.",
    )


def unknown() -> Refused:
    """The refusal of a token that is none of ours, or whose key is gone."""
    return _refused(
        401,
        "KEY_UNKNOWN",
        "The key that came with the call is not one of this gateway's.",
        "Send a key that `gemgate keys create` has printed; Google's own keys are not taken here.",
    )


def stopped(name: str, why: str) -> Refused:
    """The refusal of a key that was stopped, with the sentence of who stopped it."""
    because = f": {why.rstrip('.')}" if why else ""
    return _refused(
        403,
        "KEY_STOPPED",
        f"The key {name!r} was stopped{because}.",
        "Find out what made these calls; an administrator starts it again with `gemgate keys enable`.",
    )


def _refused(status: int, code: str, message: str, what: str) -> Refused:
    return Refused(status, code, message, hint=what, retryable=False)


_NEW = "Use a newer key, or ask for one (`gemgate keys create`, `gemgate keys rotate`)."
_ASK = "Ask whoever manages the gateway, who can enable it with `gemgate keys enable`."
