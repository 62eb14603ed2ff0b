"""What the pods of a run have written, as long as there are pods."""

from __future__ import annotations

import datetime
import heapq
import queue
import threading
import time
from collections.abc import Iterator

from scalable_core.types import ClusterRecord, HookContext, LogLine
from scalable_kubernetes.access import Access, find_access
from scalable_kubernetes.api import Api, ApiError, path
from scalable_kubernetes.builders import Document, Scene, pod_name
from scalable_kubernetes.pods import CONTAINER
from scalable_kubernetes.refusals import cluster_error

#: Seconds between looks for pods that have come since.
LOOK_EVERY = 2.0


def read(
    record: ClusterRecord, member: str | None, follow: bool, context: HookContext
) -> Iterator[LogLine] | None:
    """Return the lines of the pods of a run whose target is `kubernetes`; see `read_with`."""
    data = record.data
    if "namespace" not in data:  # nobody has noted where its pods were
        return None
    access = find_access(data.get("kubeconfig"), data.get("context"), context.workdir)
    return read_with(record, member, access, follow=follow)


def read_with(
    record: ClusterRecord, member: str | None, access: Access, *, follow: bool
) -> Iterator[LogLine] | None:
    """Return the lines of a run's pods in the order of their time; None when there are no pods.

    Args:
        record: Of the run.
        member: Only this one; ``scheduler`` and ``analysis-3`` are names enough.
        access: To the API server.
        follow: Go on until all pods have ended.

    Raises:
        ClusterError: They cannot be read.
    """
    api = Api(access)
    scene = Scene(namespace=record.data["namespace"], run=record.run, project=record.project)
    wanted = None if member is None else {member, pod_name(record.run, member)}
    try:
        pods = _pods(api, scene, wanted)
    except ApiError as error:
        raise cluster_error(error, f"the logs of {record.run} cannot be read") from error
    return _read(api, scene, pods, wanted, follow=follow) if pods else None


def _read(
    api: Api, scene: Scene, pods: list[Document], wanted: set[str] | None, *, follow: bool
) -> Iterator[LogLine]:
    try:
        if follow:
            yield from _followed(api, scene, wanted)
        else:
            lines = [_lines(api, scene, pod, follow=False) for pod in pods]
            yield from heapq.merge(*lines, key=lambda line: line.time or 0.0)
    except ApiError as error:
        raise cluster_error(error, f"the logs of {scene.run} cannot be read") from error


def _pods(api: Api, scene: Scene, names: set[str] | None) -> list[Document]:
    selector = ",".join(f"{key}={value}" for key, value in scene.selector.items())
    found = api.get(path("v1", "pods", scene.namespace), [("labelSelector", selector)])["items"]
    return [each for each in found if names is None or each["metadata"]["name"] in names]


def _lines(api: Api, scene: Scene, pod: Document, *, follow: bool) -> Iterator[LogLine]:
    name = pod["metadata"]["name"]
    query = [("container", CONTAINER), ("timestamps", "true")]
    if follow:
        query.append(("follow", "true"))
    where = path("v1", "pods", scene.namespace, name, "log")
    try:
        for line in api.stream(where, query, silence=3600.0):
            yield _parse(name, line.decode(errors="replace"))
    except ApiError as error:
        if error.status not in (400, 404):  # it has not begun, or is gone
            raise


def _parse(member: str, line: str) -> LogLine:
    stamp, _, text = line.partition(" ")
    try:
        # Nanoseconds are more than Python reads.
        moment = datetime.datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()
    except ValueError:
        return LogLine(member=member, text=line)
    return LogLine(member=member, text=text.rstrip("\r"), time=moment)


def _followed(api: Api, scene: Scene, names: set[str] | None) -> Iterator[LogLine]:
    """Follow each pod in a thread of its own, those that come later too."""
    lines: queue.SimpleQueue[LogLine | ApiError] = queue.SimpleQueue()
    readers: dict[str, threading.Thread] = {}

    def follow(pod: Document) -> None:
        try:
            for line in _lines(api, scene, pod, follow=True):
                lines.put(line)
        except ApiError as error:
            lines.put(error)

    looked = -LOOK_EVERY
    while True:
        if time.monotonic() - looked > LOOK_EVERY:
            looked = time.monotonic()
            pods = _pods(api, scene, names)
            for pod in pods:
                uid, phase = pod["metadata"]["uid"], pod["status"].get("phase")
                if uid not in readers and phase != "Pending":
                    readers[uid] = threading.Thread(target=follow, args=(pod,), daemon=True)
                    readers[uid].start()
            waiting = any(pod["status"].get("phase") == "Pending" for pod in pods)
            if not waiting and not any(each.is_alive() for each in readers.values()):
                break
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if isinstance(line, ApiError):
            raise line
        yield line
    while not lines.empty():
        last = lines.get()
        if isinstance(last, LogLine):
            yield last
