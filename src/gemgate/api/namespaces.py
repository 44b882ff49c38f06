"""The namespaces of the API, in the order of the documentation. A new one adds its line here."""

from __future__ import annotations

from typing import Final

from flask_restx import Namespace

from gemgate.api import advice, budgets, health, keys, live, models, prices, projects, quotas, routes, system

NAMESPACES: Final[tuple[Namespace, ...]] = (
    health.namespace,
    live.namespace,  # calls: the list, one call, the feed
    models.namespace,
    routes.namespace,
    projects.namespace,
    quotas.namespace,
    keys.namespace,
    budgets.namespace,
    prices.namespace,
    advice.namespace,
    system.namespace,
)
