"""Nouns and rules. Pure: no I/O, no clock, no chance; all of these come in as arguments."""
