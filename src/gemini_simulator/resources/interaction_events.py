"""From GenerateContentResponse chunks to the steps and events of an interaction. Pure and incremental."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

Event = dict[str, Any]
FINISHED = {
    "STOP": "completed",
    "MAX_TOKENS": "incomplete",
    "CONTINUATION": "requires_continuation",
}
TOTALS = {
    "total_input_tokens": "promptTokenCount",
    "total_output_tokens": "candidatesTokenCount",
    "total_thought_tokens": "thoughtsTokenCount",
    "total_cached_tokens": "cachedContentTokenCount",
    "total_tool_use_tokens": "toolUsePromptTokenCount",
    "total_tokens": "totalTokenCount",
}
BY_MODALITY = {
    "input_tokens_by_modality": "promptTokensDetails",
    "output_tokens_by_modality": "candidatesTokensDetails",
    "cached_tokens_by_modality": "cacheTokensDetails",
    "tool_use_tokens_by_modality": "toolUsePromptTokensDetails",
}


def usage_of(metadata: dict[str, Any], searches: int = 0) -> dict[str, Any]:
    """usageMetadata in the shape of interactions; ``searches`` are the grounding queries of the answer."""
    usage: dict[str, Any] = {ours: metadata.get(theirs, 0) for ours, theirs in TOTALS.items()}
    for ours, theirs in BY_MODALITY.items():
        if metadata.get(theirs):
            usage[ours] = [
                {"modality": item["modality"].lower(), "tokens": item["tokenCount"]}
                for item in metadata[theirs]
            ]
    if searches:
        usage["grounding_tool_count"] = [{"type": "google_search", "count": searches}]
    return usage


class Narrator:
    """Tells an answer as events. Feed it chunks, then ``close`` it; ``steps`` is the answer so far."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.usage: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []
        self.model_version = ""
        self.continuation = ""
        self.blocked = ""
        self._open = ""
        self._finish = ""
        self._calls = 0
        self._queries: list[str] = []
        self._metadata: dict[str, Any] = {}

    def feed(self, chunk: dict[str, Any]) -> list[Event]:
        """The events that one chunk brings."""
        events: list[Event] = []
        self.model_version = chunk.get("modelVersion", self.model_version)
        self._metadata = chunk.get("usageMetadata", self._metadata)
        self.blocked = chunk.get("promptFeedback", {}).get("blockReason", self.blocked)
        for candidate in chunk.get("candidates", [])[:1]:
            self._queries += candidate.get("groundingMetadata", {}).get("webSearchQueries", [])
            for part in candidate.get("content", {}).get("parts", []):
                self.parts.append(part)
                events += self._part(part)
            self._finish = candidate.get("finishReason", self._finish)
            self.continuation = candidate.get("continuationToken", self.continuation)
        self.usage = usage_of(self._metadata, len(self._queries))
        return events

    def close(self) -> list[Event]:
        """The events that end the last step, and report what Google's search did."""
        events = self._stop()
        if self._queries:
            call = {
                "type": "google_search_call",
                "id": f"search_{len(self.steps)}",
                "arguments": {"queries": self._queries},
            }
            events += self._whole(call)
            events += self._whole(
                {
                    "type": "google_search_result",
                    "call_id": call["id"],
                    "result": [{"search_suggestions": ""}],
                }
            )
        return events

    @property
    def status(self) -> str:
        """How the interaction stands once every chunk was fed."""
        if self.blocked or not self._finish:
            return "failed" if self.blocked else "incomplete"
        if self._finish == "STOP" and self._calls:
            return "requires_action"
        return FINISHED.get(self._finish, "incomplete")

    def _part(self, part: dict[str, Any]) -> Iterable[Event]:
        events: list[Event] = []
        signature = part.get("thoughtSignature", "")
        if "functionCall" in part:
            events += self._sign(signature)
            return events + self._call(part["functionCall"])
        if "executableCode" in part or "codeExecutionResult" in part:
            return self._code(part)
        if part.get("thought"):
            events += self._ensure("thought")
            summary = {"type": "text", "text": part.get("text", "")}
            self.steps[-1].setdefault("summary", []).append(summary)
            events.append(self._delta({"type": "thought_summary", "content": summary}))
        elif part.get("text"):
            events += self._ensure("model_output")
            self._add_text(part["text"])
            events.append(self._delta({"type": "text", "text": part["text"]}))
        elif "inlineData" in part:
            events += self._ensure("model_output")
            media = {
                "type": part["inlineData"]["mimeType"].split("/")[0],
                "data": part["inlineData"]["data"],
                "mime_type": part["inlineData"]["mimeType"],
            }
            self.steps[-1].setdefault("content", []).append(media)
            events.append(self._delta(media))
        return events + self._sign(signature)

    def _add_text(self, text: str) -> None:
        contents = self.steps[-1].setdefault("content", [])
        if contents and contents[-1]["type"] == "text":
            contents[-1]["text"] += text
        else:
            contents.append({"type": "text", "text": text})

    def _call(self, call: dict[str, Any]) -> list[Event]:
        self._calls += 1
        events = self._stop()
        step = {
            "type": "function_call",
            "id": call.get("id") or f"call_{len(self.steps)}",
            "name": call["name"],
            "arguments": call.get("args", {}),
        }
        events += self._start(step, {**step, "arguments": {}})
        arguments = msgspec.json.encode(step["arguments"]).decode()
        events.append(self._delta({"type": "arguments_delta", "arguments": arguments}))
        return events + self._stop()

    def _code(self, part: dict[str, Any]) -> list[Event]:
        if "executableCode" in part:
            code = part["executableCode"]
            arguments = {"code": code.get("code", ""), "language": code.get("language", "python").lower()}
            return self._whole(
                {"type": "code_execution_call", "id": f"code_{len(self.steps)}", "arguments": arguments}
            )
        result = part["codeExecutionResult"]
        return self._whole(
            {
                "type": "code_execution_result",
                "call_id": f"code_{len(self.steps) - 1}",
                "result": result.get("output", ""),
                "is_error": result.get("outcome") != "OUTCOME_OK",
            }
        )

    def _sign(self, signature: str) -> list[Event]:
        """A signature travels in a thought step of its own, or in the one that is open."""
        if not signature:
            return []
        events = self._ensure("thought")
        self.steps[-1]["signature"] = signature
        events.append(self._delta({"type": "thought_signature", "signature": signature}))
        return events + self._stop()

    def _whole(self, step: dict[str, Any]) -> list[Event]:
        return [*self._stop(), *self._start(step, step), *self._stop()]

    def _ensure(self, kind: str) -> list[Event]:
        return [] if self._open == kind else self._stop() + self._start({"type": kind}, {"type": kind})

    def _start(self, step: dict[str, Any], shown: dict[str, Any]) -> list[Event]:
        self.steps.append(step)
        self._open = step["type"]
        return [{"event_type": "step.start", "index": len(self.steps) - 1, "step": dict(shown)}]

    def _delta(self, delta: dict[str, Any]) -> Event:
        return {"event_type": "step.delta", "index": len(self.steps) - 1, "delta": delta}

    def _stop(self) -> list[Event]:
        if not self._open:
            return []
        self._open = ""
        return [{"event_type": "step.stop", "index": len(self.steps) - 1}]
