"""Scalable: one manifest and one workflow, on a laptop or in a cloud.

    from scalable import ScalableSession

    with ScalableSession.from_yaml("./scalable.yaml") as client:
        futures = [client.submit(analyse, i, task="run_analysis") for i in range(500)]
        results = client.gather(futures)

Every public name is in the table below and is imported when it is first used, so that ``import scalable``
costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from scalable_core import __version__

if TYPE_CHECKING:
    from scalable_core.artifacts import store_artifact
    from scalable_core.cache import DirType, FileType, cacheable
    from scalable_core.errors import (
        BudgetReachedError,
        ManifestError,
        ProviderError,
        ScalableError,
        TaskTimeoutError,
        UsageError,
        WorkflowError,
    )
    from scalable_core.session import ScalableSession
    from scalable_core.types import ArtifactRef, CostEstimate, Plan

_PUBLIC = {
    "ArtifactRef": "scalable_core.types",
    "BudgetReachedError": "scalable_core.errors",
    "CostEstimate": "scalable_core.types",
    "DirType": "scalable_core.cache",
    "FileType": "scalable_core.cache",
    "ManifestError": "scalable_core.errors",
    "Plan": "scalable_core.types",
    "ProviderError": "scalable_core.errors",
    "ScalableError": "scalable_core.errors",
    "ScalableSession": "scalable_core.session",
    "TaskTimeoutError": "scalable_core.errors",
    "UsageError": "scalable_core.errors",
    "WorkflowError": "scalable_core.errors",
    "cacheable": "scalable_core.cache",
    "store_artifact": "scalable_core.artifacts",
}

__all__ = [
    "ArtifactRef",
    "BudgetReachedError",
    "CostEstimate",
    "DirType",
    "FileType",
    "ManifestError",
    "Plan",
    "ProviderError",
    "ScalableError",
    "ScalableSession",
    "TaskTimeoutError",
    "UsageError",
    "WorkflowError",
    "__version__",
    "cacheable",
    "store_artifact",
]


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'scalable' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
