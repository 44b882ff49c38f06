"""What gemgate itself refuses, and how it says so.

``Refused`` is the only exception that crosses rooms on purpose; each dialect renders it once.
"""

from __future__ import annotations

# HTTP status -> google.rpc.Code name, as Google's own table of API errors pairs them.
RPC_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    411: "INVALID_ARGUMENT",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    421: "PERMISSION_DENIED",
    426: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refused(Exception):
    """A call that gemgate ends itself.

    ``status`` is the HTTP status, ``code`` our stable upper-case reason (shown as ErrorInfo.reason of domain
    ``gemgate``), ``message`` a sentence for people, ``hint`` what to do about it, ``retry_after`` seconds or 0.
    ``retryable`` says whether the same call may succeed later without a change; left out, the status says it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str = "",
        retry_after: float = 0.0,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.retryable = status in (408, 429, 500, 502, 503, 504) if retryable is None else retryable

    @property
    def rpc(self) -> str:
        """The google.rpc.Code name that goes with the status."""
        return RPC_STATUS.get(self.status, "UNKNOWN")


def place_of(error: BaseException) -> str:
    """Where a fault was raised, as ``module:line``: what a log may say of it, for its text may carry what a caller
    sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
