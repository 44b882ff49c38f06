"""What rows must say of the requests that made them."""

from __future__ import annotations

from typing import Any

from tests.sdk.sides import Told

# Refusals that are no fault of the request: the quota, the model, the key.
FAILED = {401, 402, 429, 499, 500, 503, 504}


def recorded_as_asked(told: Told) -> None:
    """Each request of the SDK has one row, under its method's name, with what went over the wire."""
    rows, asked = told.rows, told.asked
    assert [(row["method"], row["status"]) for row in rows] == [
        (line["method"], line["status"]) for line in asked
    ]
    assert [row["request_bytes"] for row in rows] == [line["body_size"] for line in asked]
    assert [row["version"] for row in rows] == [version_of(line["path"]) for line in asked]
    assert [row["client"] for row in rows] == [line["user_agent"].split(" ")[0] for line in asked]
    assert {row["attempts"] for row in rows} == {1}
    for row, line in zip(rows, asked, strict=True):
        assert row["outcome"] == outcome_of(line), row
        assert row["project"] == "default"
        assert row["first_byte_ms"] <= row["duration_ms"]
    by_id = {row["call_id"]: row for row in rows}
    for spoken in told.wire:
        assert by_id[spoken.call_id]["status"] == spoken.status
        if spoken.whole:
            assert by_id[spoken.call_id]["response_bytes"] == len(spoken.body)


def outcome_of(line: dict[str, Any]) -> str:
    """The outcome that a request's answer must have in the record."""
    if line["status"] < 400:
        return "cut" if "end-after" in line.get("x_simulate", "") else "ok"
    return "failed" if line["status"] in FAILED or "key" in line.get("x_simulate", "") else "refused"


def version_of(path: str) -> str:
    """The version that a path names, behind ``/upload`` or ``/download`` too."""
    return next(part for part in path.split("/") if part.startswith("v1"))
