"""Looks over what a reading does not use: the other targets, and overlays that nothing applies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

from scalable_core.manifest.check import Checker
from scalable_core.manifest.findings import Findings
from scalable_core.manifest.resolve import Resolver
from scalable_core.manifest.targets import TargetReader
from scalable_core.manifest.tree import Map, find
from scalable_core.types import OptionsLookup


class Survey:
    """Checks parts of a document as far as that goes without their variables.

    Args:
        resolver: Of the document.
        options: Finds a provider's options class(es).
        folder: Of the manifest.
    """

    def __init__(self, resolver: Resolver, options: OptionsLookup, folder: FilePath) -> None:
        self._resolver = resolver
        self._options = options
        self._folder = folder

    def targets(
        self, findings: Findings, *, besides: str | None
    ) -> tuple[dict[str, str], dict[str, Map]]:
        """Check every target but one, each with its own overlays.

        Returns:
            Target name to provider, and target name to what may be written down of it.
        """
        alike: dict[tuple[str, ...], list[str]] = {}
        for name in self._resolver.base["targets"]:
            if name != besides:
                overlays = self._resolver.overlays_of(name, findings, lenient=True)
                alike.setdefault(overlays, []).append(name)
        providers: dict[str, str] = {}
        sealed: dict[str, Map] = {}
        for overlays, names in alike.items():
            root = self._resolver.resolve(
                overlays, findings, lenient=True, targets=names, components=(), tasks=()
            )
            reader = TargetReader(self._checker(root, findings), self._options)
            for name in names:
                providers[name] = str(find(root, ("targets", name, "provider")) or "")
                reader.read(name)
            sealed |= reader.sealed
        return providers, sealed

    def overlays(self, findings: Findings) -> None:
        """Check what each overlay changes, laid over the document together with those that go before it."""
        order = self._orders()
        for name, overlay in self._resolver.raw["overlays"].items():
            targets, components, tasks = (
                list(overlay.get(section, ())) for section in ("targets", "components", "tasks")
            )
            root = self._resolver.resolve(
                order.get(name, (name,)),
                findings,
                lenient=True,
                targets=targets,
                components=components,
                tasks=tasks,
            )
            checker = self._checker(root, findings)
            if "project" in overlay:
                checker.project()
            checker.components(components)
            checker.tasks(tasks, components=root["components"].keys() | self.overlaid("components"))
            for target in targets:
                TargetReader(checker, self._options).read(target)

    def overlaid(self, section: str) -> set[str]:
        """Return the names that overlays give in a section."""
        overlays = self._resolver.raw["overlays"].values()
        return {name for overlay in overlays for name in overlay.get(section, ())}

    def _orders(self) -> Mapping[str, tuple[str, ...]]:
        """Return for each overlay that a target names the overlays up to it, in that target's order."""
        orders: dict[str, tuple[str, ...]] = {}
        for target in self._resolver.base["targets"]:
            names = self._resolver.overlays_of(target, Findings(""), lenient=True)
            for index, name in enumerate(names):
                orders.setdefault(name, names[: index + 1])
        return orders

    def _checker(self, root: Map, findings: Findings) -> Checker:
        return Checker(root, findings, self._folder)
