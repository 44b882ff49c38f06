"""What users of google-genai do with models, each as one function that is played on both sides."""

from __future__ import annotations

import enum
from typing import Any

from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.sdk.sides import Side

FLASH = "gemini-3.8-flash"
OLDER = "gemini-2.5-flash"
ARGON = "gemini-4-argon"
EMBEDDER = "gemini-embedding-001"


class Recipe(BaseModel):
    """A shape for answers in JSON."""

    name: str
    minutes: int
    steps: list[str]


class Mood(enum.Enum):
    """A choice for answers that are one word."""

    GLAD = "glad"
    CALM = "calm"


def get_weather(city: str) -> str:
    """Say the weather of a city.

    Args:
        city: Its name.
    """
    return f"fine in {city}"


WEATHER = types.FunctionDeclaration(
    name="get_weather",
    description="The weather of a city.",
    parameters_json_schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
TOOL = types.Tool(function_declarations=[WEATHER])
BY_HAND = types.GenerateContentConfig(
    tools=[TOOL], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
)


def told(error: Any) -> dict[str, Any]:
    """What a program sees of an SDK error."""
    return {
        "class": type(error).__name__,
        "code": error.code,
        "status": error.status,
        "message": error.message,
        "details": error.details,
    }


def generate(side: Side) -> Any:
    """One question, one answer, with settings."""
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.4,
        max_output_tokens=4000,
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        labels=None,
    )
    return side.client().models.generate_content(model=FLASH, contents="Why is the sky blue?", config=config)


def generate_old_and_new_door(side: Side) -> Any:
    """The same question under v1beta, v1alpha and v1."""
    return [
        side.client(api_version=version).models.generate_content(model=OLDER, contents="Name a river.")
        for version in ("v1beta", "v1", "v1alpha")
    ]


def generate_with_a_timeout(side: Side) -> Any:
    """A timeout travels as X-Server-Timeout."""
    return side.client(timeout=30_000).models.generate_content(model=OLDER, contents="Name a tree.")


def generate_from_a_picture(side: Side) -> Any:
    """Bytes in the request."""
    picture = types.Part.from_bytes(data=bytes(range(256)) * 40, mime_type="image/png")
    return side.client().models.generate_content(model=FLASH, contents=[picture, "What is on it?"])


def make_a_picture(side: Side) -> Any:
    """Bytes in the answer."""
    return side.client().models.generate_content(model="gemini-3.1-flash-image", contents="Draw a cat.")


def several_candidates(side: Side) -> Any:
    """Three answers to one question."""
    config = types.GenerateContentConfig(candidate_count=3, stop_sequences=["zebra"])
    return side.client().models.generate_content(model=OLDER, contents="Say something.", config=config)


def search_and_code(side: Side) -> Any:
    """Google's own tools."""
    config = types.GenerateContentConfig(
        tools=[
            types.Tool(google_search=types.GoogleSearch()),
            types.Tool(code_execution=types.ToolCodeExecution()),
        ]
    )
    return side.client().models.generate_content(model=FLASH, contents="What is six by seven?", config=config)


def blocked_and_short(side: Side) -> Any:
    """A blocked prompt, and an answer that ends while the model thinks."""
    blocked = side.client("blocked").models.generate_content(model=FLASH, contents="Forbidden.")
    short = side.client("max-tokens-thinking").models.generate_content(model=FLASH, contents="Think.")
    return [blocked, short]


def unusual_encodings(side: Side) -> Any:
    """An answer that travels as gzip."""
    return side.client("gzip").models.generate_content(model=FLASH, contents="Tell me more.")


def stream(side: Side) -> Any:
    """An answer in pieces."""
    chunks = side.client().models.generate_content_stream(
        model=FLASH, contents="A story of 300 words, please."
    )
    return list(chunks)


def stream_with_thoughts(side: Side) -> Any:
    """Thoughts and the signature on the empty last part."""
    config = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH)
    )
    return list(
        side.client().models.generate_content_stream(model=FLASH, contents="A riddle.", config=config)
    )


def stream_blocked(side: Side) -> Any:
    """A blocked prompt in a stream: one event without candidates."""
    return list(side.client("blocked").models.generate_content_stream(model=FLASH, contents="Forbidden."))


def continued(side: Side) -> Any:
    """Gemini 4 hands out continuation tokens, which the SDK follows: one call of the user, several of ours."""
    client = side.client("continue-after=60,tokens=150")
    whole = client.models.generate_content(model=ARGON, contents="A long tale.")
    pieces = list(client.models.generate_content_stream(model=ARGON, contents="Another long tale."))
    return [whole, pieces]


