"""The namespaces of the API, in the order of the documentation. A new one adds its line here."""

from __future__ import annotations

from typing import Final

from flask_restx import Namespace

from gemgate.api import (
    advice,
    audit,
    budgets,
    costs,
    errors,
    events,
    exports,
    fallbacks,
    generate,
    health,
    keys,
    limits,
    live,
    models,
    payloads,
    performance,
    projects,
    quotas,
    reprice,
    routes,
    system,
    usage,
)

NAMESPACES: Final[tuple[Namespace, ...]] = (
    health.namespace,
    generate.namespace,
    live.namespace,  # calls: the list, one call, the feed
    usage.namespace,
    performance.namespace,
    costs.namespace,
    errors.namespace,
    fallbacks.namespace,
    models.namespace,
    routes.namespace,
    projects.namespace,
    quotas.namespace,
    limits.namespace,
    keys.namespace,
    budgets.namespace,
    reprice.namespace,  # prices: the book, dated ones of one's own, spans priced anew
    advice.namespace,
    exports.namespace,
    payloads.namespace,
    events.namespace,
    audit.namespace,
    system.namespace,
)
