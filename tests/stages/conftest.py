"""The scripted teacher lives with the tests of `teaching`, the small run with those of `training`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "teaching"))
sys.path.insert(0, str(Path(__file__).parent.parent / "training"))
