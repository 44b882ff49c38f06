"""A keyless gateway on loopback can still be reached by any web page in the user's browser. This guards it.

The checks: the Host must be an address or name of ours (a page that rebinds its DNS name to 127.0.0.1 sends its
own name), and a request that a browser made for another site (Origin, Sec-Fetch-Site) is refused unless its
origin is on the allow-list. Programs send none of these headers and are not affected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from gemgate.core.errors import Refused

MOST_HOSTS = 64
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def host_name(host: str) -> str:
    """The name in a Host header, without port, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[: host.find("]") + 1]
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


class Guard:
    """The checks for one configuration. ``bound`` is the address the gateway listens on."""

    def __init__(self, bound: str, allowed: Iterable[str], origins: Iterable[str]) -> None:
        self._hosts = LOCAL | {bound.lower()} | {name.lower() for name in allowed}
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._programs: set[bytes] = set()  # Host headers that passed, as they came
        self._any_address = bound in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise Refused 403/421 when a browser was led here by a page that is not ours."""
        raw = headers.get(b"host", b"")
        if raw in self._programs and b"origin" not in headers and b"sec-fetch-site" not in headers:
            return
        host, origin, site = (
            headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin", b"sec-fetch-site")
        )
        self._check(host, origin, site)
        if len(self._programs) < MOST_HOSTS:
            self._programs.add(raw)

    def _check(self, host: str, origin: str, site: str) -> None:
        name = host_name(host)
        if host and name not in self._hosts and not (self._any_address and _is_address(name)):
            raise Refused(
                421,
                "HOST_NOT_ALLOWED",
                "This gateway does not answer for the host name in the request.",
                hint="Add the name to gateway.allowed_hosts if it is yours.",
            )
        if origin and not self.allows(origin):
            own = origin.partition("://")[2].lower() == host.lower()
            if not own:
                raise _cross_site()
        elif site in ("cross-site", "same-site") and not origin:
            raise _cross_site()

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may use the gateway (CORS)."""
        return origin.rstrip("/").lower() in self._origins


def _cross_site() -> Refused:
    return Refused(
        403,
        "ORIGIN_NOT_ALLOWED",
        "A web page of another site may not use this gateway.",
        hint="Add the page's origin to gateway.cors_origins if it is yours.",
    )


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
