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
from gemgate.core.jsonpaths import Paths
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


def event(*parts: Any, index: int | None = None) -> dict[str, Any]:
    """An event of a stream with these parts."""
    more = {} if index is None else {"index": index}
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


def streamed(*events: Any) -> bytes:
    """The events as they are sent."""
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in events)


def leftover(out: bytes, length: int = 6) -> list[str]:
    """Pieces of the key that were kept."""
    text = out.decode()
    return [KEY[at : at + length] for at in range(len(KEY) - length) if KEY[at : at + length] in text]


LOW, HIGH = KEY[:18], KEY[18:]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(event({"text": f"it is {LOW}"}, {"text": HIGH})).encode(),
        streamed(event({"text": LOW}), event({"text": "hm", "thought": True}, {"text": HIGH})),
        streamed(event({"text": LOW}), event({"text": "hm", "thought": True}), event({"text": HIGH})),
        streamed(event({"text": LOW}), event({"text": HIGH}, index=0)),
        streamed(
            *(
                {"choices": [{"index": index, "delta": {"content": text}}]}
                for index, text in ((0, LOW), (1, "other words"), (0, HIGH), (1, " more"))
            )
        ),
        json.dumps([event({"text": LOW}), event({"text": "a"}, {"text": "b"})])
        .replace('"a"', f'"{HIGH}"')
        .encode(),
    ],
    ids=[
        "two parts",
        "a thought before",
        "a thought between",
        "an index at times",
        "two choices",
        "an array",
    ],
)
def test_a_secret_over_parts_is_found_however_they_are_numbered(body: bytes) -> None:
    out, count = Redactor(BARE).redact(body)
    assert (leftover(out), count) == ([], 1)
    assert Redactor(BARE).redact(out) == (out, 0)


def test_what_only_seems_to_be_one_text_is_kept_apart() -> None:
    value = {
        "contents": [{"parts": [{"text": "4111 1111"}, {"text": "1111 1111"}]}],
        "x": ["a@b", ".example"],
    }
    assert kept(value, Rules()) == value
    body = streamed(event({"text": "AIza"}), event({"text": "! so it begins"}))
    assert Redactor(Rules()).redact(body) == (body, 0)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_secret_in_json_within_json_is_found(depth: int) -> None:
    text = '{"key": "' + KEY.replace("A", "\\u0041").replace("S", "\\u0053") + '", "y": 1}'
    for _ in range(depth):
        text = json.dumps({"arguments": text})
    out, count = Redactor(BARE).redact(text.encode())
    assert (leftover(out), count) == ([], 1)
    # The same where the body was cut behind it, and where it is no JSON at all.
    for body in (text.encode()[:-3], b"~ " + text.encode()):
        out, count = Redactor(BARE).redact(body, whole=False)
        assert (leftover(out), count) == ([], 1)


def test_escapes_that_hide_nothing_stay() -> None:
    body = b'{"path": "C:\\\\users\\\\new \\\\u00e9", "half": "\\\\u00"}'
    assert Redactor(Rules()).redact(body) == (body, 0)


def test_text_in_base64_is_read() -> None:
    plain = f"name,key\r\nann,{KEY}\r\nmail ann@example.org\r\n"
    data = base64.b64encode(plain.encode()).decode()
    value = {
        "inlineData": {"mimeType": "text/plain", "data": data},
        "url": f"see data:text/plain;base64,{data} there",
    }
    want = plain.replace(KEY, "[redacted]")
    found = kept(value, Rules(emails=False))
    assert base64.b64decode(found["inlineData"]["data"]).decode() == want
    assert found["url"].startswith("see data:text/plain;base64,")
    assert base64.b64decode(found["url"].split(",")[1].split()[0]).decode() == want
    assert "[redacted e-mail]" in base64.b64decode(kept(value, Rules())["inlineData"]["data"]).decode()
    body = json.dumps(value).encode()
    for end in range(body.index(b"data:"), len(body)):
        out, _ = Redactor(Rules()).redact(body[:end], whole=False)
        assert data[:60].encode() not in out
    binary = {"data": base64.b64encode(bytes(range(256))).decode()}
    assert kept(binary, Rules(media_above=0)) == binary


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("form", ["document", "events", "array", "text"])
def test_of_a_cut_body_no_start_of_a_secret_stays(form: str, ascii_only: bool) -> None:
    spelt = KEY.replace("A", "\\u0041") if ascii_only else KEY
    events = [event({"text": text}) for text in ("it is ", "LOW", "HIGH and", " more")]
    body = {
        "document": json.dumps(event({"text": "LOWHIGH and"})).encode(),
        "events": streamed(*events),
        "array": json.dumps(events).encode(),
        "text": b"it is LOWHIGH and",
    }[form]
    low, high = spelt[: len(spelt) // 2], spelt[len(spelt) // 2 :]
    body = body.replace(b"LOW", low.encode()).replace(b"HIGH", high.encode())
    for end in range(len(body) + 1):
        out, _ = Redactor(BARE).redact(body[:end], whole=False)
        assert not leftover(out), (end, out)
        assert b"AIzaS" not in out.replace(b"\\u0041", b"A"), (end, out)


def test_a_cut_body_is_closed_only_where_something_was_taken_out() -> None:
    cut = b'{"a": ["x", {"b": 12'
    assert Redactor(BARE).redact(cut, whole=False) == (cut, 0)
    cut = f'{{"k": "{KEY}", "a": ["x", {{"b": 12'.encode()
    out, _ = Redactor(BARE).redact(cut, whole=False)
    assert json.loads(out) == {"k": "[redacted]", "a": ["x", {"b": None}]}


def test_paths_of_a_root_array_name_its_members_and_what_is_in_them() -> None:
    value = [{"x": 1, "y": 2}, {"x": 3}]
    assert kept(value, Rules(paths=["$[*].x"])) == [{"x": "[redacted]", "y": 2}, {"x": "[redacted]"}]
    assert kept(value, Rules(paths=["$[1].x"])) == [value[0], {"x": "[redacted]"}]
    assert kept(value, Rules(paths=["$[0]"])) == ["[redacted]", value[1]]


@pytest.mark.parametrize("path", ["$..inlineData", "$..inline_data", "$.a['inline_data']"])
def test_paths_know_both_spellings_of_a_name(path: str) -> None:
    value = {"a": {"inlineData": 1, "inline_data": 2, "inlinedata": 3}}
    assert kept(value, Rules(paths=[path])) == {
        "a": {"inlineData": "[redacted]", "inline_data": "[redacted]", "inlinedata": 3}
    }


def test_a_deep_document_is_followed_by_each_of_its_places_once() -> None:
    paths = Paths(["$" + "..a" * 20 + "..zz", "$..a..zz"])
    states = paths.start
    for _ in range(150):
        states = paths.down(states, "a")
        assert not paths.named(states)
    # Bounded by the steps of the rules, not by the ways to reach them; and worked out once for equal places.
    assert len(states) <= 25
    assert len(paths._known) <= 25
    assert paths.named(paths.down(states, "zz"))


def test_a_path_of_any_length_is_none() -> None:
    assert redaction.faults(Rules(paths=["$" + "..a" * 200])).keys() == {"paths[0]"}


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
