"""Every path that a client may ask for, with a key in each of the places where one is sent."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from gemgate.dialects.gemini import methods
from tests.gateway.keyed import token
from tests.gateway.launch import Gateway
from tests.proof import braked
from tests.proof.caller import Answer, Caller, run
from tests.sdk.inventory import STEPS

PLACES: Final = ("x-goog-api-key", "authorization", "query", "x-gemgate-key")
SOCKET: Final = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@dataclass(frozen=True)
class Path_:
    """One path to ask, with the method's id in Google's inventory, or ``openai`` for a door of ours."""

    method: str
    verb: str
    path: str
    body: bytes = b""

    def with_key(self, name: str, place: str) -> tuple[str, list[tuple[str, str]]]:
        """The path and the headers that carry the key of a name in one of the places."""
        if not name:
            return self.path, []
        secret = token(name)
        if place == "query":
            return f"{self.path}{'&' if '?' in self.path else '?'}key={secret}", []
        return self.path, [(place, f"Bearer {secret}" if place == "authorization" else secret)]


def google() -> Iterator[Path_]:
    """Every method under each version, with names of things that nobody has."""
    for version, step in product(methods.VERSIONS, STEPS):
        path = re.sub(r"\{\w+\}", "nothing", step.path.replace("{v}", version))
        body = b"" if step.body is None else json.dumps(step.body).encode()
        yield Path_(step.method, step.verb, path, body)
    yield Path_("unknown", "POST", "/v1beta/inventions", b"{}")
    yield Path_("unknown", "GET", "/v9/models")
    yield Path_("unknown", "GET", SOCKET)
    yield Path_("unknown", "DELETE", "/")


CHAT: Final = {"model": braked.MODEL, "messages": [{"role": "user", "content": "Hello."}]}


def openai() -> Iterator[Path_]:
    """Every door of OpenAI at both addresses, and what is not served there."""
    for root in ("/openai/v1", "/v1"):
        yield Path_("openai", "POST", f"{root}/chat/completions", json.dumps(CHAT).encode())
        yield Path_(
            "openai", "POST", f"{root}/chat/completions", json.dumps(CHAT | {"stream": True}).encode()
        )
        yield Path_(
            "openai", "POST", f"{root}/responses", b'{"model": "gemini-2.5-flash", "input": "Hello."}'
        )
        yield Path_("openai", "GET", f"{root}/responses/resp_x")
        yield Path_("openai", "DELETE", f"{root}/responses/resp_x")
        yield Path_("openai", "POST", f"{root}/responses/resp_x/cancel")
        yield Path_("openai", "GET", f"{root}/responses/resp_x/input_items")
        yield Path_(
            "openai", "POST", f"{root}/embeddings", b'{"model": "gemini-embedding-001", "input": "x"}'
        )
    yield Path_("openai", "GET", "/openai/v1/models")
    yield Path_("openai", "GET", f"/openai/v1/models/{braked.MODEL}")
    yield Path_("openai", "POST", "/openai/v1/images/generations", b"{}")


PATHS: Final = [one for one in (*google(), *openai()) if one.path != "/"]


def walk(gateway: Gateway, asked: Sequence[tuple[Path_, str, str]]) -> list[Answer]:
    """Ask each path with the key of a name in a place, some at a time."""

    async def work(caller: Caller) -> list[Answer]:
        some = asyncio.Semaphore(16)

        async def ask(one: Path_, name: str, place: str) -> Answer:
            async with some:
                path, headers = one.with_key(name, place)
                return await caller.ask(path, one.body, headers, one.verb)

        return list(await asyncio.gather(*(ask(*row) for row in asked)))

    return run(gateway.url, work)
