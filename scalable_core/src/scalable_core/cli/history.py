"""Where the runs are that a command line means."""

from __future__ import annotations

import os
from pathlib import Path

from scalable_core.cli.options import DEFAULT_MANIFEST


def runs_folder() -> Path:
    """Return where runs are kept: beside the manifest that ``SCALABLE_MANIFEST`` names, or here."""
    manifest = os.environ.get("SCALABLE_MANIFEST") or DEFAULT_MANIFEST
    return Path(manifest).parent / ".scalable" / "runs"
