"""The queue: what is in it because of a run or a project, and its end."""

from __future__ import annotations

import getpass
import re
import subprocess
import time
from collections.abc import Iterable

from attrs import frozen

from scalable_core.errors import ClusterError
from scalable_core.types import ClusterRecord, ReleaseReport, Resource
from scalable_slurm.jobs import comment

#: Kind of `Resource` of a job.
JOB = "slurm:job"
#: Seconds that Slurm has to answer, and that cancelled jobs have to go.
PATIENCE = 30.0

#: Written with a separator that none of the parts can have.
_FORMAT = "%i|%T|%V|%j|%k"


@frozen(kw_only=True)
class Job:
    """A job in the queue.

    Attributes:
        id: Slurm's number of it.
        state: Such as ``PENDING``.
        submitted: ISO time, of the cluster's clock.
        name: The run's id.
        comment: Names the project.
    """

    id: str
    state: str
    submitted: str
    name: str
    comment: str

    def as_resource(self) -> Resource:
        """Return the job as what may bill; its price is not known here."""
        return Resource(kind=JOB, id=self.id, run=self.name, created=self.submitted)


def read_queue(*, name: str | None = None) -> list[Job] | None:
    """Return this user's jobs in the queue; None when Slurm does not answer.

    Args:
        name: Only jobs of this name.
    """
    try:
        return _ask(name)
    except ClusterError:
        return None


def find(project: str, run: str | None) -> list[Resource]:
    """Return what a project has in the queue.

    Raises:
        ClusterError: Slurm does not answer.
    """
    return [job.as_resource() for job in _ask(run) if job.comment == comment(project)]


def release(record: ClusterRecord, *, provider: str, dry_run: bool) -> ReleaseReport:
    """Cancel the jobs that have a run's name, and look until they are gone.

    Raises:
        ClusterError: Slurm does not answer.
    """
    released = _resources(_ask(record.run))
    if dry_run or not record.run:
        return ReleaseReport(provider=provider, remaining=released)
    if released:
        _run(["scancel", f"--name={record.run}", f"--user={getpass.getuser()}"])
    end = time.monotonic() + PATIENCE
    while (left := _resources(_ask(record.run))) and time.monotonic() < end:
        time.sleep(0.5)
    ids = {each.id for each in left}
    gone = tuple(each for each in (*record.resources, *released) if each.id not in ids)
    return ReleaseReport(
        provider=provider,
        released=tuple({each.id: each for each in gone}.values()),
        remaining=left,
        notes=("scancel has been asked, and the jobs are still ending",) if left else (),
    )


def end_of(job: str) -> str:
    """Say how a job has ended, such as ``ended: CANCELLED, exit code 0:15``."""
    try:
        said = _run(["scontrol", "--oneliner", "show", "job", job])
    except ClusterError:
        return "is not in the queue any more"
    facts = dict(re.findall(r"(\S+?)=(\S*)", said))
    reason = facts.get("Reason", "None")
    because = "" if reason == "None" else f" ({reason})"
    return f"ended: {facts.get('JobState')}{because}, exit code {facts.get('ExitCode')}"


def _resources(jobs: Iterable[Job]) -> tuple[Resource, ...]:
    return tuple(job.as_resource() for job in jobs)


def _ask(name: str | None) -> list[Job]:
    command = ["squeue", "--me", "--noheader", f"--format={_FORMAT}"]
    said = _run([*command, f"--name={name}"] if name else command)
    rows = (line.split("|", 4) for line in said.splitlines() if line.strip())
    return [
        Job(id=job, state=state, submitted=submitted, name=called, comment=note)
        for job, state, submitted, called, note in rows
    ]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except FileNotFoundError:
        raise ClusterError(
            f"{command[0]} is not on the PATH", cure="run this on a login node of the Slurm cluster"
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{command[0]} has not answered for {PATIENCE:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise ClusterError(f"{command[0]}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout
