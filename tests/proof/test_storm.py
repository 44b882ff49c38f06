"""No storm: what a spent budget refuses is asked for once, by each way into the official SDKs as they come.

Counted by the gateway's own rows. ``tests/sdk/openai/test_keys.py`` has the plain ways; here are the streams, the
asynchronous clients and the JavaScript SDKs' other ways.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.keyed import token
from tests.gateway.launch import Gateway
from tests.proof import stage
from tests.proof.braked import budget, key, put
from tests.sdk.inventory import EMBEDDER, TEXT
from tests.sdk.openai.test_javascript import FOLDER as OPENAI_FOLDER
from tests.sdk.openai.test_javascript import program, sdk
from tests.sdk.test_javascript import FOLDER as GOOGLE_FOLDER
from tests.sdk.test_javascript import sdk as google_sdk
from tests.simulator.launch import Simulator

__all__ = ["google_sdk", "sdk"]
PROJECT = stage.Project("one")
MESSAGES: Any = [{"role": "user", "content": "Tell me about rivers."}]
# Each way into an SDK in a program of its own words; prints how often it was refused, and with what status.
BY_OPENAI = """
import OpenAI from "openai";
const [baseURL, apiKey] = process.argv.slice(1);
const ai = new OpenAI({ baseURL: baseURL + "/openai/v1", apiKey });
const model = "gemini-3.8-flash", messages = [{ role: "user", content: "Tell me about rivers." }];
const drain = async (stream) => { for await (const _ of stream) ; };
const ways = [
  async () => drain(await ai.chat.completions.create({ model, messages, stream: true })),
  async () => ai.chat.completions.stream({ model, messages }).finalChatCompletion(),
  async () => ai.responses.create({ model, input: "Tell me about rivers." }),
  async () => drain(await ai.responses.create({ model, input: "Tell me about rivers.", stream: true })),
  async () => ai.embeddings.create({ model: "gemini-embedding-001", input: "rivers" }),
];
"""
BY_GOOGLE = """
import { GoogleGenAI } from "@google/genai";
const [baseUrl, apiKey] = process.argv.slice(1);
const ai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl } });
const model = "gemini-3.8-flash", contents = "Tell me about rivers.";
const drain = async (stream) => { for await (const _ of stream) ; };
const ways = [
  async () => drain(await ai.models.generateContentStream({ model, contents })),
  async () => ai.chats.create({ model }).sendMessage({ message: contents }),
  async () => ai.models.embedContent({ model: "gemini-embedding-001", contents }),
  async () => ai.interactions.create({ model, input: contents }),
  async () => drain(await ai.interactions.create({ model, input: contents, stream: true })),
];
"""
REFUSED = """
const told = [];
for (const way of ways) {
  try { await way(); told.push("answered"); } catch (error) { told.push(error.status ?? String(error)); }
}
console.log(JSON.stringify(told));
"""
WAYS_OF_JS = 5


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One project without limits."""
    with stage.simulator(tmp_path_factory.mktemp("upstream"), [PROJECT], "--instant") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a key whose budget no call fits in."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    put(folder / "data", [key("spent"), key("free")], [budget("pocket", 1, scope="key", of="spent")])
    with stage.gateway(folder, upstream, [PROJECT]) as running:
        yield running


def google(gateway: Gateway, name: str = "spent") -> genai.Client:
    """Google's own client with nothing but key and address."""
    return genai.Client(api_key=token(name), http_options=types.HttpOptions(base_url=gateway.url))


def google_stream(gateway: Gateway) -> None:
    with google(gateway) as client:
        list(client.models.generate_content_stream(model=TEXT, contents="Tell me about rivers."))


def google_chat(gateway: Gateway) -> None:
    with google(gateway) as client:
        client.chats.create(model=TEXT).send_message("Tell me about rivers.")


def google_embed(gateway: Gateway) -> None:
    with google(gateway) as client:
        client.models.embed_content(model=EMBEDDER, contents="rivers")


def google_interaction_stream(gateway: Gateway) -> None:
    with google(gateway) as client:
        list(client.interactions.create(model=TEXT, input="Tell me about rivers.", stream=True))


def google_async(gateway: Gateway) -> None:
    async def ask() -> None:
        client = google(gateway)
        try:
            await client.aio.models.generate_content(model=TEXT, contents="Tell me about rivers.")
        finally:
            await client.aio.aclose()
            client.close()

    asyncio.run(ask())


