"""A class of Dask clusters as a provider of Scalable."""

import attrs
from scalable_core.hookspecs import hookimpl
from scalable_core.types import CostEstimate, CostLine, ReleaseReport, option

SCALABLE_PLUGIN_API = 1


@attrs.frozen(kw_only=True)
class AdoptedOptions:
    """Options of an `adopted` target."""

    n_workers: int = option(default=2, minimum=1, help="Number of workers.")


@hookimpl
def target_options():
    """Describe what may stand in an `adopted` target."""
    return AdoptedOptions


@hookimpl
def estimate_cost(plan):
    """Say that nothing is billed."""
    free = {"amount": 0.0, "low": 0.0, "high": 0.0}
    lines = [CostLine(item="Compute", component=g.name, unit="h", **free) for g in plan.groups]
    return CostEstimate(provider="adopted", expected=0.0, low=0.0, high=0.0, lines=tuple(lines))


@hookimpl
def provision_cluster(plan):
    """Start the cluster; every worker serves every component."""
    from distributed import LocalCluster  # or yours

    resources = {name: n for group in plan.groups for name, n in group.resource.items()}
    threads = max(group.threads for group in plan.groups)
    return LocalCluster(
        n_workers=plan.maximum, threads_per_worker=threads, resources=resources, dashboard_address=None
    )


@hookimpl
def release_cluster(record):
    """Say that nothing is left: its workers end with the process that started them."""
    return ReleaseReport(provider="adopted", released=record.resources)
