"""`distributed.LocalCluster` as a provider of Scalable."""

from scalable_core.adopt import adopt

SCALABLE_PLUGIN_API = 1


def start(plan, workers):
    """Start a cluster whose workers serve every component."""
    from distributed import LocalCluster  # or yours

    return LocalCluster(
        n_workers=workers.count,
        threads_per_worker=workers.threads,
        memory_limit=workers.memory or "auto",
        resources=workers.resources,
        env=workers.environment,
        security=True,
        dashboard_address="127.0.0.1:0",
    )


hooks = adopt("adopted", start, free="machines that are there anyway")
target_options, estimate_cost, preflight, provision_cluster, release_cluster = hooks
