"""What a run gives to its workers alone gets to them with its certificates."""

from __future__ import annotations

from scalable_core.session.kept import workers_elsewhere
from scalable_core.types import HookContext


def test_workers_have_the_projects_key_and_nobody_else_sees_it(
    make_plan, subprocess_launcher, tmp_path
):
    """In their environment; not on a command line; and no result is looked for on this machine's disk."""
    import psutil
    from distributed import Client

    from scalable_core.cluster.fleet import FleetCluster

    key = "5c0ffee5" * 8
    context = HookContext(
        project="test",
        run="run-test",
        run_dir=tmp_path / "run-test",
        secrets=lambda: {"SCALABLE_CACHE_KEY": key},
    )
    launcher = subprocess_launcher()

    def known():
        import os

        return os.environ.get("SCALABLE_CACHE_KEY")

    with FleetCluster(make_plan(1), launcher, context, eager=True) as fleet:
        assert workers_elsewhere(fleet)
        with Client(fleet) as client:
            assert client.submit(known).result(timeout=120) == key
            words = [psutil.Process(p.pid).cmdline() for p in launcher.processes.values()]
    assert words
    assert key not in str(words)
    for path in (tmp_path / "run-test").rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes(), path
