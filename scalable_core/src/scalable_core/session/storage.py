"""Opens what is below a URI: through the plugin of its scheme, or without one. Imports no distributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import HookContext, Storage


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

        try:
            from scalable_core.plugins import PluginHost
            from scalable_core.types import HookContext
        except ImportError:  # a worker's image needs neither attrs nor pluggy
            return plain_storage(self.uri)
        return open_storage(self.uri, host=PluginHost(), context=HookContext())