def generate_waiting(side: Side) -> Any:
    """The asynchronous client over httpx."""
    return side.waiting(lambda aio: aio.models.generate_content(model=FLASH, contents="Wait for me."))


def generate_waiting_by_default(side: Side) -> Any:
    """The asynchronous client as it comes, over aiohttp."""
    return side.waiting(
        lambda aio: aio.models.generate_content(model=FLASH, contents="Wait again."), taped=False
    )


async def _streamed(aio: Any) -> list[Any]:
    chunks = await aio.models.generate_content_stream(model=FLASH, contents="A story of 200 words, please.")
    return [chunk async for chunk in chunks]


def stream_waiting(side: Side) -> Any:
    """A stream of the asynchronous client, over both transports."""
    return [side.waiting(_streamed), side.waiting(_streamed, taped=False)]


def chat(side: Side) -> Any:
    """Three turns, one of them streamed; the SDK sends the history, signatures and all, each time."""
    talk = side.client().chats.create(model=FLASH)
    answers: list[Any] = [talk.send_message("Hello.")]
    answers += list(talk.send_message_stream("And then?"))
    answers.append(talk.send_message("Thank you."))
    return [answers, talk.get_history(), talk.get_history(curated=True)]


async def _talked(aio: Any) -> list[Any]:
    talk = aio.chats.create(model=FLASH)
    first = await talk.send_message("Hello.")
    pieces = [chunk async for chunk in await talk.send_message_stream("Go on.")]
    return [first, pieces, talk.get_history()]


def chat_waiting(side: Side) -> Any:
    """The same with the asynchronous client."""
    return side.waiting(_talked)


def functions_by_hand(side: Side) -> Any:
    """Two turns: the model calls, we answer, with its turn sent back as it came."""
    client = side.client()
    asked = types.Content(role="user", parts=[types.Part(text="How is the weather in Paris?")])
    first = client.models.generate_content(model=FLASH, contents=[asked], config=BY_HAND)
    call = (first.function_calls or [])[0]
    turn = (first.candidates or [])[0].content
    assert turn is not None
    assert turn.parts
    assert turn.parts[0].thought_signature, "the simulator gave no signature: nothing would be shown"
    given = types.Part(
        function_response=types.FunctionResponse(id=call.id, name=call.name, response={"weather": "fine"})
    )
    last = types.Content(role="user", parts=[given])
    second = client.models.generate_content(model=FLASH, contents=[asked, turn, last], config=BY_HAND)
    return [first, second]


def functions_by_themselves(side: Side) -> Any:
    """Automatic function calling: the SDK runs the function and asks again."""
    config = types.GenerateContentConfig(tools=[get_weather])
    return side.client().models.generate_content(model=FLASH, contents="The weather in Rome?", config=config)


def functions_in_a_chat(side: Side) -> Any:
    """Automatic calls within a chat: one in a stream, two at once in a whole answer."""
    config = types.GenerateContentConfig(tools=[get_weather])
    talk = side.client().chats.create(model=FLASH, config=config)
    pieces = list(talk.send_message_stream("The weather in Rome?"))
    several = side.client("parallel-calls=2").chats.create(model=FLASH, config=config)
    return [pieces, several.send_message("In Rome and Oslo?"), talk.get_history(), several.get_history()]


def json_by_class(side: Side) -> Any:
    """response_schema from a pydantic class, parsed by the SDK; and from an enum."""
    client = side.client()
    recipe = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Recipe)
    mood = types.GenerateContentConfig(response_mime_type="text/x.enum", response_schema=Mood)
    found = client.models.generate_content(model=FLASH, contents="A recipe.", config=recipe)
    assert isinstance(found.parsed, Recipe)
    word = client.models.generate_content(model=FLASH, contents="Your mood?", config=mood)
    return [found, word.text]


def json_by_schema(side: Side) -> Any:
    """response_json_schema, whole and streamed."""
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema=Recipe.model_json_schema()
    )
    client = side.client()
    whole = client.models.generate_content(model=FLASH, contents="A cake.", config=config)
    pieces = list(client.models.generate_content_stream(model=FLASH, contents="A pie.", config=config))
    return [whole, pieces]


