"""Finds plugins by their metadata, loads the one that is named, and calls its hooks.

`PluginHost` has one typed method for each hook; nothing else of the core touches pluggy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable_core.plugins.host import PluginHost
    from scalable_core.plugins.status import PluginStatus

_PUBLIC = {
    "PluginHost": "scalable_core.plugins.host",
    "PluginStatus": "scalable_core.plugins.status",
}

__all__ = ["PluginHost", "PluginStatus"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
