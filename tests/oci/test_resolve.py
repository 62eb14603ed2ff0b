"""Images in real registries, plain, with Basic and with Bearer tokens, are resolved to digests."""

from __future__ import annotations

import json

import attrs
import pytest

from scalable_core.errors import ImageError
from scalable_core.oci import Credentials, resolve
from scalable_core.types import ImageRequest

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."


def ask(reference: str, platform: str = "linux/amd64", **options):
    return resolve(ImageRequest(reference=reference, platform=platform), **options)


def refuse(reference: str, platform: str = "linux/amd64", **options) -> ImageError:
    with pytest.raises(ImageError) as caught:
        ask(reference, platform, **options)
    return caught.value


@pytest.mark.parametrize(
    ("docker", "media_type"),
    [(False, f"{OCI}manifest.v1+json"), (True, f"{DOCKER}v2+json")],
    ids=["oci", "docker"],
)
def test_tag_of_one_image_becomes_its_digest(plain, make_image, docker, media_type):
    """Digest, platform, size and media type of an image made for one platform are the pushed ones."""
    image = make_image("arm64", docker=docker)
    pushed = plain.push("single/model", f"docker-{docker}", image)
    reference = f"{plain.address}/single/model:docker-{docker}"
    resolved = ask(reference, "linux/arm64")
    assert resolved.reference == reference
    assert resolved.digest == pushed.digest
    assert resolved.pinned == f"{plain.address}/single/model@{pushed.digest}"
    assert resolved.platforms == ("linux/arm64",)
    assert resolved.size == image.size
    assert resolved.media_type == media_type
    assert resolved.provider == "oci"


@pytest.mark.parametrize(
    ("docker", "media_type"),
    [(False, f"{OCI}index.v1+json"), (True, f"{DOCKER}list.v2+json")],
    ids=["oci", "docker"],
)
def test_tag_of_an_index_becomes_the_digest_of_the_index(plain, make_image, docker, media_type):
    """The index is pinned, all its platforms are told, and the size is that of the wanted one."""
    amd, arm = (
        make_image("amd64", docker=docker, name="a longer one"),
        make_image("arm64", docker=docker, variant="v8"),
    )
    pushed = plain.push("multi/model", f"docker-{docker}", amd, arm, docker=docker)
    for platform, image in (("linux/amd64", amd), ("linux/arm64", arm)):
        resolved = ask(f"{plain.address}/multi/model:docker-{docker}", platform)
        assert resolved.digest == pushed.digest
        assert resolved.platforms == ("linux/amd64", "linux/arm64")
        assert resolved.size == image.size
        assert resolved.media_type == media_type


def test_digest_resolves_to_itself(plain, make_image):
    """What is pinned already stays as it is, and a tag beside the digest is ignored."""
    pushed = plain.push("pinned/model", "1", make_image())
    for tag in ("", ":no-such-tag"):
        resolved = ask(f"{plain.address}/pinned/model{tag}@{pushed.digest}")
        assert resolved.pinned == f"{plain.address}/pinned/model@{pushed.digest}"


def test_moved_tag_gets_a_new_digest(plain, make_image):
    """Each call asks the registry anew."""
    plain.push("moved/model", "latest", make_image(name="old"))
    old = ask(f"{plain.address}/moved/model")
    plain.push("moved/model", "latest", make_image(name="new"))
    assert ask(f"{plain.address}/moved/model").digest != old.digest


def test_attestations_in_an_index_are_no_platform(plain, make_image):
    """Entries that build tools add for unknown/unknown are not offered as platforms."""
    image = make_image("amd64")
    attestation = attrs.evolve(
        make_image("amd64", name="attestation"),
        platform={"os": "unknown", "architecture": "unknown"},
    )
    plain.push("attested/model", "1", image, attestation)
    assert ask(f"{plain.address}/attested/model:1").platforms == ("linux/amd64",)


def test_variant_that_matters_is_part_of_the_platform(plain, make_image):
    """arm/v7 is another platform than arm64, and is named with its variant."""
    plain.push("variants/model", "1", make_image("arm", variant="v7"), make_image("amd64"))
    assert ask(f"{plain.address}/variants/model:1", "linux/arm/v7").platforms == (
        "linux/arm/v7",
        "linux/amd64",
    )


def test_missing_platform_names_those_there_are(plain, make_image):
    """An image or an index without the wanted platform is refused, with what it is made for."""
    plain.push("wrong/model", "single", make_image("amd64"))
    plain.push("wrong/model", "multi", make_image("amd64"), make_image("arm", variant="v7"))
    single = refuse(f"{plain.address}/wrong/model:single", "linux/arm64")
    assert "is not made for linux/arm64, but for linux/amd64" in str(single)
    assert "Build it for linux/arm64" in single.cure
    multi = refuse(f"{plain.address}/wrong/model:multi", "linux/arm64")
    assert "but for linux/amd64, linux/arm/v7" in str(multi)


def test_unknown_tag_names_the_nearest(plain, make_image):
    """A tag that is not there is answered with those most like it."""
    for tag in ("2.0.1", "2.0.0", "1.9", "nightly"):
        plain.push("tagged/model", tag, make_image())
    error = refuse(f"{plain.address}/tagged/model:2.0.2")
    assert "has no tag '2.0.2' of tagged/model" in str(error)
    assert "2.0.1" in error.cure
    assert "2.0.0" in error.cure
    assert "nightly" not in error.cure


