"""What a plan on AWS will be billed for. This version knows the things, not their prices."""

from __future__ import annotations

from collections.abc import Iterator

from scalable_aws.options import AwsOptions
from scalable_aws.sizes import FargateSize, fit, misfit
from scalable_core.errors import UsageError
from scalable_core.types import CostEstimate, CostLine, Plan, WorkerGroup
from scalable_core.types.units import format_size

#: What a URI scheme is called on a bill, also on that of another cloud.
_STORES = {"s3": "S3", "gs": "Cloud Storage", "gcs": "Cloud Storage"}


def unpriced_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return an estimate with a line for everything that will be paid, none of them with an amount.

    Raises:
        UsageError: A component is larger than anything that Fargate has.
    """
    lines = {"fargate": _fargate, "ec2": _ec2, "eks": _eks}[plan.target.cluster_type or "fargate"]
    return CostEstimate(
        provider=provider,
        basis="this version has no price list",
        lines=(*lines(plan), *_shared(plan)),
    )


def _fargate(plan: Plan) -> Iterator[CostLine]:
    options: AwsOptions = plan.target.options
    for group in plan.groups:
        size = _fargate_size(plan, group)
        asked = f"{group.cpus:g} vCPU" + (
            f" with {format_size(group.memory)}" if group.memory else ""
        )
        note = f"at most {group.maximum} x {size}"
        if (size.cpus, size.memory) != (group.cpus, group.memory or size.memory):
            note += f", rounded up from {asked}"
        yield CostLine(item="Fargate vCPU", component=group.name, unit="vCPU-h", note=note)
        yield CostLine(item="Fargate memory", component=group.name, unit="GB-h", note=note)
    note = str(fit(options.scheduler_cpu, options.scheduler_mem))
    yield CostLine(item="Scheduler vCPU", unit="vCPU-h", note=note)
    yield CostLine(item="Scheduler memory", unit="GB-h", note=note)


def _fargate_size(plan: Plan, group: WorkerGroup) -> FargateSize:
    size = fit(group.cpus, group.memory)
    if size is None or group.gpus:
        said = "Fargate has no GPUs" if group.gpus else misfit(group.cpus, group.memory)
        raise UsageError(
            f"component {group.name!r} does not fit target {plan.target.name!r}: {said}",
            cure="ask for less, or use cluster_type: ec2",
        )
    return size


def _ec2(plan: Plan) -> Iterator[CostLine]:
    options: AwsOptions = plan.target.options
    for group in plan.groups:
        note = f"{options.instance_type or 'types that fit'} for at most {group.maximum} workers"
        yield CostLine(item="EC2 instances", component=group.name, unit="h", note=note)
        yield CostLine(item="EBS volumes", component=group.name, unit="GB-h")
    yield CostLine(item="Scheduler instance", unit="h")


def _eks(plan: Plan) -> Iterator[CostLine]:
    for group in plan.groups:
        note = f"nodes for at most {group.maximum} workers"
        yield CostLine(item="EKS nodes", component=group.name, unit="h", note=note)
    yield CostLine(item="EKS control plane", unit="h", note="paid whether or not a run uses it")


def _shared(plan: Plan) -> Iterator[CostLine]:
    options: AwsOptions = plan.target.options
    if options.assign_public_ip is not False and plan.target.cluster_type != "eks":
        members = f"at most {plan.maximum} workers and the scheduler"
        yield CostLine(item="Public IPv4", unit="h", note=members)
    yield CostLine(item="CloudWatch Logs", unit="GB")
    store = _STORES.get(plan.stores.artifacts.partition("://")[0])
    if store is not None:
        yield CostLine(item=f"{store} storage", unit="GB-month", monthly=True)
        yield CostLine(item=f"{store} requests", unit="1k-requests")
    yield CostLine(item="Data out of AWS", unit="GB", note="results that this machine fetches")
