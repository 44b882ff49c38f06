"""What is taken out of bodies before they are kept."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core import fingerprint, redaction
from gemgate.core.redaction import Redactor, Rules

KEY = "AIzaSyD-0123456789abcdefghijklmnopqrstu"
OURS = "sk-gemgate-" + "aB3" * 14 + "x"
BARE = Rules(emails=False, cards=False, media_above=0)


def kept(value: Any, rules: Rules = BARE) -> Any:
    """A JSON value as it is kept."""
    return json.loads(Redactor(rules).redact(json.dumps(value).encode()).body)


def test_a_body_in_which_nothing_is_found_keeps_its_bytes() -> None:
    body = b'{ "a" :1.50, "b":"\\u00e9 \xc3\xa9", "c": [1e3] }\n'
    assert Redactor(Rules()).redact(body) == (body, 0)


@pytest.mark.parametrize("secret", [KEY, OURS, "AQ.Ab8RN6Jk_-0123456789", "Bearer abcdefgh12345678"])
def test_credentials_are_taken_out_whatever_the_rules_say(secret: str) -> None:
    out, count = Redactor(BARE).redact(json.dumps({"contents": [{"text": f"use {secret} now"}]}).encode())
    assert count >= 1
    assert secret.split()[-1].encode() not in out
    assert json.loads(out)["contents"][0]["text"].endswith("[redacted] now")


def test_an_escaped_secret_and_one_in_a_name_are_found() -> None:
    escaped = KEY.replace("A", "\\u0041")
    out, _ = Redactor(BARE).redact(f'{{"{escaped}": "x", "y": "{escaped}"}}'.encode())
    assert json.loads(out) == {"[redacted]": "x", "y": "[redacted]"}


def test_a_value_hidden_behind_a_second_one_of_its_name_is_not_kept() -> None:
    out, count = Redactor(BARE).redact(f'{{"a": "{KEY}", "a": "b"}}'.encode())
    assert (out, count) == (b'{"a":"b"}', 1)


def test_a_secret_that_a_stream_gives_in_pieces_is_found() -> None:
    pieces = ["it is ", KEY[:9], KEY[9:20], KEY[20:] + " ok", " bye"]
    events = [{"candidates": [{"content": {"parts": [{"text": one}]}}]} for one in pieces]
    body = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in events)
    out, count = Redactor(Rules()).redact(body)
    assert count == 1
    texts = [
        json.loads(line[5:])["candidates"][0]["content"]["parts"][0]["text"]
        for line in out.decode().split("\r\n")
        if line
    ]
    assert "".join(texts) == "it is [redacted] ok bye"
    assert out.count(b"\r\n") == body.count(b"\r\n")


def test_the_array_form_of_a_stream_is_read_as_events() -> None:
    out, _ = Redactor(BARE).redact(json.dumps([{"t": KEY[:10]}, {"t": KEY[10:]}]).encode())
    assert json.loads(out) == [{"t": "[redacted]"}, {"t": ""}]


def test_what_a_stream_says_beside_its_events_stays() -> None:
    body = b'event: a\ndata: {"b": "\xe2\x80\xa8"}\n\ndata: [DONE]\n\n'
    assert Redactor(Rules(paths=["$..secret"])).redact(body) == (body, 0)


def test_addresses_and_cards_are_taken_out_where_the_rules_say_so() -> None:
    value = {"a": "Ann <ann.b+c@mail.example.org>, 4111 1111 1111 1111.", "n": 4111111111111111}
    assert kept(value, Rules()) == {"a": "Ann <[redacted e-mail]>, [redacted card].", "n": "[redacted]"}
    assert kept(value, BARE) == value
    assert kept({"a": "order 4111 1111 1111 1112, a@b"}, Rules()) == {"a": "order 4111 1111 1111 1112, a@b"}


def test_media_become_their_size_and_hash() -> None:
    media = bytes(range(256)) * 8
    text = base64.b64encode(media).decode()
    said = f"[removed: 2048 bytes, sha256 {hashlib.sha256(media).hexdigest()}]"
    value = {"inlineData": {"mimeType": "image/png", "data": text}, "url": f"data:image/png;base64,{text}"}
    found = kept(value, Rules(media_above=1000))
    assert found["inlineData"]["data"] == said
    assert found["url"] == f"data:image/png;base64,{said}"
    assert kept(value, Rules(media_above=4000)) == value
    # A body that was cut is no JSON any more, and its media are found all the same.
    out, _ = Redactor(Rules(media_above=1000)).redact(json.dumps(value).encode()[:2500], whole=False)
    assert text[:100].encode() not in out


def test_paths_take_out_whole_values() -> None:
    value = {"a": {"b": [{"c": 1, "d": [2]}, {"c": 3}]}, "c": 4}
    assert kept(value, Rules(paths=["$.a.b[*].c"])) == {
        "a": {"b": [{"c": "[redacted]", "d": [2]}, {"c": "[redacted]"}]},
        "c": 4,
    }
    assert kept(value, Rules(paths=["$..c", "$['a']['b'][0].d"])) == {
        "a": {"b": [{"c": "[redacted]", "d": "[redacted]"}, {"c": "[redacted]"}]},
        "c": "[redacted]",
    }
    assert kept([{"a": 1}], Rules(paths=["a"])) == [{"a": "[redacted]"}]


def test_what_paths_cannot_be_applied_to_is_not_kept() -> None:
    cut = b'{"patient": "Ann", "more'
    said = redaction.removed(cut).encode()
    assert Redactor(Rules(paths=["$.patient"])).redact(cut, whole=False) == (said, 1)
    assert Redactor(Rules()).redact(cut, whole=False) == (cut, 0)


def test_what_is_no_text_is_not_kept() -> None:
    assert Redactor(Rules()).redact(b"\x89PNG\xff").body == redaction.removed(b"\x89PNG\xff").encode()
    assert Redactor(Rules()).redact(b"a\xc3", whole=False) == (b"a", 0)


def test_patterns_are_the_administrators() -> None:
    assert kept({"a": "PATIENT-12 and PATIENT-x"}, Rules(patterns=["PATIENT-[0-9]+"])) == {
        "a": "[redacted] and PATIENT-x"
    }


def test_rules_that_cannot_be_meant_are_named() -> None:
    found = redaction.faults(Rules(paths=["$.a", "$", "a b"], patterns=["x+", "(", "x*", "y" * 501]))
    assert set(found) == {"paths[1]", "paths[2]", "patterns[1]", "patterns[2]", "patterns[3]"}


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(f"x {KEY}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.just(OURS), inner, max_size=4),
    max_leaves=12,
)


@given(JSONS, st.sampled_from(["", "data: ", "\ufeff"]), st.integers(0, 400))
def test_no_secret_is_kept_and_redacting_again_changes_nothing(value: Any, start: str, cut: int) -> None:
    body = (start + json.dumps(value)).encode()
    redactor = Redactor(Rules())
    for whole in (True, False):
        given_body = body if whole else body[:cut]
        out, _ = redactor.redact(given_body, whole=whole)
        assert KEY.encode() not in out
        assert OURS.encode() not in out
        assert not fingerprint.secrets(out.decode())
        again, count = redactor.redact(out)
        assert (again, count) == (out, 0)
