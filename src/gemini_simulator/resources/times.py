"""Protobuf's Timestamp and Duration in JSON, to and from seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from gemini_simulator.http import ApiError
from gemini_simulator.world import World

_DURATION = re.compile(r"(\d+(?:\.\d{1,9})?)s")


def timestamp(moment: float) -> str:
    """Unix seconds as RFC 3339 with microseconds."""
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def whole_seconds(moment: float) -> str:
    """Unix seconds as RFC 3339 without a fraction: the form of the interactions family."""
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(value: Any, field: str) -> float:
    """RFC 3339 as unix seconds. Raises ApiError 400 as Google's JSON parser does."""
    refusal = ApiError(
        400, f"Invalid value at '{field}' (type.googleapis.com/google.protobuf.Timestamp), {value!r}"
    )
    if not isinstance(value, str):
        raise refusal
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
    except ValueError:
        raise refusal from None
    if moment.tzinfo is None:
        raise refusal
    return moment.timestamp()


def parse_duration(value: Any, field: str) -> float:
    """``"60s"`` or ``"1.5s"`` as seconds. Raises ApiError 400 as Google's JSON parser does."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ApiError(
            400, f"Invalid value at '{field}' (type.googleapis.com/google.protobuf.Duration), {value!r}"
        )
    return float(found[1])


def work_time(world: World, seconds: float) -> float:
    """How long background work takes here, in simulated seconds: none on an instant clock."""
    return 0.0 if world.clock.timeless else seconds
