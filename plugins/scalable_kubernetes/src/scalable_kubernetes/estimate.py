"""What a plan on a Kubernetes cluster will be billed for, at the prices that its target gives, if any."""

from __future__ import annotations

from scalable_core.types import CostEstimate, CostLine, Plan
from scalable_core.types.units import format_size
from scalable_kubernetes.options import KubernetesOptions, Price


def unpriced_estimate(plan: Plan, *, provider: str) -> CostEstimate:
    """Return an estimate with lines for the pods of each group and the scheduler, without amounts.

    How long a run takes is not known here, so a line has at most the price of a unit.
    """
    options: KubernetesOptions = plan.target.options
    pods: list[tuple[str, str | None, str]] = []
    for group in plan.groups:
        memory = f" with {format_size(group.memory)}" if group.memory else ""
        note = f"at most {group.maximum} x {group.cpus:g} vCPU{memory}"
        pods.append(("Worker pods", group.name, note))
    lines = [
        line
        for what, component, note in (*pods, ("Scheduler pod", None, ""))
        for line in _lines(options.price, what, component, note)
    ]
    lines += [
        CostLine(item="GPUs", component=group.name, unit="h", note=f"{group.gpus} for each worker")
        for group in plan.groups
        if group.gpus
    ]
    basis = "this version has no price list"
    if options.price is not None:
        basis = "the target's own prices; this version does not know how long a run takes"
    return CostEstimate(provider=provider, basis=basis, lines=tuple(lines))


def _lines(
    price: Price | None, what: str, component: str | None, note: str
) -> tuple[CostLine, CostLine]:
    source = None if price is None else "the target"
    return (
        CostLine(
            item=f"{what}, vCPU",
            component=component,
            unit="vCPU-h",
            unit_price=None if price is None else price.vcpu_hour,
            source=source,
            note=note,
        ),
        CostLine(
            item=f"{what}, memory",
            component=component,
            unit="GB-h",
            unit_price=None if price is None else price.gib_hour,
            source=source,
            note=note,
        ),
    )
