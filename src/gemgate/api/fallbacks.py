"""How calls found another way, over the API."""

from __future__ import annotations

from flask_restx import Namespace, Resource

from gemgate.api.asking import SpanQuery, answered
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.store.reports import fallbacks
from gemgate.store.reports.fallbacks import FallbackAnswer

namespace = Namespace(
    "fallbacks", description="Repeats, switches, rescues and races of calls, and from where to where."
)


@namespace.route("")
class FallbacksOfSpan(Resource):
    """Other ways of a span."""

    @operation(namespace, role=Role.VIEWER, query=SpanQuery, answer=FallbackAnswer, errors=(422,))
    def get(self, query: SpanQuery) -> FallbackAnswer:
        """How the calls of a span found another way.

        `retried` calls had two tries or more, `switched` ended at another target than they began with, `rescued` were
        answered though a try before had failed, `hedged` raced two tries. `flows` are the tries that did not answer,
        with the target that their calls tried next (empty: none); they follow filters by model and project alone.
        """
        return answered(query, fallbacks.report)
