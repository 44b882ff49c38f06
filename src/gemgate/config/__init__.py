"""Settings: one SETTINGS table, frozen values, and a loader that names all faults at once."""

from __future__ import annotations

from gemgate.config.faults import ConfigError, Fault
from gemgate.config.load import FILE_NAME, find, load
from gemgate.config.settings import (
    SETTINGS,
    AccessSettings,
    BrakesSettings,
    Console,
    Gateway,
    OpenAISettings,
    PricesSettings,
    Project,
    RecordSettings,
    Routing,
    Secret,
    Setting,
    Settings,
    Upstream,
    loopback,
)

__all__ = [
    "FILE_NAME",
    "SETTINGS",
    "AccessSettings",
    "BrakesSettings",
    "ConfigError",
    "Console",
    "Fault",
    "Gateway",
    "OpenAISettings",
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
