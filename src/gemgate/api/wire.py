"""What waitress itself refuses, before there is a request to answer: as problem details too."""

from __future__ import annotations

import re
from typing import Any, cast
from uuid import uuid4

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from gemgate.api.problems import ID_HEADER, MEDIA, Problem, body_of

_DETAIL = {
    400: "The request cannot be read.",
    413: "The body is larger than the console takes.",
    431: "The head of the request is larger than the console takes.",
    501: "This transfer coding is not known here.",
}


class Refusal(ErrorTask):
    """Answers a request that waitress could not read, or that an application's fault left without an answer."""

    def execute(self) -> None:
        """Write the answer, and end the connection: nobody knows where the next request begins."""
        error = cast(Any, self.request).error
        status, code = error.code, re.sub(r"\W+", "_", error.reason).upper()
        asked = uuid4().hex
        detail = _DETAIL.get(status, "The console failed at this request; its log says where.")
        body = body_of(Problem(status, code, detail), asked)
        self.status = f"{status} {error.reason}"
        self.response_headers = [
            ("Content-Type", MEDIA),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            (ID_HEADER, asked),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):
    """Waitress's connection, with our refusals."""

    error_task_class = Refusal
