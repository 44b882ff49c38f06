"""The rows of calls that the official SDK made say what the SDK saw: tokens, end, model, form, bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.genai import types

from tests.gateway.launch import until
from tests.sdk.sides import CLIENT_KEY, Side, Told, newest, raw, run
from tests.sdk.talking import ARGON, EMBEDDER, FLASH, OLDER, TOOL

LITE = "gemini-3.5-flash-lite"
LONG = "The sea is wide. " * 3000


def config(**settings: Any) -> types.GenerateContentConfig:
    """Settings of a call."""
    return types.GenerateContentConfig(**settings)


def ask(
    model: str, text: str, simulate: str = "", settings: Any = None, **options: Any
) -> Callable[[Side], Any]:
    """A scenario of one whole answer."""
    return lambda side: side.client(simulate, **options).models.generate_content(
        model=model, contents=text, config=settings
    )


def stream(model: str, text: str, simulate: str = "", settings: Any = None) -> Callable[[Side], Any]:
    """A scenario of one answer in pieces."""
    return lambda side: list(
        side.client(simulate).models.generate_content_stream(model=model, contents=text, config=settings)
    )


THINK = config(thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=200))
SEARCH = config(tools=[types.Tool(google_search=types.GoogleSearch())])
CASES = {
    "plain": (ask(FLASH, "Hello."), "STOP"),
    "older": (ask(OLDER, "Hello."), "STOP"),
    "by an alias": (ask("gemini-flash-latest", "Hello.", api_version="v1beta"), "STOP"),
    "thinking": (ask(OLDER, "Hello.", settings=THINK), "STOP"),
    "cut by the limit": (ask(LITE, "Hello.", settings=config(max_output_tokens=9)), "MAX_TOKENS"),
    "ended while thinking": (ask(FLASH, "Hello.", "max-tokens-thinking"), "MAX_TOKENS"),
    "unsafe": (ask(FLASH, "Hello.", "finish=SAFETY"), "SAFETY"),
    "blocked": (ask(FLASH, "Hello.", "blocked"), None),
    "cached": (ask(OLDER, LONG, "cached=1000"), "STOP"),
    "with search": (ask(FLASH, "News?", settings=SEARCH), "STOP"),
    "a function": (ask(FLASH, "Which weather?", settings=config(tools=[TOOL])), "STOP"),
    "to be continued": (ask(ARGON, "Hello.", "continue-after=40,tokens=90"), "STOP"),
    "gzip": (ask(FLASH, "Hello.", "gzip"), "STOP"),
    "picture": (ask("gemini-3.1-flash-image", "A cat."), "STOP"),
    "served as priority": (ask(FLASH, "Hello.", "tier=priority"), "STOP"),
    "stream": (stream(FLASH, "A tale of 400 words."), "STOP"),
    "stream of many events": (stream(FLASH, "A tale.", "events=40,tokens=200,thoughts=77"), "STOP"),
    "stream by an old model": (stream(OLDER, LONG, "cached=2000", THINK), "STOP"),
    "stream cut by the limit": (stream(LITE, "A tale.", settings=config(max_output_tokens=30)), "MAX_TOKENS"),
    "stream blocked": (stream(FLASH, "A tale.", "blocked"), None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_row_says_what_the_sdk_saw(proxied: Side, case: str) -> None:
    scenario, finish = CASES[case]
    seen = run(proxied, scenario)
    streamed = isinstance(seen.result, list)
    last = seen.result[-1] if streamed else seen.result
    row = seen.rows[-1]
    assert row["outcome"] == "ok"
    assert row["streaming"] == ("sse" if streamed else "none")
    assert row["finish"] == finish
    assert row["block"] == (None if finish else "PROHIBITED_CONTENT")
    assert row["model_served"] == last["model_version"]
    if case != "to be continued":  # the SDK adds the hops' usage up, and each hop is a row
        assert tokens_of(row) == tokens_seen(last["usage_metadata"])
    assert row["estimated_tokens"] == 0
    assert (row["request_bytes"], row["response_bytes"]) == (
        seen.asked[-1]["body_size"],
        len(seen.wire[-1].body) if case != "gzip" else row["response_bytes"],
    )
    assert row["tier_served"] == ("priority" if "priority" in case else "standard")
    assert row["list_dollars"] is None or row["list_dollars"] > 0


def tokens_of(row: dict[str, Any]) -> dict[str, int]:
    """The token columns."""
    return {name: row[f"{name}_tokens"] for name in ("input", "cached", "output", "thoughts", "tool")}


def tokens_seen(usage: dict[str, Any]) -> dict[str, int]:
    """The same from an SDK's usage; its sum must be the total that Google states."""
    names = {
        "input": "prompt_token_count",
        "cached": "cached_content_token_count",
        "output": "candidates_token_count",
        "thoughts": "thoughts_token_count",
        "tool": "tool_use_prompt_token_count",
    }
    found = {name: usage[field] or 0 for name, field in names.items()}
    assert sum(found.values()) - found["cached"] == usage["total_token_count"]
    return found


