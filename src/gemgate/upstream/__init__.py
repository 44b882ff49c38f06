"""Async HTTP to Google."""
