"""Lets the tests of this folder import ``consoles`` (starts the console as a process) by name."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; what tests share is imported by name all the same.
for folder in ("api", "app", "store"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
