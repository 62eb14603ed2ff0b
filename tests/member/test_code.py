"""Worker processes run the code that the run started with, and no other."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen
from distributed import Client, LocalCluster, Nanny, Scheduler

from scalable_core.errors import ClusterError
from scalable_core.member.code import Bundle, CodePlugin, build_bundle

WAIT = 120


@frozen
class Found:
    """What a task sees of the helper module."""

    version: int
    file: str
    data: str | None


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of one worker process that nothing was imported in."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workflow's folder with a helper that has data beside it, and a package with data in it."""
    folder = tmp_path / "project"
    (folder / "model").mkdir(parents=True)
    (folder / "workflow.py").write_text("import helper")
    (folder / "helper.py").write_text("VERSION = 1")
    (folder / "data.csv").write_text("beside")
    (folder / "model" / "__init__.py").write_text("from model.core import NAME")
    (folder / "model" / "core.py").write_text("NAME = 'first'")
    (folder / "model" / "table.csv").write_text("inside")
    return folder


def bundle_of(project: Path) -> Bundle:
    """The bundle of a folder, where a run keeps it."""
    return build_bundle(project / "workflow.py", project / ".scalable" / "runs" / "one")


def look(client: Client) -> Found:
    """Import the helper in a task, and read the file beside it."""

    def task() -> tuple[int, str, str | None]:
        import helper

        data = Path(helper.__file__).parent / "data.csv"
        return helper.VERSION, helper.__file__, data.read_text() if data.exists() else None

    return Found(*client.submit(task, pure=False).result(WAIT))


def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes sooner or later."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def kill_worker(client: Client) -> None:
    """Kill the worker's process and wait for the next one."""
    [pid] = client.run(os.getpid).values()
    os.kill(pid, signal.SIGKILL)
    client.wait_for_workers(1, timeout=WAIT)


def test_helpers_are_imported_from_the_folder_with_what_lies_beside(
    client: Client, project: Path
) -> None:
    """On the driver's machine a module is where it was written."""
    client.register_plugin(CodePlugin(bundle_of(project)))

    assert look(client) == Found(1, str(project / "helper.py"), "beside")


def test_an_edit_during_the_run_reaches_no_worker(client: Client, project: Path) -> None:
    """Not one that runs, and not one that is started later: all run what the run started with."""
    client.register_plugin(CodePlugin(bundle_of(project)))
    (project / "helper.py").write_text("VERSION = 2")

    assert look(client).version == 1
    kill_worker(client)
    assert look(client) == Found(1, str(project / "helper.py"), "beside")


def test_a_helper_may_even_be_deleted_during_the_run(client: Client, project: Path) -> None:
    """The source is in the bundle."""
    client.register_plugin(CodePlugin(bundle_of(project)))
    (project / "helper.py").unlink()

    assert look(client).version == 1


def test_elsewhere_the_code_is_unpacked(client: Client, project: Path) -> None:
    """A worker that does not see the driver's files has the modules, and data inside packages."""
    bundle = bundle_of(project)
    plugin = CodePlugin(bundle)
    bundle.path.unlink()
    client.register_plugin(plugin)

    def read_table() -> tuple[str, str]:
        import importlib.resources

        import model

        return model.NAME, (importlib.resources.files("model") / "table.csv").read_text()

    found = look(client)
    assert (found.version, found.data) == (1, None)
    assert not found.file.startswith(str(project))
    assert client.submit(read_table).result(WAIT) == ("first", "inside")


def test_an_old_copy_that_was_imported_before_loses(
    client: Client, project: Path, tmp_path: Path
) -> None:
    """An image whose start imports its own old copy of a helper gives no result of the old one."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "helper.py").write_text("VERSION = 0")

    def import_old(folder: str) -> int:
        sys.path.insert(0, folder)
        import helper

        return int(helper.VERSION)

    assert list(client.run(import_old, str(tmp_path / "image")).values()) == [0]
    bundle = bundle_of(project)
    plugin = CodePlugin(bundle)
    bundle.path.unlink()
    client.register_plugin(plugin)

    assert look(client).version == 1


def test_modules_of_one_package_are_of_one_version(client: Client, project: Path) -> None:
    """A module that is imported long after the others is not newer than they."""
    client.register_plugin(CodePlugin(bundle_of(project)))
    look(client)
    (project / "model" / "core.py").write_text("NAME = 'second'")
    (project / "model" / "__init__.py").write_text("raise RuntimeError('edited')")

    def name() -> str:
        import model

        return str(model.NAME)

    assert client.submit(name).result(WAIT) == "first"


def test_code_that_was_damaged_on_its_way_is_refused(client: Client, project: Path) -> None:
    """The worker compares the hash, and runs nothing when it differs."""
    plugin = CodePlugin(bundle_of(project))
    plugin.data = plugin.data.replace(b"VERSION = 1", b"VERSION = 9")

    with pytest.raises(ClusterError, match=r"has the hash [0-9a-f]{12}, not [0-9a-f]{12}"):
        client.register_plugin(plugin)

    until(lambda: not client.scheduler_info()["workers"])


def test_a_worker_whose_code_was_damaged_does_not_start(project: Path) -> None:
    """Whoever starts the worker sees that it did not come up."""
    plugin = CodePlugin(bundle_of(project))
    plugin.digest = "0" * 64

    async def start_worker() -> None:
        async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
            scheduler.worker_plugins[plugin.name] = pickle.dumps(plugin)
            with pytest.raises(RuntimeError):
                await Nanny(scheduler.address, nthreads=1)
            assert not scheduler.workers

    asyncio.run(start_worker())


def test_the_process_of_the_driver_is_left_alone(project: Path) -> None:
    """Workers that are threads find what the driver finds."""
    before = list(sys.meta_path)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(CodePlugin(bundle_of(project)))

        assert sys.meta_path == before
        assert str(project) not in sys.path
