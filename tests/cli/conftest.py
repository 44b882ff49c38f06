"""Lets the tests of this folder import ``served`` (runs gemgate's commands) and ``sampled`` (calls to record)."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; what tests share is imported by name all the same.
for folder in ("app", "store"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
