"""Outside plugins pass the kit that our own providers pass."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scalable_core.testing.conformance import ClusterConformance, OfflineConformance
from scalable_core.testing.conformance.release import ReleaseChecks


@pytest.fixture(autouse=True)
def visible(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process, and those that it starts, see the example dists."""
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.setenv("PYTHONPATH", str(plugins))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(plugins)):
            del sys.modules[name]


class TestAdopted(OfflineConformance):
    """One small file."""

    provider = "adopted"


@pytest.mark.slow  # workers and drivers are processes: minutes; test_adopt_a_cluster.py runs a workflow on them
class TestAdoptedClusters(ClusterConformance):
    """On processes of this machine."""

    provider = "adopted"
    component = {"cpus": 1, "memory": "1G"}

    def leftovers(self, run: str) -> tuple[str, ...]:
        """Processes whose command line has the run's folder."""
        import psutil

        words = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
        return tuple(each for each in words if str(self.folder) in each and ".driver" not in each)


class TestSlurm(OfflineConformance):
    """What can be known without a Slurm."""

    provider = "slurm"


class TestSlurmItself(ReleaseChecks):
    """Nothing is left in the queue of a Slurm on this machine; the rest of its clusters is in test_slurm.py."""

    provider = "slurm"
    target = {"interface": "lo", "poll": "1s", "n_workers": 2, "walltime": "10m"}
    component = {"cpus": 1, "memory": "500M"}

    @pytest.fixture(autouse=True)
    def queue(self, slurm: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process find the Slurm."""
        for name, value in slurm.items():
            monkeypatch.setenv(name, value)
