"""Which Python and Dask an image has is told by its registry, without a pull, where it is certain."""

from __future__ import annotations

import io
import json
import tarfile

import attrs
import pytest

from scalable_core.oci import contents, inspect

SITE = "usr/local/lib/python3.11/site-packages"
NEEDED = ("dask-2026.8.0", "distributed-2026.8.0", "cloudpickle-3.1.3")
FOUND = {"dask": "2026.8.0", "distributed": "2026.8.0", "cloudpickle": "3.1.3"}


def layer(*names: str) -> bytes:
    """A layer of empty files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def packages(*names: str, site: str = SITE) -> list[str]:
    return [f"{site}/{name}.dist-info/METADATA" for name in names]


@pytest.fixture
def look(plain, make_image):
    """Pushes an image of some layers and looks into it: look([layer], PATH="/opt/conda/bin:/bin")."""
    count = iter(range(99))

    def look(layers, *, labels=None, platform="linux/amd64", **env):
        image = make_image()
        blob = type(image.manifest)
        told = {"Env": [f"{name}={value}" for name, value in env.items()], "Labels": labels}
        config = json.loads(image.blobs[0].body) | {"config": told}
        first = blob(json.dumps(config).encode(), image.blobs[0].media_type)
        rest = [blob(data, image.blobs[1].media_type) for data in layers]
        manifest = json.loads(image.manifest.body) | {
            "config": first.descriptor,
            "layers": [each.descriptor for each in rest],
        }
        made = blob(json.dumps(manifest).encode(), image.manifest.media_type)
        image = attrs.evolve(image, manifest=made, blobs=(first, *rest))
        pushed = plain.push("look/model", str(next(count)), image)
        return inspect(f"{plain.address}/look/model@{pushed.digest}", platform)

    return look


def test_versions_are_read_from_the_names_in_the_layers(look):
    """The last layer has the last word: what it replaces or removes does not count."""
    old = layer(*packages("dask-2024.1.0", "distributed-2024.1.0", "cloudpickle-2.2.0"))
    new = layer(*packages(*NEEDED), f"{SITE}/.wh.dask-2024.1.0.dist-info")

    assert look([old, new]) == {"python": "3.11", **FOUND}
    assert look([old, layer(f"{SITE}/.wh.dask-2024.1.0.dist-info")]) == {
        "python": "3.11",
        "distributed": "2024.1.0",
        "cloudpickle": "2.2.0",
    }
    assert look([old, layer("usr/local/lib/.wh.python3.11")]) == {}


def test_the_python_first_on_path_counts(look):
    """Another one in the image says nothing of what members run."""
    both = layer(
        *packages("dask-1.0", site="usr/local/lib/python3.9/site-packages"),
        *packages(*NEEDED, site="opt/conda/lib/python3.12/site-packages"),
    )

    found = look([both], PATH="/opt/conda/bin:/usr/local/bin", PYTHON_VERSION="3.9.1")

    assert found == {"python": "3.12", **FOUND}
    assert look([both], PATH="/opt/other/bin:/usr/local/bin", PYTHON_VERSION="3.9.1") == {}


def test_what_is_not_certain_is_left_out(look, monkeypatch):
    """Two versions of one package, a layer that is no tar, and one that is too large to read."""
    two = layer(*packages("dask-1.0", "dask-2.0", "distributed-2.0"))
    good = layer(*packages(*NEEDED))

    assert look([two]) == {"python": "3.11", "distributed": "2.0"}
    assert look([good, b"no tar"], PYTHON_VERSION="3.11.7") == {"python": "3.11"}
    monkeypatch.setattr(contents, "LIMIT", 10)
    assert look([good], PYTHON_VERSION="3.11.7") == {"python": "3.11"}


def test_labels_are_believed_and_nothing_more_is_read(look):
    """Whoever builds the image may say what is in it."""
    labels = {f"scalable.{name}": version for name, version in FOUND.items()}
    labels["scalable.python"] = "3.12.4"

    assert look([b"not read"], labels=labels) == {"python": "3.12", **FOUND}


def test_an_image_that_cannot_be_asked_for_says_nothing(plain):
    """It is compared when it has started."""
    assert inspect(f"{plain.address}/no/such@sha256:{'0' * 64}", "linux/amd64") == {}
