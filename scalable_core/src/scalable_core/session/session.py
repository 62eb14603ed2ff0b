"""The session: one run, from its manifest to its records."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from scalable_core.errors import BudgetReachedError, ClusterError, ProviderError, UsageError
from scalable_core.manifest import AUTO, manifest_text
from scalable_core.plan import plan_document
from scalable_core.plugins import PluginHost
from scalable_core.records import RunFolder
from scalable_core.records.folder import now
from scalable_core.session import images, invocation, mirror, packing
from scalable_core.session.artifacts import RunArtifacts
from scalable_core.session.choosing import chosen_plan
from scalable_core.session.draining import drain
from scalable_core.session.ending import Tee, first_line, open_sessions, status_of, summarise_run
from scalable_core.session.planning import failures, load, make_plan, pin_images
from scalable_core.session.progress import read_progress
from scalable_core.session.recorder import Recorder
from scalable_core.session.storage import worker_secrets
from scalable_core.types import (
    ArtifactRef,
    Event,
    EventSink,
    HookContext,
    NullSink,
    Plan,
    Progress,
    RunRecord,
    to_data,
)

if TYPE_CHECKING:
    from scalable_core.member.bundle import Bundle
    from scalable_core.plan.choose import Objective
    from scalable_core.session.client import ScalableClient
    from scalable_core.session.governor import Governor
    from scalable_core.session.kept import KeptResults


class ScalableSession:
    """One run of a workflow on one target.

    As a context manager it starts the run and gives the client; at the end of the block everything is
    released, and the run is ``failed`` if the block raised:

        with ScalableSession.from_yaml("./scalable.yaml") as client:
            futures = client.map(analyse, range(500), task="run_analysis")
            results = client.gather(futures)

    Step by step it is `from_yaml`, `plan`, `start`, `close`.

    Attributes:
        run_id: ``run-<date>-<time>-<two words>-<4 hex>``.
        closed: `close` has begun.
    """

    def __init__(self, plan: Plan, *, host: PluginHost, sink: EventSink | None = None) -> None:
        self.run_id = invocation.next_run_id()
        self._plan = plan
        self._host = host
        self._sink: EventSink = sink or NullSink()
        self._folder: RunFolder | None = None
        self._client: ScalableClient | None = None
        self._cluster: Any = None
        self._recorder: Recorder | None = None
        self._kept: KeptResults | None = None
        self._governor: Governor | None = None
        self._mirror: mirror.Mirror | None = None
        self._budget: float | None = None
        self._last = Progress()
        self.closed = False
        self._environment = functools.cache(lambda: packing.pack_for(self._plan, say=self._say))

    @classmethod
    def from_yaml(
        cls,
        path: str | Path = "./scalable.yaml",
        *,
        target: str | None = None,
        overlays: Sequence[str] = (),
    ) -> ScalableSession:
        """Read a manifest and plan for one of its targets.

        Inside `scalable run` the command line's target and overlays win over the ones given here, and the
        run says so, so that one workflow serves every target.

        Args:
            path: The manifest.
            target: A target's name; the default one (``SCALABLE_TARGET``, the only one, ``local``) when None.
            overlays: Names of overlays to merge in.

        Raises:
            ManifestError: The manifest has problems; all are carried.
            ProviderError: The target's provider cannot be used.
        """
        run = invocation.current()
        manifest_path = run.find(path) if run is not None else None
        if run is None or manifest_path is None:
            host = PluginHost() if run is None else run.host
            manifest = load(
                path, target=AUTO if target is None else target, overlays=overlays, host=host
            )
            session = cls(make_plan(manifest, host=host), host=host, sink=run.sink if run else None)
        else:
            session = cls(run.plan, host=run.host, sink=run.sink)
            chosen = run.plan.target.name
            if target not in (None, chosen):
                session._say(
                    "target.chosen",
                    f"target {chosen!r} of the command line is used, not {target!r}",
                )
        if run is not None:
            run.sessions.append(session)
        return session

    @property
    def run_dir(self) -> Path:
        """The folder of the run's records; it is there once the run has started."""
        return Path(self._plan.stores.records) / self.run_id

    @property
    def record(self) -> RunRecord | None:
        """The run as it stands; None before `start`."""
        return None if self._folder is None else self._folder.record

    @property
    def client(self) -> ScalableClient | None:
        """The client; None before `start`."""
        return self._client

    @property
    def spent(self) -> float:
        """USD that the run has cost so far; 0 where nothing is billed, or nobody can say."""
        return 0.0 if self._governor is None else self._governor.spent

    @property
    def stopped(self) -> BudgetReachedError | None:
        """Why the run was stopped before its work was done; None for any other end."""
        stopped = self.record is not None and self.record.status == "stopped"
        return self._governor.error if stopped and self._governor else None

    def plan(
        self,
        *,
        objective: Objective | None = None,
        deadline: float | str | None = None,
        budget: float | None = None,
    ) -> Plan:
        """Return the plan: ``groups``, ``cost``, ``lock``. Nothing has been created for it.

        With an argument another is chosen, in how many workers it has and how they are bought, for `start`.

        Args:
            objective: ``minimize cost``, ``minimize time`` or ``balance``.
            deadline: Most hours from start to end, or a time such as ``90m``; at the ninetieth percentile.
            budget: Most USD; at the ninetieth percentile.

        Raises:
            UsageError: Nothing keeps to that, or nothing is known of the tasks.
        """
        return chosen_plan(
            self._plan, host=self._host, objective=objective, deadline=deadline, budget=budget
        )

    def start(
        self, plan: Plan | None = None, *, eager: bool = False, budget: float | None = None
    ) -> ScalableClient:
        """Start the run and return its client.

        On this machine the scheduler starts now, and the workers start at the first call that needs them. In a
        cloud nothing is asked for until that call, whose future is pending meanwhile, and what goes wrong with
        the start is what it ends with.

        Args:
            plan: A plan to run instead of the session's own.
            eager: Ask for everything at once, and wait for the scheduler.
            budget: USD that the run may cost; calls that it does not pay for end with `BudgetReachedError`.

        Raises:
            ProviderError: The provider found a problem, or could not provision.
            UsageError: The session was started before.
        """
        if self._folder is not None:
            raise UsageError(
                "this session was started before", cure="make a new one with from_yaml"
            )
        self._plan, self._budget = plan or self._plan, budget
        plan = self._plan
        self._folder = RunFolder(self.run_dir, invocation.first_record(plan, self.run_id))
        self._folder.write_document("plan.json", plan_document(plan))
        self._folder.write_text("manifest.yaml", manifest_text(plan.document))
        open_sessions.add(self)
        self._say("run.started", f"run {self.run_id}", run_dir=str(self.run_dir))
        self._mirror = mirror.start_mirror(plan, self._host, self._context(), self.run_dir)
        try:
            return self._start(plan, eager=eager)
        except BaseException as error:
            self.close(error)
            raise

    def _start(self, plan: Plan, *, eager: bool) -> ScalableClient:
        from scalable_core.cache.call import TOPIC
        from scalable_core.session.client import ScalableClient
        from scalable_core.session.kept import KeptResults, workers_elsewhere
        from scalable_core.session.rates import make_governor

        if any(group.image and not group.resolved for group in plan.groups):
            self._plan = plan = pin_images(plan, host=self._host)
        context = mirror.for_provision(plan, self._host, self._context(), eager=eager)
        problems = [*images.image_problems(plan), *self._host.preflight(plan, context)]
        for problem in problems:
            if problem.severity != "info":
                self._say("problem", str(problem), severity=problem.severity)
        if failures(problems):
            raise ProviderError("\n".join(str(problem) for problem in failures(problems)))
        self._cluster = self._host.provision_cluster(plan, context)
        assert self._folder is not None
        elsewhere = workers_elsewhere(self._cluster)
        self._kept = KeptResults(plan, self.run_id, self._folder.append, elsewhere=elsewhere)
        self._client = client = ScalableClient(self._cluster, plan, kept=self._kept)
        client.subscribe_topic(TOPIC, self._kept.hear)
        self._governor = make_governor(
            plan,
            host=self._host,
            context=context,
            session=self,
            budget=self._budget,
            client=client,
            write=self._folder.append,
            say=self._say,
            kept=self._kept,
        )
        client.artifacts = self.artifacts
        self.artifacts.begin()
        client.when_connected(functools.partial(self._attach, client, self._folder))
        if eager:
            client.request_workers()
        return client

    def _attach(self, client: ScalableClient, folder: RunFolder) -> None:
        """Begin what takes a scheduler, once it is there."""
        from scalable_core.session.equip import equip

        equip(client, self._cluster, lambda: self._bundle)
        hear = None if self._governor is None else self._governor.hear
        self._recorder = Recorder(client, folder, hear=hear)
        self.artifacts.serve(client)
        self._say(
            "cluster.ready",
            f"scheduler at {client.scheduler.address}",
            dashboard=client.dashboard_link,
        )

    def close(self, error: BaseException | None = None) -> None:
        """Release everything and finish the records; may be called twice.

        Args:
            error: What ended the run; the run is then ``failed``, or ``interrupted`` by Ctrl-C.
        """
        if self.closed:
            return
        self.closed = True
        open_sessions.discard(self)
        if isinstance(error, KeyboardInterrupt) and self._folder is not None:
            self._say("interrupt", "interrupted: releasing what the run has started")
        trouble = None
        if self._client is not None:
            self._client.stop_connecting()
        if self._governor is not None:
            self._governor.finish(at_once=isinstance(error, KeyboardInterrupt))
        try:
            progress = self.progress()
        except Exception:
            progress = self._last  # the scheduler is gone, and its last counts with it
        parts = (self._recorder, self.artifacts, self._client, self._cluster)
        steps = [*(part.close for part in parts if part is not None), self._count_to_the_end]
        for close in [*steps, *((self._kept.close,) if self._kept else ())]:
            try:
                close()
            except Exception as failure:
                # What could not be removed costs money: it comes first, and is told whatever ended the run.
                trouble = failure if isinstance(failure, ClusterError) else trouble or failure
        if error is not None and isinstance(trouble, ClusterError):
            self._say("close.failed", f"{trouble.message}; {trouble.cure}")
        if self._governor is not None:
            error = self._governor.reason(error, progress)
        if self._folder is not None:
            self._finish(self._folder, error or trouble, progress)
        if trouble is not None and error is None:
            raise trouble

    def drain(self, why: str, ending: Callable[[], bool]) -> None:
        """Let the calls that run end, start no other, and keep what is done. For another thread."""
        self._say("run.cancelled", f"{why}: no call starts any more, those that run may end")
        drain(self._client, self._kept, ending)

    def progress(self) -> Progress:
        """Return how far the run is; all zero before it starts. Safe to call from any thread."""
        if self._client is None or not self._client.is_connected:
            return self._last
        progress = read_progress(self._client)
        if self._governor is not None:
            progress = self._governor.look(progress)
        self._last = progress
        return progress

    @functools.cached_property
    def artifacts(self) -> RunArtifacts:
        """What this run has stored: iterate over it, or fetch from it by name."""
        return RunArtifacts.of_run(
            self._plan, self.run_dir, self._host, self._context, lambda: self._folder is not None
        )

    def store_artifact(self, name: str, value: Any, *, overwrite: bool = False) -> ArtifactRef:
        """Keep something of this run and return where it is and what it is.

        Args:
            name: Relative path such as ``results/scenario_42.json``; the suffix decides the form.
            value: As for `scalable.store_artifact`.
            overwrite: Take the place of what has the name already; otherwise that is an error.

        Raises:
            ArtifactError: The name or value does not fit, or the name exists already.
        """
        return self.artifacts.store(name, value, overwrite=overwrite)

    def __enter__(self) -> ScalableClient:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(error)

    def _finish(self, folder: RunFolder, error: BaseException | None, progress: Progress) -> None:
        counts, kinds = progress.tasks.values(), ("total", "done", "failed")
        totals = {kind: sum(getattr(c, kind) for c in counts) for kind in kinds}
        status = status_of(error)
        cached = self._kept.count if self._kept else 0
        whole = status == "done" and not (cached or totals["failed"])
        record = folder.update(
            status=status,
            cost=None if self._governor is None else self._governor.result(comparable=whole),
            ended=now(),
            error=None if error is None else first_line(error),
            tasks={**totals, "cached": cached},
            workers={"added": progress.added, "lost": progress.lost},
        )
        self._say(
            "run.ended",
            f"run {self.run_id} {record.status}",
            status=record.status,
            progress=to_data(progress),
        )
        summarise_run(folder)
        self._host.run_recorded(record, self._context())
        folder.close()
        if self._mirror is not None:
            self._mirror.close()

    def _count_to_the_end(self) -> None:
        """Note when the workers went, all of them, and what has been paid until then."""
        moment = time.time()
        rows = [] if self._recorder is None else self._recorder.release(moment)
        if self._governor is not None:
            self._governor.close(moment, rows)

    def _context(self) -> HookContext:
        return HookContext(
            project=self._plan.project.name,
            run=self.run_id,
            workdir=Path(self._plan.manifest).parent,
            run_dir=self.run_dir,
            bundle=lambda: self._bundle,
            environment=self._environment,
            secrets=functools.partial(worker_secrets, self._plan),
            events=Tee(self._folder, self._sink),
        )

    @functools.cached_property
    def _bundle(self) -> Bundle:
        from scalable_core.member.bundle import build_bundle

        run = invocation.current()
        workflow = Path(self._plan.workflow) if run is None else run.workflow
        return build_bundle(workflow, Path(self._plan.stores.records).parent / "code")

    def _say(self, kind: str, message: str, **data: Any) -> None:
        event = Event(time=time.time(), kind=kind, message=message, data=data)
        Tee(self._folder, self._sink).emit(event)
