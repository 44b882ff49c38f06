"""A plain client that hides nothing: status, headers and bytes as they came."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

KEY = "AIzaSyTestTestTestTestTestTestTestTest1"


@dataclass
class Answer:
    """What came back; ``broken`` says that the body ended before its announced end."""

    status: int
    headers: dict[str, str]
    body: bytes
    broken: bool = False

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json()["error"]
        return found

    def events(self) -> list[dict[str, Any]]:
        """The data lines of a stream of events."""
        lines = self.body.decode().split("\r\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    def text(self) -> str:
        """The text of the first candidate."""
        parts = self.json()["candidates"][0]["content"]["parts"]
        return "".join(part.get("text", "") for part in parts)


def ask(
    url: str,
    path: str,
    body: Any = None,
    verb: str = "",
    headers: dict[str, str] | None = None,
    key: str = KEY,
) -> Answer:
    """One request; a body of bytes goes as it is, anything else as JSON."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = ({"x-goog-api-key": key} if key else {}) | {"content-type": "application/json"} | (headers or {})
    try:
        connection.request(verb or ("GET" if body is None else "POST"), path, data, sent)
        answer = connection.getresponse()
        broken = False
        try:
            whole = answer.read()
        except http.client.IncompleteRead as error:
            whole, broken = error.partial, True
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, whole, broken)
    finally:
        connection.close()


def prompt(text: str = "Tell me about rivers.", **more: Any) -> dict[str, Any]:
    """The body of a generating request."""
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def generate(url: str, body: dict[str, Any], model: str = "gemini-3.8-flash", simulate: str = "") -> Answer:
    """generateContent under v1beta."""
    return ask(url, f"/v1beta/models/{model}:generateContent", body, headers={"x-simulate": simulate})


def stream(url: str, body: dict[str, Any], model: str = "gemini-3.8-flash", simulate: str = "") -> Answer:
    """streamGenerateContent as events under v1beta."""
    path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
    return ask(url, path, body, headers={"x-simulate": simulate})
