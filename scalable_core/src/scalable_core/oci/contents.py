"""Which versions an image has, as far as that can be known before it runs; what is not certain is left out.

What counts is the Python that is first on the image's ``PATH``. Its version and those of the packages beside it
are told by labels (``scalable.python``, ``scalable.dask`` and so on), by ``PYTHON_VERSION`` as the official
images of Python set it, or else by the names in its layers, which are read from the registry as they come, the
last one first.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from typing import Any

from scalable_core.errors import ImageError
from scalable_core.oci.credentials import Credentials
from scalable_core.oci.reference import parse_reference
from scalable_core.oci.registry import Registry
from scalable_core.oci.resolve import list_members

#: What is looked for.
PACKAGES = ("dask", "distributed", "cloudpickle")
#: Compressed bytes of layers that are read at most.
LIMIT = 256 * 2**20

_LABEL = "scalable."
_SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError)


def inspect(
    pinned: str, platform: str, *, timeout: float = 20.0, credentials: Credentials | None = None
) -> dict[str, str]:
    """Return the versions of ``python`` (as 3.11) and `PACKAGES` in an image, those that are known.

    Args:
        pinned: The image, by digest.
        platform: Such as ``linux/amd64``.
        timeout: Seconds for everything.
        credentials: Who asks; as of `scalable_core.oci.resolve`.
    """
    known: dict[str, str] = {}
    try:
        reference = parse_reference(pinned)
        registry = Registry(reference, timeout, credentials)
        manifest = registry.read_manifest(reference.version)
        if manifest.is_index:
            manifest = registry.read_manifest(list_members(manifest.content)[platform])
        config = registry.read_config(manifest.content["config"]["digest"]).get("config") or {}
        known = told_versions(config)
        if known.keys() >= {"python", *PACKAGES}:
            return known
        scan = _Scan(_prefix(config), known.get("python"))
        left = LIMIT
        for layer in reversed(manifest.content["layers"]):
            left -= layer["size"]
            if left < 0 or scan.is_over:
                break
            registry.read_layer(layer["digest"], scan.read)
        return {**scan.found(), **known}
    except (ImageError, tarfile.TarError, OSError, EOFError, *_SHAPE_ERRORS):
        return known  # what is not known now is compared when the image has started


def told_versions(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what an image's configuration says of its versions: its labels, and ``PYTHON_VERSION``."""
    labels = config.get("Labels") or {}
    names = ("python", *PACKAGES)
    known = {name: str(labels[_LABEL + name]) for name in names if labels.get(_LABEL + name)}
    version = _environment(config).get("PYTHON_VERSION")
    if version and _prefix(config) == "usr/local":
        known.setdefault("python", version)
    if "python" in known:
        known["python"] = ".".join(known["python"].split(".")[:2])
    return known


class _Scan:
    """Looks for packages in layers, of which a later one hides what an earlier one has."""

    def __init__(self, prefix: str, python: str | None) -> None:
        names = "|".join(PACKAGES)
        self._python = python
        self._pattern = re.compile(
            rf"(?:\./)?{re.escape(prefix)}/lib/python(\d\.\d+)/site-packages/"
            rf"(\.wh\.)?({names})-([^/-]+)\.dist-info(?:/.*)?"
        )
        self._seen: dict[tuple[str, str], set[str]] = {}
        self._gone: set[tuple[str, str, str]] = set()
        self._place = re.compile(rf"{re.escape(prefix)}/lib/python\d\.\d+(/site-packages)?")
        self._above = f"{prefix}/lib/"
        self._hidden = False

    @property
    def is_over(self) -> bool:
        """Whether earlier layers have nothing to say."""
        return self._hidden or self.found().keys() >= set(PACKAGES)

    def read(self, layer: Any) -> None:
        """Read a layer's names."""
        seen: dict[tuple[str, str], set[str]] = {}
        gone: set[tuple[str, str, str]] = set()
        with tarfile.open(fileobj=layer, mode="r|*") as archive:
            for entry in archive:
                self._hidden |= self._hides(entry.name.removeprefix("./"))
                match = self._pattern.fullmatch(entry.name)
                if match is None:
                    continue
                python, removed, name, version = match.groups()
                if removed:
                    gone.add((python, name, version))
                elif (python, name, version) not in self._gone:
                    seen.setdefault((python, name), set()).add(version)
        for key, versions in seen.items():
            self._seen.setdefault(key, versions)
        self._gone |= gone

    def _hides(self, name: str) -> bool:
        """Whether a name says that earlier layers' packages are not there any more."""
        folder, _, mark = name.rpartition("/")
        if not mark.startswith(".wh."):
            return False
        target = folder if mark == ".wh..wh..opq" else f"{folder}/{mark[4:]}".lstrip("/")
        return bool(self._place.fullmatch(target)) or self._above.startswith(f"{target}/")

    def found(self) -> dict[str, str]:
        """Return what is certain: of one Python, and one version each."""
        pythons = {python for python, _ in self._seen}
        python = self._python or (pythons.pop() if len(pythons) == 1 else None)
        if python is None:
            return {}
        own = {name: versions for (of, name), versions in self._seen.items() if of == python}
        certain = {name: min(versions) for name, versions in own.items() if len(versions) == 1}
        return {"python": python, **certain} if certain else {}


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    pairs = (str(each).partition("=") for each in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def _prefix(config: Mapping[str, Any]) -> str:
    """Return where the Python that is first on ``PATH`` has its packages, such as ``usr/local``."""
    places = _environment(config).get("PATH", "/usr/local/bin").split(":")
    first = next((place for place in places if place.endswith("/bin")), "/usr/local/bin")
    return first.removesuffix("/bin").strip("/")
