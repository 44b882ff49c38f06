"""What calls cost, over the API."""

from __future__ import annotations

from flask_restx import Namespace, Resource

from gemgate.api.asking import SpanQuery, answered
from gemgate.api.operation import operation
from gemgate.api.roles import Role
from gemgate.store.reports import costs
from gemgate.store.reports.costs import CostAnswer

namespace = Namespace("costs", description="Money: by kind, proven and estimated, saved and burnt.")


@namespace.route("")
class CostsOfSpan(Resource):
    """Money of a span."""

    @operation(namespace, role=Role.VIEWER, query=SpanQuery, answer=CostAnswer, errors=(422,))
    def get(self, query: SpanQuery) -> CostAnswer:
        """What a span cost, in nano-dollars.

        `list_nano` is the list price, `billed_nano` what Google charges (0 on a free tier): `proven_nano` of it from
        Google's counts, `estimated_billed_nano` where an answer was not seen whole. Tries without a known price are
        in none of these: `unpriced` counts them. Money counts at the target of each try, calls at their final one.
        """
        return answered(query, costs.report)
