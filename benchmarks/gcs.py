"""One large object and 2,000 small ones to and from Cloud Storage, against gcsfs on the same server.

The large one is 256 MiB, and 1 GiB with ``--full``. Ours also computes and checks SHA-256 and CRC-32C, writes
small ones only if the name is free, and gives a file its name when it is right; gcsfs has no checks switched on, as
is its default. It moves small objects in batches of its own; ours come from threads, as those of the core do.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from measure import Figure, ratio, report, take_turns, wall

SERVER = Path(__file__).with_name("servers") / "small_gcs.py"
MIB = 1024 * 1024
SIZE = (1024 if "--full" in sys.argv else 256) * MIB
MANY, SMALL, THREADS = 2000, os.urandom(4096), 16
RUNS = 3
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
        self.fs = gcsfs.GCSFileSystem(project="p", token="anon", endpoint_url=url)

    def put_large(self, path: Path) -> None:
        self.fs.put_file(str(path), "bucket/large")

    def get_large(self, path: Path) -> None:
        self.fs.get_file("bucket/large", str(path))

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
    return Figure(f"gcs: peak memory for {size}", float(done.stdout), "MiB", 300, runs=1)


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
        ways: dict[str, Ours | Theirs] = {"gcsfs": Theirs(), "Scalable": Ours()}
        large = make_large(place / "large")
        size = f"{SIZE // MIB} MiB"

        def figure(title: str, limit: float, **work) -> None:
            turns = {name: lambda do=do: wall(do) for name, do in work.items()}
            medians = take_turns(turns, RUNS)
            report([ratio(title, medians, "Scalable", "gcsfs", limit, RUNS)])

        figure(
            f"gcs: put {size}", 1.0, **{n: lambda w=w: w.put_large(large) for n, w in ways.items()}
        )
        back = place / "back"
        figure(
            f"gcs: get {size}", 1.0, **{n: lambda w=w: w.get_large(back) for n, w in ways.items()}
        )

        def fresh() -> list[str]:
            return [f"{next(numbers)}" for _ in range(MANY)]

        last = {}

        def put_small(name: str) -> None:
            last[name] = fresh()
            ways[name].put_small(last[name])

        title = f"{MANY} x 4 KB"
        figure(f"gcs: put {title}", 1 / 1.2, **{n: lambda n=n: put_small(n) for n in ways})
        figure(
            f"gcs: get {title}",
            1 / 1.2,
            **{n: lambda n=n: ways[n].get_small(last[n]) for n in ways},
        )
        report([peak(place)])


if __name__ == "__main__":
    if "--peak" in sys.argv:
        measure_peak(*map(Path, sys.argv[2:]))
    else:
        main()
