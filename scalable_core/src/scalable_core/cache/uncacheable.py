"""Why a call cannot be cached."""

from __future__ import annotations

from scalable_core.errors import ScalableError


class Uncacheable(ScalableError):
    """A part of the key cannot be computed deterministically, so the call runs without the cache.

    Attributes:
        part: The part, such as ``argument 'stream'`` or ``global workflow.client``.
        reason: Why, as the rest of a sentence that starts with the part.
    """

    def __init__(self, part: str, reason: str, *, cure: str | None = None) -> None:
        super().__init__(f"not cached: {part} {reason}", cure=cure)
        self.part = part
        self.reason = reason