def test_the_cases_show_every_column(proxied: Side) -> None:
    """Guards the test above against a simulator that counts nothing."""
    rows = [run(proxied, CASES[case][0]).rows[-1] for case in ("cached", "with search", "thinking")]
    for name in ("input", "cached", "output", "thoughts", "tool"):
        assert any(row[f"{name}_tokens"] for row in rows), name


def test_of_a_stream_the_last_usage_counts_and_not_the_sum(proxied: Side) -> None:
    seen = run(proxied, CASES["stream of many events"][0])
    counts = [chunk["usage_metadata"]["candidates_token_count"] or 0 for chunk in seen.result]
    assert len(counts) > 20
    assert seen.rows[0]["output_tokens"] == counts[-1] == 200 < sum(counts)
    assert seen.rows[0]["thoughts_tokens"] == 77


def test_each_hop_of_a_continued_answer_is_a_row(proxied: Side) -> None:
    rows = run(proxied, CASES["to be continued"][0]).rows
    assert [row["finish"] for row in rows] == ["CONTINUATION", "CONTINUATION", "STOP"]
    assert sum(row["output_tokens"] for row in rows) == 90


def test_counting_and_embedding(proxied: Side) -> None:
    counted = run(proxied, lambda side: side.client().models.count_tokens(model=FLASH, contents="Hello."))
    assert counted.rows[0]["output_tokens"] == counted.rows[0]["input_tokens"] == 0
    assert counted.rows[0]["list_dollars"] == 0
    made = run(
        proxied, lambda side: side.client().models.embed_content(model=EMBEDDER, contents="Hello you.")
    )
    assert made.rows[0]["method"].startswith("models.")
    assert made.rows[0]["model"] == EMBEDDER
    assert made.rows[0]["finish"] is None


def test_interactions(proxied: Side) -> None:
    def whole(side: Side) -> Any:
        return side.client().interactions.create(model=FLASH, input="Hello.")

    def pieces(side: Side) -> Any:
        return list(side.client().interactions.create(model=FLASH, input="Hello.", stream=True))

    plain, streamed = run(proxied, whole), run(proxied, pieces)
    completed = next(event for event in streamed.result if event["is"] == "InteractionCompletedEvent")
    for seen, usage, form in (
        (plain, plain.result["usage"], "none"),
        (streamed, completed["interaction"]["usage"], "sse"),
    ):
        row = interaction_row(seen)
        assert row["streaming"] == form
        assert row["input_tokens"] == usage["total_input_tokens"] > 0
        assert row["output_tokens"] == usage["total_output_tokens"] > 0
        assert row["thoughts_tokens"] == (usage["total_thought_tokens"] or 0)
        assert row["model_served"] == FLASH


def interaction_row(seen: Told) -> dict[str, Any]:
    """The one row."""
    (row,) = seen.rows
    assert (row["method"], row["outcome"], row["model"]) == ("interactions.create", "ok", FLASH)
    return row


def test_a_stream_in_array_form(proxied: Side) -> None:
    assert proxied.gateway is not None
    answer = raw(
        "POST",
        f"{proxied.url}/v1beta/models/{FLASH}:streamGenerateContent",
        headers={"x-goog-api-key": CLIENT_KEY},
        json={"contents": [{"parts": [{"text": "A tale of 90 words."}]}]},
    )
    last = answer.json()[-1]
    row = proxied.gateway.call(answer)
    assert row["streaming"] == "array"
    assert row["output_tokens"] == last["usageMetadata"]["candidatesTokenCount"] == 90
    assert row["finish"] == last["candidates"][0]["finishReason"] == "STOP"
    assert row["response_bytes"] == len(answer.content)


def test_pieces_come_as_they_are_made_and_a_user_who_leaves_is_on_record(proxied: Side) -> None:
    """The upstream falls silent after two events: they arrive all the same, and then the user closes the stream."""
    gateway = proxied.gateway
    assert gateway is not None
    proxied.begin()
    last = newest(proxied)
    pieces: Any = proxied.client("stall-after=2").models.generate_content_stream(
        model=FLASH, contents="A tale."
    )
    texts = [next(pieces).text, next(pieces).text]
    assert all(texts)
    pieces.close()
    until(lambda: newest(proxied) > last, "the row of the call that was left")
    (row,) = gateway.rows("SELECT * FROM call_log WHERE seq > ?", last)
    assert (row["outcome"], row["status"], row["reason"]) == ("cancelled", 499, "client_left")
    assert row["output_tokens"] > 0
    assert row["estimated_tokens"] == row["input_tokens"] + row["output_tokens"] + row["thoughts_tokens"]
    until(lambda: proxied.simulator.log()[0]["aborted"], "the end of the upstream call")
