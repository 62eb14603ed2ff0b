"""A small complete provider: it answers every hook, and remembers what it was asked."""

import attrs
from scalable_core.hookspecs import hookimpl
from scalable_core.types import ArtifactRef, CostEstimate, Problem, ReleaseReport, option

SCALABLE_PLUGIN_API = 1
ASKED = []
SETTINGS = []


@attrs.frozen(kw_only=True)
class Options:
    site: str = option(default="here", help="Site to run at.")


@hookimpl
def configure(settings):
    SETTINGS.append(settings)


@hookimpl
def target_options():
    return Options


@hookimpl
def check_target(target, context):
    ASKED.append(("check_target", context.log.name))
    return [Problem(code="E9001", where="site", message="no such site")]


@hookimpl
def estimate_cost(plan):
    ASKED.append(("estimate_cost", plan.target.name))
    return CostEstimate(provider="acme", expected=1.0)


@hookimpl
def provision_cluster(plan):
    from distributed import LocalCluster

    return LocalCluster(n_workers=0, processes=False, dashboard_address=None)


@hookimpl
def release_cluster(record):
    return ReleaseReport(provider="acme", released=record.resources)


@hookimpl
def store_artifact(artifact, destination):
    return ArtifactRef(
        uri=destination,
        digest="sha256:" + "0" * 64,
        size=len(artifact.data),
        media_type=artifact.media_type,
        run=artifact.run,
        created="2026-01-01T00:00:00Z",
        provider="acme",
    )


@hookimpl
def fetch_artifact(ref, destination):
    return destination


@hookimpl
def run_recorded(record):
    ASKED.append(("run_recorded", record.run))
