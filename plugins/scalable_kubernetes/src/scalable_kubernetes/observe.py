"""What a pod's status means for the member that it is: pure, from Kubernetes' words to sentences and kinds."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from scalable_core.cluster.launcher import FailureKind, Member, State
from scalable_kubernetes.builders import MEMBER, Document
from scalable_kubernetes.pods import CONTAINER

#: Why a container waits that will never run; the image's own fault, or its name's.
IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)  # fmt: skip
#: Why a container waits that will never run, whatever is tried.
BROKEN = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
#: Why a pod ends that has done nothing wrong.
TAKEN = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Shutdown", "Preempting", "NodeAffinity"}
)
#: Seconds for which an image that cannot be pulled may still be a passing trouble.
IMAGE_PATIENCE = 20.0


def observe(pod: Document, *, now: float, patience: float, hourly: float | None = None) -> Member:
    """Return what a pod says of its member.

    Args:
        pod: As the API server has it.
        now: Seconds since 1970.
        patience: Seconds for which it may wait for a node.
        hourly: USD an hour while it runs.
    """
    meta, status = pod["metadata"], pod.get("status", {})
    name = meta["labels"][MEMBER]
    own = _container(status)
    ended = own.get("state", {}).get("terminated")
    facts = {
        "name": name,
        "id": meta["name"],
        "address": status.get("podIP"),
        "zone": pod["spec"].get("nodeName"),
        "capacity": _capacity(pod),
    }
    if ended or status.get("phase") in ("Failed", "Succeeded"):
        return _stopped(facts, status, ended or {})
    if meta.get("deletionTimestamp"):
        # Another takes its place at once: of a pod on a lost node nobody ever says that it has ended.
        gone = "its pod is being deleted"
        return Member(state="stopping", reason=gone, interrupted=True, hourly=hourly, **facts)
    if "running" in own.get("state", {}):
        return Member(state="running", hourly=hourly, **facts)
    state, reason, failure = _waiting(pod, own, now, patience)
    return Member(state=state, reason=reason, failure=failure, hourly=hourly, **facts)


def waits_for(pod: Document) -> str | None:
    """Return why a pod that is not placed, or whose image is not there, waits; None while nothing is said."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            message: str | None = condition.get("message")
            return message
    waiting = _container(status).get("state", {}).get("waiting", {})
    if waiting.get("reason") in IMAGE | BROKEN:
        return _image_words(waiting)
    return None


def age(pod: Document, now: float) -> float:
    """Return for how many seconds a pod has existed."""
    made = datetime.datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return now - made.timestamp()


def _container(status: Mapping[str, Any]) -> Document:
    found = status.get("containerStatuses", [])
    return next((each for each in found if each["name"] == CONTAINER), {})


def _stopped(facts: Mapping[str, Any], status: Mapping[str, Any], ended: Document) -> Member:
    """A pod's own reason tells more than its container's: an evicted pod's container just has ended."""
    code, reason = ended.get("exitCode"), status.get("reason")
    words = status.get("message") or ended.get("message")
    word = reason or ended.get("reason")
    taken = reason in TAKEN or _disrupted(status)
    sentences = {
        "OOMKilled": "it has used more memory than its pod may, and the kernel has ended it",
        "DeadlineExceeded": "its pod has lived as long as max_lifetime allows",
        "Completed": None,
        "Error": words,
    }
    text = sentences.get(word, words or word) if word else words
    if word == "Evicted":
        text = f"its node has evicted it: {words or 'it gives no reason'}"
    failure: FailureKind | None = "image" if word in ("StartError", "ContainerCannotRun") else None
    return Member(
        state="stopped",
        reason=text,
        stop_code=None if word in (None, "Completed", "Error") else word,
        exit_code=137 if word == "OOMKilled" and code is None else code,
        failure=failure,
        interrupted=taken,
        **facts,
    )


def _disrupted(status: Mapping[str, Any]) -> bool:
    """Whether the cluster says that it takes the pod away: preemption, a drained or lost node."""
    conditions = status.get("conditions", [])
    return any(
        (each["type"], each["status"]) == ("DisruptionTarget", "True") for each in conditions
    )


def _waiting(
    pod: Document, own: Document, now: float, patience: float
) -> tuple[State, str | None, FailureKind | None]:
    old = age(pod, now)
    waiting = own.get("state", {}).get("waiting", {})
    reason = waiting.get("reason")
    if reason in IMAGE and (old > IMAGE_PATIENCE or reason == "InvalidImageName"):
        return "stopped", _image_words(waiting), "image"
    if reason in BROKEN and old > IMAGE_PATIENCE:
        return "stopped", f"{reason}: {waiting.get('message', '')}", "image"
    words = waits_for(pod)
    if words is not None and old > patience and reason not in IMAGE | BROKEN:
        return "stopped", f"no node takes it: {words}", "no-capacity"
    return "pending", words, None


def _image_words(waiting: Mapping[str, Any]) -> str:
    return f"{waiting['reason']}: {waiting.get('message') or 'the image cannot be pulled'}"


def _capacity(pod: Document) -> Any:
    terms = str(pod["spec"].get("affinity", {}).get("nodeAffinity", {}))
    return "spot" if "gke-spot" in terms else "on-demand"
