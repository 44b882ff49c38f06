"""LangChain's OpenAI package as a program uses it: python langchain_talk.py BASE_URL KEY. Prints one JSON object."""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

FLASH = "gemini-3.8-flash"


class Town(BaseModel):
    """A town, as a structured answer."""

    name: str
    people: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return "fine"


def tools(chat: ChatOpenAI) -> tuple[int, Any]:
    """How many turns of tools there were, and the answer after them."""
    bound = chat.bind_tools([get_weather])
    messages: list[Any] = [HumanMessage("How is the weather in Paris?")]
    turns = 0
    while True:
        answer = bound.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return turns, answer.text
        turns += 1
        messages += [
            ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
            for call in answer.tool_calls
        ]


def main(url: str, key: str) -> None:
    """Talk through both of OpenAI's APIs, and embed."""
    told: dict[str, Any] = {}
    for name, responses in (("chat", False), ("responses", True)):
        chat = ChatOpenAI(
            model=FLASH, base_url=url, api_key=key, use_responses_api=responses, stream_usage=True
        )
        answer = chat.invoke("Tell me about rivers.")
        streamed: Any = None
        for chunk in chat.stream("Tell me about rivers."):
            streamed = chunk if streamed is None else streamed + chunk
        turns, said = tools(chat)
        told[name] = {
            "plain": answer.text,
            "streamed": streamed.text,
            "usage": [answer.usage_metadata, streamed.usage_metadata],
            "turns": turns,
            "tools": said,
            "town": chat.with_structured_output(Town).invoke("Name a town.").model_dump(),
        }
    embedder = OpenAIEmbeddings(
        model="gemini-embedding-001",
        base_url=url,
        api_key=key,
        dimensions=16,
        check_embedding_ctx_length=False,
    )
    told["vectors"] = [len(one) for one in embedder.embed_documents(["a", "b"])]
    print(json.dumps(told))


main(*sys.argv[1:3])