def test_unknown_repository_and_digest_are_told_apart(plain, make_image):
    """Whether the repository or only the digest is missing is said."""
    plain.push("known/model", "1", make_image())
    assert "has no repository unknown/model" in str(refuse(f"{plain.address}/unknown/model:1"))
    digest = f"sha256:{'0' * 64}"
    assert f"has no {plain.address}/known/model@{digest}" in str(
        refuse(f"{plain.address}/known/model@{digest}")
    )


def test_what_is_no_image_is_refused(plain, make_image):
    """Registries keep other things too, such as charts; they cannot be run."""
    config = {"name": "a chart", "version": "1"}
    image = make_image()
    blob = attrs.evolve(image.blobs[0], body=json.dumps(config).encode())
    manifest = json.loads(image.manifest.body) | {"config": blob.descriptor}
    chart = attrs.evolve(
        image,
        manifest=attrs.evolve(image.manifest, body=json.dumps(manifest).encode()),
        blobs=(blob, *image.blobs[1:]),
    )
    plain.push("charts/model", "1", chart)
    assert "is not a container image" in str(refuse(f"{plain.address}/charts/model:1"))


def test_component_is_named_in_the_error(plain):
    """The user sees which component's image is meant."""
    request = ImageRequest(reference=f"{plain.address}/nothing/here:1", component="analysis")
    with pytest.raises(ImageError, match=r"component 'analysis': .* has no repository") as caught:
        resolve(request)
    assert caught.value.cure


# -- TLS and Basic -----------------------------------------------------------------------------------------


def test_certificate_of_an_unknown_authority_is_refused(secured, login):
    """A certificate that nobody vouches for is no reason to try plain http, not even on loopback."""
    login(secured.address)
    error = refuse(f"{secured.address}/basic/model:1")
    assert "is not trusted" in str(error)
    assert "SSL_CERT_FILE" in error.cure


@pytest.fixture
def basic(secured, plain, keys, make_image, monkeypatch):
    """A registry with TLS and Basic that is trusted and has basic/model:1; returns that reference."""
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "tls.crt"))
    plain.push("basic/model", "1", make_image())
    return f"{secured.address}/basic/model:1"


def test_basic_registry_opens_with_the_login_of_docker(basic, secured, login):
    """Credentials of `docker login` are found and sent."""
    login("other.example.org", secured.address)
    assert ask(basic).platforms == ("linux/amd64",)


def test_basic_registry_without_a_login_says_how_to_log_in(basic, secured):
    """Without credentials the cure is the login command for this registry."""
    error = refuse(basic)
    assert "it needs a login" in str(error)
    assert f"podman login {secured.address}" in error.cure


def test_refused_credentials_are_named_by_user_and_file(basic, secured, login):
    """Who was refused and where that came from is said; the password is not."""
    path = login(secured.address, password="wr0ng-one")
    error = refuse(basic)
    assert f"user 'ada' from {path} may not" in str(error)
    assert "wr0ng-one" not in f"{error}{error!r}{error.__dict__}"


def test_credentials_of_the_caller_are_used_instead_of_files(basic, secured, login):
    """A plugin may bring its own; files are then not read."""
    login(secured.address, password="wr0ng-one")
    assert ask(basic, credentials=Credentials(username="ada", password="s3cret")).size


# -- Bearer ------------------------------------------------------------------------------------------------


def test_public_image_needs_a_token_but_no_login(token_registry, plain, make_image):
    """A token is fetched without credentials, for the scope and service of the challenge."""
    plain.push("public/model", "1", make_image())
    assert ask(f"{token_registry.address}/public/model:1").platforms == ("linux/amd64",)
    request = token_registry.tokens.requests[-1]
    assert "Authorization" not in request.headers
    assert request.path.startswith("/token?kept=1&service=the+test+registry&")
    assert "scope=repository%3Apublic%2Fmodel%3Apull" in request.path


def test_private_image_needs_a_login(token_registry, plain, make_image, login):
    """The token of nobody in particular does not open it; the one for the user who logged in does."""
    plain.push("private/model", "1", make_image())
    reference = f"{token_registry.address}/private/model:1"
    error = refuse(reference)
    assert "it needs a login" in str(error)
    assert f"podman login {token_registry.address}" in error.cure
    login(token_registry.address)
    assert ask(reference).platforms == ("linux/amd64",)


def test_token_server_that_refuses_the_user_is_a_denial(token_registry, login):
    """A wrong password is found out by the token server, and told like any other."""
    login(token_registry.address, password="wr0ng-one")
    error = refuse(f"{token_registry.address}/private/model:1")
    assert "user 'ada' from" in str(error)


def test_identity_token_is_exchanged(token_registry, plain, make_image):
    """What some logins leave instead of a password becomes a token by POST, outside the address."""
    plain.push("private/model", "1", make_image())
    credentials = Credentials(identity_token="an-identity-token")
    assert ask(f"{token_registry.address}/private/model:1", credentials=credentials).size
    request = token_registry.tokens.requests[-1]
    assert request.method == "POST"
    assert "an-identity-token" not in request.path


def test_missing_tag_is_found_missing_behind_a_login_too(token_registry, plain, make_image):
    """Tags are listed with the same token."""
    plain.push("public/model", "1.0", make_image())
    error = refuse(f"{token_registry.address}/public/model:1.1")
    assert "has no tag '1.1'" in str(error)
    assert "1.0" in error.cure
