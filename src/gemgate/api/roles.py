"""Who may use a route. Every route declares it; a route that does not is refused at start and by a test."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final, TypeVar

from flask import Flask

_MARK = "gemgate_role"
_METHODS: Final = ("get", "post", "put", "patch", "delete")

View = TypeVar("View", bound=Callable[..., object])


class Role(enum.StrEnum):
    """What a caller must be. Each may what those before it may."""

    ANYONE = "anyone"  # no secret in it: health, documentation
    VIEWER = "viewer"  # reads the record
    OPERATOR = "operator"  # asks models, makes exports, pauses projects
    ADMIN = "admin"  # changes who may do what, and what it costs

    def may(self, needed: Role) -> bool:
        """Whether who is this may do what needs that."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


ANYONE: Final = Role.ANYONE
VIEWER: Final = Role.VIEWER
OPERATOR: Final = Role.OPERATOR
ADMIN: Final = Role.ADMIN


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


def roles_of(view: object) -> dict[str, Role | None]:
    """The role by method of a view function, upper case; a view that is no resource has one for all, as ``*``."""
    resource = getattr(view, "view_class", None)
    if resource is None:
        return {"*": role_of(view)}
    return {
        method.upper(): role_of(getattr(resource, method)) for method in _METHODS if hasattr(resource, method)
    }


def require_roles(app: Flask) -> None:
    """Raises Undeclared when a rule of the app leads to a view that declares no role."""
    bare = sorted(
        f"{rule.rule} ({method})" if method != "*" else rule.rule
        for rule in app.url_map.iter_rules()
        for method, needed in roles_of(app.view_functions[rule.endpoint]).items()
        if needed is None
    )
    if bare:
        raise Undeclared(f"routes without a role: {', '.join(bare)}")
