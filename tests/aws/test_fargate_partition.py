"""The network breaks around one worker, as no service says that it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from partition import drive, needs_root


@pytest.mark.slow
@needs_root
def test_a_worker_that_is_cut_off_is_replaced_and_costs_no_result(tmp_path):
    """Nobody refuses it anything: nothing comes back. Its calls are done elsewhere, and its task is stopped."""
    seen = drive(Path(__file__).with_name("partition_driver.py"), tmp_path)

    assert seen["results"] == [2 * x for x in range(40)]
    assert len(seen["workers"]) == 2
    assert seen["cut"] not in seen["workers"]
    (said,) = seen["lost"]
    assert said.startswith(f"{seen['cut']} is there, and the scheduler has not heard of its worker")
    assert seen["left"] == 0
