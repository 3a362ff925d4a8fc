"""Runs made by hand lie beside the tests' rooms."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
