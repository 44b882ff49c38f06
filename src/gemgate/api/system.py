"""What gemgate is made of and how large the record is."""

from __future__ import annotations

import platform
import sqlite3

import msgspec
from flask_restx import Namespace, Resource

from gemgate import __version__
from gemgate.api import context
from gemgate.api.operation import operation
from gemgate.api.roles import Role

namespace = Namespace("system", description="Versions, sizes, rows and jobs.")


class Versions(msgspec.Struct, kw_only=True):
    """What runs."""

    gemgate: str
    python: str
    sqlite: str


class System(msgspec.Struct, kw_only=True):
    """What gemgate is made of and how large the record is."""

    versions: Versions
    as_of: int


@namespace.route("")
class TheSystem(Resource):
    """The installation."""

    @operation(namespace, role=Role.VIEWER, answer=System)
    def get(self) -> System:
        """Versions, sizes, rows and jobs."""
        versions = Versions(
            gemgate=__version__, python=platform.python_version(), sqlite=sqlite3.sqlite_version
        )
        return System(versions=versions, as_of=context.now())
