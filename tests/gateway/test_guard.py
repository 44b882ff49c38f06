"""Web pages may not use a keyless gateway on the user's machine; programs are not affected."""

from __future__ import annotations

import pytest

from gemgate.core.errors import Refused
from gemgate.gateway.guard import Guard, host_name

GUARD = Guard("127.0.0.1", ["gemini.lan"], ["http://localhost:3000"])


def check(host: str, origin: str, site: str) -> None:
    """The check of a request with these headers; an empty one is not sent."""
    given = {b"host": host, b"origin": origin, b"sec-fetch-site": site}
    GUARD.check({name: value.encode() for name, value in given.items() if value})


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("localhost:8080", "", ""),
        ("127.0.0.1:8080", "", ""),
        ("[::1]:8080", "", ""),
        ("GEMINI.lan", "", ""),
        ("", "", ""),
        ("localhost:8080", "http://localhost:8080", "same-origin"),
        ("localhost:8080", "http://localhost:3000", "same-site"),
        ("localhost:8080", "", "none"),
    ],
)
def test_programs_and_allowed_pages_pass(host: str, origin: str, site: str) -> None:
    check(host, origin, site)


@pytest.mark.parametrize(
    ("host", "origin", "site", "status"),
    [
        ("evil.example", "", "", 421),
        ("evil.example:8080", "http://evil.example:8080", "same-origin", 421),
        ("localhost:8080", "https://evil.example", "cross-site", 403),
        ("localhost:8080", "null", "cross-site", 403),
        ("localhost:8080", "", "cross-site", 403),
        ("localhost:8080", "http://localhost:5000", "same-site", 403),
        ("localhost.evil.example", "", "", 421),
    ],
)
def test_pages_of_other_sites_are_refused(host: str, origin: str, site: str, status: int) -> None:
    with pytest.raises(Refused) as caught:
        check(host, origin, site)
    assert caught.value.status == status
    assert not caught.value.retryable
    assert caught.value.hint


def test_a_host_header_is_read_with_and_without_port() -> None:
    assert host_name("localhost:8080") == "localhost"
    assert host_name("[::1]:8080") == "[::1]"
    assert host_name("Example.COM") == "example.com"
