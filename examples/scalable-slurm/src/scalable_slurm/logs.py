"""What the jobs of a run have written: a file for each job in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from scalable_core.types import LogLine
from scalable_slurm.jobs import LOGS
from scalable_slurm.queue import read_queue

#: Seconds between looks for new lines.
PAUSE = 1.0


def read(run_dir: Path, member: str | None, *, follow: bool) -> Iterator[LogLine]:
    """Give the lines of a run's jobs, job by job.

    Args:
        run_dir: The run's folder; its name is the run's id.
        member: Only this worker's.
        follow: Go on with new ones until none of the run's jobs is left.
    """
    places: dict[Path, int] = {}
    while True:
        last = not follow or not read_queue(name=run_dir.name)
        for path in sorted((run_dir / LOGS).glob(f"{member or '*'}-*.log")):
            with path.open(errors="replace") as file:
                file.seek(places.get(path, 0))
                for line in iter(file.readline, ""):
                    yield LogLine(member=path.stem.rpartition("-")[0], text=line.rstrip("\n"))
                places[path] = file.tell()
        if last:
            return
        time.sleep(PAUSE)


def last_lines(path: Path, count: int = 3) -> str:
    """Return the end of a job's output; empty when it has written nothing."""
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return " / ".join(line.strip() for line in lines[-count:])
