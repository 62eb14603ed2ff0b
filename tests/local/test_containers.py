"""Workers run inside their component's image, with its mounts and variables, and leave no container behind."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from distributed import Client, KilledWorker, Scheduler, get_worker
from distributed.deploy.spec import SpecCluster

from scalable import ScalableSession
from scalable_core.errors import ClusterError, ImageError, ProviderError, TaskTimeoutError
from scalable_core.member.code import Bundle, CodePlugin, build_bundle
from scalable_core.types import Secret, WorkerGroup
from scalable_local import container_worker
from scalable_local.container_worker import ContainerWorker
from scalable_local.containers import (
    Container,
    group_container,
    remove_containers,
    render_command,
    runtime_environment,
)
from scalable_local.fit import Size
from scalable_local.layout import LocalGroup

WAIT = 120
RUN = "run-20260101-000000-brisk-otter-7f3a"
ORDER = {"scheduler": "tcp://127.0.0.1:1", "options": {"nthreads": 2}, "versions": {}}


def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes sooner or later."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.2)


# -- what is run -----------------------------------------------------------------------------------------------

CONTAINER = Container(
    runtime="docker",
    image="acme/model:2",
    name="run-a-analysis",
    run=RUN,
    bundle=Path("/runs/code-abc.zip"),
    mounts={"/data": "/input:ro", "/scratch": "/output"},
    env={"MODEL": "fast", "TOKEN": Secret("s3cr3t", template="${TOKEN}")},
    cpus=1.5,
    memory=2**30,
)


def test_docker_gets_limits_mounts_and_names_of_secrets() -> None:
    """The whole command line, as docker is given it."""
    command = render_command(CONTAINER, ORDER)

    assert command[:-3] == [
        "docker",
        "run",
        "--rm",
        "--network=host",
        "--name=run-a-analysis",
        f"--label=scalable.run={RUN}",
        "--security-opt=label=disable",
        "--cpus=1.5",
        "--memory=1342177280",
        "--memory-swap=1342177280",
        "--mount=type=bind,source=/runs/code-abc.zip,target=/scalable/code-abc.zip,readonly",
        "--mount=type=bind,source=/data,target=/input,readonly",
        "--mount=type=bind,source=/scratch,target=/output",
        "--env",
        "MODEL=fast",
        "--env",
        "SCALABLE_ENV_TOKEN",
        "acme/model:2",
        "python3",
        "-c",
    ]
    assert command[-2:] == ["/scalable/code-abc.zip", json.dumps(ORDER)]
    assert runtime_environment(CONTAINER) == {"SCALABLE_ENV_TOKEN": "s3cr3t"}


def test_podman_differs_in_its_gpus_only() -> None:
    """Podman speaks docker's words, but for devices."""
    docker, podman = (
        render_command(attrs.evolve(CONTAINER, runtime=runtime, gpus=2), ORDER)
        for runtime in ("docker", "podman")
    )

    assert [w for w in docker if w not in podman] == ["docker", "--gpus=2"]
    assert [w for w in podman if w not in docker] == ["podman", "--device=nvidia.com/gpu=all"]


def test_apptainer_gets_binds_and_a_clean_environment() -> None:
    """The whole command line, as apptainer is given it."""
    container = attrs.evolve(CONTAINER, runtime="apptainer", gpus=1)

    assert render_command(container, ORDER)[:-3] == [
        "apptainer",
        "exec",
        "--cleanenv",
        "--no-home",
        "--writable-tmpfs",
        "--nv",
        "--bind",
        "/runs/code-abc.zip:/scalable/code-abc.zip:ro",
        "--bind",
        "/data:/input:ro",
        "--bind",
        "/scratch:/output",
        "--env",
        "MODEL=fast",
        "docker://acme/model:2",
        "python3",
        "-c",
    ]
    assert runtime_environment(container) == {"APPTAINERENV_SCALABLE_ENV_TOKEN": "s3cr3t"}


def test_apptainer_takes_a_file_as_it_is() -> None:
    """A name without ``.sif`` is one of a registry."""
    container = attrs.evolve(CONTAINER, runtime="apptainer", image="/images/model.sif")

    assert "/images/model.sif" in render_command(container, ORDER)


