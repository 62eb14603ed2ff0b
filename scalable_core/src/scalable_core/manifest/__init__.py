"""The manifest stage: from `scalable.yaml` to a checked `Manifest`, or to all that is wrong with it.

The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable_core.manifest.load import list_targets, read_manifest
    from scalable_core.manifest.place import place_problems
    from scalable_core.manifest.schema import manifest_schema
    from scalable_core.manifest.selection import AUTO, Auto
    from scalable_core.manifest.text import manifest_text

_PUBLIC = {
    "AUTO": "selection",
    "Auto": "selection",
    "list_targets": "load",
    "manifest_schema": "schema",
    "manifest_text": "text",
    "place_problems": "place",
    "read_manifest": "load",
}

__all__ = [
    "AUTO",
    "Auto",
    "list_targets",
    "manifest_schema",
    "manifest_text",
    "place_problems",
    "read_manifest",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'scalable_core.manifest' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"scalable_core.manifest.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value
