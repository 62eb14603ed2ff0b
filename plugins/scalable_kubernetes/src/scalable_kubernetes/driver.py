"""The driver of a detached run: a Job whose one pod has the workflow and the scheduler."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from scalable_core.cluster.commission import default_limits
from scalable_core.errors import ScalableError, UsageError
from scalable_core.types import BundleRef, ClusterRecord, HookContext, Plan, Resource
from scalable_kubernetes import builders
from scalable_kubernetes.access import DRIVER_HOST, Access, find_access
from scalable_kubernetes.api import Api, ApiError
from scalable_kubernetes.builders import DRIVER, GROUP, MEMBER, Document, Scene
from scalable_kubernetes.merge import merge_template
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.placement import place_other
from scalable_kubernetes.pods import (
    CONTAINER,
    DRIVER_CPUS,
    DRIVER_MEMORY,
    KEPT,
    MARGIN,
    SCRATCH,
)
from scalable_kubernetes.provision import read_template
from scalable_kubernetes.refusals import cluster_error
from scalable_kubernetes.removal import kind_of, remove_run

#: Seconds that a driver has when it is told to end: to keep what is done, and to remove its workers.
GRACE = 120
#: Seconds for which a driver that ended without a record stays, with what it wrote; it costs nothing.
KEPT_FOR = 86400


def start(
    plan: Plan, bundle: BundleRef, context: HookContext, *, provider: str = "kubernetes"
) -> ClusterRecord:
    """Start the driver of a plan in the namespace of its target; see `start_with`."""
    options: KubernetesOptions = plan.target.options
    access = find_access(options.kubeconfig, options.context, context.workdir)
    data = {"kubeconfig": options.kubeconfig, "context": options.context}
    return start_with(plan, bundle, context, options, access, data, provider)


def start_with(
    plan: Plan,
    bundle: BundleRef,
    context: HookContext,
    options: KubernetesOptions,
    access: Access,
    data: Mapping[str, Any],
    provider: str,
) -> ClusterRecord:
    """Start the driver of a plan, whoever has found the way to the cluster.

    The Job is made last, when all that its pod needs is there: who is stopped before has nothing that runs.

    Args:
        plan: What it is to run.
        bundle: What it is to begin with.
        context: The run, and what the driver alone may know.
        options: What pods are like.
        access: To the API server.
        data: How to get access again, plain and without secrets.
        provider: The plugin that will release it.

    Raises:
        UsageError: There is no image, or no service account that could start workers.
        ClusterError: It cannot be started; nothing of it is left.
    """
    assert context.run is not None
    check(plan, options)
    template = read_template(options, context.workdir)
    variables = dict(context.secrets() if context.secrets else {})
    scene = Scene(
        namespace=options.namespace,
        run=context.run,
        project=plan.project.name,
        labels=options.labels,
    )
    api = Api(access)
    try:
        owner = api.create(scene.namespace, "configmaps", builders.owner(scene))
        scene = evolve(scene, owner=owner["metadata"]["uid"])
        api.create(scene.namespace, "secrets", secret(scene, variables))
        made = job(plan, scene, options, bundle, tuple(variables), template)
        api.create(scene.namespace, "jobs", made)
    except BaseException as error:
        _leave_nothing(api, scene, error)
        if isinstance(error, ApiError):
            doing = f"the driver cannot be started in namespace {scene.namespace}"
            raise cluster_error(error, doing) from error
        raise
    names = {"configmaps": scene.name, "jobs": scene.driver_name}
    return ClusterRecord(
        provider=provider,
        run=scene.run,
        project=scene.project,
        target=plan.target.name,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        resources=tuple(
            Resource(kind=kind_of(plural), id=name, region=scene.namespace, run=scene.run)
            for plural, name in names.items()
        ),
        data={**data, "namespace": scene.namespace, "name": scene.name},
    )


def check(plan: Plan, options: KubernetesOptions) -> None:
    """Refuse a plan whose driver could not do its work.

    Raises:
        UsageError: With what to write.
    """
    if image_of(plan, options) is None:
        raise UsageError(
            "the driver of a detached run needs an image with scalable, and the target names none",
            cure=f"set driver_image: in target {plan.target.name!r}",
        )
    if options.driver_service_account is None:
        raise UsageError(
            "the driver of a detached run starts pods, and needs a service account that may",
            cure="set driver_service_account: to one that has the Role which this prints: "
            "scalable doctor --print-policy",
        )


def image_of(plan: Plan, options: KubernetesOptions) -> str | None:
    """Return the image of a driver: its own, else that of the target, else that of the first component.

    A plain image to which packages are brought is none for a driver: who would bring them?
    """
    own = (group.image for group in plan.groups if not group.environment)
    reference = options.driver_image or options.image or next(own, None)
    pinned = {g.resolved.reference: g.resolved.pinned for g in plan.groups if g.resolved}
    return pinned.get(reference, reference) if reference is not None else None


def secret(scene: Scene, variables: Mapping[str, str]) -> Document:
    """Return what only the driver may know; its pod deletes it first, and who finds it gone is the second."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": scene.meta(scene.driver_name, **{GROUP: DRIVER}),
        "type": "Opaque",
        "stringData": dict(variables),
    }


