"""Every object that a run has in Kubernetes, one pure function for each kind: from nouns to plain dicts.

All objects of a run belong to one `owner`: it is deleted, and the cluster removes the rest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

#: Ports of the scheduler's pod: Dask's own, and the one by which a driver outside reaches it.
SCHEDULER_PORT, RELAY_PORT = 8786, 8788
#: Group and name of the pod that has a detached run's workflow, and its scheduler.
DRIVER = "driver"
#: Labels of everything: whose it is. The first two are the tags of a fleet.
PROJECT, RUN, GROUP, MEMBER = (
    "scalable-project", "scalable-run", "scalable-group", "scalable-member",
)  # fmt: skip

Document = dict[str, Any]


@frozen(kw_only=True)
class Scene:
    """What all objects of one run share.

    Attributes:
        namespace: Where they are.
        run: The run's id.
        project: The project's name.
        labels: More labels, from the target.
        owner: The uid of the owner; None until it is there.
        inside: The driver is in a pod of the cluster.
        driver: And that pod is one of the run's own, made with the owner before all else.
    """

    namespace: str
    run: str
    project: str
    labels: Mapping[str, str] = {}
    owner: str | None = None
    inside: bool = False
    driver: bool = False

    @property
    def name(self) -> str:
        """The name of the owner, and what the names of all others begin with."""
        return f"scalable-{slug(self.run)}"

    @property
    def driver_name(self) -> str:
        """The name of the driver's Job and of its Secret."""
        return f"{self.name}-driver"

    @property
    def query(self) -> str:
        """The labels by which everything is found that whoever asks may remove: a driver not itself."""
        found = [f"{key}={value}" for key, value in self.selector.items()]
        return ",".join([*found, f"{GROUP}!={DRIVER}"] if self.driver else found)

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which everything of this run is found."""
        return {PROJECT: label_value(self.project), RUN: label_value(self.run)}

    def meta(self, name: str, **labels: str) -> Document:
        """Return the metadata of an object."""
        ours = {"app.kubernetes.io/managed-by": "scalable", **self.selector, **labels}
        meta: Document = {
            "name": name,
            "namespace": self.namespace,
            "labels": {**self.labels, **ours},
        }
        if self.owner is not None:
            meta["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": self.name, "uid": self.owner}
            ]
        return meta


def slug(run: str) -> str:
    """Return a short name for a run, such as ``brisk-otter-7f3a``, for the names of its objects."""
    short = re.sub(r"^run-\d{8}-\d{6}-", "", run).lower()
    clean = re.sub(r"[^a-z0-9]+", "-", short).strip("-")
    if clean and clean == short and len(clean) <= 30:
        return clean
    return f"{clean[:21].strip('-') or 'run'}-{hashlib.sha256(run.encode()).hexdigest()[:8]}"


def label_value(text: str) -> str:
    """Return a text as the value of a label: as it is where that is allowed, else with a hash behind it."""
    if re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", text, re.ASCII):
        return text
    clean = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:50].strip("-")
    return f"{clean or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def stem(run: str, group: str) -> str:
    """Return what the names of a group's pods, which are those of Dask's workers, begin with before a number.

    Names are unique in a namespace, so that of the run comes first.
    """
    clean = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")
    same = clean == group and 0 < len(clean) <= 24
    if not same:
        clean = f"{clean[:15].strip('-') or 'x'}-{hashlib.sha256(group.encode()).hexdigest()[:8]}"
    return f"{slug(run)}-{clean}"


def pod_name(run: str, member: str) -> str:
    """Return the whole name of a member for which people wrote a short one, such as ``analysis-3``."""
    group, _, number = member.rpartition("-")
    return f"{stem(run, group)}-{number}" if number.isdigit() else f"{stem(run, member)}-0"


def owner(scene: Scene) -> Document:
    """Return what everything else of a run belongs to."""
    facts = {"run": scene.run, "project": scene.project}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": scene.meta(scene.name),
        "data": facts,
    }


def secret(scene: Scene, documents: Mapping[str, str]) -> Document:
    """Return the documents of a run, certificates among them, as the files that pods see."""
    files = {key.replace("/", "."): text for key, text in documents.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": scene.meta(scene.name),
        "type": "Opaque",
        "stringData": files,
    }


def service(scene: Scene) -> Document:
    """Return the address of the scheduler, known before there is one.

    The port's name begins with ``tcp-``: a mesh then leaves what goes through it alone.
    """
    port = {"name": "tcp-scheduler", "port": SCHEDULER_PORT, "targetPort": SCHEDULER_PORT}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": scene.meta(scene.name),
        "spec": {
            "selector": {**scene.selector, GROUP: "scheduler"},
            "ports": [{**port, "protocol": "TCP"}],
        },
    }


def network_policy(scene: Scene) -> Document:
    """Return the rule that only pods of this run reach pods of this run.

    What goes out is left open, for data and names. A driver in the cluster reaches the scheduler's own port
    too; whoever gets there has got nowhere without the run's certificate.
    """
    ingress: list[Document] = [{"from": [{"podSelector": {"matchLabels": scene.selector}}]}]
    if scene.inside:
        port = {"protocol": "TCP", "port": SCHEDULER_PORT}
        ingress.append({"from": [{"podSelector": {}}], "ports": [port]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": scene.meta(scene.name),
        "spec": {
            "podSelector": {"matchLabels": scene.selector},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def disruption_budget(scene: Scene, version: str) -> Document:
    """Return the rule that the pod with the scheduler is not moved to make room: its end is that of the run.

    Args:
        scene: The run.
        version: Of the group ``policy``, as the server offers it.
    """
    # For a pod that no controller keeps, a number that must stay is the only form that is allowed.
    return {
        "apiVersion": f"policy/{version}",
        "kind": "PodDisruptionBudget",
        "metadata": scene.meta(scene.name),
        "spec": {
            "minAvailable": 1,
            "selector": {
                "matchLabels": {**scene.selector, GROUP: DRIVER if scene.driver else "scheduler"}
            },
        },
    }
