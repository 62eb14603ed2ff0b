"""The fixtures of the examples' tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from workbench import *  # noqa: F403