def google_async_stream(gateway: Gateway) -> None:
    async def ask() -> None:
        client = google(gateway)
        try:
            async for _ in await client.aio.models.generate_content_stream(model=TEXT, contents="Rivers?"):
                pass
        finally:
            await client.aio.aclose()
            client.close()

    asyncio.run(ask())


def openai_async(gateway: Gateway) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key=token("spent")) as client:
            await client.chat.completions.create(model=TEXT, messages=MESSAGES)

    asyncio.run(ask())


def openai_responses_stream(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=token("spent")) as client:
        list(client.responses.create(model=TEXT, input="Tell me about rivers.", stream=True))


def openai_parse(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=token("spent")) as client:
        client.chat.completions.parse(model=TEXT, messages=MESSAGES)


def asked(gateway: Gateway) -> list[dict[str, Any]]:
    """The calls of the key so far."""
    return gateway.rows("SELECT * FROM call_log WHERE key = 'spent' ORDER BY seq")


@pytest.mark.parametrize(
    "way",
    [
        google_stream,
        google_chat,
        google_embed,
        google_interaction_stream,
        google_async,
        google_async_stream,
        openai_async,
        openai_responses_stream,
        openai_parse,
    ],
)
def test_python_asks_once(gateway: Gateway, upstream: Simulator, way: Callable[[Gateway], None]) -> None:
    before, heard = len(asked(gateway)), upstream.state()["requests"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK calls interactions experimental
        with pytest.raises(Exception, match="pocket") as caught:
            way(gateway)
    assert isinstance(caught.value, openai.APIStatusError | errors.APIError) or "interaction" in way.__name__
    rows = asked(gateway)[before:]
    assert [(row["status"], row["reason"], row["attempts"]) for row in rows] == [(402, "budget_spent", 0)]
    assert upstream.state()["requests"] == heard


@pytest.mark.parametrize(("script", "folder"), [(BY_OPENAI, OPENAI_FOLDER), (BY_GOOGLE, GOOGLE_FOLDER)])
def test_javascript_asks_once(
    gateway: Gateway, sdk: Path, google_sdk: Path, script: str, folder: Path
) -> None:
    before = len(asked(gateway))
    command = [program("node"), "--input-type=module", "-e", script + REFUSED, gateway.url, token("spent")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [402] * WAYS_OF_JS
    rows = asked(gateway)[before:]
    assert [(row["status"], row["reason"]) for row in rows] == [(402, "budget_spent")] * WAYS_OF_JS


def test_the_gemini_cli_asks_once(gateway: Gateway, tmp_path: Path) -> None:
    """Google's own program, where the machine has it (npm install -g @google/gemini-cli)."""
    gemini = shutil.which("gemini")
    if gemini is None:
        pytest.skip("gemini is not installed")
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "telemetry": {"enabled": False}}
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini" / "settings.json").write_text(json.dumps(settings))
    before = len(asked(gateway))
    own = {
        "HOME": str(tmp_path),
        "GEMINI_API_KEY": token("spent"),
        "GOOGLE_GEMINI_BASE_URL": gateway.url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }
    done = subprocess.run(
        [gemini, "-p", "Say a word about rivers.", "--model", "gemini-2.5-flash"],
        cwd=tmp_path,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    rows = asked(gateway)[before:]
    assert [(row["status"], row["reason"]) for row in rows] == [(402, "budget_spent")], done.stderr


def test_pythons_own_upload_needs_nothing_but_the_key(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("The harbour at night.")
    with google(gateway, "free") as client:
        made = client.files.upload(file=str(file))
        assert client.files.get(name=str(made.name)).name == made.name


def test_a_budget_of_money_holds_decisions_too(gateway: Gateway, upstream: Simulator) -> None:
    """Nobody knows their price."""
    heard = upstream.state()["requests"]
    body = {"model": TEXT, "input": "A fine day.", "questions": {"mood": {"type": "noul"}}}
    answer = httpx.post(
        f"{gateway.url}/v1beta/decisions", json=body, headers={"x-goog-api-key": token("spent")}
    )
    assert answer.status_code == 403
    assert "UNPRICED_MODEL" in answer.text
    assert upstream.state()["requests"] == heard
