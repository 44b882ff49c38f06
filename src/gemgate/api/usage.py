"""How much is used, over the API."""

from __future__ import annotations

from flask_restx import Namespace, Resource

from gemgate.api.asking import SpanQuery, answered
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.store.reports import usage
from gemgate.store.reports.usage import UsageAnswer

namespace = Namespace("usage", description="Calls, tries, tokens and concurrency over any span of time.")


@namespace.route("")
class UsageOfSpan(Resource):
    """Use over a span."""

    @operation(namespace, role=Role.VIEWER, query=SpanQuery, answer=UsageAnswer, errors=(422,))
    def get(self, query: SpanQuery) -> UsageAnswer:
        """Calls, tries, tokens, money and concurrency of a span.

        Every call that came in `[from, to)` counts once, also those of the running minute. Calls count at their
        final target, tries with their tokens and money at their own. Groups sum to the total, except over tags,
        which overlap. Times are UTC µs, with ISO 8601 in the zone beside them; money is nano-dollars.
        """
        return answered(query, usage.report)
