"""Images in Artifact Registry: one call from a tag to a digest. All others are left to the core."""

from __future__ import annotations

import re
from urllib.parse import quote

from attrs import frozen

from scalable_core import oci
from scalable_core.errors import ImageError
from scalable_core.types import HookContext, ImageRequest, ResolvedImage
from scalable_gcp.cloud import CallError, Cloud

_REGISTRY = re.compile(r"([a-z0-9-]+)-docker\.pkg\.dev\Z")
_GCR = re.compile(r"((?:us|eu|asia)\.)?gcr\.io\Z")
#: Where Artifact Registry keeps what was in Container Registry.
_PLACES = {"": "us", "us.": "us", "eu.": "europe", "asia.": "asia"}


@frozen(kw_only=True)
class Place:
    """Where an image is in Artifact Registry.

    Attributes:
        location: A region, or a continent.
        project: Whose.
        repository: The repository's name.
        image: Its name inside, which may have slashes.
    """

    location: str
    project: str
    repository: str
    image: str

    @property
    def name(self) -> str:
        """What a digest is appended to."""
        return f"{self.location}-docker.pkg.dev/{self.project}/{self.repository}/{self.image}"

    @property
    def path(self) -> str:
        """The repository as the API takes it."""
        return f"projects/{self.project}/locations/{self.location}/repositories/{self.repository}"


def find_place(reference: oci.Reference) -> Place | None:
    """Return where an image is; None when it is not in Artifact Registry."""
    parts = reference.repository.split("/")
    if (found := _REGISTRY.match(reference.registry)) and len(parts) >= 3:
        return Place(
            location=found[1], project=parts[0], repository=parts[1], image="/".join(parts[2:])
        )
    if (found := _GCR.match(reference.registry)) and len(parts) >= 2:
        return Place(
            location=_PLACES[found[1] or ""],
            project=parts[0],
            repository=reference.registry,
            image="/".join(parts[1:]),
        )
    return None


def resolve_image(
    request: ImageRequest, context: HookContext, *, provider: str
) -> ResolvedImage | None:
    """Return an image of Artifact Registry pinned to its digest; None for all others.

    Raises:
        ImageError: There is no such image, or it may not be read.
    """
    reference = oci.parse_reference(request.reference)
    place = find_place(reference)
    if place is None:
        return None
    from scalable_gcp import client

    try:
        digest = client.run(_digest(place, reference))
    except CallError as error:
        raise _refused(place, reference, error) from error
    return ResolvedImage(
        reference=request.reference,
        pinned=f"{place.name}@{digest}",
        digest=digest,
        platforms=(),
        provider=provider,
    )


async def _digest(place: Place, reference: oci.Reference) -> str:
    cloud = Cloud(place.project, place.location)
    if reference.digest:
        name = f"{quote(place.image, safe='')}@{reference.digest}"
        await cloud.call("artifactregistry", "GET", f"{place.path}/dockerImages/{name}")
        return reference.digest
    package = quote(place.image, safe="")
    path = f"{place.path}/packages/{package}/tags/{reference.version}"
    answer = await cloud.call("artifactregistry", "GET", path)
    return str(answer["version"]).rpartition("/")[2]


def _refused(place: Place, reference: oci.Reference, error: CallError) -> ImageError:
    if error.absent:
        return ImageError(
            f"there is no image {reference} in repository {place.repository!r} of {place.project}",
            cure=f"see what is there with: gcloud artifacts docker images list {place.name.rpartition('/')[0]}",
        )
    if error.status == 403 and error.reason != "SERVICE_DISABLED":
        return ImageError(
            f"the image {reference} may not be read: {error.said}",
            cure=f"grant roles/artifactregistry.reader on repository {place.repository!r} of {place.project}",
        )
    return ImageError(f"the image {reference} cannot be found: {error.message}", cure=error.cure)
