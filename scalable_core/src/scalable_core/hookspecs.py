"""The contract between Scalable and its plugins: every hook, in the order of the life of a run.

A **provider** is a module named by an entry point of the group ``scalable.providers``; it answers the verbs
below for the targets that name it. An **extension** (group ``scalable.extensions``) wraps verbs or listens. A
module is one or the other. Nothing else of the core needs to be known:

    from scalable_core.hookspecs import hookimpl          # marks an implementation
    from scalable_core.types import CostEstimate          # the nouns that go in and out
    SCALABLE_PLUGIN_API = 1                               # the contract this plugin was written for

What holds for every hook:

* Hooks are synchronous. Implementations name only the arguments that they want.
* The core addresses one provider by name; a provider is never asked about another's target. ``None`` means
  "this is not mine" and is an error from the provider that was addressed, unless a hook says otherwise. It
  never means "I do not know": an unknown price is a `CostEstimate` whose line has no amount.
* Records are frozen. A wrapper that changes one uses `attrs.evolve`.
* Errors are subclasses of `scalable_core.errors.ScalableError`: a sentence, and a cure. Anything else that is
  raised reaches the user with a note that names the plugin, its dist and version.
* Wrappers are new-style, ``@hookimpl(wrapper=True)``, live in extensions, and see the hook's arguments, its
  answer and its exceptions, whichever provider is addressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from distributed.deploy import Cluster

    from scalable_core.types import (
        Artifact,
        ArtifactRef,
        BundleRef,
        ClusterRecord,
        CostEstimate,
        HookContext,
        ImageRequest,
        LogLine,
        Plan,
        Policy,
        PriceSnapshot,
        Problem,
        ReleaseReport,
        ResolvedImage,
        Resource,
        RunRecord,
        ServiceProfile,
        Settings,
        Storage,
        Target,
    )

#: Moves only when a hook, an argument or a field is removed or changes its meaning. A plugin module says
#: ``SCALABLE_PLUGIN_API = 1``; another number is refused with a sentence.
PLUGIN_API = 1

hookspec = pluggy.HookspecMarker("scalable")
hookimpl = pluggy.HookimplMarker("scalable")


# ---------------------------------------------------------------------------------------------------------
# Start: the plugin is loaded
# ---------------------------------------------------------------------------------------------------------


@hookspec(historic=True)
def configure(settings: Settings) -> None:
    """Called once for each plugin, right after it is loaded and before any other hook.

    Historic: a plugin that is loaded late hears it late, with the same settings. Optional.

    Args:
        settings: Verbosity, and whether sockets are forbidden.

    Called again:
        Once for each plugin host: a process that makes several sessions may have several.

    Wrappers:
        Not allowed; pluggy forbids them on historic hooks.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl

            @hookimpl
            def configure(settings):
                global OFFLINE
                OFFLINE = settings.offline
    """


# ---------------------------------------------------------------------------------------------------------
# Manifest: what may be written for a target
# ---------------------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def target_options() -> type | Mapping[str, type]:  # type: ignore[empty-body]
    """Called when a manifest with a target of this provider is read, and for `scalable schema`.

    Required of a provider. The answer describes everything that may stand in a target besides
    ``provider``, ``cluster_type`` and ``overlay``: an `attrs.frozen(kw_only=True)` class whose fields are made
    with `scalable_core.types.option`. From it come parsing with positions, the JSON Schema and the docs.

    Returns:
        One class, or a mapping of ``cluster_type`` to class, the default first.

    Called again:
        Whenever a manifest is read. It must be cheap: no SDK import, no network.

    Wrappers:
        See the class or the mapping; they may add a subclass with further options.

    Example:
        .. code-block:: python

            import attrs
            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import option

            @attrs.frozen(kw_only=True)
            class AcmeOptions:
                site: str = option(help="Site to run at.")
                n_workers: int = option(default=1, minimum=1, help="Number of workers.")

            @hookimpl
            def target_options():
                return AcmeOptions
    """


@hookspec(firstresult=True)
def check_target(target: Target, context: HookContext) -> Sequence[Problem] | None:
    """Called by `validate`, `plan` and `run` after the target's options have been read without error.

    Optional. Offline rules that types cannot say: pairs of values that the service refuses, an option that
    only makes sense with another.

    Args:
        target: The target with its typed options.
        context: Project and folder; no run yet.

    Returns:
        All problems found, ``where`` relative to the target (``worker_mem``); the core adds positions. Empty or
        ``None`` when there are none.

    Called again:
        Freely. It must be pure: no network, no files written, the same answer for the same target.

    Wrappers:
        See the target and the problems; they may add a house rule.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import Problem

            @hookimpl
            def check_target(target):
                if target.options.n_workers > 100:
                    return [Problem(code="E9001", where="n_workers", message="the site has 100 nodes")]
                return []
    """


# ---------------------------------------------------------------------------------------------------------
# Plan: what will be created, and what it costs
# ---------------------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def resolve_image(request: ImageRequest, context: HookContext) -> ResolvedImage | None:
    """Called online, by `run`, `doctor` and `plan --online`, once for each image in use.

    Optional: the core's own resolver (`scalable_core.oci`) answers when the provider does not implement it
    or returns ``None``. Implement it to use the cloud's own credentials or a faster API.

    Args:
        request: The image as written and the platform that the workers will have.
        context: Project and folder; ``data["target"]`` is the target, where there is one.

    Returns:
        The image pinned to a digest; ``None`` leaves it to the core.

    Raises:
        ImageError: The image does not exist, may not be read, or lacks the platform.

    Called again:
        Freely; it creates nothing.

    Wrappers:
        See the request and the pinned image; a company mirror belongs here.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import ResolvedImage

            @hookimpl
            def resolve_image(request):
                digest = "sha256:" + "0" * 64
                return ResolvedImage(reference=request.reference, pinned=f"acme/model@{digest}",
                                     digest=digest, provider="acme")
    """


@hookspec(firstresult=True)
def service_profile(target: Target) -> ServiceProfile | None:
    """Called by `plan` and before every `run`, when the groups are decided and before `estimate_cost`.

    Optional. How long the run takes and how long its workers are there is simulated from this, unless the
    user says how long.

    Args:
        target: The target with its typed options.

    Returns:
        How long a worker takes to boot, in seconds, how often the service takes one away, for each hour that
        it is there, and what a launch is billed for at least. ``None`` leaves it to the core's own guess: a
        minute to boot, and no interruptions.

    Called again:
        Freely. It must be pure and cheap: no SDK import, no network, the same answer for the same target.

    Wrappers:
        See the target and the profile; a site that knows its own boot times puts them here.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import ServiceProfile

            @hookimpl
            def service_profile():
                return ServiceProfile(boot=20.0, boot_high=45.0, interruptions=0.01)
    """


@hookspec(firstresult=True)
def estimate_cost(plan: Plan, context: HookContext) -> CostEstimate | None:
    """Called by `plan` and before every `run`, after the groups and the forecast are decided.

    Required of a provider. Offline and pure: no network, no clock, no files but the plugin's own price data,
    the same answer on every machine.

    Args:
        plan: Groups with sizes (vCPU, bytes) and bounds, and its ``forecast``: worker-hours of each group,
            expected and from the tenth to the ninetieth percentile, hours from start to end, bytes that are
            stored and fetched. Its ``cost`` is None.
        context: Project and folder; ``dry_run`` is True.

    Returns:
        An estimate with one line for everything that will be paid, amounts in USD. What has no known price
        is a line without ``unit_price`` and ``amount``: never 0, never left out.

    Called again:
        Many times, with variants of one plan.

    Wrappers:
        See the plan and the estimate; a discount or an overhead belongs here.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import CostEstimate, CostLine

            @hookimpl
            def estimate_cost(plan):
                lines = tuple(CostLine(item="Node hours", component=group.name, unit="h")
                              for group in plan.groups)
                return CostEstimate(provider="acme", basis="no price list", lines=lines)
    """


@hookspec(firstresult=True)
def variants(plan: Plan, context: HookContext) -> Sequence[Plan] | None:
    """Called by `plan --compare`, `--regions`, `--deadline` and `--budget`, to have something to choose from.

    Optional. Offline and pure, as `estimate_cost`.

    Args:
        plan: Groups, bounds and forecast; its ``cost`` is None.
        context: Project and folder; ``data["regions"]`` is True when the same plan in other regions is wanted
            instead of other capacity.

    Returns:
        The same work bought in other ways that the target could be changed to, such as Spot, ARM or another
        region: plans whose ``target.options`` differ, and whose ``target.name`` tells how, such as
        ``aws (spot)``. The plan itself is not among them. Empty or ``None`` when there is no other way.

    Called again:
        Freely.

    Wrappers:
        See the plan and its variants; a team's rule, such as "never Spot", removes some here.

    Example:
        .. code-block:: python

            import attrs
            from scalable_core.hookspecs import hookimpl

            @hookimpl
            def variants(plan):
                target = attrs.evolve(plan.target, name=f"{plan.target.name} (night)")
                return [attrs.evolve(plan, target=target)]
    """


@hookspec(firstresult=True)
def price_snapshot(refresh: bool, context: HookContext) -> PriceSnapshot | None:
    """Called by `scalable prices`, and before every run for the snapshot's id.

    Optional: for providers with a price list.

    Args:
        refresh: Ask the service for today's prices and keep them for this user; otherwise no socket is opened.
        context: The folder; ``deadline`` in monotonic seconds.

    Returns:
        Which prices estimates are made with from now on. When a refresh fails, or what it brings looks wrong,
        the old ones stay, and ``notes`` says why. ``None`` when the provider has no prices.

    Raises:
        ProviderError: There are no credentials for a refresh.

    Called again:
        Freely.

    Wrappers:
        See the question and the snapshot.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import PriceSnapshot

            @hookimpl
            def price_snapshot(refresh):
                return PriceSnapshot(provider="acme", id="2026-11", rows=1, origin="bundled")
    """


@hookspec(firstresult=True)
def preflight(plan: Plan, context: HookContext) -> Sequence[Problem] | None:
    """Called by `run` and `doctor` just before anything is created.

    Optional. Online: credentials, permissions, quota, images, the network's way in. Everything at once and in
    parallel; two seconds is a good answer time.

    Args:
        plan: The plan with its images resolved.
        context: The run, if one is about to start; ``deadline`` in monotonic seconds.

    Returns:
        All problems found. An error stops the run before it costs anything; a warning is printed; what was
        looked at and is right may be told with severity ``info``, for `doctor`. Empty or ``None`` when there
        is nothing to tell.

    Called again:
        Freely; it creates nothing.

    Wrappers:
        See the plan and the problems.

    Example:
        .. code-block:: python

            import shutil
            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import Problem

            @hookimpl
            def preflight(plan):
                if shutil.which("acmectl") is None:
                    return [Problem(code="E9002", message="acmectl is not on the PATH", cure="install it")]
                return []
    """


# ---------------------------------------------------------------------------------------------------------
# Run: the cluster comes and goes
# ---------------------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def required_permissions(plan: Plan) -> Policy | None:
    """Called by `doctor --print-policy`.

    Optional. Offline and pure.

    Args:
        plan: What is to be run; nothing has been asked online.

    Returns:
        The least that somebody must be allowed to do to run, watch and release it, in the form that the
        service takes. ``None`` when the service has no such thing.

    Called again:
        Freely.

    Wrappers:
        See the plan and the policy.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import Policy

            @hookimpl
            def required_permissions(plan):
                return Policy(provider="acme", text="allow: [job.create, job.delete]",
                              actions=("job.create", "job.delete"))
    """


@hookspec(firstresult=True)
def provision_cluster(plan: Plan, context: HookContext) -> Cluster | None:
    """Called once for each run, when the session starts.

    Required of a provider. The answer is a `distributed.deploy.Cluster`, so any Dask cluster class will do. Two
    things make it fit: each worker of a group advertises the group's Dask resource
    (`scalable_core.types.WorkerGroup.resource`) so that calls find the workers of their component, and a
    cluster that has a method ``request_workers()`` (`scalable_core.types.LazyCluster`) may wait with its
    workers until that is called, at the first call that needs them. One that may wait with its scheduler too
    has an attribute ``is_started``, False until anything was asked for: the session then awaits the cluster at
    that call, and its futures end with what went wrong. The modules beside the workflow reach worker processes
    by themselves; a cluster whose workers are all threads of this process says ``in_this_process = True``, and
    one whose workers are on other machines although its scheduler's address is of this one says
    ``workers_elsewhere = True``: results are then kept in the project's storage, not on this machine's disk.
    One that can tell why its scheduler is gone has a method ``async explain_loss()``: it is awaited when the
    scheduler cannot be reached any more, and answers with a `scalable_core.errors.ClusterError`, with which all
    calls that wait then end, or with None when nothing is known against it and the client should go on trying.

    Args:
        plan: Groups, bounds, images, environment. Values of `Secret` are revealed only into the workers.
        context: The run's id and folder, the travelling code (``bundle``), what the environment of workers must
            hold and nobody else may read (``secrets``), and where to report events.

    Returns:
        A running cluster: its scheduler answers, its workers are there, on their way, or requested later;
        or one that is not started yet and says so.
        ``close()`` releases everything and may be called twice.

    Raises:
        NoCapacityError: The service has no machines of the wanted kind.
        ClusterError: Anything else that prevents it; what was created is released first.

    Called again:
        Once for each run; two runs at once must not touch each other.

    Wrappers:
        See the plan and the cluster; refusing a plan (a budget guard) belongs here.

    Example:
        .. code-block:: python

            from distributed import LocalCluster
            from scalable_core.hookspecs import hookimpl

            @hookimpl
            def provision_cluster(plan):
                group = plan.groups[0]
                return LocalCluster(n_workers=group.maximum, threads_per_worker=group.threads,
                                    processes=False, dashboard_address=None,
                                    resources=group.resource)
    """


@hookspec(firstresult=True)
def start_driver(plan: Plan, bundle: BundleRef, context: HookContext) -> ClusterRecord | None:
    """Called by `run --detach` and `detach`, instead of `provision_cluster`, in the process that may go.

    Optional: for providers that can run a workflow where its workers are. The answer stands for one member,
    the driver, which runs ``python *bundle.command`` with the environment of ``context.secrets()`` added to its
    own, in an image that has Scalable with this provider's plugin. That command does all the rest: it fetches
    the bundle, checks its digest, unpacks it, provisions the workers (`provision_cluster` is called there),
    runs the workflow, mirrors the records, obeys `cancel`, releases everything, and ends. A driver whose
    workers are told to come to it has its scheduler in its own process (`DriverHome` in
    `scalable_core.cluster.home`).

    The member is tagged with the run as workers are, so that `find_resources` and `release_cluster` know it. It
    needs to be as large as a scheduler and a workflow are, is never bought as spot, and must end, with all that
    bills for it, when its command ends; at the latest at the run's hard time limit. It ends in peace on
    SIGTERM: what it has started is released then.

    Args:
        plan: What will run, with ``detached`` set; its estimate has a line for the driver.
        bundle: Where the project's folder is, and what the driver runs. The order for the driver is there too.
        context: ``run`` and ``run_dir``; ``secrets()`` gives variables for the driver alone: whatever the
            manifest takes from ``${VAR}``, and the key of kept results. They go through the provider's secret
            store, never onto a command line.

    Returns:
        What was started, as soon as the service has accepted it: enough to find and release the driver.
        ``None`` when this target has no way to run a driver.

    Raises:
        ClusterError: It cannot be started; nothing of it is left.

    Called again:
        Once for each run.

    Wrappers:
        See the plan, the bundle and the record; a rule such as "nothing detached at weekends" belongs here.

    Example:
        .. code-block:: python

            import subprocess, sys
            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import ClusterRecord, Resource

            @hookimpl
            def start_driver(plan, bundle, context):
                job = subprocess.Popen([sys.executable, *bundle.command], start_new_session=True)
                return ClusterRecord(provider="acme", run=context.run or "", project=plan.project.name,
                                     target=plan.target.name, created="",
                                     resources=(Resource(kind="process", id=str(job.pid)),))
    """


@hookspec(firstresult=True)
def release_cluster(record: ClusterRecord, context: HookContext) -> ReleaseReport | None:
    """Called when a cluster must go and the process that made it may be gone: `down`, or after a crash.

    Required of a provider whose clusters outlive their process. It works from the record alone.

    Args:
        record: Provider, run, project and whatever the provider put into it; no live object.
        context: ``dry_run`` asks only what would be released.

    Returns:
        What is gone and what remains, after looking again. A record of things long gone is a success.

    Raises:
        ClusterError: The service cannot be asked.

    Called again:
        Until nothing remains; it is idempotent.

    Wrappers:
        See the record and the report.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import ReleaseReport

            @hookimpl
            def release_cluster(record):
                gone = [resource for resource in record.resources if resource.kind == "acme:job"]
                return ReleaseReport(provider="acme", released=tuple(gone))
    """


@hookspec(firstresult=True)
def find_resources(
    target: Target, run: str | None, context: HookContext
) -> Sequence[Resource] | None:
    """Called by `status`, `down` and `doctor`, to find what no record of this machine may know.

    Optional: for providers whose service keeps things after the process that made them. Online.

    Args:
        target: The target with its typed options: where to look, and as whom.
        run: Only what carries the tag of this run; None for everything of the project.
        context: ``project`` is the name that things are tagged with; ``deadline`` in monotonic seconds.

    Returns:
        What is there now under the project's tags, found by tag and not by memory. What stands for all runs of
        the project has ``run`` None. Empty or ``None`` when there is nothing.

    Raises:
        ProviderError: It cannot be asked: no credentials, no permission, no connection.

    Called again:
        Freely; it changes nothing.

    Wrappers:
        See the question and what was found.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import Resource

            @hookimpl
            def find_resources(target, run, context):
                jobs = {"17": "run-20260101-120000-calm-heron-1c09"}
                return [Resource(kind="acme:job", id=job, run=owner)
                        for job, owner in jobs.items() if run in (None, owner)]
    """


@hookspec(firstresult=True)
def read_logs(
    record: ClusterRecord, member: str | None, follow: bool, context: HookContext
) -> Iterator[LogLine] | None:
    """Called by `logs`, for a run that lasts or is over. Addressed to the record's provider.

    Optional.

    Args:
        record: What `provision_cluster` left behind; enough to find the logs.
        member: Only what this worker wrote, or ``scheduler``; None for all.
        follow: Go on with what is written from now on, until the run's members have ended.
        context: Project and folder; ``run_dir`` may be there or not.

    Returns:
        The lines, in the order of their time. ``None`` when nothing is kept.

    Raises:
        ProviderError: They cannot be read.

    Called again:
        Freely.

    Wrappers:
        See the record and the lines.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import LogLine

            @hookimpl
            def read_logs(record, member, follow):
                return iter([LogLine(member="worker-0", text="ready", time=1767225600.0)])
    """


# ---------------------------------------------------------------------------------------------------------
# Results: artifacts and what is told afterwards
# ---------------------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def store_artifact(
    artifact: Artifact, destination: str, context: HookContext
) -> ArtifactRef | None:
    """Called by `session.store_artifact` and for a task's ``outputs``.

    Addressed by URI scheme, not by target: the plugin whose entry point in ``scalable.artifact_schemes`` names
    the destination's scheme (``file`` for plain paths). A local run may store to S3.

    Args:
        artifact: Name, bytes or file, media type, and who made it.
        destination: Complete URI of the object, such as ``s3://bucket/runs/run-.../results/a.json``.
        context: The run.

    Returns:
        Where it is, its size in bytes and its SHA-256. The object is there whole, or not at all. A long
        transfer says how far it is (`scalable_core.types.TransferProgress`).

    Raises:
        ArtifactError: It exists already and ``artifact.overwrite`` is not set, may not be written, or the
            place does not exist.

    Called again:
        For every artifact, from several threads at once.

    Wrappers:
        See the artifact and the reference.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import ArtifactRef

            SHELF = {}

            @hookimpl
            def store_artifact(artifact, destination):
                SHELF[destination] = artifact.data
                return ArtifactRef(uri=destination, digest="sha256:" + "0" * 64, size=len(artifact.data),
                                   media_type=artifact.media_type, run=artifact.run,
                                   created="2026-01-01T00:00:00Z", provider="acme")
    """


@hookspec(firstresult=True)
def fetch_artifact(ref: ArtifactRef, destination: Path, context: HookContext) -> Path | None:
    """Called when someone wants an artifact back. Addressed by the scheme of ``ref.uri``.

    Args:
        ref: What to fetch; its digest is checked before the file gets its name.
        destination: The file to write; its folder exists.
        context: Project and folder.

    Returns:
        The destination.

    Raises:
        ArtifactError: It is not there, may not be read, or is not what ``ref`` says.

    Called again:
        Freely.

    Wrappers:
        See the reference and the path.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl

            SHELF = {"acme://a": b"data"}

            @hookimpl
            def fetch_artifact(ref, destination):
                destination.write_bytes(SHELF[ref.uri])
                return destination
    """


@hookspec(firstresult=True)
def open_storage(uri: str, context: HookContext) -> Storage | None:
    """Called for the records, the cache and the ledger that a project keeps below a URI.

    Optional: without it the core reaches the scheme through fsspec. Addressed by URI scheme, as
    `store_artifact`.

    Args:
        uri: Where the objects are, such as ``s3://bucket/prefix``.
        context: Project and folder.

    Returns:
        A `scalable_core.types.Storage` for the objects below the URI. Nothing is contacted yet. ``None``
        leaves it to fsspec.

    Raises:
        StorageError: The URI makes no sense.

    Called again:
        For each URI, from any thread; connections may be shared.

    Wrappers:
        See the URI and the storage.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl
            from scalable_core.types import StoredObject

            class Shelf:
                def __init__(self, uri):
                    self.uri, self._objects = uri, {}

                def get(self, key):
                    if key not in self._objects:
                        raise FileNotFoundError(f"{self.uri}/{key}")
                    return self._objects[key]

                def put(self, key, data):
                    self._objects[key] = data if isinstance(data, bytes) else data.read_bytes()

                def put_if_absent(self, key, data):
                    new = key not in self._objects
                    if new:
                        self.put(key, data)
                    return new

                def list(self, prefix):
                    for key in sorted(self._objects):
                        if key.startswith(prefix):
                            yield StoredObject(key=key, size=len(self._objects[key]))

                def delete(self, key):
                    self._objects.pop(key, None)

                def stream(self, key):
                    yield self.get(key)

            @hookimpl
            def open_storage(uri):
                return Shelf(uri.rstrip("/"))
    """


@hookspec
def run_recorded(record: RunRecord, context: HookContext) -> None:
    """Called after a run has ended and its record is on disk; every loaded plugin hears it.

    Optional; meant for extensions: a webhook, a message to a channel. What it raises is logged, and changes
    nothing about the run.

    Args:
        record: The finished record; status ``done``, ``failed``, ``interrupted`` or ``stopped``.
        context: The run and its folder.

    Called again:
        Once for each run.

    Wrappers:
        See the record, once around each plugin that listens.

    Example:
        .. code-block:: python

            from scalable_core.hookspecs import hookimpl

            @hookimpl
            def run_recorded(record, context):
                context.log.warning("%s ended: %s", record.run, record.status)
    """
