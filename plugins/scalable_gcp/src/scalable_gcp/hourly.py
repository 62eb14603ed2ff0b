"""What things of a run that are there cost an hour, at list prices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scalable_core.types.bill import MONTH
from scalable_core.types.prices import Price, PriceBook
from scalable_gcp.prices import job_price, price_book, worker_pool_price

#: USD an hour of a run's secret: three versions at $0.06 a month, which is what Secret Manager charges for each
#: that is active; the first six of an account are free.
SECRET = 3 * 0.06 / MONTH


def of_worker(region: str, pool: Mapping[str, Any]) -> float | None:
    """Return USD an hour of one instance of a pool; None when unknown."""
    return _of_limits(region, pool["template"], worker_pool_price)


def of_job(region: str, job: Mapping[str, Any]) -> float | None:
    """Return USD an hour of what a job runs, nothing when it does not run; None when unknown."""
    execution = job.get("latestCreatedExecution") or {}
    if not execution.get("name") or execution.get("completionTime"):
        return 0.0
    return _of_limits(region, job["template"]["template"], job_price)


def of_machine(region: str, machine: Mapping[str, Any]) -> float | None:
    """Return USD an hour of a machine with its disk and its address; None when unknown."""
    book, kind = price_book(region), str(machine.get("machineType", "")).rpartition("/")[2]
    price = next((each.price for each in book.machines() if each.name == kind), None)
    disk, address = book.find("disk", "pd_balanced"), book.find("network", "external_ipv4_in_use")
    size = sum(int(each.get("diskSizeGb") or _size(each)) for each in machine.get("disks", []))
    public = any(each.get("accessConfigs") for each in machine.get("networkInterfaces", []))
    if price is None or disk is None or (public and address is None):
        return None
    usd: float = price.usd + disk.usd * size / MONTH
    return usd + address.usd if public and address is not None else usd


def _size(disk: Mapping[str, Any]) -> int:
    return int(disk.get("initializeParams", {}).get("diskSizeGb") or 0)


def _of_limits(
    region: str,
    template: Mapping[str, Any],
    price: Callable[[PriceBook, str], Price | None],
) -> float | None:
    book, total = price_book(region), 0.0
    for container in template.get("containers", []):
        limits = container.get("resources", {}).get("limits", {})
        cpus, gib = price(book, "vcpu"), price(book, "gib")
        memory = _gib(str(limits.get("memory", "")))
        if cpus is None or gib is None or memory is None or "nvidia.com/gpu" in limits:
            return None
        total += float(limits.get("cpu", 1)) * cpus.usd + memory * gib.usd
    return total


def _gib(text: str) -> float | None:
    for suffix, factor in (("Mi", 1 / 1024), ("Gi", 1.0)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return None
