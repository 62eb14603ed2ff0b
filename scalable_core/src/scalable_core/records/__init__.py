"""The records stage: what happened, on disk, one folder for each run."""

from __future__ import annotations

from scalable_core.records.folder import RunFolder, read_run
from scalable_core.records.run_id import new_run_id

__all__ = ["RunFolder", "new_run_id", "read_run"]
