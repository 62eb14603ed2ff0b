"""A pod template merged into a pod, as Kubernetes itself would: mappings join, named things by their names."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

#: By what the members of a list are the same; the first that all of them have counts.
_KEYS = ("name", "mountPath", "containerPort")


def merge_template(
    pod: Mapping[str, Any], template: Mapping[str, Any], container: str
) -> dict[str, Any]:
    """Return a pod with all that a template says, save what makes it ours.

    The template's first container, when it has no name or ours, is ours; its others are added. What the
    template says wins, except for the pod's names, our labels and owner, its command, and that it is not
    started again.

    Args:
        pod: Ours.
        template: A pod, or any part of one.
        container: The name of our container.
    """
    given = copy.deepcopy(dict(template))
    given.pop("apiVersion", None)
    given.pop("kind", None)
    containers = given.get("spec", {}).get("containers") or []
    if containers and "name" not in containers[0]:
        containers[0]["name"] = container
    merged: dict[str, Any] = merge(pod, given)
    ours, meta = pod["metadata"], merged["metadata"]
    meta["labels"] = {**meta.get("labels", {}), **ours["labels"]}
    for key in ("name", "namespace", "ownerReferences"):
        if key in ours:
            meta[key] = ours[key]
    spec = merged["spec"]
    spec["restartPolicy"] = pod["spec"]["restartPolicy"]
    own = next(each for each in pod["spec"]["containers"] if each["name"] == container)
    for each in spec["containers"]:
        if each["name"] == container:
            each["command"], each["args"] = own["command"], own["args"]
    return merged


def merge(base: Any, over: Any) -> Any:
    """Return two pieces of plain data merged; what cannot be merged is the second."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        keys = [*base, *(key for key in over if key not in base)]
        return {
            key: merge(base[key], over[key]) if key in base and key in over
            else copy.deepcopy(over[key] if key in over else base[key])
            for key in keys
        }  # fmt: skip
    if isinstance(base, list) and isinstance(over, list):
        return _merge_lists(base, over)
    return copy.deepcopy(over)


def _merge_lists(base: Sequence[Any], over: Sequence[Any]) -> list[Any]:
    items = [*base, *over]
    key = next((k for k in _KEYS if all(isinstance(i, Mapping) and k in i for i in items)), None)
    if key is None:
        return copy.deepcopy([*base, *(item for item in over if item not in base)])
    named = {item[key]: item for item in over}
    merged = [merge(item, named.pop(item[key])) if item[key] in named else item for item in base]
    return copy.deepcopy([*merged, *named.values()])
