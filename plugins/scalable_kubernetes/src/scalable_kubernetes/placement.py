"""On which nodes pods may be: pure, from the target's options to parts of a pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scalable_kubernetes.builders import Document
from scalable_kubernetes.options import KubernetesOptions

#: Labels of Spot nodes on each cloud, and those with a taint of the same name.
SPOT_LABELS = {
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
SPOT_TAINTS = ("cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority")
#: What an image is built for, so that every pod with it needs such a node.
IMAGE_LABELS = ("kubernetes.io/arch", "kubernetes.io/os")
#: The annotation that says that a pod is on a Spot node.
CAPACITY = "scalable-capacity"

_MUST = "requiredDuringSchedulingIgnoredDuringExecution"
_RATHER = "preferredDuringSchedulingIgnoredDuringExecution"


def place_worker(options: KubernetesOptions, *, spot: bool) -> Document:
    """Return where a worker may be.

    Args:
        options: Of the target.
        spot: On Spot nodes, and on no others.
    """
    labels = dict(options.spot_labels) or SPOT_LABELS
    selector = dict(options.node_selector)
    tolerations = [dict(each) for each in options.tolerations]
    affinity: Mapping[str, Any] = options.affinity
    if not spot:
        affinity = _off_spot(options)
    elif len(labels) == 1:
        selector |= labels
    else:
        affinity = _on_spot(affinity, labels)
    if spot:
        tolerations += [
            {"key": key, "operator": "Equal", "value": labels[key], "effect": "NoSchedule"}
            for key in SPOT_TAINTS
            if key in labels
        ]
    found = {"nodeSelector": selector, "tolerations": tolerations, "affinity": dict(affinity)}
    return {key: value for key, value in found.items() if value}


def place_other(options: KubernetesOptions) -> Document:
    """Return where the scheduler, or a driver, may be: where its image runs, and rather on no Spot node."""
    selector = {k: v for k, v in options.node_selector.items() if k in IMAGE_LABELS}
    affinity = _off_spot(options, {})
    found = {"nodeSelector": selector, "affinity": affinity}
    return {key: value for key, value in found.items() if value}


def _on_spot(affinity: Mapping[str, Any], labels: Mapping[str, str]) -> Document:
    """Return an affinity that also wants a node with one of these labels.

    Terms are alternatives, so each of the target's own is joined with each label.
    """
    node = dict(affinity.get("nodeAffinity", {}))
    terms: Sequence[Mapping[str, Any]] = node.get(_MUST, {}).get("nodeSelectorTerms") or [{}]
    joined = [
        {
            **term,
            "matchExpressions": [
                *term.get("matchExpressions", []),
                {"key": label, "operator": "In", "values": [value]},
            ],
        }
        for term in terms
        for label, value in labels.items()
    ]
    node[_MUST] = {"nodeSelectorTerms": joined}
    return {**affinity, "nodeAffinity": node}


def _off_spot(options: KubernetesOptions, affinity: Mapping[str, Any] | None = None) -> Document:
    """Return an affinity that would rather have no Spot node, where the target says how those are known.

    Nodes with a taint take no pod that does not ask for them.
    """
    affinity = options.affinity if affinity is None else affinity
    labels = {k: v for k, v in options.spot_labels.items() if k not in SPOT_TAINTS}
    if not labels:
        return dict(affinity)
    node = dict(affinity.get("nodeAffinity", {}))
    none = [{"key": k, "operator": "NotIn", "values": [v]} for k, v in labels.items()]
    wish = {"weight": 100, "preference": {"matchExpressions": none}}
    node[_RATHER] = [*node.get(_RATHER, []), wish]
    return {**affinity, "nodeAffinity": node}
