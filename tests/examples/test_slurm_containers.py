"""Jobs of a Slurm on this machine that run their workers in containers, with images from a registry."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import Run

#: What the image takes from this machine, which is why it holds no Python of its own.
BORROWED = tuple(dict.fromkeys(["/usr", sys.base_prefix, sys.prefix]))

WORKFLOW = """\
import json, os, pathlib
from scalable import ScalableSession

def look():
    import helper
    marker = pathlib.Path("/etc/marker").read_text()
    from distributed import get_worker
    return marker, os.environ["HELD"], get_worker().name, helper.VERSION

if __name__ == "__main__":
    with ScalableSession.from_yaml("scalable.yaml") as client:
        print("SAID", json.dumps(client.submit(look, task="simulate").result()))
"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Podman with a store of its own, which takes images from registries of this machine; its variables."""
    missing = [name for name in ("podman", "runc", "docker-registry") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, podman, runc and docker-registry; missing: {missing}")
    store = tmp_path_factory.mktemp("podman")
    address = f"127.0.0.1:{_free_port()}"
    texts = {
        "storage.conf": f'[storage]\ndriver = "overlay"\n'
        f'graphroot = "{store}/graph"\nrunroot = "{store}/run"\n',
        "containers.conf": '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
        'log_driver = "k8s-file"\n'
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n',
        "registries.conf": f'[[registry]]\nlocation = "{address}"\ninsecure = true\n',
        "registry.yml": json.dumps(  # JSON is YAML
            {
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(store / "registry")}},
                "http": {"addr": address},
            }
        ),
    }
    for name, text in texts.items():
        (store / name).write_text(text)
    environ = {
        "CONTAINERS_STORAGE_CONF": str(store / "storage.conf"),
        "CONTAINERS_CONF": str(store / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(store / "registries.conf"),
        "IMAGE": f"{address}/study/model:1",
    }
    with subprocess.Popen(
        ["docker-registry", "serve", store / "registry.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as registry:
        try:
            _await_port(address)
            _write_image(store / "image.tar")
            _podman(environ, "import", str(store / "image.tar"), environ["IMAGE"])
            _podman(environ, "push", environ["IMAGE"])
            _podman(environ, "rmi", environ["IMAGE"])
            yield environ
            _podman(environ, "rmi", "--all", "--force")
        finally:
            registry.terminate()
            subprocess.run(["umount", f"{store}/graph/overlay"], capture_output=True, check=False)


def _podman(environ: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        ["podman", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _write_image(path: Path) -> None:
    """Write empty folders, the links that make a system of what is mounted, a marker, and an old helper."""
    with tarfile.open(path, "w") as archive:
        for folder in ("tmp", "proc", "sys", "dev", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for link in ("bin", "lib", "lib64", "sbin"):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
            archive.addfile(entry)
        source = path.with_name("marker")
        source.write_text("inside the image")
        archive.add(source, "etc/marker")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection((host, int(port)), 5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the registry does not start")


def test_workers_run_inside_the_image_of_their_component(
    tmp_path: Path, scalable: Run, slurm: dict[str, str], podman: dict[str, str]
) -> None:
    """With its variables and the workflow's own modules; no job, container or secret is left."""
    mounts = json.dumps({path: f"{path}:ro" for path in BORROWED})
    (tmp_path / "helper.py").write_text("VERSION = 7\n")
    (tmp_path / "workflow.py").write_text(WORKFLOW)
    (tmp_path / "scalable.yaml").write_text(f"""\
version: 1
project: {{name: study}}
targets:
  campus:
    provider: slurm
    interface: lo
    poll: 1s
    price: {{core_hour: 0.03}}
    container_runtime: podman
    python: {sys.executable}
components:
  model: {{cpus: 1, memory: 700M, image: "{podman["IMAGE"]}", mounts: {mounts}, env: {{HELD: "${{KEY}}"}}}}
tasks:
  simulate: {{component: model}}
""")
    said = scalable("run", "--yes", **slurm, **podman, KEY="hush-5113").stdout
    seen = json.loads(said.partition("SAID ")[2].splitlines()[0])
    assert seen == ["inside the image", "hush-5113", "model-0", 7]
    kept = [path for path in (tmp_path / ".scalable").rglob("*") if path.is_file()]
    assert [path for path in kept if b"hush-5113" in path.read_bytes()] == []
    command = ["squeue", "--noheader", "--states=PENDING,RUNNING"]
    queue = subprocess.run(command, env={**os.environ, **slurm}, capture_output=True, check=True)
    assert queue.stdout == b""
    end = time.monotonic() + 60
    while left := _podman(podman, "ps", "--all", "--quiet"):  # podman tidies up after the job's end
        assert time.monotonic() < end, left
        time.sleep(0.5)
