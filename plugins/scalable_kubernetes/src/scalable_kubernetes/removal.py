"""The end of a run in Kubernetes: its owner is deleted, what belongs to it follows, and nothing may be left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from scalable_core.types import Resource
from scalable_kubernetes.api import Api, ApiError, path
from scalable_kubernetes.builders import Scene
from scalable_kubernetes.hourly import of_pod

#: Seconds that a pod gets when the run is over, and after which one whose node is silent is struck off.
FAREWELL, STRUCK_OFF = 5, 40.0
#: Seconds until the cluster should have removed what belonged to the owner by itself, and until we give up.
BY_ITSELF, AT_ALL = 6.0, 75.0

#: What a run may have besides pods, in the order in which it is looked for: version and plural.
KINDS = (
    ("v1", "services"),
    ("networking.k8s.io/v1", "networkpolicies"),
    ("policy/v1", "poddisruptionbudgets"),
    ("policy/v1beta1", "poddisruptionbudgets"),
    ("batch/v1", "jobs"),
)


def kind_of(plural: str) -> str:
    """Return our word for a kind of object, as the ledger has it."""
    singular = plural[:-3] + "y" if plural.endswith("ies") else plural[:-1]
    return f"kubernetes:{singular}"


def remove_run(api: Api, scene: Scene) -> list[Resource]:
    """Remove everything of a run, wait until it is gone, and return what is not.

    A driver leaves itself, and the owner, with which it goes in the end.

    Args:
        api: The API server.
        scene: The run.

    Raises:
        ApiError: It cannot be asked.
    """
    if scene.driver:
        _delete_rest(api, scene)
    else:
        _delete_job(api, scene)  # it would replace its pod
        owner = path("v1", "configmaps", scene.namespace, scene.name)
        api.delete(owner, body={"propagationPolicy": "Background"})
    _delete_pods(api, scene, FAREWELL)
    begun, pause = time.monotonic(), 0.2
    helped = forced = False
    while left := list(find_objects(api, scene)):
        waited = time.monotonic() - begun
        if waited > AT_ALL:
            break
        if waited > BY_ITSELF and not helped:
            helped = True  # the cluster's own garbage collector is slow, or stands still
            _delete_rest(api, scene)
        if waited > STRUCK_OFF and not forced:
            forced = True  # nothing of the run is of use any more, and its node does not answer
            _delete_pods(api, scene, 0)
        time.sleep(pause)
        pause = min(1.0, pause * 1.3)
    return left


def find_objects(api: Api, scene: Scene, *, secrets: bool = True) -> Iterator[Resource]:
    """Yield what is there of a run.

    Args:
        api: The API server.
        scene: The run.
        secrets: Look for its Secret too, by deleting it.
    """
    owners = () if scene.driver else (("v1", "configmaps"),)
    for version, plural in (("v1", "pods"), *owners, *KINDS):
        try:
            where = path(version, plural, scene.namespace)
            found = api.get(where, [("labelSelector", scene.query)])
        except ApiError as error:
            if error.status == 404:  # this server does not have that version
                continue
            if error.status == 403 and plural == "jobs":  # who may not make any has none
                continue
            raise
        for item in found["items"]:
            yield resource(plural, item, scene.run)
    # Who may list secrets may read all of them, so that right is not asked for: deleting tells as well.
    names = (scene.name,) if scene.driver else (scene.name, scene.driver_name)
    for name in names if secrets else ():
        if api.delete(path("v1", "secrets", scene.namespace, name)):
            yield Resource(kind="kubernetes:secret", id=name, run=scene.run, hourly=0.0)


def resource(plural: str, item: dict[str, Any], run: str | None) -> Resource:
    """Return an object as records name it."""
    meta = item["metadata"]
    return Resource(
        kind=kind_of(plural),
        id=meta["name"],
        region=meta["namespace"],
        run=run,
        created=meta.get("creationTimestamp"),
        hourly=of_pod(item) if plural == "pods" else 0.0,
    )


def _delete_job(api: Api, scene: Scene) -> None:
    where = path("batch/v1", "jobs", scene.namespace, scene.driver_name)
    try:
        api.delete(where, body={"propagationPolicy": "Background"})
    except ApiError as error:
        if error.status != 403:  # who may not make any has none
            raise


def _delete_pods(api: Api, scene: Scene, grace: int) -> None:
    api.delete(
        path("v1", "pods", scene.namespace),
        [("labelSelector", scene.query)],
        {"gracePeriodSeconds": grace},
    )


def _delete_rest(api: Api, scene: Scene) -> None:
    for version, plural in KINDS:
        api.delete(path(version, plural, scene.namespace, scene.name))
