"""What the tests of the repository itself share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def dists(root: Path) -> list[Path]:
    """The folders of all dists, the root last."""
    return [root / "scalable_core", *sorted((root / "plugins").glob("scalable_*")), root]
