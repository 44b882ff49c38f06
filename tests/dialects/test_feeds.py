"""However the network cuts a stream, the taps see the same events at the same offsets."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gemgate.dialects.gemini.array import ArrayFeed
from gemgate.dialects.sse import BARE, Event, Feed, TooLong

Cuts = list[int]


def pieces(stream: bytes, cuts: Cuts) -> list[bytes]:
    bounds = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[a:b] for a, b in itertools.pairwise(bounds)]


def run(feed: Feed | ArrayFeed, chunks: list[bytes]) -> list[Event]:
    events = [event for chunk in chunks for event in feed.feed(chunk)]
    return events + feed.close()


line_end = st.sampled_from(["\n", "\r\n", "\r"])
texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
lines = st.one_of(
    texts.map("data: {}".format),
    texts.map("data:{}".format),
    texts.map("event: {}".format),
    texts.map(": {}".format),
    st.sampled_from(
        ["", "", "id: 7", "retry: 3", "data", "{", "}", "[{", "<p>", "]", '{"error": {"code": 503}}', "  }"]
    ),
)
streams = st.lists(st.tuples(lines, line_end), max_size=14).map(
    lambda rows: "".join(text + end for text, end in rows).encode()
)


@given(streams, st.lists(st.integers(0, 400), max_size=8), st.booleans())
@example(b"data: x\r\n\r\n", [10], False)
@example(b"data: x\r\r\ndata: y\n\n", [9], False)
@example(b"data: x\n{\n}\n", [8], True)
def test_sse_events_do_not_depend_on_the_cuts(stream: bytes, cuts: Cuts, bom: bool) -> None:
    stream = b"\xef\xbb\xbf" + stream if bom else stream
    whole = run(Feed(), [stream])
    assert run(Feed(), pieces(stream, cuts)) == whole
    assert run(Feed(), [stream[i : i + 1] for i in range(len(stream))]) == whole
    ends = [event.end for event in whole]
    assert ends == sorted(ends)
    assert all(0 < end <= len(stream) for end in ends)


@given(st.lists(st.lists(texts, min_size=1, max_size=3), max_size=6), line_end)
def test_sse_reads_what_was_written(events: list[list[str]], end: str) -> None:
    blocks = [("".join(f"data: {row}{end}" for row in rows) + end).encode() for rows in events]
    got = run(Feed(), [b"".join(blocks)])
    assert [event.data for event in got] == ["\n".join(rows).encode() for rows in events]
    assert [event.end for event in got] == [sum(map(len, blocks[: i + 1])) for i in range(len(blocks))]


def test_sse_names_comments_and_the_missing_last_blank_line() -> None:
    stream = b": hello\n\nevent: step.delta\ndata: {}\n\nevent: lost\n\ndata: [DONE]"
    assert run(Feed(), [stream]) == [
        Event("step.delta", b"{}", 37),
        Event("", b"[DONE]", len(stream)),
    ]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n\r\n"])
@pytest.mark.parametrize("opening", ["{}", "[{}]"])
def test_sse_gives_bare_json_after_events(tail: bytes, opening: str) -> None:
    fault = opening.replace("{}", json.dumps({"error": {"code": 503}}, indent=2)).encode()
    got = run(Feed(), [b"data: {}\r\n\r\n" + fault + tail])
    assert [event.name for event in got] == ["", BARE]
    assert json.loads(got[1].data) == json.loads(fault)


def test_sse_goes_on_after_a_bare_object_and_ends_an_open_event_before_it() -> None:
    got = run(Feed(), [b'data: 1\n{"error": {}}\ndata: 2\n\n'])
    assert got == [Event("", b"1", 8), Event(BARE, b'{"error": {}}', 21), Event("", b"2", 31)]


def test_sse_takes_a_large_event_in_small_chunks_and_stops_at_the_cap() -> None:
    body = b"data: " + b"x" * 20_000_000
    feed = Feed()
    step = 16 * 1024
    for start in range(0, len(body), step):
        assert feed.feed(body[start : start + step]) == []
    assert feed.feed(b"\n\n")[0].data == body[6:]
    small = Feed(cap=100)
    assert small.feed(b"data: 1234\n" * 9) == []
    with pytest.raises(TooLong, match="longer than 100"):
        small.feed(b"data: 1234\n")


tricky = st.text(st.sampled_from('ab"\\{}[],\n é'), max_size=8)
values = st.one_of(st.none(), st.integers(), tricky, st.lists(tricky, max_size=3))
keys = st.text(st.sampled_from('x"\\]}'), max_size=4)
elements = st.lists(
    st.dictionaries(keys, st.one_of(values, st.dictionaries(keys, values, max_size=2)), max_size=3),
    max_size=5,
)


@given(elements, st.lists(st.integers(0, 600), max_size=8), st.sampled_from([None, 1]))
def test_array_elements_do_not_depend_on_the_cuts(
    rows: list[dict[str, object]], cuts: Cuts, indent: int | None
) -> None:
    texts = [json.dumps(row, indent=indent, ensure_ascii=False) for row in rows]
    stream = ("[" + "\n,\r\n".join(texts) + "\n]\n").encode()
    for chunks in (pieces(stream, cuts), [stream], [stream[i : i + 1] for i in range(len(stream))]):
        feed = ArrayFeed()
        got = run(feed, chunks)
        assert feed.closed
        assert [json.loads(event.data) for event in got] == rows
        for event in got:
            assert stream[: event.end].endswith(event.data)


@given(elements, st.integers(0, 600))
def test_array_error_suffix_makes_valid_json_of_a_cut_stream(rows: list[dict[str, object]], cut: int) -> None:
    stream = ("[" + ",\r\n".join(json.dumps(row) for row in rows) + "]").encode()
    feed = ArrayFeed()
    got = feed.feed(stream[: cut % (len(stream) + 1)])
    kept = stream[: got[-1].end] if got else b""
    assert json.loads(kept + feed.error_suffix(b'{"error": {}}')) == [*rows[: len(got)], {"error": {}}]


def test_array_gives_what_is_no_array_as_bare() -> None:
    assert run(ArrayFeed(), [b' {"er', b'ror": [1]}\n']) == [Event(BARE, b'{"error": [1]}', 16)]
    feed = ArrayFeed()
    assert run(feed, [b'[{"a": "]"}]\n{"error"', b": 1}"]) == [
        Event("", b'{"a": "]"}', 11),
        Event(BARE, b'{"error": 1}', 25),
    ]
    assert not feed.first
    assert run(ArrayFeed(), [b"[]"]) == []
    with pytest.raises(TooLong, match="element"):
        ArrayFeed(cap=10).feed(b'[{"a": "0123456789')
