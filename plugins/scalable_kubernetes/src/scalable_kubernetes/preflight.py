"""What can be known before a run: the server, our rights, room in the quota, and what it thinks of our pods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scalable_core.cluster.commission import default_limits, member_group, scheduler_group
from scalable_core.errors import ScalableError
from scalable_core.types import HookContext, Plan, Problem
from scalable_kubernetes import driver
from scalable_kubernetes.access import Access, find_access
from scalable_kubernetes.api import BRIEF, Api, ApiError, path
from scalable_kubernetes.builders import DRIVER, Scene, stem
from scalable_kubernetes.options import KubernetesOptions
from scalable_kubernetes.permissions import each_right, review
from scalable_kubernetes.pods import DRIVER_CPUS, DRIVER_MEMORY, Order, pod, sized
from scalable_kubernetes.provision import check_groups, read_template
from scalable_kubernetes.refusals import ROLE, cluster_error

#: Seconds for which one question is asked again.
PATIENCE = 5.0


def look(plan: Plan, context: HookContext) -> list[Problem]:
    """Return what was found of a `kubernetes` target; nothing is created."""
    options: KubernetesOptions = plan.target.options
    access = find_access(options.kubeconfig, options.context, context.workdir)
    return look_with(plan, options, access, context.workdir)


def look_with(
    plan: Plan, options: KubernetesOptions, access: Access, folder: Path
) -> list[Problem]:
    """Return what was found, good and bad; nothing is created.

    Args:
        plan: What is to run.
        options: What its pods are like.
        access: To the API server.
        folder: Of the manifest.
    """
    try:
        check_groups(plan, options)
        if plan.detached:
            driver.check(plan, options)
        template = read_template(options, folder)
    except ScalableError as error:
        return [_problem("E1320", "pods", error.message, error.cure)]
    api = Api(access)
    try:
        version = api.get("/version", patience=BRIEF)
    except (ApiError, ScalableError) as error:
        if isinstance(error, ApiError):
            error = cluster_error(error, "the cluster cannot be asked")
        return [_problem("E1321", "credentials", error.message, error.cure)]
    where = f"{access.name}, namespace {options.namespace}, Kubernetes {version['gitVersion']}"
    parts: tuple[Callable[[], Iterator[Problem]], ...] = (
        lambda: _rights(api, options.namespace),
        lambda: _quotas(api, plan, options),
        lambda: _pods(api, plan, options, template),
    )
    found = [_problem("I1321", "credentials", where)]
    for part in parts:
        try:
            found += part()
        except ApiError as error:
            sentence = cluster_error(error, "the cluster cannot be asked")
            found.append(_problem("E1321", "credentials", sentence.message, sentence.cure))
            break
    api.close()
    return found


def _rights(api: Api, namespace: str) -> Iterator[Problem]:
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = list(each_right())

    def ask(each: Any) -> bool:
        answer = api.request(
            "POST", reviews, review(each[0], each[1], namespace), patience=PATIENCE
        )
        return bool(answer["status"].get("allowed"))

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(ask, asked))
    missing = [
        f"{verb} {right.resource} ({right.why})"
        for (right, verb), may in zip(asked, allowed, strict=True)
        if not may
    ]
    if missing:
        text = f"{len(missing)} of {len(asked)} rights in namespace {namespace} are missing: "
        yield _problem("E1322", "permissions", text + "; ".join(missing), ROLE)
    else:
        yield _problem("I1322", "permissions", f"{len(asked)} of {len(asked)} needed rights")


def _quotas(api: Api, plan: Plan, options: KubernetesOptions) -> Iterator[Problem]:
    try:
        found = api.get(path("v1", "resourcequotas", options.namespace))["items"]
    except ApiError as error:
        if error.status == 403:  # said already, with all other rights
            return
        raise
    wanted = _wanted(plan)
    for quota in found:
        status = quota.get("status", {})
        for name, hard in status.get("hard", {}).items():
            need = wanted.get(name.removeprefix("requests.").removeprefix("limits."))
            if need is None:
                continue
            room = amount(hard) - amount(status.get("used", {}).get(name, "0"))
            title = f"quota {quota['metadata']['name']}: {name}"
            if need > room:
                text = f"{title} has room for {room:g}, and all workers need {need:g}"
                cure = "ask for fewer workers, or have the quota raised"
                yield _problem("W1323", "quota", text, cure)
            else:
                yield _problem("I1323", "quota", f"{title} has room for {room:g} of {need:g}")


def _wanted(plan: Plan) -> dict[str, float]:
    """Return what the scheduler and the largest number of workers ask for; the largest ones first."""
    scheduler = sized(scheduler_group(plan))
    cpus, memory = scheduler.cpus, float(scheduler.memory or 0)
    if plan.detached:
        cpus, memory = DRIVER_CPUS, float(DRIVER_MEMORY)
    wanted = {"pods": 1.0, "cpu": cpus, "memory": memory}
    left = plan.maximum
    for group in sorted(plan.groups, key=lambda g: (g.cpus, g.memory or 0), reverse=True):
        count = min(left, group.maximum)
        left -= count
        wanted["pods"] += count
        wanted["cpu"] += count * group.cpus
        wanted["memory"] += count * (group.memory or 0)
    return wanted


def _pods(
    api: Api, plan: Plan, options: KubernetesOptions, template: Mapping[str, Any]
) -> Iterator[Problem]:
    """Have the server check each kind of pod as if it were to be made: its rules are more than we know."""
    scene = Scene(
        namespace=options.namespace,
        run="preflight",
        project=plan.project.name,
        labels=options.labels,
    )
    order = Order(
        scene=scene,
        options=options,
        limits=default_limits(options),
        programs={"scheduler": "", "worker": ""},
        scheduler="tls://scheduler:8786",
        template=template,
    )
    groups = [*([] if plan.detached else [scheduler_group(plan)]), *map(member_group, plan.groups)]
    bodies = {
        group.name: pod(order, group, f"{stem(scene.run, group.name)}-0", spot=options.spot)
        for group in groups
    }
    if plan.detached:
        bodies[DRIVER] = driver.pod(plan, scene, options, ())
    for name, body in bodies.items():
        where = path("v1", "pods", options.namespace)
        try:
            api.request("POST", where, body, [("dryRun", "All")], patience=PATIENCE)
        except ApiError as error:
            if error.status == 403 and " cannot create " in error.message:
                return  # said already, with all other rights
            sentence = cluster_error(error, f"a pod of {name} would be refused")
            yield _problem("E1324", "pods", sentence.message, sentence.cure)
    yield _problem("I1324", "pods", f"{len(bodies)} kinds of pods, as the server checks them")


_UNITS = {
    "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip


def amount(text: str) -> float:
    """Return a quantity as Kubernetes writes it, such as ``500m`` or ``1.5Gi``, as a number."""
    found = re.fullmatch(r"([0-9.e+-]+?)([A-Za-z]*)", str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _UNITS.get(found[2], 1.0)


def _problem(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    severity = {"E": "error", "W": "warning", "I": "info"}[code[0]]
    return Problem(code=code, where=where, message=message, cure=cure, severity=severity)  # type: ignore[arg-type]
