"""Lets the tests of this folder import ``served``, which runs `gemgate serve` as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest's importlib mode puts no test folder on the path; what tests share is imported by name all the same.
sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
