"""Where the runs are that a command line means."""

from __future__ import annotations

import os
from pathlib import Path

from scalable_core.cli.options import DEFAULT_MANIFEST


def runs_folder(manifest: str | None = None) -> Path:
    """Return where runs are kept: beside a manifest, else the one ``SCALABLE_MANIFEST`` names, or here."""
    manifest = manifest or os.environ.get("SCALABLE_MANIFEST") or DEFAULT_MANIFEST
    return Path(manifest).parent / ".scalable" / "runs"
