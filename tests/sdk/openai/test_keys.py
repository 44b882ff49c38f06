"""Virtual keys and budgets as the official SDKs meet them: each refusal is an exception, and is asked for once.

Keys and budgets are made with the commands, as a person makes them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types
from openai import OpenAI

from tests.gateway.launch import Gateway, until
from tests.sdk.openai.asking import EMBEDDER, FLASH, OLDER, WEATHER, plainly, results, user
from tests.sdk.openai.test_javascript import FOLDER, program, sdk
from tests.sdk.sides import CLOCK
from tests.sdk.test_javascript import FOLDER as GOOGLE_FOLDER
from tests.sdk.test_javascript import sdk as google_sdk
from tests.simulator.launch import Simulator

__all__ = ["google_sdk", "sdk"]
MESSAGES: Any = [user("Tell me about rivers.")]
BY_OPENAI_JS = """
import OpenAI from "openai";
const [baseURL, apiKey] = process.argv.slice(1);
try {
  await new OpenAI({ baseURL, apiKey }).chat.completions.create({
    model: "gemini-3.8-flash", messages: [{ role: "user", content: "Tell me about rivers." }],
  });
} catch (error) {
  console.log(JSON.stringify({ status: error.status, code: error.code, message: error.message }));
}
"""
BY_GOOGLE_JS = """
import { GoogleGenAI } from "@google/genai";
const [baseUrl, apiKey] = process.argv.slice(1);
try {
  const ai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl } });
  await ai.models.generateContent({ model: "gemini-3.8-flash", contents: "Tell me about rivers." });
} catch (error) {
  console.log(JSON.stringify({ status: error.status, message: error.message }));
}
"""


class Keyed:
    """A gateway that asks for keys, and the secrets of its keys by their names."""

    def __init__(self, gateway: Gateway, simulator: Simulator) -> None:
        self.gateway = gateway
        self.simulator = simulator
        self.secrets: dict[str, str] = {}

    def command(self, *words: str) -> dict[str, Any]:
        """What ``gemgate keys …`` and ``gemgate budgets …`` print as JSON."""
        given = [*words, "--data", str(self.gateway.data), "--config", str(self.gateway.config), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "gemgate.cli.main", *given], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def key(self, name: str, *options: str) -> None:
        """Make a key."""
        self.secrets[name] = self.command("keys", "create", name, *options)["secret"]

    def client(self, name: str, **options: Any) -> OpenAI:
        """OpenAI's client with a key."""
        key = self.secrets.get(name, name)
        return OpenAI(base_url=self.gateway.url + "/openai/v1", api_key=key, **options)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The calls of a key."""
        return self.gateway.rows("SELECT * FROM call_log WHERE key = ? ORDER BY seq", name)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A gateway with five keys, one of which has a budget that no call fits in."""
    with (
        Simulator(*CLOCK) as simulator,
        Gateway(tmp_path_factory.mktemp("keyed"), simulator.url) as gateway,
    ):
        made = Keyed(gateway, simulator)
        made.key("anna", "--tag", "team:blue")
        made.key("bert", "--route", "gemini-2.5-*", "--route", EMBEDDER)
        made.key("carl")
        made.key("once", "--rpm", "1")
        made.key("spent")
        made.command("budgets", "create", "pocket", "--tokens", "1", "--per", "month", "--key", "spent")
        headers = {"authorization": f"Bearer {made.secrets['spent']}"}
        body = {"model": FLASH, "messages": MESSAGES}

        def in_force() -> bool:
            url = gateway.url + "/openai/v1/chat/completions"
            return httpx.post(url, json=body, headers=headers, timeout=20).status_code == 402

        until(in_force, "the keys and the budget")
        yield made


def test_a_key_is_all_that_a_client_needs(keyed: Keyed) -> None:
    with keyed.client("anna") as client:
        raw = client.chat.completions.with_raw_response.create(
            model=FLASH, messages=MESSAGES, extra_headers={"x-gemgate-tags": "night"}, user="kim"
        )
    assert raw.parse().choices[0].message.content
    row = keyed.rows("anna")[-1]
    assert (row["key"], row["user"], row["outcome"]) == ("anna", "kim", "ok")


@pytest.mark.parametrize("secret", ["sk-gemgate-" + "x" * 43, "sk-proj-of-openai", "AIzaTheClientsOwnKey"])
def test_an_unknown_key_is_an_authentication_error(keyed: Keyed, secret: str) -> None:
    with keyed.client(secret) as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model=FLASH, messages=MESSAGES)
    assert (caught.value.code, caught.value.type) == ("key_unknown", "authentication_error")
    assert secret not in str(caught.value)


def test_a_model_that_a_key_may_not_use_is_denied(keyed: Keyed) -> None:
    with keyed.client("bert") as client:
        assert client.chat.completions.create(model=OLDER, messages=MESSAGES).choices
        assert client.embeddings.create(model=EMBEDDER, input="x").data
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.chat.completions.create(model=FLASH, messages=MESSAGES)
        with pytest.raises(openai.PermissionDeniedError):
            client.responses.create(model=FLASH, input="x")
    assert caught.value.code == "model_not_allowed"


