"""A run is taken up again as what it was: its target, overlays, workflow and arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paid_project import record_of, runs_of

MANIFEST = """\
version: 1
project: {name: study}
targets:
  local: {provider: local, max_workers: 1, processes: false}
  other: {provider: local, max_workers: 2, processes: false}
components:
  model: {cpus: 1}
tasks:
  simulate: {component: model, cache: true}
overlays:
  small: {components: {model: {memory: 512M}}}
"""


@pytest.fixture
def project(project: Path) -> Path:
    """A project with two targets and a run on the second, with an overlay, another workflow and arguments."""
    (project / "scalable.yaml").write_text(MANIFEST)
    (project / "workflow.py").rename(project / "flow.py")
    return project


@pytest.fixture
def first(project: Path, scalable) -> str:
    """The run's id."""
    how = ("--target", "other", "--overlay", "small", "--workflow", "flow.py")
    assert scalable("run", "-q", *how, "--", "3", "0").returncode == 0
    return runs_of(project)[0].name


def test_a_run_goes_on_as_what_it_was(first: str, project: Path, scalable) -> None:
    """Any part of its id is enough, and nothing has to be said again."""
    words = "-".join(first.split("-")[3:5])

    done = scalable("run", "-q", "--resume", words)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "sum 3\n"
    record = record_of(runs_of(project)[1])
    plan = json.loads((runs_of(project)[1] / "plan.json").read_text())
    assert (record["resumed"], record["target"]) == (first, "other")
    assert plan["groups"][0]["memory"] == 512 * 2**20
    assert record["workflow"] == str(project / "flow.py")
    assert (record["arguments"], record["tasks"]["cached"]) == (["3", "0"], 3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--target", "local"), "had target other, not local"),
        (("--workflow", "workflow.py"), "had workflow "),
        (("--", "4", "0"), "had arguments 3 0, not 4 0"),
        (("--resume", "no-such"), "has 'no-such' in its id"),
    ],
)
def test_what_does_not_fit_is_refused(
    asked: tuple[str, ...], said: str, first: str, project: Path, scalable
) -> None:
    """Exit code 2, what the run had, and nothing is started."""
    done = scalable("run", "--resume", first, *asked)

    assert done.returncode == 2
    assert said in done.stderr
    assert len(runs_of(project)) == 1


def test_a_run_whose_workflow_is_gone_is_refused(first: str, project: Path, scalable) -> None:
    """The path is named."""
    (project / "flow.py").unlink()

    done = scalable("run", "--resume", first)

    assert done.returncode == 2
    assert f"{project / 'flow.py'} is not there any more" in done.stderr


def test_a_manifest_that_has_changed_is_said(first: str, project: Path, scalable) -> None:
    """The run goes on with today's manifest."""
    (project / "scalable.yaml").write_text(MANIFEST.replace("max_workers: 2", "max_workers: 1"))

    done = scalable("run", "--resume", first)

    assert done.returncode == 0, done.stderr
    assert f"The manifest has changed since run {first}" in done.stderr
