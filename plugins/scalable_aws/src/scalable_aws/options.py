"""What may stand in a target with ``provider: aws``, one class for each kind of cluster.

The kinds share nearly all options, so that a target moves from one to another by its ``cluster_type`` alone;
what a kind has no use for is accepted and ignored. Bare numbers are in ECS units throughout: 1/1024 vCPU
and MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from scalable_core.types import FleetOptions, PodOptions, Secret, option
from scalable_core.types.units import GIB, MIB

CPU_UNIT = 1 / 1024

Capacity = Literal["on-demand", "spot", "spot_with_fallback"]


@frozen(kw_only=True)
class AwsOptions(FleetOptions):
    """Options of every `aws` target."""

    region: str = option(help="AWS region, such as us-east-1.")
    profile: str | None = option(
        default=None, help="Profile of the AWS configuration files whose credentials are used."
    )
    base_image: str = option(
        default="public.ecr.aws/docker/library/python:{python}-slim",
        help="Image of components that have none: Python alone, of the same version as here; the packages of"
        " this environment are brought to it.",
    )
    worker_cpu: float | None = option(
        default=None,
        quantity="cpus",
        unit=CPU_UNIT,
        help="CPUs of components that set none; 4096 means 4 vCPU.",
    )
    spot: bool | None = option(
        default=None, help="Short for capacity: true is spot_with_fallback, false is on-demand."
    )
    capacity: Capacity | None = option(
        default=None,
        help="How workers are bought; on-demand when left out. The scheduler never is spot.",
    )
    architecture: Literal["x86_64", "arm64"] = option(
        default="x86_64", help="Processors of the workers; the image must be built for them."
    )
    instance_type: str | None = option(
        default=None, help="EC2 instance type such as m5.xlarge; Fargate has no use for it."
    )
    vpc: str | None = option(default=None, help="VPC; the region's default one when left out.")
    subnets: tuple[str, ...] = option(
        default=(), help="Subnets for scheduler and workers; all of the VPC when left out."
    )
    security_groups: tuple[str, ...] = option(
        default=(), help="More security groups for scheduler and workers."
    )
    assign_public_ip: bool | None = option(
        default=None, help="Gives members public addresses; as their subnets need when left out."
    )
    environment: Mapping[str, str | Secret] = option(
        factory=dict, help="Environment variables of every worker; a component's own come on top."
    )
    tags: Mapping[str, str] = option(
        factory=dict, help="Tags for everything created, beside those of project and run."
    )
    scheduler_cpu: float = option(
        default=1.0, quantity="cpus", unit=CPU_UNIT, help="CPUs of the scheduler."
    )
    scheduler_mem: int = option(
        default=4 * GIB, quantity="size", unit=MIB, help="Memory of the scheduler."
    )


@frozen(kw_only=True)
class DrivenOptions(AwsOptions):
    """Options of targets whose detached runs have their driver on Fargate."""

    driver_image: str | None = option(
        default=None,
        help="Image with scalable for the driver of a detached run; the workers' when left out.",
    )
    driver_cpu: float | None = option(
        default=None,
        quantity="cpus",
        unit=CPU_UNIT,
        help="CPUs of the driver of a detached run; one more than the scheduler when left out.",
    )
    driver_mem: int | None = option(
        default=None,
        quantity="size",
        unit=MIB,
        help="Memory of that driver; 4 GiB more than the scheduler when left out.",
    )
    driver_role_arn: str | None = option(
        default=None,
        help="Role that the driver has; made with leave to start workers when left out.",
    )


@frozen(kw_only=True)
class FargateOptions(DrivenOptions):
    """Options of an `aws` target on Fargate: containers without machines to look after."""

    execution_role_arn: str | None = option(
        default=None, help="Role with which ECS pulls images and writes logs; made when left out."
    )
    task_role_arn: str | None = option(
        default=None, help="Role that the work has; made with access to its storage when left out."
    )
    ephemeral_storage: int | None = option(
        default=None,
        quantity="size",
        unit=GIB,
        help="Disk of a worker, 21 to 200 GiB; the 20 GiB that are free when left out.",
    )


@frozen(kw_only=True)
class Ec2Options(DrivenOptions):
    """Options of an `aws` target on EC2: machines that live as long as the run."""

    ami: str | None = option(
        default=None,
        help="Machine image with Docker and Python 3; the newest ECS-optimized one when left out.",
    )
    instance_profile: str | None = option(
        default=None,
        help="Instance profile that members have; made with access to the storage when left out.",
    )
    ephemeral_storage: int | None = option(
        default=None,
        quantity="size",
        unit=GIB,
        help="Disk of an instance, from 30 GiB on; 30 GiB when left out.",
    )


@frozen(kw_only=True)
class EksOptions(PodOptions, AwsOptions):
    """Options of an `aws` target on a Kubernetes cluster of EKS that exists already.

    Those about pods mean what they mean in a `kubernetes` target; ``environment`` is its ``env``, and ``tags``
    are labels.
    """

    cluster: str | None = option(default=None, help="Name of the EKS cluster.")
    worker_service_account: str | None = option(
        default=None,
        help="Kubernetes service account that the work has, with its IAM role by IRSA or Pod Identity.",
    )


#: The kinds of cluster, the default first.
CLUSTER_TYPES: dict[str, type[AwsOptions]] = {
    "fargate": FargateOptions,
    "ec2": Ec2Options,
    "eks": EksOptions,
}
