"""Whatever is killed, and whenever: the next run does the rest, and nothing twice that was finished."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

CALLS = 60


def newest_run(folder: Path) -> Path:
    """Return the folder of the latest run."""
    return max((folder / ".scalable" / "runs").iterdir(), key=lambda path: path.stat().st_mtime)


def rows(folder: Path) -> list[dict]:
    """Return the latest run's calls."""
    text = (newest_run(folder) / "tasks.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kills", [10, 8, 7])
def test_a_driver_killed_at_any_moment_is_resumed(make_project, kills: int) -> None:
    """25 kills in three runs of 60 calls: results are right, and what was kept is never run again."""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    project = make_project()
    for _ in range(kills):
        kept, before = project.kept(), project.started()
        driver = project.drive(CALLS)
        more = chance.randint(0, max(1, (CALLS - len(kept)) // 4))
        if more == 0:  # while it starts
            time.sleep(chance.random() * 2)
        else:
            project.wait_for_marks(before.total() + more, driver)
            time.sleep(chance.random() * 0.05)
        project.kill(driver)
        again = project.started() - before
        assert kept & set(again) == set(), seed
    kept, before = project.kept(), project.started()
    project.finish(project.drive(CALLS), CALLS)

    assert set(project.started() - before) == set(range(CALLS)) - kept, seed
    assert all(count == 1 for count in (project.started() - before).values()), seed
    assert project.kept() == set(range(CALLS))
    states = [row["state"] for row in rows(project.folder)]
    assert states.count("cached") == len(kept)
    assert states.count("done") == CALLS - len(kept)
    assert len({row["key"] for row in rows(project.folder)}) == CALLS
    assert all(row.get("source") for row in rows(project.folder) if row["state"] == "cached")


def test_workers_killed_at_random_cost_no_result(make_project) -> None:
    """The driver goes on; only calls that were running on a killed worker run again."""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    project = make_project()
    driver = project.drive(CALLS)
    killed = []
    for _ in range(5):
        project.wait_for_marks(len(project.marks()) + chance.randint(2, 8), driver)
        time.sleep(chance.random() * 0.05)
        alive = [pid for _, pid in project.marks()[-2:] if pid not in killed]
        if alive and driver.poll() is None:
            killed.append(chance.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)
    project.finish(driver, CALLS)

    assert killed, seed
    extra = project.started() - project.started().__class__(range(CALLS))
    assert set(project.started()) == set(range(CALLS))
    assert extra.total() <= 2 * len(killed), (seed, extra)
    assert project.kept() == set(range(CALLS))
    ended = [row["key"] for row in rows(project.folder) if row["state"] in ("done", "cached")]
    assert len(set(ended)) == CALLS
