"""What is wrong or odd in a `kubernetes` target, as far as it can be known without asking the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from scalable_core.types import Problem, Target
from scalable_core.types.units import MIB
from scalable_kubernetes.options import KubernetesOptions

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
_KEY = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?\Z"
)
_LABEL = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?\Z")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def target_problems(target: Target, folder: Path) -> list[Problem]:
    """Return everything found; places are relative to the target.

    Args:
        target: With its options.
        folder: Of the manifest; the pod template's path starts there.
    """
    options: KubernetesOptions = target.options
    return [
        *_names(options),
        *_labels(options),
        *_memory(options),
        *_pods(options),
        *_files(options, folder),
    ]


def _names(options: KubernetesOptions) -> Iterator[Problem]:
    if not _NAME.match(options.namespace):
        message = f"{options.namespace!r} cannot be the name of a namespace"
        yield _error("E1301", "namespace", message, "write lower-case letters, digits and hyphens")
    names = {
        "worker_service_account": options.worker_service_account,
        "priority_class": options.priority_class,
        **{f"image_pull_secrets.{i}": name for i, name in enumerate(options.image_pull_secrets)},
    }
    for where, name in names.items():
        if name is not None and not _SUBDOMAIN.match(name):
            message = f"{name!r} cannot be the name of an object in Kubernetes"
            yield _error("E1301", where, message, "write lower-case letters, digits, '-' and '.'")


def _labels(options: KubernetesOptions) -> Iterator[Problem]:
    for where in ("labels", "node_selector", "annotations"):
        for key, value in getattr(options, where).items():
            if not _KEY.match(key):
                message = f"{key!r} cannot be the key of a label or annotation"
                yield _error("E1302", f"{where}.{key}", message)
            elif where != "annotations" and not _LABEL.match(value):
                message = f"{value!r} cannot be the value of a label"
                cure = "write at most 63 letters, digits, '-', '_' and '.'"
                yield _error("E1302", f"{where}.{key}", message, cure)


def _memory(options: KubernetesOptions) -> Iterator[Problem]:
    memory = options.worker_mem
    if memory is not None and memory < 64 * MIB:
        number = f"{memory / MIB:g}"
        cure = f"write {number}G for {number} GiB"
        yield _error("E1306", "worker_mem", f"{number} means {number} MiB here", cure)


def _pods(options: KubernetesOptions) -> Iterator[Problem]:
    for key, amounts in options.resources.items():
        where = f"resources.{key}"
        if key not in ("requests", "limits"):
            message = f"{key!r} is neither requests nor limits"
            yield _error("E1307", where, message, "write requests: or limits: there")
        for name in ("cpu", "memory"):
            if name in amounts:
                message = (
                    f"the {name} of a worker is what its component says, in requests and limits"
                )
                cure = f"set {'cpus' if name == 'cpu' else name} in the component, or worker_{name[:3]}"
                yield _error("E1308", f"{where}.{name}", message, cure)
    for i, toleration in enumerate(options.tolerations):
        effect = toleration.get("effect")
        if effect is not None and effect not in _EFFECTS:
            message = f"{effect!r} is not an effect of a taint"
            yield _error(
                "E1309", f"tolerations.{i}.effect", message, f"write one of {', '.join(_EFFECTS)}"
            )
    for i, volume in enumerate(options.volumes):
        if not _NAME.match(str(volume.get("name", ""))):
            message = "a volume needs a name of lower-case letters, digits and hyphens"
            yield _error("E1310", f"volumes.{i}", message, "write name: in front of what it is")
        elif len(volume) != 2:
            message = f"a volume is of one kind, and this one names {len(volume) - 1}"
            yield _error("E1310", f"volumes.{i}", message)


def _files(options: KubernetesOptions, folder: Path) -> Iterator[Problem]:
    template = options.pod_template
    if template is not None and not (folder / template).is_file():
        message = f"there is no file {template!r} beside the manifest"
        yield _error("E1311", "pod_template", message)
    config = options.kubeconfig
    if config is not None and not (folder / Path(config).expanduser()).is_file():
        message = f"there is no file {config!r} on this machine"
        yield _warning("W1312", "kubeconfig", message)


def _error(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure)


def _warning(code: str, where: str, message: str, cure: str | None = None) -> Problem:
    return Problem(code=code, where=where, message=message, cure=cure, severity="warning")
