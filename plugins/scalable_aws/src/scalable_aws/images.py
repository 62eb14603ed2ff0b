"""Images in ECR: who reads them proves it with a token that AWS gives. All others are left to the core."""

from __future__ import annotations

import base64
import re
from typing import Any

from attrs import evolve, frozen

from scalable_aws.account import Account, CallError
from scalable_core import oci
from scalable_core.errors import ImageError
from scalable_core.types import HookContext, ImageRequest, ResolvedImage

#: A registry of ECR; that an account has twelve digits is left to whoever asks.
REGISTRY = re.compile(
    r"(\d+)\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)"
)


@frozen(kw_only=True)
class Place:
    """Where an image is in ECR.

    Attributes:
        owner: The account whose registry it is.
        region: Of the registry.
        repository: Its name.
        version: The tag, or the digest.
    """

    owner: str
    region: str
    repository: str
    version: str

    @property
    def name(self) -> dict[str, Any]:
        """The image as ECR's API takes it."""
        kind = "imageDigest" if self.version.startswith("sha256:") else "imageTag"
        return {
            "registryId": self.owner,
            "repositoryName": self.repository,
            "imageIds": [{kind: self.version}],
        }

    @property
    def arn(self) -> str:
        """The repository as a policy names it."""
        return f"arn:aws:ecr:{self.region}:{self.owner}:repository/{self.repository}"


@frozen(kw_only=True)
class Found:
    """What ECR says of an image.

    Attributes:
        digest: Of its manifest or index.
        size: Compressed bytes; 0 for an index.
    """

    digest: str
    size: int


def find_place(reference: str) -> Place | None:
    """Return where an image is in ECR; None when it is elsewhere, or malformed."""
    try:
        parsed = oci.parse_reference(reference)
    except ImageError:
        return None
    registry = REGISTRY.fullmatch(parsed.registry)
    if registry is None:
        return None
    owner, region = registry.groups()
    return Place(owner=owner, region=region, repository=parsed.repository, version=parsed.version)


def resolve_image(
    request: ImageRequest, context: HookContext, *, provider: str
) -> ResolvedImage | None:
    """Return an image in ECR by digest; None when it is elsewhere.

    Args:
        request: The image and its platform.
        context: With the ``target`` in its data, whose profile is used.
        provider: This plugin.

    Raises:
        ImageError: It does not exist, may not be read, or lacks the platform.
    """
    from scalable_aws import client as aws

    place = find_place(request.reference)
    if place is None:
        return None
    target = context.data.get("target")
    account = Account(place.region, getattr(getattr(target, "options", None), "profile", None))
    try:
        credentials = aws.run(_log_in(account), deadline=context.deadline)
    except CallError as error:
        raise _failed(request, error.message, error.cure) from error
    try:
        return evolve(oci.resolve(request, credentials=credentials), provider=provider)
    except ImageError:
        # The registry only says "no"; the API says whether the name is wrong, or a permission is missing.
        try:
            aws.run(find_image(account, place), deadline=context.deadline)
        except CallError as why:
            raise _failed(request, *explain_absence(place, why)) from why
        raise


async def find_image(account: Account, place: Place) -> Found:
    """Ask ECR's API for an image, which is quicker than the registry, and says why not.

    Raises:
        CallError: There is none, or it may not be asked for.
    """
    answer = await account.call("ecr", "DescribeImages", **place.name)
    (image,) = answer["imageDetails"]
    return Found(digest=str(image["imageDigest"]), size=int(image.get("imageSizeInBytes", 0)))


def explain_absence(place: Place, error: CallError) -> tuple[str, str | None]:
    """Return why an image cannot be had, as a sentence, and its cure."""
    if error.code == "RepositoryNotFoundException":
        return (
            f"ECR of account {place.owner} has no repository {place.repository!r} in {place.region}",
            f"check its name, or: aws ecr create-repository --repository-name {place.repository}",
        )
    if error.code == "ImageNotFoundException":
        listing = (
            f"aws ecr list-images --repository-name {place.repository} --region {place.region}"
        )
        return (
            f"repository {place.repository!r} in ECR has no image {place.version!r}",
            f"push it, or see what there is: {listing}",
        )
    return error.message, error.cure


async def _log_in(account: Account) -> oci.Credentials:
    answer = await account.call("ecr", "GetAuthorizationToken")
    (data,) = answer["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return oci.Credentials(username=user, password=password, source="ecr:GetAuthorizationToken")


def _failed(request: ImageRequest, message: str, cure: str | None) -> ImageError:
    who = f"component {request.component!r}: " if request.component else ""
    return ImageError(f"{who}{message}", cure=cure)
