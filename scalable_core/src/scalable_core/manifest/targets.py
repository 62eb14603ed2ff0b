"""One target: its provider's options class, found, filled and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from scalable_core.errors import ProviderNotFoundError, ScalableError
from scalable_core.manifest.check import CORE_OPTIONS, Checker
from scalable_core.manifest.seal import seal
from scalable_core.manifest.tree import Map, Path, Template
from scalable_core.manifest.wanted import shown
from scalable_core.types import Adaptive, OptionsLookup, Target
from scalable_core.types.problem import Severity
from scalable_core.types.units import format_duration

#: Extras of the dist `scalable`, by the provider that each installs.
_EXTRAS = ("aws", "gcp", "kubernetes")
_OURS = ("local", *_EXTRAS)


class TargetReader:
    """Reads targets of one resolved document.

    Args:
        checker: Over the document.
        options: Finds a provider's options class(es).
        selected: The target that will run; its provider must be there.
    """

    def __init__(
        self, checker: Checker, options: OptionsLookup, *, selected: str | None = None
    ) -> None:
        self._checker = checker
        self._findings = checker.findings
        self._root = checker.root
        self._options = options
        self._selected = selected
        #: Targets that were read, their secret options sealed: what may be written down.
        self.sealed: dict[str, Map] = {}

    def read(self, name: str) -> Target | None:
        """Return a target, None when it has errors or its provider is not there."""
        path: Path = ("targets", name)
        node = self._root["targets"].get(name)
        if node is None:
            node = Map()
        if isinstance(node, Template):
            return None
        if not isinstance(node, Map):
            cure = "write for example {provider: local}"
            self._findings.add_at(self._root, path, "E0101", "wanted a mapping", cure=cure)
            return None
        provider = self._provider(node, path)
        if provider is None:
            return None
        cls, cluster_type = self._options_class(provider, node, path)
        if cls is None:
            return None
        settings = node.copy()
        for key in CORE_OPTIONS:
            settings.drop(key)
        settings = seal(settings, cls)
        self.sealed[name] = node.copy()
        self.sealed[name].update(settings)
        options: Any = self._checker.record(cls, path, settings)
        if options is None:
            return None
        self._check_adaptive(options, settings, path)
        self._check_numbers(options, path)
        return Target(name=name, provider=provider, cluster_type=cluster_type, options=options)

    def _provider(self, node: Map, path: Path) -> str | None:
        """Return the provider's name, None when there is none to be known."""
        provider = node.get("provider")
        if isinstance(provider, Template):
            return None
        if isinstance(provider, str) and provider:
            return str(provider)
        if provider is None:
            cure = "write for example provider: local"
            self._findings.add_at(
                self._root, path, "E0103", "'provider' is missing", key=True, cure=cure
            )
        else:
            self._findings.add_at(
                self._root, (*path, "provider"), "E0101", "wanted the name of a provider"
            )
        return None

    def _options_class(
        self, provider: str, node: Map, path: Path
    ) -> tuple[type | None, str | None]:
        """Return the class of a target's options and its cluster type."""
        found = self._look_up(provider, path)
        cluster_type = node.get("cluster_type")
        if isinstance(found, Mapping):
            return self._by_cluster_type(found, cluster_type, path)
        if found is not None and not isinstance(cluster_type, (Template, type(None))):
            path = (*path, "cluster_type")
            message = f"the provider {provider!r} has only one kind of cluster"
            self._findings.add_at(self._root, path, "E0206", message, key=True, cure="remove it")
        return found, None

    def _look_up(self, provider: str, path: Path) -> type | Mapping[str, type] | None:
        try:
            return self._find_options(provider)
        except ScalableError as error:
            number = "0202" if isinstance(error, ProviderNotFoundError) else "0203"
            message, cure = error.message, error.cure
        except Exception as error:  # a plugin's own code: its mistakes are problems of this target
            number = "0203"
            message = f"the options of the provider {provider!r} cannot be used: {error}"
            cure = "report it to the authors of the plugin"
        severity: Severity = "error" if self._selected == path[1] else "warning"
        self._findings.add_at(
            self._root,
            (*path, "provider"),
            ("E" if severity == "error" else "W") + number,
            message,
            cure=cure,
            severity=severity,
        )
        return None

    def _find_options(self, provider: str) -> type | Mapping[str, type]:
        found = self._options(provider)
        if found is None:
            message = f"the provider {provider[:60]!r} is not installed"
            raise ProviderNotFoundError(message, cure=self._installing(provider))
        classes = list(found.values()) if isinstance(found, Mapping) else [found]
        if not classes or not all(isinstance(cls, type) and attrs.has(cls) for cls in classes):
            raise TypeError("they are no attrs classes")
        for cls in classes:
            attrs.resolve_types(cls)
        return found

    def _installing(self, provider: str) -> str | None:
        if provider in _EXTRAS:
            return f"pip install 'scalable[{provider}]'"
        close = self._findings.suggest(provider, _OURS)
        if close is not None and close.startswith("did you mean"):
            return close
        return (
            f"install the package that provides it, such as: pip install scalable-{provider[:60]}"
        )

    def _by_cluster_type(
        self, classes: Mapping[str, type], cluster_type: Any, path: Path
    ) -> tuple[type | None, str | None]:
        if cluster_type is None:
            default = next(iter(classes))
            return classes[default], default
        if isinstance(cluster_type, Template):
            return None, None
        if isinstance(cluster_type, str) and str(cluster_type) in classes:
            return classes[str(cluster_type)], str(cluster_type)
        message = f"wanted one of {', '.join(classes)}, got {shown(cluster_type)}"
        cure = None
        if isinstance(cluster_type, str):
            cure = self._findings.suggest(cluster_type, classes, listed="write one of")
        self._findings.add_at(self._root, (*path, "cluster_type"), "E0206", message, cure=cure)
        return None, None

    def _check_adaptive(self, options: Any, settings: Map, path: Path) -> None:
        bounds = getattr(options, "adaptive", None)
        if not isinstance(bounds, Adaptive):
            return
        if bounds.minimum > bounds.maximum:
            self._findings.add_at(
                self._root,
                (*path, "adaptive", "minimum"),
                "E0207",
                f"the minimum, {bounds.minimum}, is above the maximum, {bounds.maximum}",
                cure="raise the maximum or lower the minimum",
            )
            return
        fixed = getattr(options, "n_workers", None)
        if fixed is None or "n_workers" not in settings:  # a default gives way
            return
        says = f"between {bounds.minimum} and {bounds.maximum}"
        within = bounds.minimum <= fixed <= bounds.maximum
        self._findings.add_at(
            self._root,
            (*path, "n_workers"),
            "W0212" if within else "E0212",
            f"n_workers is not used, because adaptive says {says}"
            if within
            else f"{fixed} workers are wanted here, and {says} in adaptive",
            cure="remove one of the two",
            severity="warning" if within else "error",
        )

    def _check_numbers(self, options: Any, path: Path) -> None:
        """See that what fleets are told fits together, where a provider has options of these names."""
        first = _number(options, "min_workers")
        bounds = getattr(options, "adaptive", None)
        if isinstance(bounds, Adaptive):
            most: float = bounds.maximum
        else:
            most = _number(options, "n_workers") or _number(options, "max_workers") or 1
        if first is not None and first > most:
            self._findings.add_at(
                self._root,
                (*path, "min_workers"),
                "E0213",
                f"the work waits for {first:g} workers, and there are at most {most:g}",
                cure=f"write at most {most:g}",
            )
        idle, longest = _number(options, "idle_timeout"), _number(options, "max_lifetime")
        if idle is not None and longest is not None and idle > longest:
            self._findings.add_at(
                self._root,
                (*path, "idle_timeout"),
                "W0214",
                f"it is longer than max_lifetime, {format_duration(longest)}",
                severity="warning",
            )


def _number(options: Any, name: str) -> float | None:
    """Return an option if there is one of this name and it is a number."""
    value = getattr(options, name, None)
    return value if isinstance(value, int | float) else None
