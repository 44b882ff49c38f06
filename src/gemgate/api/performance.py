"""How quick answers are, over the API."""

from __future__ import annotations

from flask_restx import Namespace, Resource

from gemgate.api.asking import SpanQuery, answered
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.store.reports import performance
from gemgate.store.reports.performance import PerformanceAnswer

namespace = Namespace(
    "performance", description="Durations, first bytes, token rates and the gateway's overhead."
)


@namespace.route("")
class PerformanceOfSpan(Resource):
    """Quickness over a span."""

    @operation(namespace, role=Role.VIEWER, query=SpanQuery, answer=PerformanceAnswer, errors=(422,))
    def get(self, query: SpanQuery) -> PerformanceAnswer:
        """p50, p90, p95 and p99 of a span's answered calls.

        Of calls that ended `ok`: `duration`, `first_byte` and `overhead` in µs, `rate` in tokens per second (output
        and thinking, over the answering try's duration). Quantiles are right to `error` of themselves (0.8 %), over
        any span, since they come from histograms that merge.
        """
        return answered(query, performance.report)
