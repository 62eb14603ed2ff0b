"""The end of a run whose process may be gone, and what is there of a project's runs."""

from __future__ import annotations

from scalable_core.types import ClusterRecord, HookContext, ReleaseReport, Resource
from scalable_kubernetes.access import Access, find_access
from scalable_kubernetes.api import Api, ApiError
from scalable_kubernetes.builders import Scene
from scalable_kubernetes.refusals import cluster_error
from scalable_kubernetes.removal import find_objects, remove_run


def release(record: ClusterRecord, context: HookContext) -> ReleaseReport:
    """Remove what a run has left in the cluster that its record names.

    Args:
        record: Of a run; its data say where.
        context: ``dry_run`` only looks.

    Raises:
        ClusterError: The API server cannot be asked.
    """
    data = record.data
    access = find_access(data.get("kubeconfig"), data.get("context"), context.workdir)
    return release_with(record, context, access)


def release_with(record: ClusterRecord, context: HookContext, access: Access) -> ReleaseReport:
    """Remove what a run has left, whoever has found the way to the cluster."""
    api = Api(access)
    scene = Scene(namespace=record.data["namespace"], run=record.run, project=record.project)
    try:
        if context.dry_run:
            return ReleaseReport(provider=record.provider, remaining=tuple(find_listed(api, scene)))
        left = remove_run(api, scene)
    except ApiError as error:
        raise cluster_error(error, f"{record.run} cannot be released") from error
    there = {(each.kind, each.id) for each in left}
    gone = tuple(each for each in record.resources if (each.kind, each.id) not in there)
    return ReleaseReport(provider=record.provider, released=gone, remaining=tuple(left))


def find_listed(api: Api, scene: Scene) -> list[Resource]:
    """Return what a look shows that changes nothing."""
    return list(find_objects(api, scene, secrets=False))
