"""From a name to a registered plugin: found by metadata, fenced, loaded once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from attrs import frozen

from scalable_core.errors import (
    PluginContractError,
    ProviderBlockedError,
    ProviderError,
    ProviderNotFoundError,
)
from scalable_core.plugins.discovery import Catalogue, Entry, Kind, discover
from scalable_core.plugins.fences import (
    check_metadata,
    disable,
    import_plugin,
    load_object,
    register,
)

if TYPE_CHECKING:
    import pluggy

_log = logging.getLogger("scalable.plugins")

#: How names of the kinds are kept apart inside pluggy, and in traces.
_PREFIX = {"provider": "", "extension": "ext:", "scheme": "scheme:"}

#: Extras of the dist "scalable" that bring what is missing, for the pip line.
_EXTRAS = {
    "aws": "aws",
    "gcp": "gcp",
    "kubernetes": "kubernetes",
    "s3": "aws",
    "gs": "gcp",
    "gcs": "gcp",
}


@frozen(kw_only=True)
class Plugin:
    """A module that has passed every fence and is registered.

    Attributes:
        name: Its name: the provider, the extension, or the scheme of a plugin that only stores.
        entry: Where it came from.
        module: What implements the hooks.
    """

    name: str
    entry: Entry
    module: ModuleType


class Loader:
    """Loads plugins by name into a plugin manager, each module once.

    Args:
        pm: Where they are registered.
        environ: ``SCALABLE_DISABLE_PLUGINS`` holds names of plugins or dists, separated by commas.
    """

    def __init__(self, pm: pluggy.PluginManager, environ: Mapping[str, str]) -> None:
        self._pm = pm
        names = environ.get("SCALABLE_DISABLE_PLUGINS", "").replace(",", " ").split()
        self._disabled = frozenset(names)
        self._loaded: dict[Entry, Plugin] = {}  # two entries of one module share a plugin
        self._extensions_loaded = False
        self._lock = threading.RLock()  # artifacts are stored from many threads at once

    @cached_property
    def catalogue(self) -> Catalogue:
        """What is installed; read once."""
        return discover()

    def is_disabled(self, entry: Entry) -> bool:
        """Whether ``SCALABLE_DISABLE_PLUGINS`` names an entry, its dist, or the provider of its module."""
        return bool(self._off(entry))

    def find(self, kind: Kind, name: str) -> Entry:
        """Return the one usable entry of a name.

        Raises:
            ProviderNotFoundError: Nothing installed has the name.
            ProviderBlockedError: What has it is disabled.
            PluginContractError: Two dists have it.
        """
        found = self.catalogue.named(kind, name)
        if not found:
            raise self._not_found(kind, name)
        claims = self.claims(kind, name)
        if len(claims) > 1:
            raise _duplicate(claims)
        if not claims and all(self.is_disabled(entry) for entry in found):
            raise self.blocked(found[0])
        return (claims or [entry for entry in found if not self.is_disabled(entry)])[0]

    def claims(self, kind: Kind, name: str) -> list[Entry]:
        """Return the entries of a name that are neither disabled nor damaged."""
        found = self.catalogue.named(kind, name)
        return [entry for entry in found if not entry.fault and not self.is_disabled(entry)]

    def blocked(self, entry: Entry) -> ProviderBlockedError:
        """Return the error of an entry that is disabled."""
        return ProviderBlockedError(
            f"{entry.label} is disabled by SCALABLE_DISABLE_PLUGINS",
            cure=f"take {' and '.join(sorted(self._off(entry)))} out of that variable",
        )

    def load(self, kind: Kind, name: str) -> Plugin:
        """Return the plugin of a name, loaded now or before. Extensions are loaded first.

        Raises:
            ProviderError: As `find`, or a fence says no.
        """
        with self._lock:
            self.load_extensions()
            return self._load(self.find(kind, name))

    def load_extensions(self) -> None:
        """Load every extension, once. One that is broken is a warning: nobody asked for it."""
        with self._lock:
            if self._extensions_loaded:
                return
            self._extensions_loaded = True
            for name in self.catalogue.names("extension"):
                try:
                    self._load(self.find("extension", name))
                except ProviderBlockedError:
                    continue
                except ProviderError as error:
                    entry = self.catalogue.named("extension", name)[0]
                    _log.warning("%s; it is left out; %s", error.message, disable(entry))

    def load_command(self, name: str) -> Any:
        """Import what a plugin's entry in ``scalable.commands`` names.

        Raises:
            ProviderError: As `find`, or its dist does not fit, or the import fails.
        """
        entry = self.find("command", name)
        check_metadata(entry)
        return load_object(entry)

    def home(self, entry: Entry) -> Entry:
        """Return the provider entry that names the same module, so that a plugin has one name."""
        if entry.kind == "scheme":
            for other in self.catalogue.entries:
                same = (other.dist, other.value) == (entry.dist, entry.value)
                if same and other.kind == "provider":
                    return other
        return entry

    def rivals(self, plugin: Plugin) -> list[ModuleType]:
        """Return every other module that is not an extension: who must not hear what this one is asked."""
        return [
            other.module
            for other in self.plugins()
            if other.entry.kind != "extension" and other is not plugin
        ]

    def plugins(self) -> tuple[Plugin, ...]:
        """Return what is loaded so far, in that order."""
        return tuple({id(plugin): plugin for plugin in list(self._loaded.values())}.values())

    def _load(self, entry: Entry) -> Plugin:
        if entry not in self._loaded:
            check_metadata(entry)
            self._check_kinds(entry)
            module = import_plugin(entry)
            same = [plugin for plugin in self.plugins() if plugin.module is module]
            self._loaded[entry] = same[0] if same else self._register(module, self.home(entry))
        return self._loaded[entry]

    def _register(self, module: ModuleType, entry: Entry) -> Plugin:
        register(self._pm, module, _PREFIX[entry.kind] + entry.name, entry)
        return Plugin(name=entry.name, entry=entry, module=module)

    def _check_kinds(self, entry: Entry) -> None:
        kinds = {other.kind for other in self.catalogue.entries if other.value == entry.value}
        if "extension" in kinds and kinds & {"provider", "scheme"}:
            raise PluginContractError(
                f"{entry.label} names {entry.value} as a provider and as an extension; a module is one of them",
                cure="move the wrappers to a module of their own",
            )

    def _off(self, entry: Entry) -> frozenset[str]:
        return self._disabled & {entry.dist, self.home(entry).name}

    def _not_found(self, kind: Kind, name: str) -> ProviderNotFoundError:
        installed = self.catalogue.names(kind)
        has = f"installed: {', '.join(installed) or 'none'}"
        if kind == "scheme":
            message = f"no installed plugin stores artifacts under {name}://; {has}"
        else:
            message = f"no installed plugin provides {name!r}; {has}"
        unread = [entry for entry in self.catalogue.entries if entry.kind == "dist"]
        for entry in unread:
            message += f"; {entry.label} is installed, but {entry.fault}"
        near = get_close_matches(name, {*installed, *_EXTRAS}, n=1)
        if name in _EXTRAS:
            cure = f"pip install 'scalable[{_EXTRAS[name]}]'"
        elif near and near[0] in installed:
            cure = f"did you mean {near[0]!r}?"
        elif near:
            cure = f"did you mean {near[0]!r}? pip install 'scalable[{_EXTRAS[near[0]]}]'"
        else:
            cure = f"pip install the dist that offers {name!r}; `scalable plugins list` shows what is there"
        return ProviderNotFoundError(message, cure=cure)


def _duplicate(entries: list[Entry]) -> PluginContractError:
    """Return the error of several entries with one name."""
    claims = " and ".join(f"{entry.dist} {entry.version} ({entry.value})" for entry in entries)
    dists = sorted({entry.dist for entry in entries})
    first = entries[0]
    noun = "artifact scheme" if first.kind == "scheme" else first.kind
    if len(dists) == 1:
        cure = f"this is for the authors of {dists[0]} to correct; {disable(first)}"
    else:
        cure = f"pip uninstall one of {', '.join(dists)}, or name it in SCALABLE_DISABLE_PLUGINS"
    return PluginContractError(f"{noun} {first.name!r} is offered by {claims}", cure=cure)
