"""What a plan and its run come to for a fleet: groups, limits, code, ledger and record."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from scalable_core.cluster.launcher import Fleet, Launcher, Limits, MemberGroup
from scalable_core.cluster.ledger import Ledger
from scalable_core.cluster.watch import SCHEDULER
from scalable_core.errors import ClusterError
from scalable_core.types import ClusterRecord, Environment, HookContext, Plan, Storage, WorkerGroup


def default_limits(options: Any) -> Limits:
    """Return the limits that a target's options set, where they have such names."""
    names = {"lifetime": "max_lifetime", "idle": "idle_timeout"}
    given = {ours: getattr(options, theirs, None) for ours, theirs in names.items()}
    return Limits(**{name: value for name, value in given.items() if value is not None})


def travelling_code(context: HookContext) -> tuple[bytes, str]:
    """Return the run's code and its hash; without a session, that is Scalable itself."""
    from scalable_core.member.bundle import build_bundle

    if context.bundle is not None:
        bundle = context.bundle()
        return bundle.path.read_bytes(), bundle.digest
    with tempfile.TemporaryDirectory(prefix="scalable-") as folder:
        bundle = build_bundle(Path(folder) / "workflow.py", Path(folder) / "code")
        return bundle.path.read_bytes(), bundle.digest


def brought_environment(plan: Plan, context: HookContext) -> Environment | None:
    """Return what members whose image has Python alone are brought; None when there are none.

    Raises:
        ClusterError: There is nothing to bring, outside of a session.
    """
    if not any(group.environment for group in plan.groups):
        return None
    if context.environment is None:
        raise ClusterError(
            "workers without an image need the packages of a run's environment, and there is none",
            cure="start the run with a ScalableSession or with: scalable run",
        )
    return context.environment()


def bare_groups(plan: Plan) -> list[str]:
    """Return the groups whose image has Python alone, the scheduler's among them where it has."""
    names = [group.name for group in plan.groups if group.environment]
    first = next(group for group in plan.groups if group.image)
    return [*names, SCHEDULER] if first.environment else names


def member_group(group: WorkerGroup) -> MemberGroup:
    """Return what the members of a component are."""
    return MemberGroup(
        name=group.name,
        cpus=group.cpus,
        memory=group.memory,
        gpus=group.gpus,
        image=group.resolved.pinned if group.resolved else group.image,
        mounts=group.mounts,
        tags=group.tags,
    )


def scheduler_group(plan: Plan) -> MemberGroup:
    """Return what the scheduler's member is: it needs what every worker's image has, so the first will do."""
    image = next((member_group(group).image for group in plan.groups if group.image), None)
    return MemberGroup(name=SCHEDULER, role="scheduler", image=image)


def make_fleet(
    plan: Plan, run: str, folder: Path | None, limits: Limits, storage: Storage | None
) -> Fleet:
    """Return the run as launchers see it, with its ledger in the run's folder."""
    folder = folder or Path(tempfile.mkdtemp(prefix="scalable-"))
    return Fleet(
        project=plan.project.name,
        run=run,
        target=plan.target.name,
        tags={"scalable-project": plan.project.name, "scalable-run": run},
        ledger=Ledger(folder, run, storage),
        limits=limits,
    )


def cluster_record(fleet: Fleet, launcher: Launcher) -> ClusterRecord:
    """Return what is enough, with the ledger, to release everything."""
    return ClusterRecord(
        provider=launcher.provider,
        run=fleet.run,
        project=fleet.project,
        target=fleet.target,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        data=dict(launcher.data),
    )
