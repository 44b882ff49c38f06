"""Who plays in a seeded record: kinds of work with their models, settings and programs, and how models answer.

Nothing here is measured; it is chosen so that every kind of row of a real record appears.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gemgate.core.call import Streaming

PAID: Final = ("seed-main", "seed-second")
FREE: Final = "seed-free"
"""The project on the free tier: its calls cost nothing."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of work. ``weight`` is its share; ``input`` and ``output`` are the middles of tokens where no trace
    names them; ``prompt`` are bytes that all its calls begin with; ``thoughts`` is the share of thinking calls.
    """

    name: str
    weight: float
    model: str
    stands_in: str
    method: str = "models.generateContent"
    streaming: Streaming = Streaming.NONE
    door: str = ""
    programs: tuple[str, ...] = ("google-genai-sdk/3.4.0",)
    tags: tuple[tuple[str, ...], ...] = ((),)
    thinking: str = ""
    thoughts: float = 0.0
    tools: int = 0
    turns: int = 1
    media: int = 0
    json: bool = False
    max_output: int | None = None
    input: int = 900
    output: int = 240
    prompt: int = 2_000
    cached: float = 0.0
    grounded: float = 0.0
    modality: str = ""


WORKS: Final = (
    Work(
        name="seed-chat",
        weight=40,
        model="gemini-3.8-flash",
        stands_in="gemini-3.5-flash-lite",
        method="models.streamGenerateContent",
        streaming=Streaming.SSE,
        programs=("google-genai-sdk/3.4.0", "google-genai-sdk/3.2.1", "genai-js/2.9.0"),
        tags=(("team:support", "prod"), ("team:web", "prod"), ("team:web", "staging")),
        thinking="level:low",
        thoughts=0.35,
        turns=7,
        input=1_100,
        output=260,
        prompt=9_000,
        cached=0.3,
    ),
    Work(
        name="seed-extract",
        weight=22,
        model="gemini-3.5-flash-lite",
        stands_in="gemini-3.1-flash-lite",
        programs=("python-requests/2.32", "curl/8.14.1"),
        tags=(("team:data", "nightly"), ("team:data",)),
        json=True,
        max_output=2_048,
        input=2_400,
        output=180,
        prompt=4_000,
    ),
    Work(
        name="seed-agent",
        weight=12,
        model="gemini-3.6-flash",
        stands_in="gemini-3.8-flash",
        method="models.streamGenerateContent",
        streaming=Streaming.SSE,
        door="chat.completions",
        programs=("OpenAI/Python", "AsyncOpenAI/Python"),
        tags=(("team:agents", "prod"),),
        thinking="level:medium",
        thoughts=0.8,
        tools=9,
        turns=14,
        input=6_500,
        output=420,
        prompt=34_000,
        cached=0.6,
    ),
    Work(
        name="",
        weight=7,
        model="gemini-2.5-flash",
        stands_in="gemini-3.5-flash-lite",
        programs=("google-genai-sdk/1.9.0",),
        thinking="budget:1024",
        thoughts=0.6,
        input=800,
        output=300,
    ),
    Work(
        name="",
        weight=5,
        model="gemini-4-argon",
        stands_in="gemini-3.8-flash",
        method="models.streamGenerateContent",
        streaming=Streaming.SSE,
        tags=(("team:research",),),
        thinking="level:high",
        thoughts=1.0,
        turns=3,
        input=3_200,
        output=900,
        prompt=12_000,
    ),
    Work(
        name="seed-review",
        weight=3,
        model="gemini-3.1-pro-preview",
        stands_in="gemini-3.8-flash",
        tags=(("team:research", "review"),),
        thinking="level:high",
        thoughts=1.0,
        input=60_000,
        output=1_500,
        prompt=70_000,
        cached=0.4,
        grounded=0.2,
    ),
    Work(
        name="",
        weight=6,
        model="gemini-embedding-2",
        stands_in="gemini-embedding-2",
        method="models.embedContent",
        tags=(("team:search",),),
        input=350,
        output=0,
        prompt=0,
    ),
    Work(
        name="",
        weight=2,
        model="gemini-3.5-flash-lite",
        stands_in="gemini-3.1-flash-lite",
        tags=(("team:support", "voice"),),
        media=1,
        modality="audio",
        input=1_900,
        output=150,
    ),
    Work(
        name="",
        weight=1.5,
        model="gemini-3.1-flash-image",
        stands_in="gemini-3.1-flash-image",
        tags=(("team:design",),),
        modality="image",
        input=120,
        output=1_290,
        prompt=0,
    ),
    Work(
        name="",
        weight=1.5,
        model="tunedModels/seed-classifier",
        stands_in="tunedModels/seed-classifier",
        method="tunedModels.generateContent",
        programs=("curl/8.14.1",),
        input=200,
        output=6,
        prompt=0,
    ),
)

SPEEDS: Final[dict[str, tuple[float, float]]] = {
    "gemini-3.8-flash": (420_000, 190),
    "gemini-3.6-flash": (460_000, 170),
    "gemini-3.5-flash-lite": (260_000, 340),
    "gemini-3.1-flash-lite": (280_000, 320),
    "gemini-2.5-flash": (480_000, 210),
    "gemini-4-argon": (1_900_000, 75),
    "gemini-3.1-pro-preview": (2_600_000, 85),
    "gemini-embedding-2": (90_000, 1),
    "gemini-3.1-flash-image": (3_800_000, 260),
}
"""Middle of the time to the first byte in µs, and tokens a second, by model."""
SPEED: Final = (600_000.0, 120.0)
"""The same of any other model."""
