"""A virtual key that stands where it does not belong: Google never gets it, and nothing keeps it in clear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.keyed import add_key, token
from tests.gateway.launch import DEMO_KEY, Gateway
from tests.gateway.raw import Upstream, whole

ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
}
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
CHAT = "/openai/v1/chat/completions"
ASK = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
SECRET = token("ann")


def good() -> Upstream:
    """An upstream that answers everything well."""
    text = whole(json.dumps(ANSWER).encode())
    return Upstream(lambda conn, asked: text)


def talk(model: str, **more: str) -> dict[str, Any]:
    """A chat of OpenAI's."""
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}


def kept(folder: Path) -> list[str]:
    """The files in which the key stands."""
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]


def test_a_key_in_odd_places_reaches_neither_google_nor_a_row(tmp_path: Path) -> None:
    own = {"x-goog-api-key": SECRET}
    with good() as upstream, Gateway(tmp_path, upstream.url) as gateway:
        with add_key(gateway, "ann") as client:
            upstream.asked.clear()
            for path, body, headers in (
                (GENERATE, ASK, {"x-api-key": SECRET, "user-agent": SECRET}),
                (f"{GENERATE}?KEY={SECRET}&api_key={SECRET}", ASK, {}),
                (GENERATE, ASK, {"x-gemgate-user": f"ann {SECRET}", "x-gemgate-tags": f"a, b:{SECRET}"}),
                (GENERATE, {**ASK, "labels": {"a": SECRET}}, {}),
                (CHAT, talk("gemini-2.5-flash", user=SECRET), {"openai-api-key": SECRET}),
            ):
                assert client.post(path, json=body, headers=headers).status_code == 200, path
            assert len(upstream.asked) == 5
            assert not [one for one in upstream.asked if SECRET.encode() in one.line + one.headers]
            for verb, path, told in (
                ("POST", f"/v1beta/models/{SECRET}:generateContent", ASK),
                ("POST", f"/v1beta/models/{SECRET.replace('-', '%2d')}:generateContent", ASK),
                ("GET", f"/v1beta/files/{SECRET}", None),
                ("GET", f"/openai/v1/models/{SECRET}", None),
                ("POST", CHAT, talk(SECRET)),
                ("POST", "/v1beta/openai/chat/completions", talk(SECRET)),
                ("POST", "/v1beta/openai/videos", {"model": SECRET, "prompt": "x"}),
            ):
                # Only a bearer gets OpenAI's models at OpenAI's own door.
                answer = client.request(verb, path, json=told, headers=own)
                assert answer.status_code == 400, (path, answer.text)
                assert "key_misplaced" in answer.text.lower()
                assert SECRET not in answer.text
            assert len(upstream.asked) == 5
        rows = gateway.calls()
        assert {row["user"] for row in rows} >= {"ann [redacted]", "[redacted]"}
    assert kept(tmp_path / "data") == []
    assert SECRET not in gateway.log


@pytest.mark.parametrize("place", ["x-goog-api-key", "authorization", "key"])
def test_where_the_clients_own_key_is_passed_on_a_virtual_one_is_not(place: str, tmp_path: Path) -> None:
    headers = {"x-gemgate-key": SECRET}
    query = f"?key={SECRET}" if place == "key" else ""
    if place != "key":
        headers[place] = f"Bearer {SECRET}" if place == "authorization" else SECRET
    with good() as upstream:
        toml = f'[upstream]\nbase_url = "{upstream.url}"\ncredentials = "client"\n'
        with Gateway(tmp_path, upstream.url, toml) as gateway, httpx.Client(base_url=gateway.url) as client:
            answer = client.post(GENERATE + query, json=ASK, headers=headers)
            assert (answer.status_code, "NO_CREDENTIAL" in answer.text) == (401, True)
            assert upstream.asked == []
            other = "?key=" + DEMO_KEY if place != "key" else query
            headers |= {"x-goog-api-key": DEMO_KEY} if place == "key" else {}
            assert client.post(GENERATE + other, json=ASK, headers=headers).status_code == 200
            (asked,) = upstream.asked
            assert asked.header(b"x-goog-api-key") == DEMO_KEY.encode()
            assert SECRET.encode() not in asked.line + asked.headers
