"""A class of Dask clusters as a provider of Scalable."""

import attrs

from scalable_core.hookspecs import hookimpl
from scalable_core.types import ReleaseReport, option
from scalable_core.types.bill import exactly, forecast_of, priced, total
from scalable_core.types.prices import Price

SCALABLE_PLUGIN_API = 1
FREE = Price(usd=0.0, low=0.0, high=0.0, source="machines that are there anyway")


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
    groups = forecast_of(plan).groups
    hours = {group.name: exactly(groups[group.name].worker_hours) for group in plan.groups}
    lines = [priced("Compute", "h", each, FREE, component=name) for name, each in hours.items()]
    return total("adopted", FREE.source, lines)


@hookimpl
def provision_cluster(plan):
    """Start the cluster; every worker serves every component."""
    from distributed import LocalCluster  # or yours

    resources = {name: n for group in plan.groups for name, n in group.resource.items()}
    threads = max(group.threads for group in plan.groups)
    return LocalCluster(
        n_workers=plan.maximum,
        threads_per_worker=threads,
        resources=resources,
        dashboard_address=None,
    )


@hookimpl
def release_cluster(record):
    """Say that nothing is left: its workers end with the process that started them."""
    return ReleaseReport(provider="adopted", released=record.resources)