@pytest.mark.parametrize(
    ("name", "told"), [("anna", {"signed": 1, "skipped": 0}), ("carl", {"signed": 0, "skipped": 1})]
)
def test_a_signature_comes_back_to_the_key_that_made_it(keyed: Keyed, name: str, told: Any) -> None:
    asked: list[Any] = [user("How is the weather in Paris?")]
    tools: Any = [WEATHER]
    keyed.simulator.set_faults({"simulate": "thoughts=9"})
    with keyed.client("anna") as maker, keyed.client(name) as other:
        message = maker.chat.completions.create(model=FLASH, messages=asked, tools=tools).choices[0].message
        talk = [*asked, plainly(message), *results(message)]
        assert (
            other.chat.completions.create(model=FLASH, messages=talk, tools=tools).choices[0].message.content
        )
    assert keyed.simulator.log()[-1]["signatures"] == told


@pytest.mark.parametrize("name", ["anna", "carl"])
def test_a_response_belongs_to_the_key_that_made_it(keyed: Keyed, name: str) -> None:
    with keyed.client("anna") as maker, keyed.client(name) as other:
        made = maker.responses.create(model=FLASH, input="Tell me about rivers.")
        if name == "anna":
            assert other.responses.retrieve(made.id).output_text == made.output_text
            return
        with pytest.raises(openai.NotFoundError) as caught:
            other.responses.retrieve(made.id)
        assert made.output_text not in str(caught.value)
        with pytest.raises(openai.BadRequestError) as unknown:
            other.responses.create(model=FLASH, input="And lakes?", previous_response_id=made.id)
        assert unknown.value.code == "previous_response_not_found"
        with pytest.raises(openai.NotFoundError):
            other.responses.delete(made.id)
        assert maker.responses.retrieve(made.id).id == made.id


def test_a_disabled_key_is_denied_within_a_second_or_two(keyed: Keyed) -> None:
    keyed.key("gone")
    with keyed.client("gone") as client:
        until(lambda: answers(client), "the new key")
        keyed.command("keys", "disable", "gone")
        until(lambda: not answers(client), "its end")
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.models.list()
    assert caught.value.code == "key_disabled"


def answers(client: OpenAI) -> bool:
    """Whether the key opens anything."""
    try:
        client.models.list()
    except openai.APIStatusError:
        return False
    return True


def test_a_rate_is_a_rate_limit_with_its_delay(keyed: Keyed) -> None:
    with keyed.client("once", max_retries=0) as client:
        client.chat.completions.create(model=FLASH, messages=MESSAGES)
        with pytest.raises(openai.RateLimitError) as caught:
            client.with_options(timeout=60).chat.completions.create(
                model=FLASH, messages=MESSAGES, extra_headers={"x-gemgate-patience": "0"}
            )
    assert caught.value.code == "key_rate"
    assert 55 <= int(caught.value.response.headers["retry-after"]) <= 61


def by_openai(keyed: Keyed) -> tuple[int, str]:
    with keyed.client("spent") as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=FLASH, messages=MESSAGES)
    return caught.value.status_code, str(caught.value)


def by_openai_streamed(keyed: Keyed) -> tuple[int, str]:
    with keyed.client("spent") as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=FLASH, messages=MESSAGES, stream=True)
    return caught.value.status_code, str(caught.value)


def by_responses(keyed: Keyed) -> tuple[int, str]:
    with keyed.client("spent") as client, pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model=FLASH, input="Tell me about rivers.")
    return caught.value.status_code, str(caught.value)


def by_embeddings(keyed: Keyed) -> tuple[int, str]:
    with keyed.client("spent") as client, pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=EMBEDDER, input="Tell me about rivers.")
    return caught.value.status_code, str(caught.value)


def by_google(keyed: Keyed) -> tuple[int, str]:
    with google(keyed) as client, pytest.raises(errors.APIError) as caught:
        client.models.generate_content(model=FLASH, contents="Tell me about rivers.")
    return caught.value.code, str(caught.value)


def by_google_interactions(keyed: Keyed) -> tuple[int, str]:
    with warnings.catch_warnings(), google(keyed) as client:
        warnings.simplefilter("ignore")
        with pytest.raises(Exception, match="pocket") as caught:
            client.interactions.create(model=FLASH, input="Tell me about rivers.")
    return int(getattr(caught.value, "status_code", 0)), str(caught.value)


def google(keyed: Keyed) -> genai.Client:
    """Google's own client with the key of the spent budget."""
    options = types.HttpOptions(base_url=keyed.gateway.url)
    return genai.Client(api_key=keyed.secrets["spent"], http_options=options)


def by_openai_js(keyed: Keyed) -> tuple[int, str]:
    return by_node(BY_OPENAI_JS, FOLDER, keyed.gateway.url + "/openai/v1", keyed.secrets["spent"])


def by_google_js(keyed: Keyed) -> tuple[int, str]:
    return by_node(BY_GOOGLE_JS, GOOGLE_FOLDER, keyed.gateway.url, keyed.secrets["spent"])


def by_node(script: str, folder: Path, url: str, key: str) -> tuple[int, str]:
    command = [program("node"), "--input-type=module", "-e", script, url, key]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["status"], told["message"]


@pytest.mark.parametrize(
    "ask",
    [
        by_openai,
        by_openai_streamed,
        by_responses,
        by_embeddings,
        by_openai_js,
        by_google,
        by_google_interactions,
        by_google_js,
    ],
)
def test_a_spent_budget_is_asked_once_with_default_retries(
    keyed: Keyed, sdk: Path, google_sdk: Path, ask: Callable[[Keyed], tuple[int, str]]
) -> None:
    before = len(keyed.rows("spent"))
    status, message = ask(keyed)
    assert status == 402
    assert "pocket" in message
    rows = keyed.rows("spent")[before:]
    assert [(row["status"], row["reason"]) for row in rows] == [(402, "budget_spent")]
    assert rows[0]["attempts"] == 0
