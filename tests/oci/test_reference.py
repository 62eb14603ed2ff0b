"""Names of images are read as Docker and Podman read them, and nothing is contacted to do so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalable_core.errors import ImageError
from scalable_core.oci import Reference, parse_reference
from scalable_core.oci.reference import is_loopback

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("python", "docker.io", "library/python", "latest", None),
        ("python:3.12", "docker.io", "library/python", "3.12", None),
        ("acme/model", "docker.io", "acme/model", "latest", None),
        ("docker.io/python", "docker.io", "library/python", "latest", None),
        ("index.docker.io/acme/model", "docker.io", "acme/model", "latest", None),
        ("ghcr.io/acme/deep/model:2.0.1", "ghcr.io", "acme/deep/model", "2.0.1", None),
        ("GHCR.io/acme/model", "ghcr.io", "acme/model", "latest", None),
        ("localhost/model", "localhost", "model", "latest", None),
        ("localhost:5000/model:a", "localhost:5000", "model", "a", None),
        ("local:5000/model", "local:5000", "model", "latest", None),
        ("127.0.0.1:5000/model", "127.0.0.1:5000", "model", "latest", None),
        ("[::1]:5000/model:1", "[::1]:5000", "model", "1", None),
        (f"python@{DIGEST}", "docker.io", "library/python", None, DIGEST),
        (f"host:1/a/b:2@{DIGEST}", "host:1", "a/b", "2", DIGEST),
        ("a__b/c--d.e_f:_X.y-z", "docker.io", "a__b/c--d.e_f", "_X.y-z", None),
    ],
)
def test_name_is_read_as_docker_reads_it(text, registry, repository, tag, digest):
    """Registry, repository, tag and digest are found, with Docker Hub's defaults."""
    reference = parse_reference(text)
    assert (reference.registry, reference.repository) == (registry, repository)
    assert (reference.tag, reference.digest) == (tag, digest)


def test_docker_hub_is_asked_at_its_api_host():
    """The name stays docker.io, the requests go to where Docker Hub serves its API."""
    reference = parse_reference("python:3.12")
    assert reference.host == "registry-1.docker.io"
    assert reference.name == "docker.io/library/python"
    assert str(reference) == "docker.io/library/python:3.12"


def test_digest_decides_over_the_tag():
    """Of name:tag@digest the digest is what is asked for."""
    assert parse_reference(f"python:3.12@{DIGEST}").version == DIGEST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "''"),
        ("Acme/Model:1", "Write acme/model:1"),
        ("ghcr.io/Acme/model", "Write ghcr.io/acme/model"),
        ("https://ghcr.io/acme/model", "Write it without: ghcr.io/acme/model"),
        ("docker://python", "Write it without: python"),
        ("python:", "'' is not a tag"),
        ("python:-x", "'-x' is not a tag"),
        (f"python:{'x' * 129}", "is not a tag"),
        ("python@sha256:abc", "digest"),
        (f"python@sha512:{'0' * 128}", "digest"),
        ("python@", "digest"),
        ("ghcr.io/", "''"),
        ("ghcr.io//model", "'/model'"),
        ("ghcr.io/acme model", "'acme model'"),
        ("host:0/model", "'host:0'"),
        ("host:99999/model", "'host:99999'"),
        ("-host.io/model", "'-host.io'"),
        ("user@ghcr.io/model", "digest"),
        ("x/" * 150 + "y", "is not a repository"),
        ("model\n", "is not a repository"),
        ("ghcr.io/../model", "is not a repository"),
    ],
)
def test_malformed_name_is_a_sentence_with_a_cure(text, expected):
    """What is no image's name says what is wrong and how to write it."""
    with pytest.raises(ImageError, match="is not the name of an image") as caught:
        parse_reference(text)
    assert expected in str(caught.value)
    assert caught.value.cure


@given(st.text(alphabet="aA0./:@-_[]\n sha256", max_size=40) | st.text(max_size=20))
def test_any_text_is_an_image_or_an_image_error(text):
    """Nothing else than ImageError comes out, and what is read can be written and read again."""
    try:
        reference = parse_reference(text)
    except ImageError:
        return
    again = parse_reference(str(reference))
    assert isinstance(again, Reference)
    assert (again.name, again.version) == (reference.name, reference.version)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1", True),
        ("127.9.9.9:1", True),
        ("[::1]:5000", True),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("127.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0:5000", False),
        ("127.0.0.1:80@example.org", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host, expected):
    """Plain http is a matter of the address, and only certain ones count."""
    assert is_loopback(host) is expected
