"""From a plan to a running fleet on Kubernetes. Imports distributed: import it inside functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from scalable_core.cluster.fleet import FleetCluster
from scalable_core.errors import UsageError
from scalable_core.types import HookContext, Plan
from scalable_kubernetes.access import DRIVER_HOST, Access, find_access
from scalable_kubernetes.hourly import by_estimate
from scalable_kubernetes.launcher import KubernetesLauncher
from scalable_kubernetes.mounts import mount_volumes
from scalable_kubernetes.options import KubernetesOptions


def provision(plan: Plan, context: HookContext) -> FleetCluster:
    """Start the scheduler of a plan in the namespace of its target.

    Args:
        plan: Of a `kubernetes` target.
        context: The run.

    Raises:
        UsageError: A component has no image, or a mount that means nothing here.
        ClusterError: It cannot be started.
    """
    options: KubernetesOptions = plan.target.options
    access = find_access(options.kubeconfig, options.context, context.workdir)
    data = {"kubeconfig": options.kubeconfig, "context": options.context}
    return start_fleet(plan, context, options, access, data)


def start_fleet(
    plan: Plan,
    context: HookContext,
    options: KubernetesOptions,
    access: Access,
    data: Mapping[str, Any],
    provider: str = "kubernetes",
) -> FleetCluster:
    """Start the scheduler of a plan, whoever has found the way to the cluster.

    Args:
        plan: Of any target whose workers are pods.
        context: The run.
        options: What pods are like.
        access: To the API server.
        data: How to get access again, plain and without secrets.
        provider: The plugin that will release it.
    """
    check_groups(plan, options)
    host = os.environ.get(DRIVER_HOST) if plan.detached else None
    groups = tuple(evolve(g, env={**options.env, **g.env}) for g in plan.groups)
    launcher = KubernetesLauncher(
        options,
        access,
        template=read_template(options, context.workdir),
        data=data,
        events=context.events,
        provider=provider,
        driver_host=host,
        estimated=by_estimate(plan),
    )
    plan = evolve(plan, groups=groups)
    patience = options.schedule_timeout
    return FleetCluster(plan, launcher, context, driver_host=host, patience=patience)


def check_groups(plan: Plan, options: KubernetesOptions) -> None:
    """Refuse what no pod can be made from.

    Raises:
        UsageError: With what to write instead.
    """
    for group in plan.groups:
        if group.image is None:
            raise UsageError(
                f"component {group.name!r} names no image, and pods need one",
                cure=f"set image: in the component, or in target {plan.target.name!r}",
            )
        mount_volumes(group.mounts, options.volumes)


def read_template(options: KubernetesOptions, folder: Path) -> dict[str, Any]:
    """Return the pod template; empty without one.

    Raises:
        UsageError: It is no YAML of a pod.
    """
    if options.pod_template is None:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    file = folder / options.pod_template
    try:
        found = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UsageError(f"the pod template {file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(
            f"the pod template {file} is not a pod", cure="begin it with metadata: or spec:"
        )
    return found
