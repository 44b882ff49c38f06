"""Findings on a user's own record: what could cost less, and what will stop working. One file for "
"each kind."""
