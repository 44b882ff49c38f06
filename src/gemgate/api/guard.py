"""Keeps web pages of other sites away from a console that asks for no password.

A page cannot forge Host, Origin or Sec-Fetch-Site. A foreign Host means a name that was made to point here
(DNS rebinding); a foreign Origin or site means that another site's page sends the request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit


class Headers(Protocol):
    """Headers of a request, looked up without regard to case."""

    def get(self, key: str, default: str, /) -> str:
        """The value of a header, or the default."""
        ...


def name_in(authority: str) -> str:
    """The host name in a Host header, lower case and without port; empty when it is malformed."""
    try:
        return (urlsplit(f"//{authority.strip()}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def local(name: str) -> bool:
    """Whether a name means this machine whatever a name server says."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def objection(method: str, headers: Headers, hosts: Sequence[str]) -> str:
    """Why a request is turned away, empty when it is not. ``hosts`` are allowed next to loopback."""
    host = headers.get("Host", "")
    name = name_in(host)
    if not (local(name) or name in {allowed.lower() for allowed in hosts}):
        return "The Host header names another machine; add it to console.allowed_hosts if it is yours."
    origin = headers.get("Origin", "")
    if origin and _authority(origin) != host.strip().lower():
        return "The request comes from a page of another site."
    site = headers.get("Sec-Fetch-Site", "")
    # A link on another site may lead here; its pages may not read or change anything in the background.
    link = method == "GET" and headers.get("Sec-Fetch-Mode", "") == "navigate"
    if site in ("cross-site", "same-site") and not link:
        return "The request comes from a page of another site."
    return ""
