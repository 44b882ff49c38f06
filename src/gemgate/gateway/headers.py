"""Which headers and query fields cross the gateway, in either direction.

Laws:

- exactly one credential goes upstream: the client's are dropped in all three places (``x-goog-api-key``,
  ``Authorization``, ``?key=`` and its cousin ``?access_token=``) before ours is added. Google refuses two;
- a virtual key goes upstream in no header and no query field, whatever its name is;
- hop-by-hop headers (RFC 9110 7.6.1), those named by ``Connection``, and cookies end here;
- everything else passes, ``user-agent``, ``x-goog-api-client`` and ``X-Server-Timeout`` among it.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote_plus

from gemgate.core.access import PREFIX

Headers = list[tuple[bytes, bytes]]

JSON: Headers = [(b"content-type", b"application/json; charset=UTF-8")]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What a client sends and Google must not see: credentials, cookies, the address of this gateway, what a browser
# adds about the page, and our own controls.
CLIENT_ONLY = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"x-goog-api-key",
    b"authorization",
    b"cookie",
    b"cookie2",
    b"origin",
    b"referer",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"http2-settings",
}
# What Google sends and a client must not see: state of a connection or an origin that is not the client's.
UPSTREAM_ONLY = HOP_BY_HOP | {
    b"set-cookie",
    b"set-cookie2",
    b"alt-svc",
    b"content-length",
    b"clear-site-data",
}
# Answers that name a place on Google's host which the client must reach through the gateway.
PLACES = frozenset({b"x-goog-upload-url", b"x-goog-upload-control-url", b"location"})
ENDS_OF_BASE = (b"", b"/", b"?")
# Google reads each under its plain name and with a dollar sign before it.
CREDENTIAL_FIELDS = frozenset({"key", "access_token", "oauth_token", "$key", "$access_token", "$oauth_token"})
_VIRTUAL = PREFIX.encode()


@lru_cache(maxsize=4096)
def _goes_up(name: bytes) -> str:
    """The header's name as text when it goes upstream, empty when it stays here."""
    if name in CLIENT_ONLY or name.startswith((b"x-gemgate-", b"sec-fetch-", b"sec-ch-", b"sec-websocket-")):
        return ""
    return name.decode("latin-1")


def upward(headers: Headers, identity: bool, pinned: str) -> list[tuple[str, str]]:
    """Headers for Google, without a credential.

    ``identity`` asks for unencoded bytes (an error cannot be appended to a gzip stream); ``pinned`` instead
    limits what is asked for to that coding when the client accepts it, so that the tap can read a copy.
    """
    named: frozenset[bytes] = frozenset()
    out: list[tuple[str, str]] = []
    accepts = ""
    for name, value in headers:
        if name == b"accept-encoding" and _VIRTUAL not in value:
            accepts = value.decode("latin-1")
            continue
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            named = frozenset(token.strip().lower() for token in value.split(b","))
            continue
        if (text := _goes_up(name)) and _VIRTUAL not in value:
            out.append((text, value.decode("latin-1")))
    if named:
        out = [(name, value) for name, value in out if name.encode("latin-1") not in named]
    if identity:
        out.append(("accept-encoding", "identity"))
    elif pinned:
        out.append(("accept-encoding", pinned if pinned in accepts else "identity"))
    elif accepts:
        out.append(("accept-encoding", accepts))
    return out


def translated(headers: Headers) -> list[tuple[str, str]]:
    """Headers for Google of a call that came in another dialect: little of what came is about what goes.

    The answer is asked for as it is: it is read here, whatever its client accepts.
    """
    out = [
        (text, value.decode("latin-1"))
        for name, value in headers
        if (name == b"user-agent" or (name.startswith(b"x-") and not name.startswith(b"x-stainless-")))
        and (text := _goes_up(name))
        and _VIRTUAL not in value
    ]
    return [*out, ("content-type", "application/json"), ("accept-encoding", "identity")]


def downward(headers: Headers, base: str, own: str) -> Headers:
    """Headers for the client. Places under ``base`` (where Google's API is reached) lead back through ``own``."""
    out: Headers = []
    for name, value in headers:
        if name in UPSTREAM_ONLY:
            if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
                gone = {token.strip().lower() for token in value.split(b",")}
                out = [pair for pair in out if pair[0] not in gone]
            continue
        if name in PLACES:
            value = _led_back(value, base.encode(), own.encode(), upload=name != b"location")
        out.append((name, value))
    return out


def _led_back(place: bytes, base: bytes, own: bytes, *, upload: bool) -> bytes:
    """The same path and query on our own address.

    An upload may be given any of Google's hosts; another redirect to a foreign one is the client's to follow.
    """
    if place.startswith(base) and place[len(base) : len(base) + 1] in ENDS_OF_BASE:
        return own + place[len(base) :]
    scheme, found, rest = place.partition(b"://")
    if not upload or not found or scheme not in (b"http", b"https"):
        return place
    _, slash, path = rest.partition(b"/")
    return own + slash + path


def scrub(query: bytes) -> tuple[str, str]:
    """The raw query without credentials, and the credential that stood in it (empty when none).

    A field that holds a virtual key under another name goes, and is no credential.
    """
    if not query:
        return "", ""
    kept: list[str] = []
    credential = ""
    doubtful = _VIRTUAL in query or b"%" in query
    for field in query.decode("latin-1").split("&"):
        name, _, value = field.partition("=")
        if unquote_plus(name).strip() in CREDENTIAL_FIELDS:
            credential = credential or unquote_plus(value)
        elif not (doubtful and PREFIX in unquote_plus(field)):
            kept.append(field)
    return "&".join(kept), credential


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """The Retry-After header that Google does not send: whole seconds, rounded up."""
    return b"retry-after", str(max(1, -int(-seconds // 1))).encode()
