"""What a component's ``mounts`` mean here: each names a volume, with a word that says of which kind it is.

    /data/climate: /data            a folder of the node
    pvc:climate/2026: /data         a folder of a PersistentVolumeClaim
    configmap:settings: /etc/model  the keys of a ConfigMap, as files
    secret:licence: /etc/licence    those of a Secret
    volume:scratch/a: /scratch      a volume that the target has under ``volumes``

``:ro`` behind the container's path makes it read-only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalable_core.errors import UsageError

_KINDS = ("pvc", "configmap", "secret", "volume")


def mount_volumes(
    mounts: Mapping[str, str], volumes: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the volumes of a pod, and where its container sees them.

    Args:
        mounts: Of the component.
        volumes: Of the target.

    Raises:
        UsageError: One of them means nothing here.
    """
    known = {str(each["name"]): dict(each) for each in volumes}
    found: dict[str, dict[str, Any]] = {}
    places = []
    for source, place in mounts.items():
        target, read_only = _target(source, place)
        name, volume, inner = _volume(source, known)
        found[name] = volume
        mount: dict[str, Any] = {"name": name, "mountPath": target}
        if inner:
            mount["subPath"] = inner
        if read_only:
            mount["readOnly"] = True
        places.append(mount)
    return [{**volume, "name": name} for name, volume in found.items()], places


def _target(source: str, place: str) -> tuple[str, bool]:
    path, read_only = (place[:-3], True) if place.endswith(":ro") else (place, False)
    if not path.startswith("/"):
        raise UsageError(
            f"mount {source!r} leads to {path!r}, which is no absolute path in a container",
            cure="write where the container shall see it, such as /data",
        )
    return path, read_only


def _volume(source: str, known: Mapping[str, dict[str, Any]]) -> tuple[str, dict[str, Any], str]:
    kind, mark, rest = source.partition(":")
    name, _, inner = rest.partition("/")
    if source.startswith("/"):
        return _name("host", source), {"hostPath": {"path": source}}, ""
    if mark and name and kind in _KINDS:
        if kind == "pvc":
            claim = {"persistentVolumeClaim": {"claimName": name}}
            return _name("pvc", name), claim, inner
        if kind == "configmap":
            return _name("configmap", name), {"configMap": {"name": name}}, inner
        if kind == "secret":
            return _name("secret", name), {"secret": {"secretName": name}}, inner
        if name in known:
            return name, known[name], inner
        raise UsageError(
            f"mount {source!r} names volume {name!r}, which the target does not have",
            cure=f"add it under volumes: in the target; it has {', '.join(known) or 'none'}",
        )
    raise UsageError(
        f"mount {source!r} means nothing on Kubernetes: nodes do not have the folders of this machine",
        cure="write pvc:NAME, configmap:NAME, secret:NAME, volume:NAME, or a folder of the nodes such as /data",
    )


def _name(kind: str, source: str) -> str:
    import hashlib

    clean = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")[:30].strip("-")
    return f"{kind}-{clean or 'root'}-{hashlib.sha256(source.encode()).hexdigest()[:6]}"
