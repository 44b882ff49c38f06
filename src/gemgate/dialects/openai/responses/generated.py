"""An answer of generateContent, whole or streamed, as a Response that nobody keeps."""

from __future__ import annotations

from typing import cast

from gemgate.dialects.gemini import usage
from gemgate.dialects.openai import answered
from gemgate.dialects.openai.responses import form
from gemgate.dialects.openai.responses.answer import Answer
from gemgate.dialects.openai.responses.form import Ending, Form
from gemgate.dialects.openai.responses.output import Json, Output
from gemgate.dialects.openai.responses.request import Asked


class Generated(Answer):
    """The rendering. Of several candidates the first is the answer."""

    def __init__(self, asked: Asked, call_id: bytes, model: str, created: int) -> None:
        name = f"{form.NAME}{form.UNSTORED}{call_id.hex()}"
        super().__init__(Form(name, model, created, asked), -1 if asked.body.stream else None)
        self._call_id = call_id
        self._asked = asked
        self._candidate = answered.Candidate()
        self._blocked = ""

    def take(self, data: bytes) -> None:
        """Read one chunk. Raises ``Refused`` (502)."""
        seen = answered.decode(data)
        self.form.model = seen.model_version or self.form.model
        self.form.tier = seen.tier or self.form.tier
        output = self.begin(self._call_id, encrypted=self._asked.encrypted, lasting=False)
        if seen.usage_metadata is not None:
            self.usage = usage.from_metadata(seen.usage_metadata)
        if seen.prompt_feedback is not None and seen.prompt_feedback.block_reason:
            self._blocked = answered.blocked(seen.prompt_feedback)
        for candidate in seen.candidates:
            if candidate.index == 0:
                self._spoken(candidate, output)

    def take_whole(self, body: bytes) -> None:
        """Read the whole answer: it has the form of a chunk. Raises ``Refused`` (502)."""
        self.take(body)

    def ending(self, output: Output) -> Ending:
        """By the finish reason; where content was withheld and nothing said, a refusal is."""
        if self._blocked:
            output.refuse(self._blocked)
            return form.FILTERED
        found = form.ended(self._candidate.finish_reason, self._candidate.finish_message)
        if found == form.FILTERED and not any(item["type"] == "message" for item in output.items):
            output.refuse(answered.refusal(self._candidate))
        return found

    def _spoken(self, candidate: answered.Candidate, output: Output) -> None:
        if candidate.finish_reason:
            self._candidate = candidate
        rows: list[Json] | None = None
        if candidate.logprobs_result is not None and self._asked.logprobs:
            rows = cast(list[Json], answered.logprobs(candidate.logprobs_result)["content"])
        for part in candidate.content.parts if candidate.content is not None else ():
            if part.function_call is not None:
                output.call(part.function_call.name, part.function_call.id, part.thought_signature)
                output.argue(part.function_call.arguments)
                output.close_call()
            elif part.inline_data is not None:
                output.draw(part.inline_data.data)
            elif part.thought:
                output.think(part.text)
            else:
                # The signature of a text may come alone, on an empty last part.
                output.say(part.text, rows)
                output.sign(part.thought_signature)
                rows = None if part.text else rows
