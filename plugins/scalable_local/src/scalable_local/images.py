"""Images that this machine has already: in the store of docker or podman, or as files of apptainer."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from attrs import evolve

from scalable_core.errors import ImageError
from scalable_core.oci import told_versions
from scalable_core.types import ImageRequest, ResolvedImage
from scalable_local.containers import require_runtime


def find_image(request: ImageRequest, *, workdir: Path, provider: str) -> ResolvedImage | None:
    """Return the image that the runtime would start without asking a registry; None when it has none.

    As with the runtime's own ``run``, an image in its store comes before a newer one of that name elsewhere.

    Args:
        request: With the runtime that starts the image; None is answered when it has none.
        workdir: Folder of the manifest, where relative paths start.
        provider: Who answers.

    Raises:
        ImageError: The image is a file that is not there, or of a kind that cannot be pinned.
        ClusterError: The runtime is not installed.
    """
    if request.runtime is None:
        return None
    require_runtime(request.runtime, request.reference)
    if request.runtime == "apptainer":
        return _apptainer_image(request, workdir, provider)
    command = [request.runtime, "image", "inspect", request.reference]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return None
    [facts] = json.loads(found.stdout)
    names = facts.get("RepoDigests") or []
    identity = facts["Id"].removeprefix("sha256:")
    pinned = names[0] if names else identity
    return ResolvedImage(
        reference=request.reference,
        pinned=pinned,
        digest=pinned.partition("@")[2] or f"sha256:{identity}",
        platforms=(f"{facts['Os']}/{facts['Architecture']}",),
        versions=told_versions(facts.get("Config") or {}),
        provider=provider,
    )


def _apptainer_image(request: ImageRequest, workdir: Path, provider: str) -> ResolvedImage | None:
    scheme, separator, name = request.reference.partition("://")
    if separator and scheme == "docker":
        from scalable_core.oci import resolve

        return evolve(resolve(evolve(request, reference=name)), reference=request.reference)
    if separator:
        raise ImageError(
            f"an image of kind {scheme}:// cannot be pinned to what it is now",
            cure=f"pull it into a file and name that: apptainer pull image.sif {request.reference}",
        )
    if not request.reference.endswith(".sif"):
        return None
    path = workdir / Path(request.reference).expanduser()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(
            f"the image {path} cannot be read: {error.strerror}",
            cure="build or pull it, or correct its path in the manifest",
        ) from None
    return ResolvedImage(
        reference=request.reference,
        pinned=str(path),
        digest=f"sha256:{digest}",
        platforms=(request.platform,),
        provider=provider,
    )
