"""The cache stage: results that are kept, and found again while code and inputs are the same.

    options_of(function)                                what @cacheable said; None for a plain function
    found = CallKeys(function).of(args, kwargs)         the key, or Uncacheable, which names the part
    store.get(found.key)                                None, or an entry with its value
    CachedCall(function=function, key=found.key, ...)   what a worker runs when there was none

Names are imported when they are first used: workers take `decorator`, `store` and `call` and nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable_core.cache.call import CachedCall, CachedMap, Place
    from scalable_core.cache.decorator import (
        CacheOptions,
        DirType,
        FileType,
        cacheable,
        options_of,
        take_bypass,
    )
    from scalable_core.cache.files import FileDigests
    from scalable_core.cache.fingerprint import CallKeys, Fingerprint
    from scalable_core.cache.level import CacheEvent
    from scalable_core.cache.metadata import Entry
    from scalable_core.cache.store import Store
    from scalable_core.cache.uncacheable import Uncacheable

_HOMES = {
    "CacheEvent": "level",
    "CacheOptions": "decorator",
    "CachedCall": "call",
    "CachedMap": "call",
    "CallKeys": "fingerprint",
    "DirType": "decorator",
    "Entry": "metadata",
    "FileDigests": "files",
    "FileType": "decorator",
    "Fingerprint": "fingerprint",
    "Place": "call",
    "Store": "store",
    "Uncacheable": "uncacheable",
    "cacheable": "decorator",
    "options_of": "decorator",
    "take_bypass": "decorator",
}

__all__ = [
    "CacheEvent",
    "CacheOptions",
    "CachedCall",
    "CachedMap",
    "CallKeys",
    "DirType",
    "Entry",
    "FileDigests",
    "FileType",
    "Fingerprint",
    "Place",
    "Store",
    "Uncacheable",
    "cacheable",
    "options_of",
    "take_bypass",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
