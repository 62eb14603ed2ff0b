"""S3 against s3fs and boto3's transfer manager: one large object, and 2,000 of 4 KB, put and got.

All talk to the same small server in the same run, each from a process of its own, in turns. Each is used as its
users would for speed: s3fs with its bulk calls, boto3 and ours from threads. Ours alone computes and checks a
SHA-256 of every object. ``--full`` takes 1 GiB instead of 256 MiB, and one more turn.

python benchmarks/s3.py --full
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import Figure, ratio, report, take_turns, wall

MIB = 1024 * 1024
SMALL, COUNT, THREADS = 4096, 2000, 16
NAMES = [f"small/{number}" for number in range(COUNT)]
DATA = os.urandom(SMALL)


class Ours:
    """The hooks and the storage of scalable-aws."""

    def __init__(self) -> None:
        from scalable_aws.plugin import fetch_artifact, open_storage, store_artifact
        from scalable_core.types import Artifact, HookContext

        self.hooks, self.context = (store_artifact, fetch_artifact), HookContext()
        self.artifact, self.storage = Artifact, open_storage("s3://bench/ours")

    def put_large(self, source: Path) -> None:
        artifact = self.artifact(name="large", data=source, run="run", overwrite=True)
        self.ref = self.hooks[0](artifact, "s3://bench/ours/large", self.context)

    def get_large(self, back: Path) -> None:
        self.hooks[1](self.ref, back, self.context)

    def put_small(self) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda name: self.storage.put(name, DATA), NAMES))

    def get_small(self) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            assert all(data == DATA for data in pool.map(self.storage.get, NAMES))


class S3fs:
    """fsspec's file system of S3."""

    def __init__(self) -> None:
        import s3fs

        # With as many connections as ours, and no more calls at once than that, it is much faster.
        self.files = s3fs.S3FileSystem(
            endpoint_url=os.environ["AWS_ENDPOINT_URL"],
            config_kwargs={"max_pool_connections": 32},
        )

    def put_large(self, source: Path) -> None:
        self.files.put_file(str(source), "bench/s3fs/large")

    def get_large(self, back: Path) -> None:
        self.files.get_file("bench/s3fs/large", str(back))

    def put_small(self) -> None:
        self.files.pipe({f"bench/s3fs/{name}": DATA for name in NAMES}, batch_size=32)

    def get_small(self) -> None:
        found = self.files.cat([f"bench/s3fs/{name}" for name in NAMES], batch_size=32)
        assert all(data == DATA for data in found.values())


class Boto3:
    """boto3: its transfer manager for files, a client shared by threads for small objects."""

    def __init__(self) -> None:
        import boto3
        from botocore.config import Config

        self.client = boto3.client("s3", config=Config(max_pool_connections=THREADS))

    def put_large(self, source: Path) -> None:
        self.client.upload_file(str(source), "bench", "boto3/large")

    def get_large(self, back: Path) -> None:
        self.client.download_file("bench", "boto3/large", str(back))

    def put_small(self) -> None:
        def put(name: str) -> None:
            self.client.put_object(Bucket="bench", Key=f"boto3/{name}", Body=DATA)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(put, NAMES))

    def get_small(self) -> None:
        def get(name: str) -> bytes:
            return self.client.get_object(Bucket="bench", Key=f"boto3/{name}")["Body"].read()

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(data == DATA for data in pool.map(get, NAMES))


WAYS: Mapping[str, Callable[[], Ours | S3fs | Boto3]] = {
    "Scalable": Ours,
    "s3fs": S3fs,
    "boto3": Boto3,
}


def work(way: str, source: Path) -> None:
    """Be the process of one way: do what each line of the input says, and answer with what it took."""
    client, back = WAYS[way](), source.with_name(f"back-{way}")
    arguments = {"put_large": (source,), "get_large": (back,)}
    for line in sys.stdin:
        verb = line.strip()
        seconds = wall(lambda: getattr(client, verb)(*arguments.get(verb, ())))  # noqa: B023
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
        sys.stdout.flush()
    back.unlink(missing_ok=True)


class Worker:
    """The process of one way, seen from outside; ``peak`` is the most memory it had after large objects."""

    def __init__(self, way: str, source: Path, environ: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work", way, str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self.peak = 0

    def __call__(self, verb: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{verb}\n")
        self.process.stdin.flush()
        seconds, self.peak = json.loads(self.process.stdout.readline())
        return seconds

    def close(self) -> None:
        self.process.communicate(timeout=60)


def measure(source: Path, size: int, runs: int, environ: Mapping[str, str]) -> None:
    """Take all figures and report them."""
    workers = {way: Worker(way, source, environ) for way in WAYS}
    what = "1 GiB" if size >= 1024 * MIB else f"{size // MIB} MiB"
    for verb, title, limit in (
        ("put_large", f"S3 put, {what}", 1.0),
        ("get_large", f"S3 get, {what}", 1.0),
        ("put_small", f"S3 put, {COUNT:,} x 4 KB", 1 / 1.2),
        ("get_small", f"S3 get, {COUNT:,} x 4 KB", 1 / 1.2),
    ):
        medians = take_turns(
            {way: lambda worker=worker: worker(verb) for way, worker in workers.items()},  # noqa: B023
            runs,
        )
        report([ratio(title, medians, "Scalable", "s3fs", limit, runs)])
        if verb == "get_large":
            peaks = {way: worker.peak / MIB for way, worker in workers.items()}
            report([Figure(f"S3, {what}, peak memory", peaks["Scalable"], "MB", 300, peaks, 1)])
    for worker in workers.values():
        worker.close()


def main() -> None:
    """Start the server, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="1 GiB for the large object")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.work[0], Path(arguments.work[1]))
    size, runs = (1024 * MIB, 3) if arguments.full else (256 * MIB, 2)
    script = Path(__file__).with_name("servers") / "small_s3.py"
    server = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            with open(source, "wb") as file:
                for _ in range(size // MIB // 8):
                    file.write(os.urandom(8 * MIB))
            environ = {
                **{name: value for name, value in os.environ.items() if name[:4] != "AWS_"},
                "AWS_ENDPOINT_URL": server.stdout.readline().strip(),
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            measure(source, size, runs, environ)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
