"""Members whose image has Python alone become what the run needs, over the run's own line."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import threading
import venv

import attrs
import pytest
from packaging.requirements import Requirement

from scalable_core.cluster.certificates import make_certificates
from scalable_core.cluster.fleet import FleetCluster
from scalable_core.errors import ClusterError
from scalable_core.member import environment as member
from scalable_core.session.environment import closure
from scalable_core.session.packing import pack_environment
from scalable_core.testing.loopback import free_port
from scalable_core.types import HookContext, WorkerGroup


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The packages that every worker needs."""
    store = tmp_path_factory.mktemp("environments")
    dists = closure([Requirement("scalable-core"), Requirement("numpy")])
    return pack_environment(dists.values(), image_platform="linux/amd64", store=store)


@pytest.fixture(scope="module")
def plain_python(tmp_path_factory):
    """A Python without Dask, as a plain image has."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    assert subprocess.run(
        [python, "-c", "import dask"], capture_output=True, check=False
    ).returncode
    return str(python)


@pytest.fixture
def run(tmp_path, make_plan, subprocess_launcher, plain_python):
    """Starts a fleet of a plain Python: run(packages)."""
    opened = []

    def run(packages):
        group = WorkerGroup(
            name="analysis",
            cpus=1.0,
            threads=1,
            minimum=0,
            maximum=1,
            image="python",
            environment=True,
        )
        context = HookContext(
            project="test",
            run=f"run-{tmp_path.name}",
            run_dir=tmp_path / "run",
            environment=lambda: packages,
        )
        launcher = subprocess_launcher(python=plain_python)
        opened.append(
            fleet := FleetCluster(make_plan(groups=(group,)), launcher, context, eager=True)
        )
        return fleet

    yield run
    for fleet in opened:
        fleet.close()


def test_scheduler_and_workers_get_the_packages(run, packed):
    """In the versions of this environment, before anything of them is imported; and their programs."""
    from distributed import Client

    def look():
        import subprocess

        import dask
        import numpy

        script = "import numpy; print(numpy.__version__)"
        told = subprocess.run(["python", "-c", script], capture_output=True, text=True, check=True)
        return dask.__file__, numpy.__version__, told.stdout.strip()

    with Client(run(packed)) as client:
        place, version, told = client.submit(look).result(120)

    assert place.endswith("/packages/dask/__init__.py")
    assert version == told == importlib.metadata.version("numpy")


def test_an_image_that_does_not_fit_is_a_sentence(run, packed):
    """Before anything of the packages is run there."""
    with pytest.raises(
        ClusterError, match=r"the packages need glibc 9\.9, and the image has glibc 2\."
    ):
        run(attrs.evolve(packed, machine="x86_64", glibc="9.9"))


# -- the line --------------------------------------------------------------------------------------------------


@pytest.fixture
def certificates():
    return make_certificates("run-one", 3600)


def receive(port, certificates, digest):
    """Wait for the zip as a scheduler's member does; the list has its path at the end."""
    found = []
    tls = certificates.member_document()
    thread = threading.Thread(
        target=lambda: found.append(member.receive("127.0.0.1", port, tls, digest, 60))
    )
    thread.start()
    return thread, found


def bring(port, certificates, packed, digest):
    context = certificates.driver_security().get_connection_args("client")["ssl_context"]
    for _ in range(100):
        try:
            return member.bring("127.0.0.1", port, context, packed.path, digest)
        except ConnectionRefusedError:
            threading.Event().wait(0.1)
    raise AssertionError("nobody listens")


def test_a_member_takes_only_what_the_run_says(certificates, packed, tmp_path):
    """Neither other bytes, nor from another run; what was refused can be brought anew."""
    port = free_port()
    thread, found = receive(port, certificates, packed.digest)

    damaged = attrs.evolve(packed, path=tmp_path / "other.zip")
    damaged.path.write_bytes(b"something else")
    assert not bring(port, certificates, damaged, packed.digest)
    with pytest.raises(OSError, match=r"."):
        bring(port, make_certificates("run-two", 3600), packed, packed.digest)
    assert thread.is_alive()

    assert bring(port, certificates, packed, packed.digest)
    thread.join(60)
    (path,) = found
    with open(path, "rb") as file:
        assert file.read() == packed.path.read_bytes()


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (
            {"python": "3.1"},
            f"the image has Python {sys.version_info[0]}.{sys.version_info[1]}, and th",
        ),
        ({"machine": "riscv64"}, "the packages are built for riscv64, and the image is for"),
        ({"glibc": "9.9"}, "the packages need glibc 9.9, and the image has"),
        ({}, None),
        ({"machine": None, "glibc": None}, None),
    ],
)
def test_what_cannot_run_here_is_said(packed, needs, words):
    """Each with a cure."""
    said = member.misfit({**packed.needs, **needs})

    assert (said and said[0].startswith(words)) if words else said is None
    assert words is None or said[1]
