"""Artifacts in folders of this machine against `shutil`: 1 GiB in one file, and 2,000 files of 4 KB.

Ours also computes the SHA-256 of all bytes, and what it has stored is on the disk when it returns; `shutil`
waits for no disk. One figure is the peak memory of a process that stores and fetches 1 GiB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Figure, ratio, report, take_turns, wall

from scalable_core.plugins import PluginHost
from scalable_core.session.artifacts import RunArtifacts
from scalable_core.types import HookContext

RUNS = 3
LARGE, FILES, SMALL = 2**30, 2000, 4096


def artifacts(folder: Path) -> RunArtifacts:
    """Return the artifacts of a run, as a session has them."""
    return RunArtifacts(
        storage=str(folder), run="run", project="p", host=PluginHost(), context=HookContext
    )


def fresh(path: Path) -> Path:
    """Return a path with nothing there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return path


def compare(folder: Path, source: Path, what: str, limits: tuple[float, float]) -> list[Figure]:
    """Store and fetch a file or a folder in both ways."""
    copy = shutil.copytree if source.is_dir() else shutil.copyfile
    kept: list[RunArtifacts] = []

    def store() -> float:
        fresh(folder / "kept")
        kept[:] = [artifacts(folder / "kept")]
        seconds = wall(lambda: kept[0].store("it", source))
        kept[0].close()
        return seconds

    def plainly() -> float:
        target = fresh(folder / "copy")
        return wall(lambda: copy(source, target))

    def fetch() -> float:
        target = fresh(folder / "back")
        return wall(lambda: kept[0].fetch("it", target))

    medians = take_turns({"store": store, "fetch": fetch, "shutil": plainly}, RUNS)
    for path in ("kept", "copy", "back"):
        fresh(folder / path)
    return [
        ratio(f"local {how} of {what}, against shutil", medians, how, "shutil", limit, RUNS)
        for how, limit in zip(("store", "fetch"), limits, strict=True)
    ]


def memory(folder: Path, source: Path) -> Figure:
    """Peak memory of a process of its own, in MiB."""
    code = (
        "import resource, sys; from pathlib import Path; from artifacts import artifacts\n"
        "ours = artifacts(Path(sys.argv[1]))\n"
        "ours.store('it', Path(sys.argv[2])); ours.fetch('it', Path(sys.argv[1]) / 'back')\n"
        "ours.close()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder / "memory", source],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    fresh(folder / "memory")
    return Figure("peak memory, local store and fetch of 1 GiB", int(done.stdout) / 1024, "M", 300)


def main() -> None:
    """Measure in turns and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, small = folder / "large", folder / "small"
        with large.open("wb") as file:
            for _ in range(LARGE // 2**24):
                file.write(os.urandom(2**24))
        small.mkdir()
        for number in range(FILES):
            (small / str(number)).write_bytes(os.urandom(SMALL))
        report(compare(folder, large, "1 GiB", (8.0, 8.0)))
        report([memory(folder, large)])
        report(compare(folder, small, "2,000 x 4 KB", (12.0, 12.0)))


if __name__ == "__main__":
    main()
