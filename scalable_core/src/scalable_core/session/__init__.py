"""The session: the one conductor of manifest, plan, cluster, run and records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalable_core.session.session import ScalableSession

__all__ = ["ScalableSession"]


def __getattr__(name: str) -> Any:
    if name == "ScalableSession":
        from scalable_core.session.session import ScalableSession

        return ScalableSession
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
