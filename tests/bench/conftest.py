"""The benchmark's modules stand beside its entry point, outside of the package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))
