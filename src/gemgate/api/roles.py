"""Who may use a route. Every route declares it; a route that does not is refused at start and by a test."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeVar

from flask import Flask

_MARK = "gemgate_role"

View = TypeVar("View", bound=Callable[..., object])


class Role(enum.StrEnum):
    """What a caller must be. Nobody logs in yet: the console answers on loopback to whoever is there."""

    ANYONE = "anyone"  # no secret in it: health, static files
    READER = "reader"  # reads the record
    ADMIN = "admin"  # changes something


class Undeclared(Exception):
    """Routes without a role."""


def role(needed: Role) -> Callable[[View], View]:
    """Declare who may use a view."""

    def mark(view: View) -> View:
        """Put the role on the view."""
        setattr(view, _MARK, needed)
        return view

    return mark


def role_of(view: object) -> Role | None:
    """The role that a view declares."""
    found = getattr(view, _MARK, None)
    return found if isinstance(found, Role) else None


def require_roles(app: Flask) -> None:
    """Raises Undeclared when a rule of the app leads to a view that declares no role."""
    bare = sorted(
        rule.rule for rule in app.url_map.iter_rules() if role_of(app.view_functions[rule.endpoint]) is None
    )
    if bare:
        raise Undeclared(f"routes without a role: {', '.join(bare)}")
