"""OpenAI's Agents SDK as a program uses it: python agents_talk.py BASE_URL KEY. Prints one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

FLASH = "gemini-3.8-flash"
cities: list[str] = []


class Town(BaseModel):
    """A town, as a structured answer."""

    name: str
    people: int


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    cities.append(city)
    return "fine"


async def talk(model: Any) -> dict[str, Any]:
    """What one agent says, alone, with a tool, streamed, and in a structure."""
    cities.clear()
    plain = await Runner.run(
        Agent(name="guide", model=model, instructions="Be brief."), "Tell me about rivers."
    )
    streamed = Runner.run_streamed(
        Agent(name="guide", model=model, instructions="Be brief."), "Tell me about rivers."
    )
    kinds = {event.type async for event in streamed.stream_events()}
    helper = Agent(name="helper", model=model, tools=[get_weather])
    helped = await Runner.run(helper, "How is the weather in Paris?")
    later = await Runner.run(helper, [*helped.to_input_list(), {"role": "user", "content": "Thank you."}])
    whole = Runner.run_streamed(helper, "How is the weather in Rome?")
    async for _ in whole.stream_events():
        pass
    town = await Runner.run(Agent(name="mayor", model=model, output_type=Town), "Name a town.")
    return {
        "plain": plain.final_output,
        "streamed": streamed.final_output,
        "kinds": sorted(kinds),
        "helped": helped.final_output,
        "later": later.final_output,
        "streamed_tools": whole.final_output,
        "calls": len(cities),
        "town": town.final_output.model_dump(),
        "tokens": plain.context_wrapper.usage.total_tokens,
    }


async def main(url: str, key: str) -> None:
    """Talk through both of OpenAI's APIs."""
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=url, api_key=key) as client:
        told = {
            "chat": await talk(OpenAIChatCompletionsModel(model=FLASH, openai_client=client)),
            "responses": await talk(OpenAIResponsesModel(model=FLASH, openai_client=client)),
        }
    print(json.dumps(told))


asyncio.run(main(*sys.argv[1:3]))
