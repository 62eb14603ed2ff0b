"""Any class of Dask clusters as a provider: a function that starts one, and the hooks are made around it.

    from scalable_core.adopt import adopt

    SCALABLE_PLUGIN_API = 1

    def start(plan, workers):
        from distributed import LocalCluster  # or yours
        return LocalCluster(n_workers=workers.count, threads_per_worker=workers.threads,
                            resources=workers.resources, env=workers.environment)

    target_options, estimate_cost, preflight, provision_cluster, release_cluster = adopt("acme", start)

One kind of worker serves every component of a plan. A provider whose components have workers of their own
implements the hooks itself; see `scalable_core.hookspecs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from attrs import field, frozen

from scalable_core.errors import UsageError
from scalable_core.hookspecs import hookimpl
from scalable_core.types import (
    Adaptive,
    ClusterRecord,
    CostEstimate,
    HookContext,
    Plan,
    Problem,
    ReleaseReport,
    option,
    reveal,
)
from scalable_core.types.bill import Span, forecast_of, priced, total
from scalable_core.types.prices import Price

if TYPE_CHECKING:
    from distributed.deploy import Cluster

#: What a component may ask for, and a cluster does only when its `start` sees to it.
EXTRAS = ("image", "mounts", "gpus", "preload_script")


@frozen(kw_only=True)
class AdoptedOptions:
    """Options of a target whose cluster class is adopted; subclass it to add those of the class."""

    n_workers: int = option(default=1, minimum=1, help="Number of workers.")
    adaptive: Adaptive | None = option(
        default=None,
        help="Lets the number of workers follow the queued work; replaces n_workers.",
    )
    threads_per_worker: int | None = option(
        default=None, minimum=1, help="Calls one worker runs at once; its cpus when left out."
    )
    usd_per_hour: float | None = option(
        default=None, minimum=0, help="USD for one worker for an hour; unknown when left out."
    )


@frozen(kw_only=True)
class Workers:
    """What each worker of an adopted cluster must be, so that calls of every component can run on it.

    Attributes:
        count: How many are there at the start: 0, for the others are asked for when a call needs them; or all,
            where the class cannot scale.
        cpus: vCPU, as the largest component wants.
        memory: Bytes, as the largest component wants; None when none says.
        threads: Calls that it runs at once.
        resources: Dask resources that it advertises, by which calls find it.
        environment: Its environment, secrets in clear: it belongs into the workers and nowhere else.
    """

    count: int
    cpus: float
    memory: int | None
    threads: int
    resources: Mapping[str, float] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict, repr=False)


class Hooks(NamedTuple):
    """The hooks of an adopted cluster class, each to be bound to its name in the plugin's module."""

    target_options: Callable[[], type]
    estimate_cost: Callable[[Plan], CostEstimate]
    preflight: Callable[[Plan], list[Problem]]
    provision_cluster: Callable[[Plan, HookContext], Cluster]
    release_cluster: Callable[[ClusterRecord], ReleaseReport]


def adopt(
    provider: str,
    start: Callable[[Plan, Workers], Cluster],
    *,
    options: type = AdoptedOptions,
    free: str | None = None,
    release: Callable[[ClusterRecord], ReleaseReport] | None = None,
    scales: bool = True,
    uses: tuple[str, ...] = (),
) -> Hooks:
    """Return the hooks of a provider whose clusters are of a class that exists.

    Args:
        provider: Its name, as the entry point has it.
        start: Starts a cluster. Its ``close()`` releases everything, and may be called twice.
        options: What may stand in a target: `AdoptedOptions`, or a subclass.
        free: Why nothing is billed, such as ``machines that are there anyway``; None when something may be.
        release: Ends what is left of a run whose process is gone, found by the run's id. None says that
            nothing can be left, because the workers end with the process that started them.
        scales: The class can add workers later, with ``scale`` and ``adapt``.
        uses: Names of `EXTRAS` that ``start`` sees to; of the others a plan is warned.

    Returns:
        The hooks, in the order of their names in `Hooks`.
    """

    @hookimpl
    def target_options() -> type:
        return options

    @hookimpl
    def estimate_cost(plan: Plan) -> CostEstimate:
        return _estimate(plan, provider, free)

    @hookimpl
    def preflight(plan: Plan) -> list[Problem]:
        return _unseen(plan, provider, uses)

    @hookimpl
    def provision_cluster(plan: Plan, context: HookContext) -> Cluster:
        cluster = start(plan, one_kind(plan, context, count=0 if scales else plan.maximum))
        if scales:
            cluster.request_workers = _Request(cluster, plan)
        return cluster

    @hookimpl
    def release_cluster(record: ClusterRecord) -> ReleaseReport:
        if release is not None:
            return release(record)
        note = f"the workers of {provider!r} end with the process that started them"
        return ReleaseReport(provider=provider, released=record.resources, notes=(note,))

    return Hooks(target_options, estimate_cost, preflight, provision_cluster, release_cluster)


def one_kind(plan: Plan, context: HookContext, *, count: int) -> Workers:
    """Return a kind of worker on which calls of every component of a plan can run.

    Raises:
        UsageError: Two components want different values of one variable.
    """
    environment: dict[str, str] = {}
    for group in plan.groups:
        for name, value in reveal(group.env).items():
            if environment.setdefault(name, value) != value:
                raise UsageError(
                    f"component {group.name!r} wants another value of {name} than one before it, and target"
                    f" {plan.target.name!r} has one kind of worker for all components",
                    cure="give both the same value, or one component to each run",
                )
    return Workers(
        count=count,
        cpus=max(group.cpus for group in plan.groups),
        memory=max(group.memory or 0 for group in plan.groups) or None,
        threads=max(group.threads for group in plan.groups),
        resources={name: n for group in plan.groups for name, n in group.resource.items()},
        environment={**environment, **(context.secrets() if context.secrets else {})},
    )


class _Request:
    """Asks a cluster for the workers of a plan, once."""

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        self._cluster, self._plan, self._asked = cluster, plan, False

    def __call__(self) -> None:
        if self._asked:
            return
        self._asked = True
        if self._plan.adaptive:
            self._cluster.adapt(minimum=self._plan.minimum, maximum=self._plan.maximum)
        else:
            self._cluster.scale(self._plan.maximum)


def _estimate(plan: Plan, provider: str, free: str | None) -> CostEstimate:
    usd = getattr(plan.target.options, "usd_per_hour", None)
    source, said = (
        "the target",
        "the target's price" if usd is not None else "the target has no price",
    )
    if usd is None and free is not None:
        usd, source, said = 0.0, free, free
    price = None if usd is None else Price(usd=usd, low=usd, high=usd, source=source)
    forecast, lines = forecast_of(plan), []
    for group in plan.groups:
        known = forecast.groups.get(group.name)
        hours = None if known is None else Span(known.worker_hours, known.low, known.high)
        lines.append(priced("Workers", "h", hours, price, component=group.name))
    basis = said if said is free else f"{said}; {forecast.basis}"
    return total(provider, basis, lines)


def _unseen(plan: Plan, provider: str, uses: tuple[str, ...]) -> list[Problem]:
    return [
        Problem(
            code="W0403",
            severity="warning",
            where=f"components.{group.name}.{extra}",
            message=f"provider {provider!r} does not use the {extra} of component {group.name!r}",
            cure="remove it, or use a provider that does",
        )
        for group in plan.groups
        for extra in EXTRAS
        if extra not in uses and getattr(group, extra)
    ]
