"""One large object and 2,000 small ones to and from Cloud Storage, against gcsfs on the same server.

The large one is 256 MiB, and 1 GiB with ``--full``. Ours always computes SHA-256 and CRC-32C, writes small
objects only if the name is free, and gives a file its name when it is right. gcsfs checks nothing unless it is
asked to: the large object is fetched with its check (MD5) and without. It moves small objects in batches of its
own; ours come from threads, as those of the core do.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from measure import Figure, ratio, report, take_turns, wall

SERVER = Path(__file__).with_name("servers") / "small_gcs.py"
MIB = 1024 * 1024
SIZE = (1024 if "--full" in sys.argv else 256) * MIB
MANY, SMALL, THREADS = 2000, os.urandom(4096), 32
RUNS, RUNS_SMALL = 3, 9
numbers = itertools.count()


class Ours:
    """`store_artifact` and `fetch_artifact` for the large one, a storage for the small ones."""

    def __init__(self) -> None:
        from scalable_core.types import HookContext
        from scalable_gcp.storage import GcsStorage

        self.context = HookContext()
        self.storage = GcsStorage("gs://bucket/ours")

    def put_large(self, path: Path) -> None:
        from scalable_core.types import Artifact
        from scalable_gcp.storage import store

        artifact = Artifact(name="large", data=path, run="r", overwrite=True)
        self.ref = store(artifact, "gs://bucket/large", self.context, provider="gcp")

    def get_large(self, path: Path) -> None:
        from scalable_gcp.storage import fetch

        fetch(self.ref, path, self.context)

    def put_small(self, keys: list[str]) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            assert all(threads.map(lambda key: self.storage.put_if_absent(key, SMALL), keys))

    def get_small(self, keys: list[str]) -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            assert all(data == SMALL for data in threads.map(self.storage.get, keys))


class Theirs:
    """gcsfs as it is, but for the probe of the bucket's kind, which no emulator answers."""

    def __init__(self) -> None:
        os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
        import gcsfs

        url = os.environ["STORAGE_EMULATOR_HOST"]
        self.fs, self.checked = (
            gcsfs.GCSFileSystem(project="p", token="anon", endpoint_url=url, consistency=check)
            for check in ("none", "md5")
        )

    def put_large(self, path: Path) -> None:
        self.fs.put_file(str(path), "bucket/large")

    def get_large(self, path: Path, *, check: bool = True) -> None:
        (self.checked if check else self.fs).get_file("bucket/large", str(path))

    def put_small(self, keys: list[str]) -> None:
        self.fs.pipe({f"bucket/theirs/{key}": SMALL for key in keys})

    def get_small(self, keys: list[str]) -> None:
        found = self.fs.cat([f"bucket/theirs/{key}" for key in keys])
        assert all(data == SMALL for data in found.values())


@contextmanager
def server() -> Iterator[None]:
    """The service, as a process of its own, and its address where both look for it."""
    process = subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    os.environ["STORAGE_EMULATOR_HOST"] = process.stdout.readline().strip()
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder in memory where there is one, so that no disk is measured."""
    memory = Path("/dev/shm")
    room = memory.is_dir() and shutil.disk_usage(memory).free > 3 * SIZE
    with tempfile.TemporaryDirectory(dir=memory if room else None) as name:
        yield Path(name)


def make_large(path: Path) -> Path:
    """Write the large file."""
    with open(path, "wb") as file:
        for _ in range(SIZE // MIB):
            file.write(os.urandom(MIB))
    return path


def peak(folder: Path) -> Figure:
    """Memory (MiB) of a process that stores the large file and fetches it again."""
    command = [sys.executable, __file__, "--peak", folder / "large", folder / "back"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    size = f"{SIZE // MIB} MiB"
    return Figure(f"GCS, {size}, peak memory", float(done.stdout), "MB", 300, runs=1)


def measure_peak(source: Path, copy: Path) -> None:
    """Store and fetch once, and print the most memory that it took."""
    ours = Ours()
    ours.put_large(source)
    ours.get_large(copy)
    # Not getrusage, which counts the parent until exec.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def main() -> None:
    """Measure in turns and print."""
    with server(), folder() as place:
        theirs, ours = Theirs(), Ours()
        large, back = make_large(place / "large"), place / "back"

        def figure(
            title: str,
            limit: float,
            their: Callable[[], None],
            our: Callable[[], None],
            runs: int = RUNS,
        ) -> None:
            ways = {"gcsfs": lambda: wall(their), "Scalable": lambda: wall(our)}
            medians = take_turns(ways, runs)
            report([ratio(f"GCS {title}", medians, "Scalable", "gcsfs", limit, runs)])

        def put_large() -> None:
            ours.put_large(large)

        def get_large() -> None:
            ours.get_large(back)

        size = f"{SIZE // MIB} MiB"
        figure(f"put, {size}", 1.0, lambda: theirs.put_large(large), put_large)
        figure(f"get, {size}", 1.0, lambda: theirs.get_large(back), get_large)
        unchecked = functools.partial(theirs.get_large, back, check=False)
        figure(f"get, {size}, gcsfs unchecked", 1.5, unchecked, get_large)

        last: dict[object, list[str]] = {}

        def put_small(way: Ours | Theirs) -> None:
            last[way] = [str(next(numbers)) for _ in range(MANY)]
            way.put_small(last[way])

        size = f"{MANY:,} x 4 KB"
        figure(
            f"put, {size}",
            1 / 1.2,
            lambda: put_small(theirs),
            lambda: put_small(ours),
            RUNS_SMALL,
        )
        figure(
            f"get, {size}",
            1 / 1.2,
            lambda: theirs.get_small(last[theirs]),
            lambda: ours.get_small(last[ours]),
            RUNS_SMALL,
        )
        report([peak(place)])


if __name__ == "__main__":
    if "--peak" in sys.argv:
        measure_peak(*map(Path, sys.argv[2:]))
    else:
        main()
