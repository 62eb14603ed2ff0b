"""What members find at the rendezvous: the documents of a run, as `Launcher.publish` gets them. Pure.

run            versions, the hash of the code, where the scheduler listens, limits; no secret
tls            the members' certificate and key
group/<name>   the options of a component's workers, its environment and its preload script
address        of the scheduler, once it is known
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from scalable_core.cluster import component_resource
from scalable_core.cluster.certificates import Certificates
from scalable_core.cluster.launcher import Launcher, Limits
from scalable_core.errors import ClusterError
from scalable_core.types import Environment, WorkerGroup, reveal

#: Deaths of workers that one call may be suspected of; with one more it fails.
ALLOWED_FAILURES = 5


def run_document(
    launcher: Launcher,
    limits: Limits,
    code: str,
    *,
    environment: Environment | None = None,
    bare: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what every member must know of the run.

    Args:
        launcher: Says where the scheduler listens.
        limits: When members end by themselves.
        code: SHA-256 of the zip of the code, in hex.
        environment: The packages for members whose image has Python alone.
        bare: The groups of these.
    """
    from scalable_core.member.serve import versions

    listen, port = launcher.listen
    brought = environment and {
        "digest": environment.digest,
        "needs": environment.needs,
        "groups": list(bare),
    }
    return {
        "environment": brought,
        "versions": versions(),
        "code": code,
        "listen": listen,
        "port": port,
        "limits": attrs.asdict(limits),
        "relay": getattr(launcher, "relay", None),
        "scheduler": {"allowed_failures": ALLOWED_FAILURES},
    }


def worker_order(group: WorkerGroup, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return what the workers of a group must know; it has secrets where the environment does.

    Args:
        group: Theirs.
        secrets: Variables that every worker's environment must have, from `HookContext.secrets`.

    Raises:
        ClusterError: The preload script cannot be read.
    """
    return {
        "worker": {
            "nthreads": group.threads,
            "memory_limit": group.memory or 0,
            "resources": component_resource(group.name),
        },
        "env": {**secrets, **reveal(group.env)},
        "preload": _script(group),
    }


def documents(
    run: dict[str, Any], orders: dict[str, dict[str, Any]], certificates: Certificates
) -> dict[str, str]:
    """Return all documents that are known before the scheduler is there, by key."""
    plain = {
        "run": run,
        "tls": certificates.member_document(),
        **{f"group/{name}": order for name, order in orders.items()},
    }
    return {key: json.dumps(document) for key, document in plain.items()}


def address_document(address: str) -> dict[str, str]:
    """Return the document that tells workers where the scheduler is."""
    return {"address": json.dumps(address)}


def _script(group: WorkerGroup) -> str | None:
    if group.preload_script is None:
        return None
    try:
        return Path(group.preload_script).read_text(encoding="utf-8")
    except OSError as error:
        raise ClusterError(
            f"the preload script {group.preload_script} of {group.name} cannot be read: {error.strerror}",
            cure="mend its path in the manifest",
        ) from None