@pytest.mark.parametrize("runtime", ["docker", "podman", "apptainer"])
def test_no_secret_is_on_a_command_line(runtime: str) -> None:
    """Whoever lists processes sees names only."""
    command = render_command(attrs.evolve(CONTAINER, runtime=runtime), ORDER)

    assert "s3cr3t" not in " ".join(command)


def test_a_preload_script_is_mounted_and_run() -> None:
    """It is a file of the driver's machine."""
    command = render_command(attrs.evolve(CONTAINER, preload_script=Path("/p/setup.py")), ORDER)

    assert (
        "--mount=type=bind,source=/p/setup.py,target=/scalable/preload/setup.py,readonly" in command
    )
    assert json.loads(command[-1])["options"]["preload"] == ["/scalable/preload/setup.py"]


def test_a_group_says_what_its_containers_are_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative host paths start at the manifest; sizes are those that fit the machine."""
    monkeypatch.setenv("HOME", "/home/me")
    group = LocalGroup(
        plan=WorkerGroup(
            name="analysis",
            cpus=8,
            threads=8,
            minimum=1,
            maximum=1,
            image="acme/model:2",
            runtime="podman",
            mounts={"inputs": "/input:ro", "~/cache": "/cache", "/data": "/data"},
            env={"MKL_NUM_THREADS": "3"},
        ),
        mode="container",
        size=Size(cpus=4, threads=2, memory=2**30),
    )

    made = group_container(
        group, run=RUN, workdir=Path("/study"), bundle=Path("/runs/code-abc.zip")
    )

    assert (made.runtime, made.image, made.cpus, made.memory) == (
        "podman",
        "acme/model:2",
        4,
        2**30,
    )
    assert (made.env["OMP_NUM_THREADS"], made.env["MKL_NUM_THREADS"]) == ("2", "3")
    assert dict(made.mounts) == {
        "/study/inputs": "/input:ro",
        "/home/me/cache": "/cache",
        "/data": "/data",
    }


# -- what really runs ------------------------------------------------------------------------------------------

#: What the test image takes from this machine, which is why it holds no Python of its own.
BORROWED = tuple(dict.fromkeys(["/usr", sys.base_prefix, sys.prefix]))


@attrs.frozen
class Runner:
    """A folder for one run's files, and images to run in."""

    folder: Path
    image: str
    bare_image: str
    project: Path

    def bundle(self) -> Bundle:
        """The code of the run."""
        return build_bundle(self.project / "workflow.py", self.folder / "code")

    def container(self, **changes: Any) -> Container:
        """A container of the image, with this machine's Python mounted into it."""
        made = Container(
            runtime="podman",
            image=self.image,
            name=RUN,
            run=RUN,
            bundle=self.bundle().path,
            mounts={path: f"{path}:ro" for path in BORROWED},
            env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"},
        )
        return attrs.evolve(made, **changes)

    def worker(self, container: Container, **options: Any) -> dict[str, Any]:
        """The specification of one worker, for `SpecCluster`."""
        return {
            "cls": ContainerWorker,
            "options": {
                "container": container,
                "options": {"nthreads": 1, "death_timeout": 60, **options},
                "folder": self.folder / "logs",
            },
        }

    def cluster(self, container: Container, *, failures: int = 3, **options: Any) -> SpecCluster:
        """A cluster of one worker in a container."""
        scheduler = {
            "cls": Scheduler,
            "options": {
                "host": "127.0.0.1",
                "port": 0,
                "dashboard": False,
                "allowed_failures": failures,
            },
        }
        return SpecCluster(
            workers={"one": self.worker(container, **options)}, scheduler=scheduler, name="podman"
        )


