"""Virtual keys: whole tokens by their hash, the five ways of being refused, and what a key may do."""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import access
from gemgate.core.access import Key, Keys, Token
from gemgate.core.errors import Refused
from gemgate.dialects.gemini.methods import METHODS

NOW = 1_790_000_000_000_000
HOUR = 3_600_000_000
chances = st.binary(min_size=32, max_size=32)


def issued(chance: bytes = bytes(32), until: int = 0, **fields: object) -> tuple[str, Keys]:
    """A token with the keys of a gateway that knows it."""
    token = access.mint(chance)
    key = Key(id=7, name="app", **fields)  # type: ignore[arg-type]
    return token, Keys([key], [Token(digest=access.digest(token), key=7, valid_until=until)])


def refusal(keys: Keys, token: str, now: int = NOW) -> Refused:
    with pytest.raises(Refused) as caught:
        keys.find(token, now)
    return caught.value


@given(chances, chances)
def test_tokens_are_long_plain_and_as_different_as_their_chance(one: bytes, other: bytes) -> None:
    token = access.mint(one)
    assert token.startswith("sk-gemgate-")
    assert len(token) == len(access.PREFIX) + 43
    assert set(token[len(access.PREFIX) :]) <= set(string.ascii_letters + string.digits)
    assert (token == access.mint(other)) == (one == other)


def test_the_largest_chance_fits_into_43_signs() -> None:
    assert len(access.mint(b"\xff" * 32)) == len(access.PREFIX) + 43
    with pytest.raises(ValueError, match="32 random bytes"):
        access.mint(b"short")


@given(chances, st.integers(0, 53), st.sampled_from("aZ0 é"))
def test_only_the_whole_token_is_found(chance: bytes, place: int, sign: str) -> None:
    token, keys = issued(chance)
    assert keys.find(token, NOW).name == "app"
    changed = token[:place] + sign + token[place + 1 :]
    if changed != token:
        assert refusal(keys, changed).code == "KEY_UNKNOWN"
    for wrong in (
        token[:-1],
        token + "x",
        token.upper(),
        token.removeprefix("sk-"),
        f" {token}",
        "",
        "\udc80",
    ):
        assert refusal(keys, wrong).code == "KEY_UNKNOWN"


def test_what_is_kept_is_the_hash_of_the_whole_token_and_a_hint() -> None:
    token = access.mint(bytes(range(32)))
    assert access.digest(token) == hashlib.sha256(token.encode()).digest()
    shown = access.hint(token)
    assert shown == f"sk-gemgate-{token[11:15]}…{token[-4:]}"
    assert access.hint("sk-gemgate-abc") == "sk-gemgate-…"


@pytest.mark.parametrize(
    ("fields", "until", "status", "code"),
    [
        ({}, NOW, 401, "KEY_EXPIRED"),
        ({"expires_at": NOW}, 0, 401, "KEY_EXPIRED"),
        ({"disabled_at": NOW}, 0, 403, "KEY_DISABLED"),
        ({"stopped_at": 1, "stopped_why": "it ran away."}, 0, 403, "KEY_STOPPED"),
    ],
)
def test_a_key_that_is_no_longer_good_says_why(
    fields: dict[str, object], until: int, status: int, code: str
) -> None:
    token, keys = issued(until=until, **fields)
    refused = refusal(keys, token)
    assert (refused.status, refused.code, refused.retryable) == (status, code, False)
    assert refused.hint
    assert token not in refused.message + refused.hint


def test_a_rotated_token_is_good_to_the_end_of_its_grace() -> None:
    token, keys = issued(until=NOW + HOUR, expires_at=NOW + 2 * HOUR)
    assert keys.find(token, NOW + HOUR - 1).id == 7
    assert refusal(keys, token, NOW + HOUR).code == "KEY_EXPIRED"


def test_a_stopped_key_tells_the_reason() -> None:
    token, keys = issued(stopped_at=1, stopped_why="it spent ten times its usual.")
    assert "was stopped: it spent ten times its usual." in refusal(keys, token).message


def test_refusals_are_not_shared_between_calls() -> None:
    _, keys = issued()
    assert refusal(keys, "one") is not refusal(keys, "two")
    assert access.missing() is not access.missing()


def test_a_token_of_no_key_is_unknown_and_no_key_is_none() -> None:
    token, _ = issued()
    keys = Keys([], [Token(digest=access.digest(token), key=7)])
    assert not keys.any
    assert refusal(keys, token).code == "KEY_UNKNOWN"


@pytest.mark.parametrize(
    ("address", "networks", "good"),
    [
        ("10.1.2.3", ("10.0.0.0/8",), True),
        ("11.1.2.3", ("10.0.0.0/8",), False),
        ("11.1.2.3", ("10.0.0.0/8", "11.1.2.3"), True),
        ("::ffff:10.1.2.3", ("10.0.0.0/8",), True),
        ("2001:db8::1", ("2001:db8::/32", "10.0.0.0/8"), True),
        ("2001:db9::1", ("2001:db8::/32",), False),
        ("", ("0.0.0.0/0", "::/0"), False),
        ("localhost", ("0.0.0.0/0",), False),
        ("anything", (), True),
    ],
)
def test_networks(address: str, networks: tuple[str, ...], good: bool) -> None:
    token, keys = issued(networks=networks)
    key = keys.find(token, NOW)
    if good:
        keys.admit(key, address)
    else:
        with pytest.raises(Refused) as caught:
            keys.admit(key, address)
        assert (caught.value.status, caught.value.code) == (403, "ADDRESS_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("routes", "model", "route", "good"),
    [
        ((), "gemini-4-argon", "", True),
        (("gemini-*-flash*",), "gemini-3.8-flash", "", True),
        (("gemini-*-flash*",), "models/gemini-3.8-flash", "", True),
        (("gemini-*-flash*",), "gemini-4-argon", "", False),
        (("cheap",), "cheap", "cheap", True),
        (("cheap",), "gemini-3.8-flash", "cheap", True),
        (("cheap",), "gemini-3.8-flash", "", False),
        (("Cheap",), "cheap", "cheap", False),
        (("*",), "anything", "", True),
    ],
)
def test_models_and_routes(routes: tuple[str, ...], model: str, route: str, good: bool) -> None:
    token, keys = issued(routes=routes)
    assert access.may_use(keys.find(token, NOW), model, route) is good


def test_every_method_that_mints_or_gives_away_needs_a_right() -> None:
    guarded = {method: access.needed(method) for method in [*METHODS, "unknown"] if access.needed(method)}
    assert set(guarded.values()) == set(access.RIGHTS) - {"shared"}
    dangerous = ("auth_tokens", "credentials", "webhooks", "triggers", "permissions", "transferOwnership")
    for method in METHODS:
        assert (method in guarded) == any(word in method for word in dangerous), method
    assert access.needed("models.generateContent") == ""
    assert access.needed("unknown") == "unknown"
