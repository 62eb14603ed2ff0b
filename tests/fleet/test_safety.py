"""Only who holds a certificate of the run gets in, and every part has the versions of the others."""

from __future__ import annotations

import pytest

from scalable_core.cluster.certificates import make_certificates
from scalable_core.errors import ClusterError


def _reach(address, security):
    from distributed import Client

    with Client(address, security=security, timeout="3s", set_as_default=False) as client:
        return client.scheduler_info()


def test_who_has_no_certificate_of_the_run_gets_nowhere(make_plan, hive_launcher, start):
    """Neither in plain text, nor with a certificate of another run, nor as a server with the driver's."""
    fleet, client = start(make_plan(1), hive_launcher(), workers=1)
    address = fleet.scheduler_address
    worker = next(iter(client.scheduler_info()["workers"]))
    stranger = make_certificates("run-other", 3600)

    assert address.startswith("tls://")
    for place in (address, worker):
        with pytest.raises((OSError, TimeoutError)):
            _reach(place.replace("tls://", "tcp://"), None)
        with pytest.raises((OSError, TimeoutError)):
            _reach(place, stranger.driver_security())
    assert _reach(address, fleet.security)["workers"]


def test_no_secret_is_on_a_command_line_or_in_the_records(
    make_plan, subprocess_launcher, start, tmp_path
):
    """Keys and the components' environment are in the documents alone, which go with the run."""
    import psutil

    from scalable_core.types import Secret, WorkerGroup

    secret = "a-token-that-nobody-may-see"
    group = WorkerGroup(
        name="analysis",
        cpus=1.0,
        threads=1,
        minimum=0,
        maximum=1,
        env={"TOKEN": Secret(secret, template="${TOKEN}")},
    )
    launcher = subprocess_launcher()
    fleet, client = start(make_plan(groups=(group,)), launcher, workers=1)

    def token():
        import os

        return os.environ["TOKEN"]

    assert client.submit(token).result(timeout=60) == secret
    words = [psutil.Process(p.pid).cmdline() for p in launcher.processes.values()]
    assert secret not in str(words)
    assert "PRIVATE KEY" not in str(words)
    client.close()
    fleet.close()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.jsonl" for path in written)
    for path in written:
        assert secret.encode() not in path.read_bytes(), path
        assert b"PRIVATE KEY" not in path.read_bytes(), path


def test_another_version_in_the_image_is_a_sentence_with_the_cure(
    make_plan, subprocess_launcher, start, monkeypatch
):
    """The members find out before they take any work, and the driver hears it."""
    from scalable_core.member import serve

    versions = serve.versions()
    monkeypatch.setattr(serve, "versions", lambda: {**versions, "dask": "2021.1.0"})

    with pytest.raises(
        ClusterError, match=r"the image has dask .*, and this run uses dask 2021"
    ) as e:
        start(make_plan(1), subprocess_launcher(), client=False)
    assert "pip install dask==2021.1.0" in e.value.cure


def test_an_image_without_dask_is_a_sentence_too(make_plan, subprocess_launcher, start, tmp_path):
    """The first lines of a member need nothing of ours, and say what they lack."""
    import subprocess
    import sys

    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)

    with pytest.raises(ClusterError, match="lacks a package that every member needs"):
        start(make_plan(1), subprocess_launcher(python=str(bare / "bin/python")), client=False)


def test_members_run_the_code_that_the_scheduler_hands_out(make_plan, subprocess_launcher, start):
    """Neither scheduler nor workers need Scalable in their image: it comes over the run's own TLS."""
    _, client = start(make_plan(1), subprocess_launcher(), workers=1)

    def origin(dask_scheduler=None):
        import scalable_core.errors

        return scalable_core.errors.__file__

    assert ".zip/" in client.run_on_scheduler(origin)
    assert all(".zip/" in path for path in client.run(origin).values())


def test_several_members_with_the_same_names_agree_on_who_is_who(make_plan, hive_launcher, start):
    """Where a service starts several as one, each takes a name that no other has."""
    fleet, _ = start(make_plan(1), hive_launcher(), workers=1)
    names = ["pool-1", "pool-2", "analysis-0"]

    def claim():
        return fleet.sync(fleet.scheduler_comm.scalable_claim, names=names)

    assert [claim(), claim(), claim()] == ["pool-1", "pool-2", None]


def test_the_dashboard_is_reached_through_the_run_s_tls(make_plan, subprocess_launcher, start):
    """A plain link on this machine, and one open port on the other one."""
    import urllib.request

    fleet, _ = start(make_plan(1), subprocess_launcher(), workers=1)

    with urllib.request.urlopen(fleet.dashboard_link.replace("status", "health")) as page:
        assert page.read() == b"ok"
    assert fleet.dashboard_link.startswith("http://127.0.0.1:")
