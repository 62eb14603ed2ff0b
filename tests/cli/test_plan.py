"""`scalable plan` shows what a run would create and cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_a_plan_for_people(project: Path, scalable) -> None:
    """Header, workers, tasks, stores, cost, verdict; the next command is named."""
    done = scalable("plan")

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Project study   Target local   Provider local (scalable-local ")
    assert [line.split()[0] for line in lines if line[:1].isupper()] == [
        "Project", "Manifest", "WORKERS", "TASKS", "STORES", "Cost", "Plan:",
    ]  # fmt: skip
    assert "  model      2     1    256M        1  -" in lines
    assert "Cost Estimate for target 'local':" in lines
    assert lines[-1] == "Plan: 1 worker group, 2 workers, 1 task. Nothing is billed."
    assert done.stderr == "Next: scalable run\n"


def test_a_plan_for_programs(project: Path, scalable) -> None:
    """--json is the plan's document and nothing else."""
    done = scalable("plan", "--json")

    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.plan/1"
    assert document["groups"][0]["name"] == "model"
    assert done.stderr == ""


def test_nothing_is_created(project: Path, scalable) -> None:
    """A plan leaves the folder as it was."""
    before = sorted(project.iterdir())

    scalable("plan", "--dry-run")

    assert sorted(project.iterdir()) == before


def test_the_plan_can_be_kept(project: Path, scalable) -> None:
    """--output writes plan.json, and the next command runs it."""
    done = scalable("plan", "--output", "my plan.json")

    assert json.loads((project / "my plan.json").read_text())["schema"] == "scalable.plan/1"
    assert done.stderr == "Next: scalable run 'my plan.json'\n"


def test_a_plan_that_cannot_be_kept_is_a_sentence(project: Path, scalable) -> None:
    """A folder that is not there is said, exit code 2."""
    done = scalable("plan", "--output", "missing/plan.json")

    assert done.returncode == 2
    assert "error: missing/plan.json cannot be written: No such file or directory" in done.stderr


def test_quiet_says_only_the_verdict(project: Path, scalable) -> None:
    """-q is for scripts that want one line."""
    done = scalable("plan", "-q")

    assert done.stdout == "Plan: 1 worker group, 2 workers, 1 task. Nothing is billed.\n"
    assert done.stderr == ""


def test_the_next_command_has_the_same_manifest_and_target(project: Path, scalable) -> None:
    """What is suggested runs what was planned."""
    (project / "scalable.yaml").rename(project / "my study.yaml")

    done = scalable("plan", "my study.yaml", "--target", "local")

    assert done.stderr == "Next: scalable run 'my study.yaml' --target local\n"


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_unknown_target_is_a_problem_of_the_manifest(
    command: str, project: Path, scalable
) -> None:
    """The targets that there are are named, exit code 2."""
    done = scalable(command, "--target", "lokal")

    assert done.returncode == 2
    assert "there is no target 'lokal'" in done.stderr
    assert "did you mean 'local'?" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_provider_that_is_not_installed_is_exit_code_3(
    command: str, project: Path, scalable
) -> None:
    """The manifest is right; what is missing is a plugin, and the pip line is there."""
    manifest = (project / "scalable.yaml").read_text()
    (project / "scalable.yaml").write_text(manifest.replace("provider: local", "provider: slurm"))

    done = scalable(command)

    assert done.returncode == 3
    assert "the provider 'slurm' is not installed" in done.stderr
    assert "pip install" in done.stderr


def test_errors_for_programs(project: Path, scalable) -> None:
    """With --json an error is an object on stdout too, with its problems."""
    done = scalable("plan", "--target", "lokal", "--json")

    document = json.loads(done.stdout)
    assert document["schema"] == "scalable.error/1"
    assert document["exit_code"] == done.returncode == 2
    assert document["problems"][0]["message"] == "there is no target 'lokal'"


def test_secrets_are_never_shown(project: Path, scalable) -> None:
    """Neither the plan as text nor as JSON has the value of a variable under env."""
    manifest = (project / "scalable.yaml").read_text()
    wanted = "memory: 256M, env: {TOKEN: '${TOKEN}'}"
    (project / "scalable.yaml").write_text(manifest.replace("memory: 256M", wanted))

    for arguments in (["plan"], ["plan", "--json"], ["plan", "-o", "plan.json"]):
        done = scalable(*arguments, TOKEN="hunter2")
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    assert "hunter2" not in (project / "plan.json").read_text()
