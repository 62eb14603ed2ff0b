"""Images that this machine has are pinned without asking a registry."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from scalable_core.errors import ClusterError, ImageError
from scalable_core.types import ImageRequest
from scalable_local.images import find_image


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apptainer on ``PATH`` that is never run."""
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text("#!/bin/false\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.mark.usefixtures("apptainer")
def test_a_sif_file_is_pinned_by_its_bytes(tmp_path: Path) -> None:
    """Its path starts at the manifest."""
    (tmp_path / "model.sif").write_bytes(b"an image")
    request = ImageRequest(reference="model.sif", runtime="apptainer")

    image = find_image(request, workdir=tmp_path, provider="local")

    assert image is not None
    assert image.pinned == str(tmp_path / "model.sif")
    assert image.digest == "sha256:" + hashlib.sha256(b"an image").hexdigest()


@pytest.mark.usefixtures("apptainer")
@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("model.sif", r"model\.sif cannot be read: No such file"),
        ("oras://ghcr.io/acme/model:2", "an image of kind oras:// cannot be pinned"),
    ],
)
def test_what_cannot_be_pinned_is_a_sentence(tmp_path: Path, reference: str, message: str) -> None:
    """A run must be able to say what it ran."""
    request = ImageRequest(reference=reference, runtime="apptainer")

    with pytest.raises(ImageError, match=message):
        find_image(request, workdir=tmp_path, provider="local")


@pytest.mark.usefixtures("apptainer")
def test_other_names_are_left_to_the_registry(tmp_path: Path) -> None:
    """The core's resolver asks it."""
    request = ImageRequest(reference="ghcr.io/acme/model:2", runtime="apptainer")

    assert find_image(request, workdir=tmp_path, provider="local") is None


@pytest.mark.usefixtures("apptainer")
def test_a_missing_runtime_is_a_sentence(tmp_path: Path) -> None:
    """Before a registry is asked in vain."""
    request = ImageRequest(reference="localhost/model:2", runtime="podman")

    with pytest.raises(ClusterError, match="need podman, which is not on PATH"):
        find_image(request, workdir=tmp_path, provider="local")
