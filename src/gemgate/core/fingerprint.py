"""Keyed hashes of what may not be kept, and the removal of secrets from text.

The secret of these hashes lives in the data folder: without it nobody can test a guess against the record.
"""

from __future__ import annotations

import hashlib
import re

_FIRST_BOUND = 8 * 1024
_SHOWN = 12

_SECRETS = re.compile(
    r"AIza[0-9A-Za-z_\-]{10,}"
    r"|AQ\.[0-9A-Za-z_\-.]{8,}"
    r"|(?:sk-gemgate|gg-admin)-[0-9A-Za-z]{8,}"
    r"|ya29\.[0-9A-Za-z_\-.]{8,}"
    r"|auth_tokens/[0-9A-Za-z_\-.]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_NAMED = re.compile(
    r"(?i)(\bbearer\s+)[0-9A-Za-z_\-.~+/=]{8,}"
    r"|(\btoken\s+)(?=\S*\d)[0-9A-Za-z_\-.~+/=]{16,}"
    r"|((?<![a-z])(?:key|api_key|apikey|access_token|token)=)[^&\s\"'<>]+"
    r"|(\bapi_key:)[^\s\"'<>]+"
    r"|(x-goog-api-key[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]+"
)
# What may be the start of a credential that was cut off, and then half an escape of JSON.
_OPEN = re.compile(
    r"(?:(?:AIza|AQ\.|(?:sk-gemgate|gg-admin)-|ya29\.|auth_tokens/|(?i:\bbearer\s+))[0-9A-Za-z_\-.~+/=]+)"
    r"(?:\\+(?:u[0-9a-fA-F]{0,3})?)?\Z"
)
_OPEN_WITHIN = 128
REDACTED = "[redacted]"


def request_hash(secret: bytes, body: bytes | memoryview) -> int:
    """A 64-bit signed hash of a request's body, the same for the same body and secret only."""
    return _number(hashlib.blake2b(body, digest_size=8, key=secret[:64]))


def prefix_hashes(secret: bytes, body: bytes | memoryview) -> tuple[int, ...]:
    """Hashes of the body's prefixes of 8 KiB, 16 KiB, 32 KiB … as far as it reaches; one pass over it."""
    if len(body) < _FIRST_BOUND:
        return ()
    state = hashlib.blake2b(digest_size=8, key=secret[:64])
    hashes = []
    done, bound = 0, _FIRST_BOUND
    view = memoryview(body)
    while bound <= len(body):
        state.update(view[done:bound])
        hashes.append(_number(state))
        done, bound = bound, bound * 2
    return tuple(hashes)


def name(secret: bytes, text: bytes) -> str:
    """A name of 32 hexadecimal digits for a text that may not be kept, without chance of meeting another's."""
    return hashlib.blake2b(text, digest_size=16, key=secret[:64]).hexdigest()


def credential(secret: bytes, key: str) -> str:
    """A short name for a credential (``key:0f3a…``) that cannot be turned back into it; empty for none."""
    if not key:
        return ""
    return "key:" + hashlib.blake2b(key.encode(), digest_size=_SHOWN // 2, key=secret[:64]).hexdigest()


def redact(text: str) -> str:
    """The text without anything that looks like a credential of Google's or of a client."""
    return _NAMED.sub(_kept, _SECRETS.sub(REDACTED, text))


def secrets(text: str) -> list[tuple[int, int]]:
    """Where in a text stands what ``redact`` removes: start and end, which may overlap."""
    found = [one.span() for one in _SECRETS.finditer(text)]
    for one in _NAMED.finditer(text):
        start = one.end(one.lastindex or 0)
        if text[start : one.end()] != REDACTED:
            found.append((start, one.end()))
    return found


def cut_secret(text: str) -> int | None:
    """Where the start of a credential stands at the end of a text that was cut; None when there is none.

    One of which enough is left is among ``secrets``.
    """
    begin = max(0, len(text) - _OPEN_WITHIN)
    found = _OPEN.search(text, begin)
    return None if found is None else found.start()


def redact_name(name: str) -> str:
    """A name from a caller (a model, a user, a tag) without what has a credential's form.

    What only follows a word such as ``key=`` stays: in a name that says nothing.
    """
    return _SECRETS.sub(REDACTED, name)


def _kept(found: re.Match[str]) -> str:
    return next(filter(None, found.groups()), "") + REDACTED


def _number(state: hashlib.blake2b) -> int:
    return int.from_bytes(state.digest(), "big", signed=True)
