"""Shared by all tests."""

from __future__ import annotations

from hypothesis import settings

# Speed belongs in bench/: a slow machine is no failure.
settings.register_profile("plain", deadline=None)
settings.load_profile("plain")
