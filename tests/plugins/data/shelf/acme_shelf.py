"""Stores artifacts under a scheme, and nothing else."""

from scalable_core.hookspecs import hookimpl
from scalable_core.types import ArtifactRef

SCALABLE_PLUGIN_API = 1


@hookimpl
def store_artifact(artifact, destination):
    return ArtifactRef(
        uri=destination,
        digest="sha256:" + "0" * 64,
        size=len(artifact.data),
        media_type=artifact.media_type,
        run=artifact.run,
        created="2026-01-01T00:00:00Z",
        provider="shelf",
    )
