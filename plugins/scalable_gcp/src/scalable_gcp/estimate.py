"""What a plan on Google Cloud will be billed for. This version knows the things, not their prices."""

from __future__ import annotations

from collections.abc import Iterator

from scalable_core.errors import UsageError
from scalable_core.types import CostEstimate, CostLine, Plan, WorkerGroup
from scalable_core.types.units import format_size
from scalable_gcp.options import CloudRunOptions
from scalable_gcp.sizes import CloudRunSize, fit, misfit

#: What a URI scheme is called on a bill, also on that of another cloud.
_STORES = {"s3": "S3", "gs": "Cloud Storage", "gcs": "Cloud Storage"}


def unpriced_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return an estimate with a line for everything that will be paid, none of them with an amount.

    Raises:
        UsageError: A component is larger than anything that Cloud Run has.
    """
    lines = _cloud_run if isinstance(plan.target.options, CloudRunOptions) else _gke
    return CostEstimate(
        provider=provider,
        basis="this version has no price list",
        lines=(*lines(plan), *_shared(plan)),
    )


def _cloud_run(plan: Plan) -> Iterator[CostLine]:
    options: CloudRunOptions = plan.target.options
    for group in plan.groups:
        size = _size(plan, group)
        note = f"at most {group.maximum} x {size}"
        if (size.cpus, size.memory) != (group.cpus, group.memory or size.memory):
            asked = f"{group.cpus:g} vCPU"
            asked += f" with {format_size(group.memory)}" if group.memory else ""
            note += f", rounded up from {asked}"
        yield CostLine(item="Cloud Run vCPU", component=group.name, unit="vCPU-h", note=note)
        yield CostLine(item="Cloud Run memory", component=group.name, unit="GB-h", note=note)
        yield from _gpus(group)
    if options.transport != "single":
        kind = options.scheduler_machine_type
        yield CostLine(item="Scheduler machine", unit="h", note=kind)
        yield CostLine(item="Scheduler disk", unit="GB-month")
        if options.public:
            yield CostLine(item="Public IPv4", unit="h", note="the scheduler")


def _size(plan: Plan, group: WorkerGroup) -> CloudRunSize:
    size = fit(group.cpus, group.memory)
    if size is None:
        raise UsageError(
            f"component {group.name!r} does not fit target {plan.target.name!r}:"
            f" {misfit(group.cpus, group.memory)}",
            cure="ask for less, or use cluster_type: gke",
        )
    return size


def _gke(plan: Plan) -> Iterator[CostLine]:
    for group in plan.groups:
        memory = f" with {format_size(group.memory)}" if group.memory else ""
        note = f"at most {group.maximum} x {group.cpus:g} vCPU{memory}"
        yield CostLine(item="GKE pods, vCPU", component=group.name, unit="vCPU-h", note=note)
        yield CostLine(item="GKE pods, memory", component=group.name, unit="GB-h", note=note)
        yield from _gpus(group)
    yield CostLine(item="GKE control plane", unit="h", note="paid whether or not a run uses it")


def _gpus(group: WorkerGroup) -> Iterator[CostLine]:
    if group.gpus:
        note = f"{group.gpus} for each worker"
        yield CostLine(item="GPUs", component=group.name, unit="h", note=note)


def _shared(plan: Plan) -> Iterator[CostLine]:
    yield CostLine(item="Cloud Logging", unit="GB")
    store = _STORES.get(plan.stores.artifacts.partition("://")[0])
    if store is not None:
        yield CostLine(item=f"{store} storage", unit="GB-month", monthly=True)
        yield CostLine(item=f"{store} requests", unit="1k-requests")
    yield CostLine(
        item="Data out of Google Cloud", unit="GB", note="results that this machine fetches"
    )
