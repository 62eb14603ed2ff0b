"""The artifacts stage: the form in which a value is kept, and the name under which it may be."""

from __future__ import annotations

from scalable_core.artifacts.form import artifact_uri, to_artifact_bytes

__all__ = ["artifact_uri", "to_artifact_bytes"]
