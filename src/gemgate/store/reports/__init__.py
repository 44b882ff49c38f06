"""What people ask of the record: single calls (``calls``) and numbers over spans of time (the other modules)."""

from gemgate.store.reports.calls import (
    AttemptRow,
    CallRow,
    ChargeRow,
    Filter,
    after,
    attempts,
    find,
    latest,
    newest,
)

__all__ = [
    "AttemptRow",
    "CallRow",
    "ChargeRow",
    "Filter",
    "after",
    "attempts",
    "find",
    "latest",
    "newest",
]
