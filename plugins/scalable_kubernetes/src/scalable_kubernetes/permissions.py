"""What somebody must be allowed to do in a namespace to run there: the Role that allows it, and no more."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from scalable_core.types import Policy


@frozen(kw_only=True)
class Right:
    """Verbs on one resource.

    Attributes:
        group: API group; empty for the core.
        resource: Plural, maybe with a part, such as ``pods/log``.
        verbs: What is done with it.
        why: What it is needed for.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str


#: What is done with each object of a run.
OBJECT = "create delete get list"

#: Everything that this plugin ever asks of an API server, save what everybody may.
RIGHTS = tuple(
    Right(group=group, resource=resource, verbs=tuple(verbs.split()), why=why)
    for group, resource, verbs, why in (
        ("", "configmaps", OBJECT, "the owner of all objects of a run"),
        ("", "secrets", "create delete", "the run's certificates; they are never read back"),
        ("", "services", OBJECT, "the scheduler's address"),
        ("", "pods", f"{OBJECT} deletecollection watch", "scheduler and workers"),
        ("", "pods/log", "get", "why a worker has ended; scalable logs"),
        ("", "pods/portforward", "create get", "the way in from outside of the cluster"),
        ("", "events", "list", "why a pod does not start"),
        ("", "resourcequotas", "list", "whether there is room, before a run"),
        ("networking.k8s.io", "networkpolicies", OBJECT, "who may reach the pods"),
        ("policy", "poddisruptionbudgets", OBJECT, "the scheduler is not moved"),
        ("batch", "jobs", OBJECT, "the driver of a detached run"),
    )
)


def role(namespace: str, name: str = "scalable") -> str:
    """Return the Role as YAML, and a comment with the command that binds it."""
    lines = [
        "# kubectl apply -f this, and then, for whoever runs:",
        f"#   kubectl create rolebinding {name} -n {namespace} --role={name} --user=NAME",
        "# and for detached runs a service account, which the target names as driver_service_account:",
        f"#   kubectl create serviceaccount {name}-driver -n {namespace}",
        f"#   kubectl create rolebinding {name}-driver -n {namespace} --role={name}"
        f" --serviceaccount={namespace}:{name}-driver",
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: Role",
        "metadata:",
        f"  name: {name}",
        f"  namespace: {namespace}",
        "rules:",
    ]
    for right in RIGHTS:
        lines += [
            f"  # {right.why}",
            f'  - apiGroups: ["{right.group}"]',
            f"    resources: [{right.resource}]",
            f"    verbs: [{', '.join(right.verbs)}]",
        ]
    return "\n".join(lines) + "\n"


def policy(namespace: str, provider: str) -> Policy:
    """Return the Role as the command line prints it."""
    actions = [f"{verb} {right.resource}" for right, verb in each_right()]
    return Policy(provider=provider, text=role(namespace), actions=tuple(sorted(actions)))


def each_right() -> Iterator[tuple[Right, str]]:
    """Yield each resource with each of its verbs."""
    for right in RIGHTS:
        for verb in right.verbs:
            yield right, verb


def review(right: Right, verb: str, namespace: str) -> dict[str, object]:
    """Return the question whether we may do that."""
    resource, _, part = right.resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": right.group, "resource": resource}
    if part:
        asked["subresource"] = part
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
