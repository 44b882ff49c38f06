"""Settings: one SETTINGS table, frozen values, and a loader that names all faults at once."""

from __future__ import annotations

from gemgate.config.faults import ConfigError, Fault
from gemgate.config.load import FILE_NAME, find, load, loopback
from gemgate.config.settings import (
    SETTINGS,
    Console,
    Gateway,
    PricesSettings,
    Project,
    RecordSettings,
    Routing,
    Secret,
    Setting,
    Settings,
    Upstream,
)

__all__ = [
    "FILE_NAME",
    "SETTINGS",
    "ConfigError",
    "Console",
    "Fault",
    "Gateway",
    "PricesSettings",
    "Project",
    "RecordSettings",
    "Routing",
    "Secret",
    "Setting",
    "Settings",
    "Upstream",
    "find",
    "load",
    "loopback",
]
