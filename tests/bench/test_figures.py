"""What is judged from the legs, and how their order is chosen."""

from __future__ import annotations

import pytest
from clients import GOOGLE, OPENAI
from legs import in_turn, wrk_figures
from machine import Moment, parent_of
from profiling import shares
from proof import text_of
from report import Figure, compared, content, failed
from servers import BenchError
from upload import pieces


def test_two_servers_take_turns_in_the_order_abba() -> None:
    order: list[str] = []

    def leg(name: str) -> str:
        order.append(name)
        return name

    pairs = in_turn(4, lambda: leg("a"), lambda: leg("b"))
    assert order == list("abbaabba")
    assert pairs == [("a", "b")] * 4


@pytest.mark.parametrize(
    ("value", "most", "least", "held"),
    [
        (16, 16, None, True),
        (16.1, 16, None, False),
        (999, None, 1000, False),
        (0, 0, 0, True),
        (5, None, None, None),
    ],
)
def test_a_bar_holds_up_to_its_edge(
    value: float, most: float | None, least: float | None, held: bool | None
) -> None:
    assert Figure("x", "ms", value, most=most, least=least).held is held


def test_pairs_are_compared_one_by_one_not_by_their_medians() -> None:
    pairs = [(10.0, 1.0), (40.0, 10.0), (30.0, 6.0)]
    ratio = compared("cpu", "×", pairs, ratio=True, most=4.9)
    assert (ratio.value, ratio.gateway, ratio.nginx, ratio.held) == (5.0, 30.0, 6.0, False)
    assert compared("p50", "ms", pairs).value == 24.0


def test_one_missed_bar_fails_the_run_and_is_named() -> None:
    figures = [Figure("a", "ms", 1), Figure("b", "ms", 2, most=1), Figure("c", "ms", 1, most=1)]
    assert failed(figures) == ["b"]
    kept = content(figures, {"commit": "abc"}, {})
    assert kept["passed"] is False
    assert [row["held"] for row in kept["figures"]] == [None, False, True]


WRK = """Running 3s test @ http://127.0.0.1:1/
  148117 requests in 3.02s, 121.62MB read
{extra}Requests/sec:  49071.33
Transfer/sec:     40.29MB
"""


def test_wrk_is_read() -> None:
    assert wrk_figures(WRK.format(extra="")) == (49071.33, 148117, "")


@pytest.mark.parametrize(
    "extra", ["  Non-2xx or 3xx responses: 7\n", "  Socket errors: connect 0, read 3, write 0, timeout 0\n"]
)
def test_what_wrk_complains_of_is_not_lost(extra: str) -> None:
    assert wrk_figures(WRK.format(extra=extra))[2] == extra.strip()


def test_wrk_without_a_rate_is_no_result() -> None:
    with pytest.raises(BenchError, match="no rate"):
        wrk_figures("unable to connect to 127.0.0.1:1 Connection refused")


def test_each_client_sends_a_key_where_its_sdk_does() -> None:
    assert GOOGLE.with_key("k").headers["x-goog-api-key"] == "k"
    assert OPENAI.with_key("k").headers["authorization"] == "Bearer k"
    assert GOOGLE.headers["x-goog-api-key"] != "k"
    assert not set(GOOGLE.headers) & {"authorization"}
    assert not set(OPENAI.headers) & {"x-goog-api-key"}


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("google", b'{"candidates": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}}]}'),
        ("openai", b'{"choices": [{"message": {"content": "ab"}}]}'),
    ],
)
def test_the_text_of_an_answer_is_found_in_its_dialect_alone(dialect: str, body: bytes) -> None:
    assert text_of(dialect, body) == "ab"
    with pytest.raises(BenchError, match="no answer"):
        text_of("openai" if dialect == "google" else "google", body)


def test_the_pieces_of_an_upload_cover_it_once() -> None:
    assert pieces(20, 8) == [(0, 8, False), (8, 8, False), (16, 4, True)]
    assert pieces(16, 8) == [(0, 8, False), (8, 8, True)]
    assert pieces(5, 8) == [(0, 5, True)]


def test_a_process_may_be_called_anything() -> None:
    assert parent_of("812 (a) b (c) R 77 812 812 0 -1") == 77


def test_a_profile_counts_a_recursive_function_once() -> None:
    own, within, total = shares(["loop;walk;walk;read 3", "loop;walk 2", "loop 5", "not a stack"])
    assert total == 10
    assert (own["read"], own["walk"], own["loop"]) == (3, 2, 5)
    assert (within["walk"], within["loop"]) == (5, 10)


def test_time_that_others_took_is_told_apart() -> None:
    start, end = Moment(100, 40, 1, 10), Moment(110, 46, 1.5, 14)
    assert start.disturbance(end) == (5.0, 20.0)
