"""What a project keeps below a URI: where that is, and how it is opened. Imports no distributed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import HookContext, Plan, Project, Storage


def open_storage(uri: str, *, host: PluginHost, context: HookContext) -> Storage:
    """Return the objects below a URI. Nothing is contacted yet.

    Args:
        uri: A folder, or a URI such as ``s3://bucket/prefix``.
        host: Asked first: the plugin of the scheme may have a faster way.
        context: Project and folder.

    Raises:
        StorageError: The URI makes no sense, or nothing that is installed knows its scheme.
        ProviderError: The plugin of its scheme is broken.
    """
    from scalable_core.artifacts.storage import plain_storage

    return host.open_storage(uri, context) or plain_storage(uri)


@dataclass(frozen=True)
class StorageOpener:
    """Opens one URI in whatever process it has come to: a worker's image may have the plugin or not.

    Attributes:
        uri: What to open.
    """

    uri: str

    def __call__(self) -> Storage:
        """Return the storage.

        Raises:
            StorageError: Nothing that is installed here knows the scheme.
        """
        from scalable_core.artifacts.storage import plain_storage
        from scalable_core.errors import ProviderError

        try:
            from scalable_core.plugins import PluginHost
            from scalable_core.types import HookContext

            return open_storage(self.uri, host=PluginHost(), context=HookContext())
        except (ImportError, ProviderError):  # a worker's image may have no plugins, or others
            return plain_storage(self.uri)


def is_remote(uri: str) -> bool:
    """Return whether other machines know a place by the same name."""
    return "://" in uri and not uri.lower().startswith("file:")


def shared_place(project: Project, *, elsewhere: bool) -> str | None:
    """Return the URI of the cache that machines share; None without one.

    It is the one that ``SCALABLE_CACHE_REMOTE`` names, else ``.cache`` in the project's storage when the
    workers are not on this machine and can reach that.
    """
    named = os.environ.get("SCALABLE_CACHE_REMOTE")
    storage = project.default_storage
    if named or not elsewhere or storage is None or not is_remote(storage):
        return named or None
    return f"{storage.rstrip('/')}/.cache"


def project_key(plan: Plan) -> bytes:
    """Return the key that a project's kept results are signed with; made when there is none.

    The one of this process's environment goes first, so that all who share a place can share a key.
    """
    from scalable_core.cache.signing import ensure_key, key_from

    return key_from(os.environ) or ensure_key(Path(plan.stores.cache).parent / "cache.key")


def worker_secrets(plan: Plan) -> dict[str, str]:
    """Return what the environment of workers must hold and nobody else may read: the project's key."""
    from scalable_core.cache.signing import KEY_VARIABLE

    return {KEY_VARIABLE: project_key(plan).hex()}