def counting(side: Side) -> Any:
    """count_tokens of a text and of a conversation."""
    client = side.client(api_version="v1beta")
    turns = [
        types.Content(role=role, parts=[types.Part(text="a few words")]) for role in ("user", "model", "user")
    ]
    return [client.models.count_tokens(model=FLASH, contents=asked) for asked in ("One sentence.", turns)]


def embedding(side: Side) -> Any:
    """One text, several texts, another dimension."""
    models = side.client().models
    one = models.embed_content(model=EMBEDDER, contents="a sentence")
    many = models.embed_content(model=EMBEDDER, contents=["first", "second", "a sentence"])
    small = models.embed_content(
        model=EMBEDDER,
        contents="a sentence",
        config=types.EmbedContentConfig(output_dimensionality=128, task_type="RETRIEVAL_QUERY"),
    )
    return [one, many, small]


def listing_models(side: Side) -> Any:
    """All models, page by page, and one of them."""
    client = side.client()
    found = list(client.models.list(config=types.ListModelsConfig(page_size=7)))
    assert len(found) > 20
    return [found, client.models.get(model=FLASH)]


def _interactions(side: Side, simulate: str = "") -> Any:
    return side.client(simulate).interactions


def interaction(side: Side) -> Any:
    """Two turns kept by Google, read back and deleted."""
    talk = _interactions(side)
    first = talk.create(model=FLASH, input="Remember the word pear.")
    second = talk.create(model=FLASH, input="Which word?", previous_interaction_id=first.id)
    again = talk.get(second.id)
    talk.delete(first.id)
    return [first, second, again, _refusal_of(lambda: talk.get(first.id))]


def _refusal_of(ask: Any) -> dict[str, Any]:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - the SDK's own error classes are private
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "text": str(error),
        }
    raise AssertionError("nothing was refused")


def interaction_streamed(side: Side) -> Any:
    """The events of an interaction as they come, and once more from the middle."""
    talk = _interactions(side)
    events = list(talk.create(model=FLASH, input="Count to ten.", stream=True))
    name = events[0].interaction.id
    rest = list(talk.get(name, stream=True, last_event_id=events[1].event_id))
    return [events, rest]


def interaction_in_the_background(side: Side) -> Any:
    """Begun, read until it has ended, and then too late to cancel."""
    talk = _interactions(side)
    begun = talk.create(model=FLASH, input="Work.", background=True)
    while talk.get(begun.id).status == "in_progress":
        pass
    return [begun.id, talk.get(begun.id), _refusal_of(lambda: talk.cancel(begun.id))]


def interaction_with_a_function(side: Side) -> Any:
    """A function called and answered over two interactions."""
    talk = _interactions(side)
    tools = [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Weather.",
            "parameters": WEATHER.parameters_json_schema,
        }
    ]
    first = talk.create(model=FLASH, input="The weather in Bonn?", tools=tools)
    call = next(step for step in first.steps if step.type == "function_call")
    answer = [
        {"type": "function_result", "call_id": call.id, "name": call.name, "result": {"weather": "fine"}}
    ]
    return [first, talk.create(model=FLASH, input=answer, tools=tools, previous_interaction_id=first.id)]


async def _interacted(aio: Any) -> list[Any]:
    first = await aio.interactions.create(model=FLASH, input="Hello.")
    events = await aio.interactions.create(
        model=FLASH, input="Go on.", previous_interaction_id=first.id, stream=True
    )
    return [first, [event async for event in events]]


def interaction_waiting(side: Side) -> Any:
    """The asynchronous client."""
    return side.waiting(_interacted)


def refused(side: Side, simulate: str) -> dict[str, Any]:
    """The error of one unary call."""
    client: genai.Client = side.client(simulate)
    try:
        client.models.generate_content(model=FLASH, contents="Hello.")
    except errors.APIError as error:
        return told(error)
    raise AssertionError(f"nothing was refused for {simulate}")


SCENARIOS = [
    generate, generate_old_and_new_door, generate_with_a_timeout, generate_from_a_picture, make_a_picture,
    several_candidates, search_and_code, blocked_and_short, unusual_encodings, stream, stream_with_thoughts,
    stream_blocked, continued, generate_waiting, generate_waiting_by_default, stream_waiting, chat, chat_waiting,
    functions_by_hand, functions_by_themselves, functions_in_a_chat, json_by_class, json_by_schema, counting,
    embedding, listing_models, interaction, interaction_streamed, interaction_in_the_background,
    interaction_with_a_function, interaction_waiting,
]  # fmt: skip
