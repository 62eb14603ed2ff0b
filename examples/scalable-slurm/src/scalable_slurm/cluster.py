"""The cluster of a `slurm` target. Imports distributed: import it inside functions."""

from __future__ import annotations

import asyncio
import math
import os
import shlex
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dask.utils import parse_bytes
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from distributed import Status
from distributed.deploy.cluster import Cluster
from distributed.security import Security

from scalable_core.errors import ClusterError
from scalable_core.types import Event, HookContext, Plan
from scalable_slurm.adaptive import GroupAdaptive, share
from scalable_slurm.jobs import LOGS, job_options
from scalable_slurm.logs import last_lines
from scalable_slurm.queue import end_of, read_queue

#: Jobs in a row that may end without their worker having arrived; with one more the group is given up.
ATTEMPTS = 3


class MemberJob(SLURMJob):
    """A job that is one worker.

    Args:
        *args: As for `SLURMJob`.
        environ: What its environment holds besides this process's. It goes to sbatch in sbatch's own
            environment, so no secret is in a script, on a command line or in a log.
        **kwargs: As for `SLURMJob`.
    """

    def __init__(self, *args: Any, environ: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._environ = environ

    async def _submit_job(self, script_filename: str) -> str:
        command = [*shlex.split(self.submit_command), "--export=ALL", script_filename]
        return await self._call(command, env={**os.environ, **self._environ})

    async def close(self) -> None:
        """Cancel the job."""
        await super().close()
        self.status = Status.closed


class SlurmCluster(SLURMCluster):
    """Dask's scheduler in this process, and the workers of each group as jobs of one Slurm cluster.

    Jobs are submitted when `request_workers`, `scale` or `adapt` asks for workers. A worker is named
    ``<component>-<number>``, its job after the run. A job that ends before it should is replaced.

    Args:
        plan: The plan that the workers are for.
        context: The run's id and folder, and where to say what happens.

    Attributes:
        workers_elsewhere: Whether the workers do not see the project's folder.
    """

    def __init__(self, plan: Plan, context: HookContext) -> None:
        assert context.run_dir is not None
        self._run_plan, self._context = plan, context
        self._groups = {group.name: group for group in plan.groups}
        self._asked = False
        self._attempts: Counter[str] = Counter()
        self._arrived: set[str] = set()
        self._failure: ClusterError | None = None
        options = plan.target.options
        self.workers_elsewhere = not options.shared_folder
        (context.run_dir / LOGS).mkdir(parents=True, exist_ok=True)
        super().__init__(
            name=context.run,
            job_cls=MemberJob,
            interface=options.interface,
            security=Security.temporary(),
            shared_temp_directory=str(context.run_dir),
            scheduler_options={"dashboard_address": "127.0.0.1:0", "port": 0},
            **job_options(options, plan.groups[0], f"{plan.groups[0].name}-0", context),
        )
        self.loop.add_callback(self._watch)

    # -- what users and the session ask for --------------------------------------------------------------

    def request_workers(self) -> None:
        """Ask for the workers of the plan, once. Returns at once; after `scale` or `adapt` it does nothing."""
        if self._asked:
            return
        plan = self._run_plan
        if plan.adaptive:
            self.adapt(minimum=plan.minimum, maximum=plan.maximum)
        else:
            self._asked = True
            self.scale_groups({group.name: group.maximum for group in plan.groups})

    def scale(
        self,
        n: int | None = None,
        jobs: int = 0,
        memory: str | None = None,
        cores: int | None = None,
    ) -> None:
        """Scale to a number of workers, shared over the groups in proportion to the plan.

        Args:
            n: Workers over all groups.
            jobs: The same: each worker is a job.
            memory: Or as many as hold so much memory together, at the first group's size.
            cores: Or as many as run so many calls at once, at the first group's size.
        """
        if self.status in (Status.closing, Status.closed, Status.failed):
            self.worker_spec.clear()
            return
        self._asked = True
        total = max(n or 0, jobs)
        if memory is not None:
            total = max(total, math.ceil(parse_bytes(memory) / self._memory_per_worker()))
        if cores is not None:
            total = max(total, math.ceil(cores / self._threads_per_worker()))
        weights = {name: total * group.maximum for name, group in self._groups.items()}
        self.scale_groups(share(total, weights))

    def adapt(self, **kwargs: Any) -> Any:
        """Let each group follow the queued work of its component; arguments are those of Dask's `adapt`."""
        self._asked = True
        self._adaptive_options: dict[str, Any] = {}
        return super().adapt(Adaptive=GroupAdaptive, **kwargs)

    async def explain_loss(self) -> ClusterError | None:
        """Return why the scheduler has ended; None when that was not this cluster's own decision."""
        return self._failure

    # -- what the adaptive asks for ----------------------------------------------------------------------

    @property
    def groups(self) -> Mapping[str, Any]:
        """The plan's groups by name."""
        return self._groups

    def members(self, group: str) -> list[str]:
        """Names of the workers of a group that were asked for."""
        return [name for name in self.worker_spec if group_of(name) == group]

    def scale_groups(self, targets: Mapping[str, int]) -> None:
        """Bring each group named to a number of workers, those with the highest numbers leaving first."""
        for group, target in targets.items():
            wanted = [f"{group}-{number}" for number in range(target)]
            for name in set(self.members(group)) - set(wanted):
                del self.worker_spec[name]
            for name in wanted:
                self._submit(name)
        self.loop.add_callback(self._correct_state)

    def grow(self, group: str, count: int) -> None:
        """Ask for more workers of a group."""
        numbers = (n for n in range(len(self.worker_spec) + count + 1))
        free = [name for n in numbers if (name := f"{group}-{n}") not in self.worker_spec]
        for name in free[:count]:
            self._submit(name)
        self.loop.add_callback(self._correct_state)

    def drop(self, names: list[str]) -> None:
        """Give workers up that hold nothing any more, or have not arrived."""
        for name in names:
            self.worker_spec.pop(name, None)
        self.loop.add_callback(self._correct_state)

    def _submit(self, name: str) -> None:
        group = self._groups[group_of(name)]
        own = job_options(self._run_plan.target.options, group, name, self._context)
        spec = {"cls": self.job_cls, "options": {**self._job_kwargs, **own}}
        self.worker_spec.setdefault(name, spec)

    # -- what Dask asks of a SpecCluster -----------------------------------------------------------------

    async def _correct_state_internal(self) -> None:
        """Move what is on workers that are about to leave, then submit and cancel jobs."""
        leaving = sorted(set(self.workers) - set(self.worker_spec))
        if leaving and self.status is Status.running:
            await self.scheduler.retire_workers(names=leaving, close_workers=True)
        try:
            await super()._correct_state_internal()
        except RuntimeError as error:  # what sbatch said
            said = [line for line in str(error).splitlines() if line.startswith("sbatch: error")]
            await self._give_up("Slurm refuses a job", said[-1] if said else str(error))

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Note which workers have arrived; whether a job has ended is asked of Slurm."""
        if op == "add":
            self._arrived |= {str(worker["name"]) for worker in msg["workers"].values()}
        Cluster._update_worker_status(self, op, msg)

    async def _close(self) -> None:
        await super()._close()
        for part in ("key", "cert", "ca_file"):  # what dask-jobqueue has put into the run's folder
            if (file := getattr(self, f"_job_{part}", None)) is not None:
                file.close()

    # -- what happens to jobs ----------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look at the queue now and then, and submit a job that has ended by itself once more."""
        assert self._context.run is not None
        while self.status in (Status.created, Status.starting, Status.running):
            await asyncio.sleep(self._run_plan.target.options.poll)
            jobs = {name: job.job_id for name, job in self.workers.items() if job.job_id}
            if not jobs or self.status is not Status.running:
                continue
            queue = await asyncio.to_thread(read_queue, name=self._context.run)
            if queue is None:
                continue  # Slurm does not answer now; the jobs go on without it
            there = {job.id for job in queue}
            for name, job in jobs.items():
                if job not in there and name in self.worker_spec:
                    await self._replace(name, job)

    async def _replace(self, name: str, job: str) -> None:
        if (ended := self.workers.pop(name, None)) is None:
            return
        ended.status = Status.closed
        reason = await asyncio.to_thread(end_of, job)
        self._say("worker.lost", f"worker {name} is lost: job {job} {reason}")
        group = group_of(name)
        self._attempts[group] = 0 if name in self._arrived else self._attempts[group] + 1
        self._arrived.discard(name)
        if self._attempts[group] > ATTEMPTS:
            assert self._context.run_dir is not None
            said = last_lines(self._context.run_dir / LOGS / f"{name}-{job}.log")
            cause = f"job {job} {reason}; it wrote: {said}" if said else f"job {job} {reason}"
            await self._give_up(f"no job of component {group!r} becomes a worker", cause)
        else:
            await self._correct_state()

    async def _give_up(self, what: str, why: str) -> None:
        """End the scheduler, so that whoever waits for a result hears why there is none."""
        self._failure = ClusterError(f"{what}: {why}", cure="mend the cause and run again")
        self._say("cluster.failed", self._failure.message)
        self.worker_spec.clear()
        await super()._correct_state_internal()
        await self.scheduler.close()
        # It is closed already; Dask would try to reach it for half a minute.
        self.shutdown_scheduler = False

    def _say(self, kind: str, message: str) -> None:
        self._context.events.emit(Event(time=time.time(), kind=kind, message=message))


def group_of(name: str) -> str:
    """Return the component of a worker."""
    return name.rpartition("-")[0]
