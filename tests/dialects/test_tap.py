"""The tap: the same bytes out and the same reading, however the network cut the stream."""

from __future__ import annotations

import itertools
import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.dialects.gemini.array import ArrayFeed
from gemgate.dialects.gemini.methods import Reading
from gemgate.dialects.gemini.observe import observe
from gemgate.dialects.gemini.stream import Tap
from gemgate.dialects.gemini.visible import visible
from gemgate.dialects.sse import Feed

OBSERVE = partial(observe, Reading.GENERATE)


def chunk(text: str, tokens: int, finish: str = "") -> dict[str, object]:
    """One chunk of an answer with running totals, as Google sends them."""
    candidate: dict[str, object] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 7, "candidatesTokenCount": tokens, "totalTokenCount": 7 + tokens}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-3.8-flash",
        "responseId": "r",
    }


TEXTS = st.lists(st.text(st.sampled_from('a"\\{}[],\n\r:é data'), max_size=12), min_size=1, max_size=5)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def sse(chunks: list[dict[str, object]], end: str) -> bytes:
    return "".join(f"data: {json.dumps(one)}{end}{end}" for one in chunks).encode()


def array(chunks: list[dict[str, object]]) -> bytes:
    return ("[" + ",\r\n".join(json.dumps(one, indent=2) for one in chunks) + "\n]\n").encode()


def answer(texts: list[str], finish: str) -> list[dict[str, object]]:
    last = len(texts) - 1
    return [chunk(text, at + 1, finish if at == last else "") for at, text in enumerate(texts)]


def tapped(tap: Tap, body: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """What left while the body came in pieces, and what was held at its end."""
    places = sorted({cut % (len(body) + 1) for cut in cuts} | {0, len(body)})
    left = b"".join(tap.feed(body[start:end]) for start, end in itertools.pairwise(places))
    tap.close()
    return left, tap.held


@given(TEXTS, ENDS, st.lists(st.integers(0, 5000), max_size=30), st.booleans())
def test_every_way_of_cutting_gives_the_same_bytes_and_the_same_reading(
    texts: list[str], end: str, cuts: list[int], as_array: bool
) -> None:
    chunks = answer(texts, "STOP")
    body = array(chunks) if as_array else sse(chunks, end)
    tap = Tap(ArrayFeed() if as_array else Feed(), OBSERVE)
    left, held = tapped(tap, body, cuts)
    assert left + held == body
    meter = tap.meter
    assert (meter.events, meter.finish, meter.model) == (len(texts), "STOP", "gemini-3.8-flash")
    assert meter.usage is not None
    assert (meter.usage.input, meter.usage.output) == (7, len(texts))
    assert b"STOP" not in left
    assert b"STOP" in held


@given(TEXTS, ENDS, st.lists(st.integers(0, 5000), max_size=30), st.booleans(), st.integers(1, 400))
def test_what_left_of_a_cut_stream_stands_between_two_events(
    texts: list[str], end: str, cuts: list[int], as_array: bool, short: int
) -> None:
    chunks = answer([*texts, "the end"], "STOP")
    whole = array(chunks) if as_array else sse(chunks, end)
    body = whole[: max(0, len(whole) - short)]
    tap = Tap(ArrayFeed() if as_array else Feed(), OBSERVE)
    left, held = tapped(tap, body, cuts)
    assert left + held == body
    if as_array:
        elements = json.loads(left + b"]") if left else []
    else:
        elements = [json.loads(line[6:]) for line in left.decode().split(end) if line]
    assert elements == chunks[: len(elements)]


@pytest.mark.parametrize(("form", "feed"), [("sse", Feed), ("array", ArrayFeed)], ids=["sse", "array"])
def test_nothing_leaves_after_an_error_object(form: str, feed: type[Feed] | type[ArrayFeed]) -> None:
    error: dict[str, object] = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    chunks = [chunk("a", 1), error, chunk("b", 2, "STOP")]
    body = array(chunks) if form == "array" else sse(chunks, "\r\n")
    tap = Tap(feed(), OBSERVE)
    left = tap.feed(body)
    tap.close()
    assert tap.broken
    assert tap.fault is not None
    assert tap.fault.code == 503
    assert b"busy" not in left
    assert b'"a"' in left
    assert tap.meter.finish == ""


def test_a_pretty_error_without_data_after_events_is_seen() -> None:
    body = (
        sse([chunk("Hel", 1)], "\r\n") + b'{\n  "error": {\n    "code": 503,\n    "message": "busy"\n  }\n}\n'
    )
    for size in (1, 3, 1000):
        tap = Tap(Feed(), OBSERVE)
        left = b"".join(tap.feed(body[at : at + size]) for at in range(0, len(body), size))
        tap.close()
        assert left == sse([chunk("Hel", 1)], "\r\n")
        assert tap.fault is not None
        assert tap.fault.code == 503


@given(TEXTS, st.lists(st.integers(0, 5000), max_size=10))
def test_visible_characters_are_counted_however_the_stream_is_cut(texts: list[str], cuts: list[int]) -> None:
    tap = Tap(Feed(), OBSERVE, count=True)
    body = sse(answer(texts, "STOP"), "\n")
    left, held = tapped(tap, body, cuts)
    assert left + held == body
    assert tap.chars == sum(map(len, texts))


def test_nothing_is_counted_unless_asked() -> None:
    tap = Tap(Feed(), OBSERVE)
    tap.feed(sse([chunk("Hello", 1)], "\n"))
    assert tap.chars == 0


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ({"candidates": [{"content": {"parts": [{"text": "abc"}, {"text": "hm", "thought": True}]}}]}, 3),
        ({"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}, 0),
        ({"candidates": [{"finishReason": "STOP"}]}, 0),
        ({"choices": [{"delta": {"role": "assistant", "content": "né"}}]}, 2),
        ({"choices": [{"delta": {"content": None}}]}, 0),
        (
            {"choices": [{"delta": {"content": "hm", "extra_content": {"google": {"thought": True}}}}]},
            0,
        ),
        ({"event_type": "step.delta", "delta": {"type": "text", "text": "four"}}, 4),
        ({"event_type": "step.delta", "delta": {"type": "thought_summary", "content": {"text": "x"}}}, 0),
        ({"event_type": "step.delta", "delta": {"type": "arguments_delta", "arguments": "{}"}}, 0),
        ({"candidates": "odd"}, 0),
    ],
)
def test_what_a_reader_sees_of_an_event(event: object, count: int) -> None:
    assert visible(json.dumps(event).encode()) == count
