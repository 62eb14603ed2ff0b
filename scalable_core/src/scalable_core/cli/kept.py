"""The cache of the project that a command line means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from scalable_core.cli.options import DEFAULT_MANIFEST

if TYPE_CHECKING:
    from scalable_core.cache import Place, Store
    from scalable_core.plugins import PluginHost
    from scalable_core.types import Manifest


def manifest_path() -> Path:
    """Return the manifest that ``SCALABLE_MANIFEST`` names, or the one of this folder."""
    return Path(os.environ.get("SCALABLE_MANIFEST") or DEFAULT_MANIFEST)


def read_project(host: PluginHost) -> Manifest:
    """Read the manifest for no target in particular.

    Raises:
        ManifestError: It has problems.
    """
    from scalable_core.session.planning import load

    return load(manifest_path(), target=None, host=host)


def place_of(manifest: Manifest) -> Place:
    """Return where a project's results are kept, as runs started from here would have it.

    The shared place counts when workers of some target are not on this machine.
    """
    from scalable_core.cache import Place
    from scalable_core.plan.build import locate_stores
    from scalable_core.session.storage import StorageOpener, shared_place

    stores = locate_stores(manifest, manifest_path().absolute().parent, os.environ)
    elsewhere = any(provider != "local" for provider in manifest.providers.values())
    shared = shared_place(manifest.project, elsewhere=elsewhere)
    return Place(root=stores.cache, remote=StorageOpener(shared) if shared else None)


def storage_of(manifest: Manifest) -> str:
    """Return the folder or URI under which a project keeps what its runs make."""
    from scalable_core.plan.build import locate_stores

    return locate_stores(manifest, manifest_path().absolute().parent, os.environ).artifacts


def key_file(place: Place) -> Path:
    """Return the file of the project's key."""
    return Path(place.root or ".").parent / "cache.key"


def open_store(place: Place, *, listed: bool = True) -> Store:
    """Return the store of a place; what it has to say goes to stderr."""
    from scalable_core.cache.signing import read_key
    from scalable_core.cli.terminal import say

    return place.open(
        report=lambda event: say(f"warning: {event.message}"),
        listed=listed,
        secret=None if place.remote is None else read_key(key_file(place)),
    )
