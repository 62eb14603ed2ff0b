"""The artifacts stage: what a run leaves behind, its names, its forms, its ways to a place and back.

What a worker needs is imported here, and takes the standard library only: `transfer`, `fallback` and `index`
need attrs and plugins, which an image need not have.
"""

from __future__ import annotations

from scalable_core.artifacts.form import files_of, kept_form
from scalable_core.artifacts.names import INDEX, artifact_uri, check_name, plain_place
from scalable_core.artifacts.task import store_artifact

__all__ = [
    "INDEX",
    "artifact_uri",
    "check_name",
    "files_of",
    "kept_form",
    "plain_place",
    "store_artifact",
]
