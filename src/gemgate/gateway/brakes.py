"""Interim: nothing brakes yet. BRAKES replaces this file."""

from __future__ import annotations

from typing import Any


class Brakes:
    """Nothing brakes."""

    def __init__(self, clock: Any, board: Any) -> None:
        self.clock = clock

    def reload(self, *given: Any) -> None:
        """Nothing."""

    def apply(self, ticket: Any) -> bool:
        """Nothing applies."""
        return False

    async def enter(self, ticket: Any, plan: Any, patience: float) -> None:
        """Everybody enters."""

    def more(self, ticket: Any, trial: Any) -> Any:
        """Nothing is held."""
        return ()

    def settle(self, ticket: Any, attempts: Any) -> Any:
        """Nothing is charged."""
        return ()
