"""What somebody must be allowed to do to run a plan on Google Cloud, as custom roles of IAM. Pure.

There are two: of whoever runs Scalable, and of the members' service account, which reads the run's secret and
removes what is left of a run whose driver is gone.
"""

from __future__ import annotations

from scalable_core.types import Plan, Policy

#: What the driver's calls need, by service; tests compare it with the calls of whole runs.
DRIVER: dict[str, tuple[str, ...]] = {
    "run": (
        "run.workerPools.create",
        "run.workerPools.list",
        "run.workerPools.delete",
        "run.jobs.create",
        "run.jobs.run",
        "run.jobs.list",
        "run.jobs.delete",
        "run.executions.cancel",
        "run.operations.get",
    ),
    "compute": (
        "compute.instances.create",
        "compute.instances.get",
        "compute.instances.list",
        "compute.instances.delete",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.instances.setServiceAccount",
        "compute.instances.setTags",
        "compute.disks.create",
        "compute.disks.setLabels",
        "compute.firewalls.create",
        "compute.firewalls.list",
        "compute.firewalls.delete",
        "compute.networks.updatePolicy",
        "compute.regions.get",
        "compute.subnetworks.get",
        "compute.subnetworks.use",
        "compute.zoneOperations.get",
        "compute.globalOperations.get",
    ),
    "secretmanager": (
        "secretmanager.secrets.create",
        "secretmanager.secrets.list",
        "secretmanager.secrets.setIamPolicy",
        "secretmanager.versions.add",
        "secretmanager.secrets.delete",
    ),
    "artifactregistry": (
        "artifactregistry.tags.get",
        "artifactregistry.dockerimages.get",
        "artifactregistry.repositories.downloadArtifacts",
    ),
    "cloudresourcemanager": ("resourcemanager.projects.get",),
    "serviceusage": ("serviceusage.services.list",),
    "logging": ("logging.logEntries.list",),
    "iam": ("iam.serviceAccounts.actAs",),
}
#: What IAP's tunnel needs besides, and a public address.
TUNNEL = ("iap.tunnelInstances.accessViaIAP",)
PUBLIC = ("compute.subnetworks.useExternalIp",)
#: What the members' service account needs, and that of a driver in one job with its workers; storage of the
#: project comes on top, by its bucket.
MEMBERS = (
    "artifactregistry.repositories.downloadArtifacts",
    "compute.instances.delete",
    "logging.logEntries.create",
    "run.jobs.delete",
    "run.workerPools.delete",
    "run.workerPools.list",
    "secretmanager.secrets.delete",
)


def driver_permissions(*, public: bool, detached: bool = False) -> tuple[str, ...]:
    """Return what whoever runs Scalable must be allowed, sorted."""
    every = [each for some in DRIVER.values() for each in some]
    way = PUBLIC if public else () if detached else TUNNEL
    return tuple(sorted({*every, *way}))


def required_permissions(plan: Plan, *, provider: str) -> Policy:
    """Return both roles, as `gcloud iam roles create --file` takes them."""
    actions = driver_permissions(public=bool(getattr(plan.target.options, "public", False)))
    text = "\n".join(
        [
            "# For whoever runs Scalable: gcloud iam roles create NAME --project PROJECT --file FILE",
            "# The service account of a detached run's driver needs it too, and access to the bucket.",
            *_role("Scalable driver", "Starts, watches and releases runs of Scalable.", actions),
            "---",
            "# For the members' service account; it reads the run's secret by a grant on that secret alone.",
            *_role("Scalable member", "Removes what a run leaves whose driver is gone.", MEMBERS),
            "",
        ]
    )
    return Policy(provider=provider, text=text, actions=actions)


def _role(title: str, description: str, permissions: tuple[str, ...]) -> list[str]:
    head = [f"title: {title}", f"description: {description}", "stage: GA", "includedPermissions:"]
    return [*head, *(f"- {each}" for each in permissions)]
