"""What is said of a target and of a plan before anything is submitted."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from scalable_core.types import HookContext, Plan, Problem, Target, WorkerGroup
from scalable_slurm.jobs import directives

#: Seconds that Slurm has to answer.
PATIENCE = 30


def target_problems(target: Target) -> Sequence[Problem]:
    """Return what is odd in a target's options taken together."""
    options = target.options
    if options.image is not None and options.container_runtime == "none":
        return [
            Problem(
                code="W9102",
                severity="warning",
                where="image",
                message="the image is not used, because the workers run without containers",
                cure="set container_runtime, or remove image",
            )
        ]
    return []


def submission_problems(plan: Plan, context: HookContext) -> Sequence[Problem]:
    """Return why Slurm would not take the job of a group, asked with ``sbatch --test-only``."""
    with ThreadPoolExecutor(4) as pool:
        refused = pool.map(lambda group: _refusal(plan, group, context), plan.groups)
    return [problem for problem in refused if problem is not None]


def _refusal(plan: Plan, group: WorkerGroup, context: HookContext) -> Problem | None:
    lines = directives(plan.target.options, group, name="test", project=context.project)
    command = ["sbatch", "--test-only", *lines, "--wrap", "true"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except FileNotFoundError:
        return Problem(
            code="E9101",
            where="network",
            message="sbatch is not on the PATH",
            cure="run this on a login node of the Slurm cluster",
        )
    except subprocess.TimeoutExpired:
        return Problem(
            code="E9101",
            where="network",
            message=f"Slurm has not answered for {PATIENCE} s",
            cure="see what it says: sinfo",
        )
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()
    return Problem(
        code="E9103",
        where="quota",
        message=f"Slurm does not take the jobs of {group.name!r}:"
        f" {said[-1] if said else 'no reason is given'}",
        cure="see what there is: sinfo --summarize",
    )
