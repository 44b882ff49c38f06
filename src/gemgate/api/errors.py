"""What went wrong, over the API."""

from __future__ import annotations

from flask_restx import Namespace, Resource

from gemgate.api.asking import SpanQuery, answered
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.store.reports import errors
from gemgate.store.reports.errors import ErrorAnswer

namespace = Namespace("errors", description="Calls that did not end well, and tries that failed.")


@namespace.route("")
class ErrorsOfSpan(Resource):
    """Errors of a span."""

    @operation(namespace, role=Role.VIEWER, query=SpanQuery, answer=ErrorAnswer, errors=(422,))
    def get(self, query: SpanQuery) -> ErrorAnswer:
        """What went wrong in a span, and what to do about it.

        `kinds` are the reasons with which calls ended, `tries` how tries failed at each target, also those of calls
        that another target then answered. `meaning` is what gemgate does about it, `remedy` what people can do. A
        call whose client left is `cancelled`, and no error. `tries` follow filters by model and project alone.
        """
        return answered(query, errors.report)
