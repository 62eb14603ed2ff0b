"""How the tests are shared out where several processes run them."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Folders whose tests start members on addresses of 127.0.0.0/8 that each process counts for itself.
_CLOUDS = {"aws", "gcp", "kubernetes", "conformance"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one process, and those of the clouds together."""
    root = Path(__file__).parent
    for item in items:
        room, *_ = item.path.relative_to(root).parts
        group = "clouds" if room in _CLOUDS else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
