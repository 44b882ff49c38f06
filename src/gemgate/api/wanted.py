"""Which calls are asked for: the filters that the list and the live feed share; and the form of calls that go out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gemgate.api.named import wrong
from gemgate.insight.spans import iso
from gemgate.store.reports.calls import CallRow
from gemgate.store.reports.listing_terms import AMOUNTS, NAMES, Range, Wanted

_MOST: Final = 2**63 - 1
_DIGITS: Final = re.compile(r"[0-9A-Fa-f-]{1,36}")
Ending = Literal["ok", "refused", "failed", "cut", "cancelled", "interrupted"]
"""The words of ``core.call.Outcome``."""
_Text = Annotated[str, Meta(max_length=200)]
_Whole = Annotated[int, Meta(ge=0, le=_MOST)]
_Status = Annotated[str, Meta(pattern=r"^[1-9](xx|[0-9][0-9])$(?!\n)", examples=["429", "4xx"])]


def _names(what: str) -> Any:
    return Meta(
        max_length=20, description=f"{what} Given more than once: any of them. Empty: calls without one."
    )


def _least(what: str) -> Any:
    return Meta(description=f"At least so much: {what}.")


def _most(what: str) -> Any:
    return Meta(description=f"At most so much: {what}.")


class Filters(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which calls. Everything given must hold."""

    model_asked: Annotated[list[_Text], _names("The model that the client named.")] = []
    model_served: Annotated[list[_Text], _names("The version that answered, as Google names it.")] = []
    model: Annotated[
        list[_Text], _names("The model of the target that answered, else of the last one tried.")
    ] = []
    route: Annotated[list[_Text], _names("The route that planned it.")] = []
    key: Annotated[list[_Text], _names("The virtual key's name.")] = []
    tag: Annotated[list[_Text], _names("A tag that it has.")] = []
    user: Annotated[list[_Text], _names("The user of the caller's on whose behalf it was made.")] = []
    project: Annotated[list[_Text], _names("The project that answered, else the last one tried.")] = []
    method: Annotated[list[_Text], _names("The method, such as models.generateContent.")] = []
    client: Annotated[list[_Text], _names("The client program.")] = []
    door: Annotated[list[_Text], _names("What of OpenAI's was asked for, such as chat.")] = []
    finish: Annotated[list[_Text], _names("The finish reason, such as MAX_TOKENS.")] = []
    outcome: Annotated[
        list[Ending],
        Meta(
            max_length=20,
            description="How it ended, as its client saw it. Given more than once: any of them.",
        ),
    ] = []
    reason: Annotated[
        list[_Text], _names("Why it did not end well, such as overloaded or budget_spent.")
    ] = []
    status: Annotated[
        list[_Status],
        Meta(max_length=20, description="The HTTP status, or all of a hundred: 429, 4xx.", examples=["4xx"]),
    ] = []
    min_input: Annotated[_Whole | None, _least("input tokens, cached ones among them")] = None
    max_input: Annotated[_Whole | None, _most("input tokens")] = None
    min_output: Annotated[_Whole | None, _least("output tokens, thoughts among them")] = None
    max_output: Annotated[_Whole | None, _most("output tokens, thoughts among them")] = None
    min_tokens: Annotated[_Whole | None, _least("tokens of all kinds")] = None
    max_tokens: Annotated[_Whole | None, _most("tokens of all kinds")] = None
    min_billed: Annotated[_Whole | None, _least("nano-dollars billed")] = None
    max_billed: Annotated[_Whole | None, _most("nano-dollars billed")] = None
    min_list: Annotated[_Whole | None, _least("nano-dollars at list price")] = None
    max_list: Annotated[_Whole | None, _most("nano-dollars at list price")] = None
    min_duration: Annotated[_Whole | None, _least("µs from its coming to its last byte")] = None
    max_duration: Annotated[_Whole | None, _most("µs from its coming to its last byte")] = None
    min_first_byte: Annotated[_Whole | None, _least("µs from its coming to the first byte")] = None
    max_first_byte: Annotated[_Whole | None, _most("µs from its coming to the first byte")] = None
    text: Annotated[
        str,
        Meta(
            max_length=200,
            description="The beginning of a call's id (hexadecimal digits), or else the whole id of an answer as "
            "Google gave it (responseId); for the latter give a short span too.",
        ),
    ] = ""
    unpriced: Annotated[bool | None, Meta(description="Whether a part of it has no known price.")] = None
    estimated: Annotated[bool | None, Meta(description="Whether tokens of it are estimated.")] = None
    switched: Annotated[
        bool | None, Meta(description="Whether another target answered than was tried first.")
    ] = None


class CallItem(CallRow, frozen=True, kw_only=True):
    """One call. Names stand as text, empty for none; ``*_nano`` are nano-dollars, null is unpriced; ``received_at``
    is UTC µs and ``time`` the same in ISO 8601; ``first_byte``, ``duration``, ``waited`` are µs; ``seq`` grows in
    the order in which calls were recorded; ``answered`` is the number of the try that answered, 0 the last one."""

    time: str


def item(row: CallRow) -> CallItem:
    """A call as it goes out."""
    return CallItem(**_fields(row), time=iso(row.received_at, "UTC"))


def _fields(row: CallRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in CallRow.__struct_fields__}


def wanted(query: Filters, start: int | None = None, until: int | None = None) -> Wanted:
    """What a query asks for, within ``[start, until)`` (UTC µs). Raises Problem 400 that names the field."""
    names = {name: tuple(getattr(query, name)) for name in (*NAMES, "model", "tag") if getattr(query, name)}
    if "tag" in names:
        names["tag"] = tuple(" ".join(tag.lower().split()) for tag in names["tag"])
    ranges = []
    for of in AMOUNTS:
        low, high = getattr(query, f"min_{of}"), getattr(query, f"max_{of}")
        if low is not None and high is not None and low > high:
            said = {f"min_{of}": f"It is more than max_{of}."}
            raise wrong(said, "BAD_QUERY")
        if low is not None or high is not None:
            ranges.append(Range(of, low, high))
    digits = query.text.replace("-", "").lower() if _DIGITS.fullmatch(query.text.strip()) else ""
    is_call = 0 < len(digits) <= 32
    return Wanted(
        start=start,
        until=until,
        names=names,
        status=_statuses(query.status),
        ranges=tuple(ranges),
        call=digits.strip() if is_call else "",
        response="" if is_call else query.text.strip(),
        unpriced=query.unpriced,
        estimated=query.estimated,
        switched=query.switched,
    )


def _statuses(given: Sequence[str]) -> tuple[tuple[int, int], ...]:
    found = []
    for text in given:
        low = int(text.replace("x", "0"))
        found.append((low, low + 99 if text.endswith("xx") else low))
    return tuple(found)
