"""What crosses the gateway in either direction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import access
from gemgate.gateway.headers import downward, retry_after, scrub, translated, upward

KEY = "AIzaClientKey"


def names(headers: list[tuple[str, str]]) -> set[str]:
    return {name for name, _ in headers}


def test_no_client_credential_cookie_or_hop_by_hop_header_goes_upstream() -> None:
    out = upward(
        [
            (b"host", b"localhost:8080"),
            (b"x-goog-api-key", KEY.encode()),
            (b"authorization", b"Bearer " + KEY.encode()),
            (b"proxy-authorization", b"Basic x"),
            (b"cookie", b"a=b"),
            (b"connection", b"keep-alive, x-private"),
            (b"x-private", b"1"),
            (b"transfer-encoding", b"chunked"),
            (b"te", b"trailers"),
            (b"upgrade", b"h2c"),
            (b"x-gemgate-fallback", b"off"),
            (b"origin", b"http://localhost:3000"),
            (b"sec-fetch-site", b"same-origin"),
            (b"user-agent", b"google-genai-sdk/3.4.0"),
            (b"x-goog-api-client", b"google-genai-sdk/3.4.0 gl-python/3.11.7"),
            (b"x-server-timeout", b"60"),
            (b"content-type", b"application/json"),
        ],
        identity=False,
        pinned="",
    )
    assert names(out) == {"user-agent", "x-goog-api-client", "x-server-timeout", "content-type"}
    assert KEY not in repr(out)


def test_a_stream_asks_for_identity_and_a_judged_answer_for_a_coding_the_tap_can_read() -> None:
    given_ = [(b"accept-encoding", b"gzip, deflate, br, zstd")]
    assert upward(given_, identity=True, pinned="") == [("accept-encoding", "identity")]
    assert upward(given_, identity=False, pinned="gzip") == [("accept-encoding", "gzip")]
    assert upward([(b"accept-encoding", b"br")], False, "gzip") == [("accept-encoding", "identity")]
    assert upward(given_, identity=False, pinned="") == [("accept-encoding", "gzip, deflate, br, zstd")]


def test_upstream_cookies_and_connection_headers_stay_behind() -> None:
    out = downward(
        [
            (b"set-cookie", b"NID=1"),
            (b"alt-svc", b'h3=":443"'),
            (b"transfer-encoding", b"chunked"),
            (b"content-type", b"application/json"),
            (b"x-gemini-service-tier", b"standard"),
        ],
        "https://generativelanguage.googleapis.com",
        "http://localhost:8080",
    )
    assert out == [(b"content-type", b"application/json"), (b"x-gemini-service-tier", b"standard")]


def test_the_upload_url_leads_back_through_the_gateway() -> None:
    place = b"/upload/v1beta/files?upload_id=AbC&upload_protocol=resumable"
    for host in (b"https://generativelanguage.googleapis.com", b"https://storage.other.googleapis.com"):
        (pair,) = downward(
            [(b"x-goog-upload-url", host + place)],
            "https://generativelanguage.googleapis.com",
            "http://localhost:8080",
        )
        assert pair == (b"x-goog-upload-url", b"http://localhost:8080" + place)


def test_a_key_in_the_query_is_taken_out_and_the_rest_stays_as_it_was() -> None:
    assert scrub(b"alt=sse&key=AIzaX&pageToken=a%2Fb") == ("alt=sse&pageToken=a%2Fb", "AIzaX")
    assert scrub(b"%6Bey=AIzaX") == ("", "AIzaX")
    assert scrub(b"access_token=tok&key=AIzaX") == ("", "tok")
    assert scrub(b"") == ("", "")


@given(
    st.lists(st.tuples(st.sampled_from(["key", "alt", "access_token", "q"]), st.text("abc%=", max_size=6)))
)
def test_no_credential_field_survives_the_scrub(fields: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in fields)
    kept, _ = scrub(query.encode())
    assert not [field for field in kept.split("&") if field.split("=")[0] in ("key", "access_token")]
    expected = [f"{name}={value}" for name, value in fields if name in ("alt", "q")]
    assert kept == "&".join(expected)


TOKEN = access.mint(bytes(range(32)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"x-api-key", b"api-key", b"user-agent", b"accept-encoding", b"x-litellm-key"]),
            st.sampled_from([b"fine", TOKEN.encode(), b"Bearer " + TOKEN.encode()]),
        )
    ),
    st.booleans(),
    st.sampled_from(["", "gzip"]),
)
def test_a_virtual_key_goes_upstream_in_no_header(
    headers: list[tuple[bytes, bytes]], identity: bool, pinned: str
) -> None:
    for out in (upward(headers, identity, pinned), translated(headers)):
        assert TOKEN not in repr(out)
    sent = [name for name, value in headers if value == b"fine" and name != b"accept-encoding"]
    kept = [name.encode() for name, _ in upward(headers, identity, pinned) if name != "accept-encoding"]
    assert kept == sent


@pytest.mark.parametrize("name", ["KEY", "api_key", "apiKey", "%4bEY", "q", "a;key", TOKEN])
@pytest.mark.parametrize("value", [TOKEN, TOKEN.replace("-", "%2D"), "x" + TOKEN])
def test_a_virtual_key_goes_upstream_in_no_query_field(name: str, value: str) -> None:
    assert scrub(f"alt=sse&{name}={value}&pageToken=a%2Fb".encode()) == ("alt=sse&pageToken=a%2Fb", "")
    assert scrub(f"{name}={value}&key={TOKEN}".encode()) == ("", TOKEN)


def test_retry_after_rounds_up_to_whole_seconds() -> None:
    assert retry_after(38.2) == (b"retry-after", b"39")
    assert retry_after(0.01) == (b"retry-after", b"1")
    assert retry_after(60.0) == (b"retry-after", b"60")
