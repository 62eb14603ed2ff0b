"""Images in ECR: the API of a local AWS gives the token, and a registry that asks for it has the image."""

from __future__ import annotations

import pytest
from aws.ecr import Ecr

from aws import registry
from scalable_aws.images import find_place
from scalable_aws.plugin import resolve_image
from scalable_core.errors import ImageError
from scalable_core.types import HookContext, ImageRequest

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def asked(bed, become, tmp_path, monkeypatch):
    """The requests that reach the registry, each with what proves who asks."""
    become(bed)
    bed.reset()
    with Ecr(tmp_path, bed, HOST) as ecr:
        for name, value in ecr.environment.items():
            monkeypatch.setenv(name, value)
        yield ecr.asked


def ask(reference, platform="linux/arm64"):
    request = ImageRequest(reference=reference, platform=platform, component="model")
    return resolve_image(request, HookContext())


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (f"{HOST}/team/solar:2.1", ("123456789012", "eu-west-1", "team/solar", "2.1")),
        (f"{HOST}/solar", ("123456789012", "eu-west-1", "solar", "latest")),
        ("1.dkr.ecr.cn-north-1.amazonaws.com.cn/m:1", ("1", "cn-north-1", "m", "1")),
        ("ghcr.io/acme/solar:1", None),
        ("not an image", None),
    ],
)
def test_a_place_in_ecr_is_known_by_its_registry(reference, expected):
    """Account, region, repository and version; what is elsewhere is not this plugin's."""
    place = find_place(reference)
    found = place and (place.owner, place.region, place.repository, place.version)

    assert found == expected


def test_an_image_in_ecr_is_pinned_with_a_token_from_aws(asked, bed):
    """Digest, platforms and size come from the registry, which is shown the token when it asks for it."""
    image = ask(f"{HOST}/solar:1.0")

    assert image.pinned == f"{HOST}/solar@{image.digest}"
    assert image.platforms == ("linux/amd64", "linux/arm64")
    assert (image.provider, image.size > 0) == ("aws", True)
    assert bed.count(None)["ecr:GetAuthorizationToken"] == 1
    assert asked[0][1] == ""
    assert all(said.startswith("Basic ") for _, said in asked[1:])


def test_an_image_elsewhere_is_left_to_the_core(asked, bed):
    """Nothing is asked of AWS for it."""
    assert ask("ghcr.io/acme/solar:1") is None
    assert bed.count(None) == {}


def test_who_may_not_log_in_is_told_which_permission_is_missing(asked, bed):
    """With the component whose image it is."""
    bed.tell("faults", [{"service": "ecr", "code": "AccessDeniedException"}])
    with pytest.raises(
        ImageError, match=r"component 'model': .*denies ecr:GetAuthorizationToken"
    ) as told:
        ask(f"{HOST}/solar:1.0")

    assert "allow ecr:GetAuthorizationToken" in told.value.cure


def test_why_there_is_no_such_image_is_asked_of_ecr(asked, bed, monkeypatch):
    """The registry only refuses; the API says whether repository or tag is missing, with the command for it."""
    monkeypatch.setattr(
        registry, "answer", lambda path, start: start("404 no", [("Content-Length", "0")]) or [b""]
    )
    with pytest.raises(ImageError, match="has no repository 'solar' in eu-west-1") as told:
        ask(f"{HOST}/solar:1.0")
    assert "aws ecr create-repository" in told.value.cure

    import boto3

    ecr = boto3.client("ecr", endpoint_url=bed.url, region_name="eu-west-1")
    ecr.create_repository(repositoryName="solar")
    with pytest.raises(ImageError, match=r"has no image '1\.0'") as told:
        ask(f"{HOST}/solar:1.0")
    assert "aws ecr list-images" in told.value.cure
