"""What belongs to the project that made it is refused to every other, and the log says who named what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.client import KEY, Answer, ask, generate, prompt
from tests.simulator.launch import Simulator

FOREIGN = "AIzaAnotherProject"
ESCAPES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
TOOLS = [{"functionDeclarations": [{"name": "look_up"}]}]
MODEL = "gemini-3.8-flash"


def call(upstream: Simulator, body: Any, model: str = MODEL, key: str = KEY) -> Answer:
    return ask(upstream.url, f"/v1beta/models/{model}:generateContent", body, key=key)


def upload(upstream: Simulator) -> dict[str, Any]:
    headers = {"content-type": "image/png", "x-goog-upload-protocol": "raw"}
    made: dict[str, Any] = ask(upstream.url, "/upload/v1beta/files", b"pixels", headers=headers).json()[
        "file"
    ]
    return made


def test_a_foreign_file_is_refused_everywhere_and_the_log_names_it(upstream: Simulator) -> None:
    file = upload(upstream)
    part = {"fileData": {"fileUri": file["uri"], "mimeType": "image/png"}}
    content = {"parts": [{"text": "What is it?"}, part]}
    upstream.clear()
    own = f"/v1beta/models/{MODEL}"
    embedding = "/v1beta/models/gemini-embedding-2:embedContent"
    calls: list[tuple[str, Any]] = [
        (f"{own}:generateContent", {"contents": [content]}),
        (f"{own}:countTokens", {"contents": [content]}),
        (embedding, {"content": content}),
        ("/v1beta/cachedContents", {"model": f"models/{MODEL}", "contents": [content]}),
        (f"{own}:batchGenerateContent", {"batch": {"inputConfig": {"fileName": file["name"]}}}),
        (f"/v1beta/{file['name']}", None),
    ]
    for path, body in calls:
        assert ask(upstream.url, path, body, key=FOREIGN).status == 403, path
    lines = upstream.wait_for(len(calls))
    assert [line["names"] for line in lines] == [[file["name"]]] * len(calls)
    assert {line["project"] for line in lines} != {upstream.state()["projects"][0]["name"]}
    upstream.clear()
    assert ask(upstream.url, calls[0][0], calls[0][1]).status == 200
    mine = upstream.wait_for(1)[0]
    assert mine["names"] == [file["name"]]
    assert mine["project"] not in {line["project"] for line in lines}
    assert (mine["model"], lines[0]["model"]) == (MODEL, MODEL)


def test_a_file_is_gone_after_two_days() -> None:
    with Simulator("--instant", "--now", "2026-11-23T20:00:00Z") as simulator:
        part = {"fileData": {"fileUri": upload(simulator)["uri"], "mimeType": "image/png"}}
        body = {"contents": [{"parts": [part]}]}
        assert call(simulator, body).status == 200
        simulator.set_clock("2026-11-25T20:00:01Z")
        assert call(simulator, body).status == 403


def test_interactions_caches_and_tuned_models_open_to_their_project_only(upstream: Simulator) -> None:
    body = {"model": MODEL, "input": "Hello"}
    first = ask(upstream.url, "/v1/interactions", body).json()["id"]
    follow = {**body, "previous_interaction_id": first}
    upstream.clear()
    assert ask(upstream.url, "/v1/interactions", follow, key=FOREIGN).status == 404
    assert ask(upstream.url, f"/v1/interactions/{first}", key=FOREIGN).status == 404
    assert [line["names"] for line in upstream.wait_for(2)] == [[f"interactions/{first}"]] * 2
    assert ask(upstream.url, "/v1/interactions", follow).status == 200
    tuned = ask(upstream.url, "/v1beta/tunedModels/none:generateContent", prompt(), key=FOREIGN)
    assert tuned.status in (403, 404)
    assert upstream.wait_for(4)[3]["model"] == "tunedModels/none"
    story = {"contents": [{"role": "user", "parts": [{"text": "A long story of the sea. " * 1200}]}]}
    cache = ask(upstream.url, "/v1beta/cachedContents", {"model": f"models/{MODEL}", **story}).json()["name"]
    assert ask(upstream.url, f"/v1beta/{cache}", key=FOREIGN).status == 403
    assert call(upstream, prompt("And?", cachedContent=cache), key=FOREIGN).status == 403


def test_a_continuation_token_goes_on_where_it_was_made_only(upstream: Simulator) -> None:
    model = "gemini-4-argon"
    made = generate(upstream.url, prompt("A saga."), model, "continue-after=5,tokens=12").json()
    token = made["candidates"][0]["continuationToken"]
    body = prompt("A saga.", continuationToken=token)
    assert call(upstream, body, model).status == 200
    for other, key in ((model, FOREIGN), ("gemini-4-hydrogen", KEY)):
        answer = call(upstream, body, other, key)
        assert (answer.status, answer.error()["message"]) == (400, "Invalid continuation token.")


def signed(upstream: Simulator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A turn of function calls, and the responses that belong to it."""
    body = prompt("Please look up the river.", tools=TOOLS)
    model = generate(upstream.url, body, simulate="thoughts=9").json()["candidates"][0]["content"]
    names = [part["functionCall"]["name"] for part in model["parts"]]
    answers = [{"functionResponse": {"name": name, "response": {"ok": True}}} for name in names]
    return model, [*body["contents"], model, {"role": "user", "parts": answers}]


def test_a_signature_is_good_where_it_was_made_only(upstream: Simulator) -> None:
    model, contents = signed(upstream)
    body = {"contents": contents, "tools": TOOLS}
    assert call(upstream, body).status == 200
    for other, key in ((MODEL, FOREIGN), ("gemini-3.6-flash", KEY)):
        answer = call(upstream, body, other, key)
        assert (answer.status, answer.error()["message"]) == (400, "Corrupted thought signature.")
    for literal in ESCAPES:
        model["parts"][0]["thoughtSignature"] = literal
        assert call(upstream, body, "gemini-3.6-flash", FOREIGN).status == 200
    del model["parts"][0]["thoughtSignature"]
    assert "missing a thought_signature" in call(upstream, body).error()["message"]


@pytest.mark.parametrize("literal", ["", *ESCAPES])
def test_a_signature_in_the_openai_layer_is_held_to_the_same(upstream: Simulator, literal: str) -> None:
    def chat(messages: list[Any], key: str) -> Answer:
        tools = [{"type": "function", "function": {"name": "look_up"}}]
        body = {"model": MODEL, "messages": messages, "tools": tools}
        headers = {"authorization": f"Bearer {key}", "x-simulate": "thoughts=9"}
        return ask(upstream.url, "/v1beta/openai/chat/completions", body, headers=headers, key="")

    user = {"role": "user", "content": "Please look up the river."}
    message = chat([user], KEY).json()["choices"][0]["message"]
    if literal:
        message["tool_calls"][0]["extra_content"]["google"]["thought_signature"] = literal
    answered = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "{}"}
    assert chat([user, message, answered], KEY).status == 200
    assert chat([user, message, answered], FOREIGN).status == (200 if literal else 400)