def job(
    plan: Plan,
    scene: Scene,
    options: KubernetesOptions,
    bundle: BundleRef,
    variables: tuple[str, ...] = (),
    template: Mapping[str, Any] | None = None,
) -> Document:
    """Return the Job of a driver: one pod, never a second one, and an end for everything.

    Args:
        plan: What it is to run.
        scene: The run; its owner is there.
        options: What pods are like.
        bundle: What it is to begin with.
        variables: Names of those in its Secret.
        template: The target's pod template, read.
    """
    # By itself a driver ends at its hard limit, and then has as long to end well as when it is told to.
    lifetime = int(default_limits(options).lifetime + GRACE + MARGIN)
    body = pod(plan, scene, options, bundle.command, variables)
    body = merge_template(body, template or {}, CONTAINER)
    meta = {key: body["metadata"][key] for key in ("labels", "annotations")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": scene.meta(scene.driver_name, **{GROUP: DRIVER, MEMBER: DRIVER}),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": lifetime,
            "ttlSecondsAfterFinished": KEPT_FOR,
            "template": {"metadata": meta, "spec": body["spec"]},
        },
    }


def pod(
    plan: Plan,
    scene: Scene,
    options: KubernetesOptions,
    command: tuple[str, ...],
    variables: tuple[str, ...] = (),
) -> Document:
    """Return the pod of a driver: on-demand, not to be moved, and with the rights of its service account."""
    meta = scene.meta(scene.driver_name, **{GROUP: DRIVER, MEMBER: DRIVER})
    meta["annotations"] = {**options.annotations, **KEPT}
    amounts = {"cpu": f"{round(DRIVER_CPUS * 1000)}m", "memory": str(DRIVER_MEMORY)}
    fields = {DRIVER_HOST: "status.podIP", "SCALABLE_DRIVER_NAMESPACE": "metadata.namespace"}
    keys = {name: {"name": scene.driver_name, "key": name, "optional": True} for name in variables}
    container = {
        "name": CONTAINER,
        "image": image_of(plan, options),
        "command": ["python", "-m", "scalable_kubernetes.driving"],
        "args": [scene.project, scene.run, *command],
        "workingDir": SCRATCH,
        "env": [
            {"name": "PYTHONUNBUFFERED", "value": "1"},
            *({"name": k, "valueFrom": {"fieldRef": {"fieldPath": v}}} for k, v in fields.items()),
            *({"name": k, "valueFrom": {"secretKeyRef": v}} for k, v in keys.items()),
        ],
        "ports": [{"name": "tcp-scheduler", "containerPort": builders.SCHEDULER_PORT}],
        "resources": {"requests": amounts, "limits": amounts},
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }
    spec: Document = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        **place_other(options),
    }
    if options.driver_service_account is not None:
        spec["serviceAccountName"] = options.driver_service_account
    if options.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if options.priority_class is not None:
        spec["priorityClassName"] = options.priority_class
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _leave_nothing(api: Api, scene: Scene, error: BaseException) -> None:
    try:
        left = remove_run(api, scene)
    except (ApiError, ScalableError):
        return  # who cannot be asked has said so in the first error
    if left:
        error.add_note(f"left of it: {', '.join(each.id for each in left)}; end it: scalable down")
