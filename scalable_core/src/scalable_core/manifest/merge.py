"""Lays overlays over a document: mappings merge, lists and scalars replace."""

from __future__ import annotations

from collections.abc import Iterable

from scalable_core.manifest.tree import Map

#: What an overlay may change.
SECTIONS = ("project", "targets", "components", "tasks")


def merge(base: Map, overlay: Map) -> Map:
    """Return ``base`` with ``overlay`` laid over it; both stay as they are, and values keep their own marks."""
    merged = base.copy()
    for key, value in overlay.items():
        below = merged.get(key)
        if isinstance(below, Map) and isinstance(value, Map):
            merged[key] = merge(below, value)
        else:
            merged.put(key, value, overlay.marks.get(key))
    return merged


def apply_overlays(root: Map, names: Iterable[str]) -> Map:
    """Return the document with the overlays of those names, which must exist, laid over it in order."""
    for name in names:
        overlay: Map = root["overlays"][name]
        root = merge(root, overlay)
    return root
