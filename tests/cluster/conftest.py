"""What the facts about clusters share."""

from __future__ import annotations

import time

import pytest


@pytest.fixture
def wait_until():
    """Waits for a condition and returns its first true answer."""

    def wait_until(condition, timeout=60.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if answer := condition():
                return answer
            time.sleep(0.02)
        raise AssertionError("it did not come true in time")

    return wait_until
