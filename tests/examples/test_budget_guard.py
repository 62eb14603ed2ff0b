"""The extension that refuses runs above a team's limit, before the verb that spends money."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Run

MANIFEST = """\
version: 1
project: {name: study}
targets:
  here: {provider: adopted, n_workers: 1}
  charged: {provider: local, max_workers: 2, processes: false, price: {vcpu_hour: 10.0}}
  campus: {provider: slurm, interface: lo, worker_mem: 500M, walltime: 10m}
components:
  model: {cpus: 1}
tasks:
  simulate: {component: model}
"""

WORKFLOW = """\
from scalable import ScalableSession

if __name__ == "__main__":
    with ScalableSession.from_yaml("scalable.yaml") as client:
        print("SAID", client.submit(abs, -7, task="simulate").result())
"""


@pytest.fixture(autouse=True)
def study(tmp_path: Path) -> None:
    """A study whose run takes an hour of two workers, as far as anybody knows."""
    (tmp_path / "scalable.yaml").write_text(MANIFEST)
    (tmp_path / "workflow.py").write_text(WORKFLOW)


@pytest.fixture
def limited(tmp_path: Path, scalable: Run):
    """Run the study on a target, under limits, and return what is said."""

    def run(target: str, limits: str, exit_code: int, **environ: str) -> str:
        (tmp_path / "budget.toml").write_text(limits)
        named = {"SCALABLE_BUDGET_FILE": str(tmp_path / "budget.toml"), **environ}
        done = scalable("run", "--yes", "--target", target, exit_code=exit_code, **named)
        return done.stdout + done.stderr

    return run


def test_a_run_that_may_cost_more_than_the_limit_is_refused(limited) -> None:
    """The sentence has both amounts, and the workflow's first call was never made."""
    said = limited("charged", "limit = 5.0", 2)
    assert "the budget guard refuses this run: it may cost $20.00" in said
    assert "'study' may spend $5.00" in said
    assert "SAID" not in said


def test_a_run_within_the_limit_goes_on(limited) -> None:
    """The limit of the project wins over the general one."""
    assert "SAID 7" in limited("charged", "limit = 5.0\n[projects]\nstudy = 50.0", 0)


def test_what_costs_nothing_is_never_refused(limited) -> None:
    """A limit of zero still lets free machines run."""
    assert "SAID 7" in limited("here", "limit = 0.0", 0)


def test_unknown_prices_are_refused_unless_they_are_allowed(limited, slurm: dict[str, str]) -> None:
    """Unknown is not free."""
    said = limited("campus", "limit = 1000.0", 2, **slurm)
    assert "the budget guard refuses this run: nobody knows what Compute will cost" in said
    assert "SAID" not in said
    assert "SAID 7" in limited("campus", "limit = 1000.0\nallow_unknown = true", 0, **slurm)


def test_limits_that_make_no_sense_are_refused(limited) -> None:
    """A slip in the file does not turn the guard off."""
    assert "make no sense: limt" in limited("here", "limt = 5.0", 2)
    assert "make no sense: study" in limited("here", "[projects]\nstudy = 'much'", 2)


def test_without_a_file_nothing_is_refused(scalable: Run) -> None:
    """A guard that is installed and not set up is in nobody's way."""
    assert "SAID 7" in scalable("run", "--yes", "--target", "charged").stdout
