"""Lays overlays over a document and replaces variables, for one target or for a look at one part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scalable_core.manifest.expand import Expander
from scalable_core.manifest.findings import Findings
from scalable_core.manifest.merge import apply_overlays
from scalable_core.manifest.selection import existing_overlays, overlay_names
from scalable_core.manifest.tree import Map, find

STORAGE_VARIABLE = "SCALABLE_DEFAULT_STORAGE"


class Resolver:
    """Resolves one document in several ways; the document itself stays as it is.

    Args:
        raw: The document, its outline checked.
        environ: The variables.
        extra: Overlays of the command line, which exist.
    """

    def __init__(self, raw: Map, environ: Mapping[str, str], extra: Sequence[str]) -> None:
        self.raw = raw
        self.environ = environ
        self.extra = tuple(extra)
        #: Target names come from here: an overlay of the command line may bring a target of its own.
        self.base = apply_overlays(raw, self.extra)

    def overlays_of(
        self, target: str, findings: Findings, *, lenient: bool = False
    ) -> tuple[str, ...]:
        """Return the overlays for a target, in order: its own, then those of the command line."""
        path = ("targets", target, "overlay")
        expander = Expander(self.base, self.environ, findings, lenient=lenient)
        names = overlay_names(expander.expand(find(self.base, path), path))
        if names is None:
            if not lenient:
                message = "wanted the name of an overlay, or a list of names"
                findings.add_at(
                    self.base, path, "E0101", message, cure="write for example overlay: big"
                )
            return self.extra
        own = existing_overlays(self.base, names, findings, path=path)
        # A reading for a saved plan is given the whole order; its own part is not applied twice.
        return self.extra if self.extra[: len(own)] == own else own + self.extra

    def resolve(
        self,
        overlays: Sequence[str],
        findings: Findings,
        *,
        lenient: bool = False,
        targets: Iterable[str] = (),
        components: Iterable[str] | None = None,
        tasks: Iterable[str] | None = None,
    ) -> Map:
        """Return the document with overlays applied and variables replaced.

        Args:
            overlays: Names, in order.
            findings: Takes what is wrong.
            lenient: Leave what uses a variable that is not set.
            targets: Names of those whose variables are replaced.
            components: Likewise, all when None.
            tasks: Likewise, all when None.
        """
        root = apply_overlays(self.raw, overlays).copy()
        storage = self.environ.get(STORAGE_VARIABLE)
        if storage and root["project"]:
            root["project"] = root["project"].copy()
            root["project"]["default_storage"] = storage
        expander = Expander(root, self.environ, findings, lenient=lenient)
        root["project"] = expander.expand(root["project"], ("project",))
        for section, names in (("targets", targets), ("components", components), ("tasks", tasks)):
            entries = root[section].copy()
            for name in list(entries) if names is None else names:
                entries[name] = expander.expand(entries[name], (section, name))
            root[section] = entries
        return root
