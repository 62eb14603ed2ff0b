"""What Google Cloud and the cluster say of a plan on GKE before it costs anything, and what both must allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve

from scalable_core.errors import ClusterError
from scalable_core.types import HookContext, Plan, Policy, Problem
from scalable_gcp.cloud import CallError, Cloud
from scalable_gcp.gke import pod_options, rounded, rounding
from scalable_gcp.gke_access import Place, access_to, is_autopilot
from scalable_gcp.options import GkeOptions
from scalable_kubernetes import permissions
from scalable_kubernetes.access import from_pod, is_driver

#: What whoever runs must be allowed in the project; in the cluster, the Role allows the rest.
PERMISSIONS = (
    "artifactregistry.dockerimages.get",
    "artifactregistry.repositories.downloadArtifacts",
    "artifactregistry.tags.get",
    "container.clusters.connect",
    "container.clusters.get",
    "resourcemanager.projects.get",
)
#: Not asked for: it is needed for DNS names alone.
_NAMES = frozenset({"container.clusters.connect"})


def look(plan: Plan, context: HookContext) -> list[Problem]:
    """Return what is wrong with a plan, and what was looked at and is right."""
    from scalable_gcp import client
    from scalable_kubernetes.preflight import look_with

    if is_driver():  # all else was asked by who has started it, and its pod has its own way in
        options = pod_options(plan.target.options)
        return look_with(rounded(plan), options, from_pod(), context.workdir)
    place = Place.of(plan.target.options)
    try:
        cluster = client.run(place.describe())
        found = client.run(_permissions(place))
        access = access_to(place, cluster)
    except ClusterError as error:
        status = error.status if isinstance(error, CallError) else None
        code, where = ("E1221", "credentials") if status == 401 else ("E1250", "cluster")
        return [Problem(code=code, where=where, message=error.message, cure=error.cure)]
    kind = "Autopilot" if is_autopilot(cluster) else "Standard"
    version = cluster.get("currentMasterVersion")
    found.append(_info("I1250", "cluster", f"{access.name}, {kind}, version {version}"))
    found += _fit(plan, plan.target.options, cluster)
    options = pod_options(plan.target.options)
    for problem in look_with(rounded(plan), options, access, context.workdir):
        if problem.code == "E1321" and "cannot be reached" in problem.message:
            cure = "its address may be private, or open to authorized networks alone: open its DNS name"
            problem = evolve(problem, cure=cure)
        found.append(problem)
    return found


def policies(plan: Plan, *, provider: str) -> Policy:
    """Return both halves as YAML: a custom role of IAM, and behind ``---`` the Role of the cluster."""
    options: GkeOptions = plan.target.options
    role = permissions.policy(options.namespace, provider)
    lines = [
        "# For whoever runs Scalable: gcloud iam roles create NAME --project PROJECT --file FILE",
        "title: Scalable on GKE",
        "description: Finds clusters and images; all else is a matter of the cluster's Role.",
        "stage: GA",
        "includedPermissions:",
        *(f"- {each}" for each in PERMISSIONS),
        "---",
        "# Users of this Role are the e-mail addresses of Google accounts and service accounts.",
    ]
    text = "\n".join(lines) + "\n" + role.text
    return Policy(
        provider=provider, text=text, actions=tuple(sorted({*PERMISSIONS, *role.actions}))
    )


async def _permissions(place: Place) -> list[Problem]:
    cloud = Cloud(place.project, place.location)
    wanted = [each for each in PERMISSIONS if each not in _NAMES]
    path = f"projects/{cloud.project}:testIamPermissions"
    try:
        answer = await cloud.call("cloudresourcemanager", "POST", path, {"permissions": wanted})
    except CallError as error:
        message = f"permissions could not be looked at: {error.message}"
        return [_warning("W1222", "permissions", message, error.cure)]
    missing = sorted(set(wanted) - set(answer.get("permissions", [])))
    if not missing:
        text = f"all {len(wanted)} permissions on project {cloud.project} are there"
        return [_info("I1220", "permissions", text)]
    message = (
        f"these permissions are missing on project {cloud.project}: {', '.join(missing)}; a run does"
        " without those for images that are elsewhere"
    )
    cure = "grant the role that is printed by: scalable doctor --print-policy"
    return [_warning("W1222", "permissions", message, cure)]


def _fit(plan: Plan, options: GkeOptions, cluster: Mapping[str, Any]) -> Iterator[Problem]:
    """Compare what the plan was made for with what the cluster is."""
    if is_autopilot(cluster):
        for group in plan.groups:
            if words := rounding(group):
                yield _info("I1251", "size", words)
        if options.machine_type is not None:
            message = f"the cluster is one of Autopilot, whose nodes are not of type {options.machine_type}"
            cure = "leave machine_type out, or name a compute class in node_selector"
            yield Problem(code="E1251", where="machine_type", message=message, cure=cure)
    elif options.machine_type is None:
        message = "the cluster is a Standard one, and the estimate is made with Autopilot's prices"
        cure = "write the machine_type of its nodes: it is what they cost"
        yield _warning("W1251", "machine_type", message, cure)
    pool = cluster.get("workloadIdentityConfig", {}).get("workloadPool")
    if options.worker_service_account is not None and pool is None:
        message = "the cluster has no Workload Identity: pods have what their nodes may do"
        cure = "enable it: gcloud container clusters update --workload-pool=PROJECT.svc.id.goog"
        yield _warning("W1252", "worker_service_account", message, cure)


def _info(code: str, where: str, message: str) -> Problem:
    return Problem(code=code, where=where, message=message, severity="info")


def _warning(code: str, where: str, message: str, cure: str | None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure, severity="warning")
