"""Answers a verb itself, before the provider does."""

from scalable_core.hookspecs import hookimpl
from scalable_core.types import ResolvedImage

SCALABLE_PLUGIN_API = 1


@hookimpl(tryfirst=True)
def resolve_image(request):
    digest = "sha256:" + "1" * 64
    pinned = f"mirror.example/{request.reference}@{digest}"
    return ResolvedImage(
        reference=request.reference, pinned=pinned, digest=digest, provider="oci"
    )
