"""Bytes and JSON to core and back, incrementally. Pure: no I/O, no clock, no chance."""
