"""The same work on Google Cloud, bought in another way: Spot or on demand, ARM, another region."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from scalable_core.types import Plan
from scalable_gcp.options import GcpOptions
from scalable_gcp.prices import DATA, price_book

#: The family of ARM machines whose disks are those of the others; C4A takes Hyperdisks alone.
_ARM = "t2a"


def capacity_variants(plan: Plan) -> Iterator[Plan]:
    """Yield the plan with each other capacity and kind of processors; Cloud Run has neither.

    ARM is a machine type of the same shape, where one is asked for and the region has its like.
    """
    options: GcpOptions = plan.target.options
    if plan.target.cluster_type in (None, "cloud_run"):
        return
    types = {options.machine_type, _arm_type(options)}
    for machine_type in sorted(types, key=lambda name: (name != options.machine_type, str(name))):
        for spot in (False, True):
            if (spot, machine_type) == (options.spot, options.machine_type):
                continue
            label = "spot" if spot else "on-demand"
            if machine_type != options.machine_type:
                label += ", arm64"
            yield _named(plan, evolve(options, spot=spot, machine_type=machine_type), label)


def region_variants(plan: Plan) -> Iterator[Plan]:
    """Yield the plan in each other region that there are prices of."""
    options: GcpOptions = plan.target.options
    for path in sorted((DATA / "regions").glob("*-*.csv")):
        region = path.stem
        if region != options.region:
            moved = evolve(options, region=region, zone=None, subnetwork=None)
            yield _named(plan, moved, region)


def _arm_type(options: GcpOptions) -> str | None:
    """Return the ARM type of the same shape as the one asked for; that one itself when there is no such."""
    family, _, shape = (options.machine_type or "").partition("-")
    arm = f"{_ARM}-{shape}"
    if family == _ARM or all(
        arm != machine.name for machine in price_book(options.region).machines()
    ):
        return options.machine_type
    return arm


def _named(plan: Plan, options: GcpOptions, label: str) -> Plan:
    target = evolve(plan.target, name=f"{plan.target.name} ({label})", options=options)
    return evolve(plan, target=target)
