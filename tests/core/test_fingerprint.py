"""What may not be kept is kept as a hash, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import access, fingerprint

SECRET = b"s" * 32


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_request_hashes_differ_by_body_and_secret(one: bytes, other: bytes) -> None:
    assert -(2**63) <= fingerprint.request_hash(SECRET, one) < 2**63
    same = fingerprint.request_hash(SECRET, one) == fingerprint.request_hash(SECRET, other)
    assert same == (one == other)
    assert fingerprint.request_hash(b"t" * 32, one) != fingerprint.request_hash(SECRET, one)
    assert fingerprint.request_hash(SECRET, memoryview(one)) == fingerprint.request_hash(SECRET, one)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (8191, 0), (8192, 1), (16384, 2), (40_000, 3)])
def test_prefixes_are_hashed_at_doubling_bounds(size: int, count: int) -> None:
    body = bytes(i * 7 % 251 for i in range(size))
    hashes = fingerprint.prefix_hashes(SECRET, body)
    assert len(hashes) == count
    for place, found in enumerate(hashes):
        assert found == fingerprint.request_hash(SECRET, body[: 8192 << place])
    assert fingerprint.prefix_hashes(SECRET, body + b"more")[:count] == hashes


def test_a_credential_has_a_short_name_that_depends_on_the_secret() -> None:
    name = fingerprint.credential(SECRET, "AIzaSyA-0123456789")
    assert name.startswith("key:")
    assert len(name) == 16
    assert name == fingerprint.credential(SECRET, "AIzaSyA-0123456789")
    assert name != fingerprint.credential(b"other", "AIzaSyA-0123456789")
    assert fingerprint.credential(SECRET, "") == ""


KEYS = st.text(st.sampled_from("abcXYZ019_-"), min_size=20, max_size=40)


@given(
    KEYS,
    st.sampled_from(
        [
            "AIza{}",
            "AQ.{}",
            "?key={}&alt=sse",
            "&access_token={}",
            "Authorization: Bearer {}",
            "Authorization: Token auth_tokens/{}",
            "Consumer 'api_key:{}' has been suspended",
            "x-goog-api-key: {}",
            '{{"x-goog-api-key": "{}"}}',
        ]
    ),
)
def test_credentials_are_removed_wherever_they_stand(key: str, form: str) -> None:
    text = "before " + form.format(key) + " after"
    cleaned = fingerprint.redact(text)
    assert key not in cleaned
    assert fingerprint.REDACTED in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")
    assert fingerprint.redact(cleaned) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "API key not valid. Please pass a valid API key.",
        "models/gemini-9-flash is not found for API version v1beta",
        "The token consumption of this project is too high; every bearer of it waits.",
        "monkey=banana is kept, and so is turkey = 3",
    ],
)
def test_ordinary_sentences_stay(text: str) -> None:
    assert fingerprint.redact(text) == text


def test_a_name_loses_what_is_a_credential_and_nothing_else() -> None:
    token = access.mint(bytes(range(32)))
    assert fingerprint.redact_name(f"ann {token}!") == f"ann {fingerprint.REDACTED}!"
    assert fingerprint.redact_name("key=blue token=5") == "key=blue token=5"
    assert fingerprint.redact_name(access.hint(token)) == access.hint(token)  # what people may see of a key


def test_an_admin_token_is_redacted_as_every_other_credential() -> None:
    assert "abcd1234" not in fingerprint.redact("sent gg-admin-abcd1234EFGH with it")