def containers() -> list[str]:
    """Ids of the run's containers, running or not."""
    listing = ["podman", "ps", "-aq", "--filter", f"label=scalable.run={RUN}"]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two images in a store of their own: one whose mounts make it complete, one with nothing in it."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    if os.geteuid() != 0:
        pytest.skip("the settings of this test's podman need root")
    store = tmp_path_factory.mktemp("podman")
    (store / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{store}/graph"\nrunroot = "{store}/run"\n'
    )
    limits = '"nofile=1024:1024", "nproc=1024:1024"' if not _may_raise_limits() else ""
    runtime = "runc" if shutil.which("runc") else "crun"
    (store / "containers.conf").write_text(
        f'[containers]\ndefault_ulimits = [{limits}]\nlog_driver = "k8s-file"\n'
        f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_STORAGE_CONF", str(store / "storage.conf"))
        patch.setenv("CONTAINERS_CONF", str(store / "containers.conf"))
        for name, old_helper in (("complete", True), ("bare", False)):
            archive = store / f"{name}.tar"
            _write_image(archive, borrows=old_helper)
            podman("import", str(archive), f"localhost/{name}:1")
        yield "localhost/complete:1", "localhost/bare:1"
        podman("rm", "--all", "--force")
        podman("rmi", "--all", "--force")
        subprocess.run(["umount", f"{store}/graph/overlay"], capture_output=True, check=False)


def podman(*arguments: str) -> None:
    """Run podman, and show what it says when it fails."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _may_raise_limits() -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 1_048_576


def _write_image(path: Path, *, borrows: bool) -> None:
    """Write a root file system of empty folders, a marker, and an old copy of a helper module."""
    with tarfile.open(path, "w") as archive:
        for folder in ("tmp", "proc", "sys", "dev", "etc", "old"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for link in ("bin", "lib", "lib64", "sbin") if borrows else ():
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
            archive.addfile(entry)
        for name, text in {
            "etc/marker": "inside the image",
            "old/helper.py": "VERSION = 0",
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


@pytest.fixture
def runner(images: tuple[str, str], tmp_path: Path) -> Iterator[Runner]:
    """What a test needs to run containers; at its end none may be left."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "workflow.py").write_text("import helper")
    (project / "helper.py").write_text("VERSION = 1")
    runner = Runner(tmp_path / "run", *images, project)
    yield runner
    left = remove_containers(RUN)
    assert left == []


def test_a_task_runs_inside_the_image(runner: Runner, tmp_path: Path) -> None:
    """With the component's variables and mounts, and the run's own code, whatever copies the image has."""
    (tmp_path / "outputs").mkdir()
    container = runner.container(
        mounts={**runner.container().mounts, str(tmp_path / "outputs"): "/outputs"},
        env={
            **runner.container().env,
            "MODEL": "fast",
            "TOKEN": Secret("s3cr3t\nwith two lines"),
            "PYTHONPATH": "/old",
        },
    )

    def look() -> dict[str, str]:
        import helper

        import scalable_core

        Path("/outputs/result.txt").write_text("from inside")
        return {
            "marker": Path("/etc/marker").read_text(),
            "model": os.environ["MODEL"],
            "token": os.environ["TOKEN"],
            "version": str(helper.VERSION),
            "core": scalable_core.__file__,
            "project": str(Path(str(helper.__file__)).exists()),
        }

    with runner.cluster(container) as cluster, Client(cluster) as client:
        client.register_plugin(CodePlugin(runner.bundle()))
        seen = client.submit(look).result(WAIT)
        assert len(containers()) == 1

    assert seen == {
        "marker": "inside the image",
        "model": "fast",
        "token": "s3cr3t\nwith two lines",
        "version": "1",
        "core": f"/scalable/{runner.bundle().path.name}/scalable_core/__init__.py",
        "project": "True",
    }
    assert (tmp_path / "outputs" / "result.txt").read_text() == "from inside"
    assert containers() == []


def test_a_manifest_with_containers_runs(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From `scalable.yaml` to results, a timeout included, with nothing of the driver's own in the image."""
    monkeypatch.setenv("ACME_TOKEN", "s3cr3t")
    mounts = json.dumps(dict(runner.container().mounts))
    (runner.project / "scalable.yaml").write_text(f"""
version: 1
project: {{name: study}}
targets:
  local: {{provider: local, max_workers: 1, containers: podman}}
components:
  model:
    image: {runner.image}
    cpus: 1
    memory: 512M
    mounts: {mounts}
    env: {{PATH: "{sys.prefix}/bin:/usr/bin:/bin", TOKEN: "${{ACME_TOKEN}}"}}
tasks:
  read: {{component: model}}
  hang: {{component: model, timeout: 1s}}
""")

    def read() -> tuple[str, str, int]:
        import helper

        return Path("/etc/marker").read_text(), os.environ["TOKEN"], helper.VERSION

    session = ScalableSession.from_yaml(runner.project / "scalable.yaml")
    with session as client:
        assert client.submit(read, task="read").result(WAIT) == ("inside the image", "s3cr3t", 1)
        stuck = client.submit(time.sleep, 1000, task="hang")
        with pytest.raises(TaskTimeoutError, match="hang ran longer than its timeout"):
            stuck.result(WAIT)
        assert client.submit(read, task="read", pure=False).result(WAIT)[0] == "inside the image"

    written = b"".join(p.read_bytes() for p in session.run_dir.rglob("*") if p.is_file())
    assert b"s3cr3t" not in written
    assert remove_containers(session.run_id) == []


def test_a_component_without_an_image_gets_this_environment(runner: Runner, tmp_path: Path) -> None:
    """In an image with Python alone: Dask and what the workflow imports, and programs that calls start too."""
    (tmp_path / "empty").mkdir()
    place = f"{sys.base_prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    mounts = {path: f"{path}:ro" for path in dict.fromkeys(["/usr", sys.base_prefix])}
    mounts[str(tmp_path / "empty")] = f"{place}:ro"  # so that this Python is one without packages
    (runner.project / "helper.py").write_text("import yaml\nVERSION = 1")
    (runner.project / "scalable.yaml").write_text(f"""
version: 1
project: {{name: study}}
targets:
  local: {{provider: local, max_workers: 1, containers: podman, base_image: "{runner.image}"}}
components:
  model:
    cpus: 1
    memory: 512M
    mounts: {json.dumps(mounts)}
    env: {{PATH: "{sys.base_prefix}/bin:/usr/bin:/bin"}}
tasks:
  read: {{component: model}}
""")

    def read() -> tuple[str, str, str, int]:
        import dask
        import helper

        command = ["python", "-c", "import yaml; print(yaml.__file__)"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        return Path("/etc/marker").read_text(), str(dask.__file__), told, helper.VERSION

    with ScalableSession.from_yaml(runner.project / "scalable.yaml") as client:
        seen = client.submit(read, task="read").result(WAIT)

    packages = "/scalable/packages"
    expected = (f"{packages}/dask/__init__.py", f"{packages}/yaml/__init__.py")
    assert seen == ("inside the image", *expected, 1)


def test_a_preload_script_runs_before_any_task(runner: Runner, tmp_path: Path) -> None:
    """It prepares the worker's process."""
    script = tmp_path / "prepare.py"
    script.write_text("def dask_setup(worker):\n    worker.prepared = 'yes'\n")
    container = runner.container(preload_script=script)

    with runner.cluster(container) as cluster, Client(cluster) as client:
        assert client.submit(lambda: get_worker().prepared).result(WAIT) == "yes"


def test_memory_holds_in_a_container(runner: Runner) -> None:
    """A call that takes more than its worker may have does not get it."""
    limit = 400 * 2**20
    container = runner.container(memory=limit)

    def take() -> int:
        blocks = []
        for _ in range(40):
            blocks.append(bytearray(b"x") * (64 * 2**20))
            time.sleep(0.05)
        return len(blocks)

    with (
        runner.cluster(container, failures=0, memory_limit=limit) as cluster,
        Client(cluster) as client,
        pytest.raises(KilledWorker),
    ):
        client.submit(take).result(WAIT)


def test_an_image_that_is_nowhere_is_a_sentence(runner: Runner) -> None:
    """The runtime's own last words are in it."""
    container = runner.container(image="127.0.0.1:1/no/such:1")

    with pytest.raises(ImageError, match=r"podman cannot get the image 127\.0\.0\.1:1/no/such:1: "):
        start(runner, container)


def test_an_image_without_python_is_a_sentence(runner: Runner) -> None:
    """Not a traceback of the runtime."""
    with pytest.raises(ClusterError, match="the image localhost/bare:1 cannot run python3"):
        start(runner, runner.container(image=runner.bare_image, mounts={}))


def test_other_versions_in_the_image_are_a_sentence_with_the_cure(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two versions of Dask do not understand each other."""
    mine = container_worker.versions()
    monkeypatch.setattr(container_worker, "versions", lambda: {**mine, "dask": "1999.1.0"})

    with pytest.raises(ClusterError) as raised:
        start(runner, runner.container())

    assert f"the image has dask {mine['dask']}, and this run uses dask 1999.1.0" in str(
        raised.value
    )
    assert "pip install dask==1999.1.0 distributed==" in str(raised.value)


def test_other_versions_that_an_image_tells_are_refused_before_it_starts(
    runner: Runner, tmp_path: Path
) -> None:
    """By its labels, or by the variable that official images of Python have."""
    (tmp_path / "Containerfile").write_text(
        f"FROM {runner.image}\nENV PYTHON_VERSION=3.1.4\nLABEL scalable.dask=1999.1.0\n"
    )
    podman("build", "--tag", "localhost/labelled:1", str(tmp_path))
    (runner.project / "scalable.yaml").write_text("""
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 1, containers: podman, image: "localhost/labelled:1"}
""")

    with pytest.raises(ProviderError, match=r"has python 3\.1, dask 1999\.1\.0, and this run uses"):
        ScalableSession.from_yaml(runner.project / "scalable.yaml").start()


def test_a_missing_runtime_is_a_sentence(runner: Runner) -> None:
    """Nothing is started."""
    with pytest.raises(ClusterError, match="need apptainer, which is not on PATH"):
        start(runner, runner.container(runtime="apptainer"))


def test_a_missing_mount_is_a_sentence(runner: Runner) -> None:
    """No folder is made in its place."""
    with pytest.raises(ClusterError, match="/no/such/folder is to be mounted into a container"):
        start(runner, runner.container(mounts={"/no/such/folder": "/data"}))


def test_a_worker_that_is_closed_on_purpose_is_not_lost(runner: Runner) -> None:
    """Its container ends and is gone, and nobody is alarmed."""

    async def retire(scheduler: Scheduler, worker: ContainerWorker) -> None:
        await scheduler.retire_workers([worker.address], close_workers=True)
        await asyncio.wait_for(worker.finished(), WAIT)
        assert worker.retired

    assert start(runner, runner.container(), retire) == []


def test_a_container_that_is_killed_is_told(runner: Runner) -> None:
    """So that another can take its place, and the user knows."""

    async def kill(scheduler: Scheduler, worker: ContainerWorker) -> None:
        podman("kill", *containers())
        await asyncio.wait_for(worker.finished(), WAIT)
        assert not worker.retired

    [(kind, text)] = start(runner, runner.container(), kill)

    assert kind == "worker.lost"
    assert text.startswith("the container of worker one ended with exit code 137")


def start(
    runner: Runner,
    container: Container,
    use: Callable[[Scheduler, ContainerWorker], Awaitable[None]] | None = None,
) -> list[tuple[str, str]]:
    """Start one worker for a scheduler and nothing else, use it and close it; return what it reported."""
    reports: list[tuple[str, str]] = []

    async def run() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            worker = ContainerWorker(
                scheduler.address,
                "one",
                **runner.worker(container)["options"],
                report=lambda kind, message, **data: reports.append((kind, message)),
            )
            try:
                await worker
                if use is not None:
                    await use(scheduler, worker)
            finally:
                await worker.close()

    asyncio.run(run())
    return reports


def test_a_killed_driver_leaves_no_container(runner: Runner, tmp_path: Path) -> None:
    """Not even while a call is busy: the worker ends when its scheduler is gone."""
    ready = tmp_path / "ready"
    code = f"""
import time
from pathlib import Path
from distributed import Client, Scheduler
from distributed.deploy.spec import SpecCluster
from scalable_local.container_worker import ContainerWorker
from scalable_local.containers import Container

container = Container(
    runtime="podman", image={runner.image!r}, name={RUN!r}, run={RUN!r},
    bundle=Path({str(runner.bundle().path)!r}),
    mounts={dict(runner.container().mounts)!r}, env={dict(runner.container().env)!r},
)
options = dict(container=container, options={{"nthreads": 1}}, folder=Path({str(tmp_path)!r}))
scheduler = dict(cls=Scheduler, options=dict(host="127.0.0.1", port=0, dashboard=False))
cluster = SpecCluster(
    workers={{"one": dict(cls=ContainerWorker, options=options)}}, scheduler=scheduler
)
client = Client(cluster)
future = client.submit(sum, range(10**13))
while not client.processing()[cluster.workers["one"].address]:
    time.sleep(0.1)
time.sleep(1)
Path({str(ready)!r}).touch()
time.sleep(1000)
"""
    driver = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: ready.exists() or driver.poll() is not None)
        assert len(containers()) == 1
        driver.send_signal(signal.SIGKILL)
        driver.wait(WAIT)

        until(lambda: containers() == [])
    finally:
        driver.kill()
        driver.wait()
