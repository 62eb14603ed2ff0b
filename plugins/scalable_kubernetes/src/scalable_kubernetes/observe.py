"""What a pod's status means for the member that it is: pure, from Kubernetes' words to sentences and kinds."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from scalable_core.cluster.launcher import FailureKind, Member, State
from scalable_kubernetes.builders import GROUP, Document
from scalable_kubernetes.placement import CAPACITY
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
#: Seconds that a node may take over a pod of which nothing bad is said: the largest images are pulled in less.
STARTING = 1800.0
#: Seconds for which the node of a pod may be silent; and, of a scheduler that was told to end, until it has.
SILENT, LAST_WORD = 60.0, 15.0


def observe(
    pod: Document,
    *,
    now: float,
    patience: float,
    hourly: float | None = None,
    said: str | None = None,
) -> Member:
    """Return what a pod says of its member.

    Args:
        pod: As the API server has it.
        now: Seconds since 1970.
        patience: Seconds for which it may wait for a node, and then for what it needs there.
        hourly: USD an hour while it runs.
        said: Why it waits by its events, where its status does not tell.
    """
    meta, status = pod["metadata"], pod.get("status", {})
    scheduler = meta["labels"].get(GROUP) == "scheduler"
    name = meta["name"]
    own = _container(status)
    ended = own.get("state", {}).get("terminated")
    facts = {
        "name": name,
        "id": name,
        "address": status.get("podIP"),
        "zone": pod["spec"].get("nodeName"),
        "capacity": _capacity(pod),
    }
    if ended or status.get("phase") in ("Failed", "Succeeded"):
        return _stopped(facts, status, ended or {})
    silent = _silent_for(pod, own, now)
    if scheduler and (silent > SILENT or _told_for(meta, now) > LAST_WORD):
        text = f"its node {facts['zone']} does not answer any more"
        return Member(state="stopped", reason=text, stop_code="NodeLost", interrupted=True, **facts)
    if silent > SILENT:
        text = f"its node {facts['zone']} does not answer any more"
        return Member(state="stopping", reason=text, interrupted=True, hourly=hourly, **facts)
    if meta.get("deletionTimestamp"):
        # Another takes its place at once: of a pod on a lost node nobody ever says that it has ended.
        gone = "its pod is being deleted"
        return Member(state="stopping", reason=gone, interrupted=True, hourly=hourly, **facts)
    if "running" in own.get("state", {}):
        return Member(state="running", hourly=hourly, **facts)
    state, reason, failure = _waiting(pod, own, now, patience, said)
    return Member(state=state, reason=reason, failure=failure, hourly=hourly, **facts)


def waits_for(pod: Document, said: str | None = None) -> str | None:
    """Return why a pod waits: by its status, else by its events; None while nothing is said."""
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            message: str | None = condition.get("message")
            return message
    waiting = _container(status).get("state", {}).get("waiting", {})
    if waiting.get("reason") in IMAGE | BROKEN:
        return _image_words(waiting, said)
    return said


def is_unexplained(pod: Document) -> bool:
    """Return whether a pod that waits has a node, and its status may not say all of what keeps it."""
    waiting = _container(pod.get("status", {})).get("state", {}).get("waiting", {})
    return _placed(pod) is not None and waiting.get("reason") not in BROKEN


def age(pod: Document, now: float) -> float:
    """Return for how many seconds a pod has existed."""
    return now - _moment(pod["metadata"]["creationTimestamp"])


def _moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def _placed(pod: Document) -> float | None:
    """Return since when a pod has a node; None while it has none."""
    for condition in pod.get("status", {}).get("conditions", []):
        if (condition["type"], condition["status"]) == ("PodScheduled", "True"):
            return _moment(condition["lastTransitionTime"])
    return None


def _silent_for(pod: Document, own: Document, now: float) -> float:
    """Return for how many seconds a node has not said that this pod is well, of which it said so before.

    The cluster then takes the pod's readiness away, and leaves that of its container. A pod for whose readiness
    somebody else has to speak too is never thought to be lost.
    """
    if not own.get("ready") or pod["spec"].get("readinessGates"):
        return 0.0
    for condition in pod["status"].get("conditions", []):
        if (condition["type"], condition["status"]) == ("Ready", "False"):
            return now - _moment(condition["lastTransitionTime"])
    return 0.0


def _told_for(meta: Document, now: float) -> float:
    """Return how many seconds ago a pod was told to end; its mark is of when it has to have ended."""
    end = meta.get("deletionTimestamp")
    return now - _moment(end) + meta.get("deletionGracePeriodSeconds", 0) if end else 0.0


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
    pod: Document, own: Document, now: float, patience: float, said: str | None
) -> tuple[State, str | None, FailureKind | None]:
    old = age(pod, now)
    waiting = own.get("state", {}).get("waiting", {})
    reason = waiting.get("reason")
    if reason in IMAGE and (old > IMAGE_PATIENCE or reason == "InvalidImageName"):
        return "stopped", _image_words(waiting, said), "image"
    if reason in BROKEN and old > IMAGE_PATIENCE:
        return "stopped", f"{reason}: {waiting.get('message', '')}", "image"
    words, placed = waits_for(pod, said), _placed(pod)
    if placed is None and old > patience:
        return (
            "stopped",
            f"no node takes it: {words or 'the cluster does not say why'}",
            "no-capacity",
        )
    if words is None or reason in IMAGE | BROKEN:
        if placed is not None and now - placed > max(patience, STARTING):
            text = (
                f"its node {pod['spec'].get('nodeName')} has not started it in {now - placed:.0f} s"
            )
            return "stopped", text, "other"
        return "pending", words, None
    if placed is not None and now - placed > patience:
        return "stopped", f"it cannot start: {words}", "other"
    return "pending", words, None


def _image_words(waiting: Mapping[str, Any], said: str | None) -> str:
    """A node that waits before its next try says only that; its events say what was wrong with the last."""
    words = said if waiting["reason"] == "ImagePullBackOff" else None
    return f"{waiting['reason']}: {words or waiting.get('message') or 'the image cannot be pulled'}"


def _capacity(pod: Document) -> Any:
    return pod["metadata"].get("annotations", {}).get(CAPACITY, "on-demand")
