"""The end of a run whose process may be gone, and what is there of a project's runs."""

from __future__ import annotations

from scalable_core.types import ClusterRecord, HookContext, ReleaseReport, Resource, Target
from scalable_kubernetes.access import Access, find_access
from scalable_kubernetes.api import BRIEF, Api, ApiError, path
from scalable_kubernetes.builders import PROJECT, RUN, Scene, label_value
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.refusals import cluster_error
from scalable_kubernetes.removal import find_objects, remove_run, resource


def release(record: ClusterRecord, context: HookContext) -> ReleaseReport:
    """Remove what a run has left in the cluster that its record names.

    Args:
        record: Of a run; its data say where.
        context: ``dry_run`` only looks.

    Raises:
        ClusterError: The API server cannot be asked.
    """
    data = record.data
    if "namespace" not in data:  # written before anything is created
        notes = ("its run ended before anything was created",)
        return ReleaseReport(provider=record.provider, remaining=record.resources, notes=notes)
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


def find(target: Target, run: str | None, context: HookContext) -> list[Resource]:
    """Return what is there of a project, or of one of its runs, in the namespace of a target.

    Args:
        target: A `kubernetes` target.
        run: Only this run; None for all.
        context: The project's name.

    Raises:
        ClusterError: The API server cannot be asked.
    """
    options: KubernetesOptions = target.options
    access = find_access(options.kubeconfig, options.context, context.workdir)
    return find_with(access, options.namespace, run, context)


def find_with(
    access: Access, namespace: str, run: str | None, context: HookContext
) -> list[Resource]:
    """Return what is there, whoever has found the way to the cluster.

    All that a run has belongs to its owner, so owners and pods are enough to know of every run.
    """
    api = Api(access)
    wanted = f"{PROJECT}={label_value(context.project)}"
    if run is not None:
        wanted += f",{RUN}={label_value(run)}"
    found = []
    try:
        query = [("labelSelector", wanted)]
        owners = api.get(path("v1", "configmaps", namespace), query, patience=BRIEF)["items"]
        pods = api.get(path("v1", "pods", namespace), query, patience=BRIEF)["items"]
    except ApiError as error:
        raise cluster_error(error, f"namespace {namespace} cannot be looked at") from error
    runs = {each["metadata"]["labels"][RUN]: each["data"]["run"] for each in owners}
    for plural, items in (("configmaps", owners), ("pods", pods)):
        for item in items:
            label = item["metadata"]["labels"][RUN]
            found.append(resource(plural, item, runs.get(label, label)))
    return found


def find_listed(api: Api, scene: Scene) -> list[Resource]:
    """Return what a look shows that changes nothing."""
    return list(find_objects(api, scene, secrets=False))
