"""Who calls: the paths, headers and bodies of Google's SDK and of OpenAI's, for one question of the same words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

MODEL = "gemini-3.8-flash"
TEXT = "A question of a plausible length, put again and again. " * 16
TEMPERATURE = 0.2


@dataclass(frozen=True, slots=True)
class Client:
    """How one SDK puts the question, as a unary call and as a stream.

    ``headers`` lack the content type and length, which the load generator sends itself. ``dialect`` is "google" or
    "openai": in whose words answers are judged.
    """

    dialect: str
    unary: str
    stream: str
    headers: Mapping[str, str]
    unary_body: bytes
    stream_body: bytes

    def with_key(self, secret: str) -> Client:
        """The same client with this key, in the place where its SDK sends one."""
        place, form = ("authorization", "Bearer {}") if self.dialect == "openai" else ("x-goog-api-key", "{}")
        return replace(self, headers={**self.headers, place: form.format(secret)})


def _google() -> Client:
    content = {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}
    body = json.dumps({**content, "generationConfig": {"temperature": TEMPERATURE}}).encode()
    headers = {
        "x-goog-api-client": "google-genai-sdk/3.4.0 gl-python/3.11.2",
        "user-agent": "google-genai-sdk/3.4.0 gl-python/3.11.2",
        "accept": "*/*",
    }
    path = f"/v1beta/models/{MODEL}"
    return Client(
        "google", f"{path}:generateContent", f"{path}:streamGenerateContent?alt=sse", headers, body, body
    ).with_key("bench-client")


def _openai() -> Client:
    asked = {
        "model": MODEL,
        "messages": [{"role": "user", "content": TEXT}],
        "temperature": TEMPERATURE,
    }
    # Google's streams tell usage unasked, so this one asks: both answers say the same.
    streamed = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    # What openai 3.54.0 of Python sends with each call.
    headers = {
        "accept": "application/json",
        "user-agent": "OpenAI/Python 3.54.0",
        "x-stainless-lang": "python",
        "x-stainless-package-version": "3.54.0",
        "x-stainless-os": "Linux",
        "x-stainless-arch": "x64",
        "x-stainless-runtime": "CPython",
        "x-stainless-runtime-version": "3.11.7",
        "x-stainless-async": "false",
        "x-stainless-retry-count": "0",
        "x-stainless-read-timeout": "600",
    }
    path = "/openai/v1/chat/completions"
    bodies = json.dumps(asked).encode(), json.dumps(streamed).encode()
    return Client("openai", path, path, headers, *bodies).with_key("bench-client")


GOOGLE = _google()
OPENAI = _openai()
