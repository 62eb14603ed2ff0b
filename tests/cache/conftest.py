"""What the tests of stores share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scalable_core.cache import CacheEvent, Store


@pytest.fixture
def events() -> list[CacheEvent]:
    """What the store has said."""
    return []


@pytest.fixture
def store(tmp_path: Path, events: list[CacheEvent]) -> Iterator[Store]:
    """A store that is empty, and whose folder holds nothing half done in the end."""
    root = tmp_path / "cache"
    yield Store(root, report=events.append)
    assert list((root / "aside").glob("*")) == []
