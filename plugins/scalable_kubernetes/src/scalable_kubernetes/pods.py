"""The pod of a member: pure, from a group and the target's options to a plain dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from scalable_core.cluster.launcher import Limits, MemberGroup
from scalable_core.types.units import GIB
from scalable_kubernetes.builders import (
    GROUP,
    MEMBER,
    RELAY_PORT,
    SCHEDULER_PORT,
    Document,
    Scene,
    label_value,
)
from scalable_kubernetes.merge import merge_template
from scalable_kubernetes.mounts import mount_volumes
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.placement import CAPACITY, place_other, place_worker

#: The name of our own container; others in a pod are a template's, or a mesh's.
CONTAINER = "member"
#: Where the run's documents are, and where a worker may write.
DOCUMENTS, SCRATCH = "/run/scalable/documents", "/run/scalable/scratch"
#: What the scheduler's pod asks for.
SCHEDULER_CPUS, SCHEDULER_MEMORY = 1.0, 4 * GIB
#: What the one of a driver does, which has the scheduler and the workflow.
DRIVER_CPUS, DRIVER_MEMORY = 2.0, 8 * GIB
#: Seconds between the end of a member's own time and the hard end of its pod.
MARGIN = 60.0

#: How a member reads its documents: files of a Secret, and what only its own pod knows.
READER = """\
import json
import os
def read(key):
    if key == "address":
        return json.dumps(os.environ["SCALABLE_SCHEDULER"])
    try:
        with open(PLACE + "/" + key.replace("/", "."), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None
def host():
    return os.environ["POD_IP"]
"""


@frozen(kw_only=True)
class Order:
    """What the pods of one run are made from.

    Attributes:
        scene: The run.
        options: Of the target.
        limits: When members end by themselves.
        programs: Role to the program that its members run.
        scheduler: The scheduler's address for workers.
        template: The target's pod template, read; empty without one.
    """

    scene: Scene
    options: KubernetesOptions
    limits: Limits
    programs: Mapping[str, str]
    scheduler: str
    template: Mapping[str, Any] = {}


def pod(order: Order, group: MemberGroup, member: str, *, spot: bool) -> Document:
    """Return the pod of a member.

    Args:
        order: The run.
        group: What the member is.
        member: Its name, that of the pod.
        spot: It is placed on Spot nodes.
    """
    scene, options = order.scene, order.options
    worker = group.role == "worker"
    labels = {GROUP: label_value(group.name), MEMBER: member}
    meta = scene.meta(member, **labels)
    ours = {CAPACITY: "spot"} if spot and worker else {} if worker else KEPT
    meta["annotations"] = {**options.annotations, **ours}
    volumes, mounts = mount_volumes(group.mounts, options.volumes)
    documents = {"name": "documents", "secret": {"secretName": scene.name, "defaultMode": 0o444}}
    scratch = {"name": "scratch", "emptyDir": {"sizeLimit": _scratch(group, options)}}
    own = [
        {"name": "documents", "mountPath": DOCUMENTS, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH},
    ]
    container = {
        "name": CONTAINER,
        "image": group.image or options.image,
        "command": ["python", "-c", order.programs[group.role]],
        "args": [group.role, group.name, member, DOCUMENTS],
        "env": _environment(order),
        "resources": _resources(group, options),
        "volumeMounts": [*own, *mounts],
    }
    if not worker:
        ports = (("tcp-scheduler", SCHEDULER_PORT), ("tcp-relay", RELAY_PORT))
        container["ports"] = [{"name": name, "containerPort": port} for name, port in ports]
    spec: Document = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(order.limits.lifetime + MARGIN),
        "terminationGracePeriodSeconds": int(order.limits.grace + 20),
        "containers": [container],
        "volumes": [documents, scratch, *volumes],
        **_account(options, worker),
        **(place_worker(options, spot=spot) if worker else place_other(options)),
    }
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    return merge_template(document, order.template, CONTAINER)


#: What keeps an autoscaler from moving a pod.
KEPT = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


def sized(group: MemberGroup) -> MemberGroup:
    """Return a group with the size that its pods ask for: the scheduler's is decided here."""
    if group.role == "scheduler":
        return evolve(
            group,
            cpus=group.cpus or SCHEDULER_CPUS,
            memory=group.memory or SCHEDULER_MEMORY,
        )
    return group


def _environment(order: Order) -> list[Document]:
    fields = {"POD_IP": "status.podIP", "POD_NAME": "metadata.name"}
    known = {"SCALABLE_SCHEDULER": order.scheduler, "TMPDIR": SCRATCH}
    known["PYTHONUNBUFFERED"] = "1"  # what a call prints is in the log at once
    return [
        *({"name": k, "valueFrom": {"fieldRef": {"fieldPath": v}}} for k, v in fields.items()),
        *({"name": name, "value": value} for name, value in known.items()),
    ]


def _resources(group: MemberGroup, options: KubernetesOptions) -> Document:
    """Return requests that are also limits, so that a pod gets what it is counted for, and no less."""
    group = sized(group)
    amounts: Document = {"cpu": f"{max(1, round(group.cpus * 1000))}m"}
    if group.memory is not None:
        amounts["memory"] = str(group.memory)
    limits = dict(amounts)
    if group.role == "worker":
        more = options.resources
        if group.gpus:
            limits["nvidia.com/gpu"] = str(group.gpus)
        amounts |= {name: str(value) for name, value in more.get("requests", {}).items()}
        limits |= {name: str(value) for name, value in more.get("limits", {}).items()}
    return {"requests": amounts, "limits": limits}


def _scratch(group: MemberGroup, options: KubernetesOptions) -> str:
    """Return how much a worker may write: twice what it holds in memory, and not less than 10 GiB."""
    given = options.resources.get("limits", {}).get("ephemeral-storage")
    if group.role == "worker" and given is not None:
        return str(given)
    return str(max(10 * GIB, 2 * (group.memory or 0)))


def _account(options: KubernetesOptions, worker: bool) -> Document:
    """Return the identity of a pod: what it does not need, it does not get."""
    spec: Document = {}
    if worker and options.worker_service_account is not None:
        spec["serviceAccountName"] = options.worker_service_account
    else:
        spec["automountServiceAccountToken"] = False
    if options.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if options.priority_class is not None:
        spec["priorityClassName"] = options.priority_class
    return spec
