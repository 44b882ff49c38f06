"""Google's own Python client works against the simulator, unchanged but for the base URL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.simulator.client import KEY
from tests.simulator.launch import Simulator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:google", "ignore::UserWarning:google")
MODEL = "gemini-3.8-flash"


@pytest.fixture
def client(upstream: Simulator) -> Iterator[genai.Client]:
    with genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=upstream.url)) as made:
        yield made


def test_generate_and_stream_say_the_same(client: genai.Client) -> None:
    whole = client.models.generate_content(model=MODEL, contents="Tell me of harbours")
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Tell me of harbours"))
    assert whole.text
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert whole.usage_metadata is not None
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count
    assert whole.model_version == MODEL


def test_a_chat_remembers_its_turns(client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL)
    first, second = chat.send_message("One"), chat.send_message("Two")
    assert first.text != second.text
    assert len(chat.get_history()) == 4


def test_functions_over_two_turns(client: genai.Client) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> dict[str, str]:
        """The weather of a city."""
        asked.append(city)
        return {"sky": "clear"}

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = client.models.generate_content(model=MODEL, contents="Weather in Rome?", config=config)
    assert len(asked) == 1
    assert answer.text


class Recipe(BaseModel):
    name: str
    minutes: int
    steps: list[str]


def test_json_schema(client: genai.Client) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Recipe)
    answer = client.models.generate_content(model=MODEL, contents="A recipe", config=config)
    assert isinstance(answer.parsed, Recipe)


def test_count_embed_and_list(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=MODEL, contents="Tell me of harbours")
    assert counted.total_tokens
    embedded = client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert embedded.embeddings is not None
    assert [len(one.values or []) for one in embedded.embeddings] == [3072, 3072]
    assert any(model.name == f"models/{MODEL}" for model in client.models.list())


def test_a_continued_answer_is_one_to_the_caller(upstream: Simulator) -> None:
    options = types.HttpOptions(base_url=upstream.url, headers={"x-simulate": "continue-after=40"})
    with genai.Client(api_key=KEY, http_options=options) as client:
        upstream.clear()
        config = types.GenerateContentConfig(automatic_continuation=True)
        chunks = client.models.generate_content_stream(
            model="gemini-4-argon", contents="Write 100 words please", config=config
        )
        assert len("".join(chunk.text or "" for chunk in chunks).split()) == 100
        assert len(upstream.log()) == 3


def test_errors_arrive_as_the_clients_own(upstream: Simulator) -> None:
    options = types.HttpOptions(base_url=upstream.url, headers={"x-simulate": "overloaded"})
    with (
        genai.Client(api_key=KEY, http_options=options) as client,
        pytest.raises(errors.ServerError) as caught,
    ):
        client.models.generate_content(model=MODEL, contents="x")
    assert caught.value.code == 503
