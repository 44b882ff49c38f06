"""Plain questions and answers: what goes in, what comes out in one piece or in many, and errors of both sides."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemgate.core.errors import Refused
from gemgate.dialects.gemini import errors, plain
from gemgate.dialects.gemini.plain import Piece, Said


def test_a_question_is_in_googles_form() -> None:
    body = json.loads(plain.question([Said("user", "a"), Said("model", "b")], "be brief", {"seed": 1}))
    assert [(one["role"], one["parts"]) for one in body["contents"]] == [
        ("user", [{"text": "a"}]),
        ("model", [{"text": "b"}]),
    ]
    assert body["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert body["generationConfig"] == {"seed": 1}
    assert set(json.loads(plain.question([Said("user", "a")], "", {}))) == {"contents"}


@given(st.lists(st.tuples(st.text(), st.booleans()), max_size=6))
def test_pieces_join_to_the_whole(parts: list[tuple[str, bool]]) -> None:
    def body(some: list[tuple[str, bool]], finish: str) -> bytes:
        content = {"parts": [{"text": text, "thought": thought} for text, thought in some]}
        return json.dumps({"candidates": [{"content": content, "finishReason": finish}]}).encode()

    whole = Piece()
    for one in parts:
        whole = plain.joined(whole, plain.answer(body([one], "")))
    whole = plain.joined(whole, plain.answer(body([], "STOP")))
    assert whole == plain.answer(body(parts, "STOP"))
    assert whole.text == "".join(text for text, thought in parts if not thought)


def test_a_blocked_prompt_has_no_candidate() -> None:
    found = plain.answer(
        b'{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}'
    )
    assert (found.text, found.finish, found.block) == ("", "", "SAFETY")
    assert found.usage is not None
    assert found.usage.input == 4


def test_a_refusal_of_ours_is_read_as_it_was_meant() -> None:
    refused = Refused(429, "KEY_RATE", "No room.", hint="Wait.", retry_after=2.25)
    found = plain.fault(errors.render(errors.from_refused(refused), "01a2"))
    assert found == plain.Fault(
        status=429, code="KEY_RATE", message="No room.", hint="Wait.", call="01a2", retry_after=2.25
    )


def test_googles_own_error_keeps_its_word() -> None:
    found = plain.fault(b'{"error": {"code": 404, "message": "It is not there.", "status": "NOT_FOUND"}}')
    assert found == plain.Fault(status=404, code="NOT_FOUND", message="It is not there.")


@given(
    st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(lambda text: json.dumps({"error": text}).encode())
    )
)
def test_what_is_neither_breaks_nothing(body: bytes) -> None:
    assert plain.fault(body) is None
    with contextlib.suppress(ValueError):
        assert plain.answer(body).text == ""


def test_an_answer_must_be_an_object() -> None:
    with pytest.raises(ValueError, match="no answer"):
        plain.answer(b"[]")
