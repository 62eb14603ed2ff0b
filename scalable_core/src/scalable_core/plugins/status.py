"""One row for each plugin that is installed, for `scalable plugins list` and `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from scalable_core.errors import ProviderBlockedError, ProviderIncompatibleError, ScalableError
from scalable_core.hookspecs import PLUGIN_API
from scalable_core.plugins.discovery import Entry, Kind
from scalable_core.plugins.fences import check_metadata, one_line, reinstall
from scalable_core.plugins.loading import Loader
from scalable_core.plugins.scorecard import read_score

if TYPE_CHECKING:
    from scalable_core.plugins.host import PluginHost

Status = Literal["ready", "disabled", "incompatible", "broken", "duplicate"]

#: Without these a provider is no use to anyone.
_REQUIRED = ("target_options", "estimate_cost", "provision_cluster")


@frozen(kw_only=True)
class PluginStatus:
    """What is known of one installed plugin.

    Attributes:
        name: The provider, extension, scheme or command; the dist's name for the kind ``dist``.
        kind: A scheme is a row of its own only when its module is not a provider; ``dist`` is a dist whose
            entry points cannot be read.
        dist: The dist that offers it.
        version: Its version; ``?`` when unknown.
        module: Where it is.
        api: The plugin API it speaks; None when it was not loaded.
        status: ``ready`` says, of a plugin that was not loaded, that its metadata hold nothing against it.
        provides: The hooks it implements or wraps, sorted; empty when it was not loaded.
        schemes: URI schemes whose artifacts it stores.
        detail: What is wrong, as a sentence.
        cure: What mends it.
        conformance: What `scalable plugins check` counted last for this version, such as ``58/60``; None when
            it was never asked.
    """

    name: str
    kind: Kind
    dist: str
    version: str
    module: str = ""
    api: int | None = None
    status: Status = "ready"
    provides: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    detail: str | None = None
    cure: str | None = None
    conformance: str | None = None


def plugin_statuses(
    host: PluginHost, loader: Loader, *, load: bool, name: str | None = None
) -> tuple[PluginStatus, ...]:
    """Return one row for each plugin; with ``load`` each is also imported and asked for its options."""
    entries = [entry for entry in loader.catalogue.entries if loader.home(entry) is entry]
    entries = [entry for entry in entries if name in (None, entry.name)]
    rows = []
    for entry in entries:
        row = _row(entry, loader)
        try:
            rows.append(_checked(row, entry, host, loader, load=load))
        except ScalableError as error:
            status = _word(error, entry, loader)
            rows.append(evolve(row, status=status, detail=error.message, cure=error.cure))
        except Exception as error:
            detail = f"{entry.label} raised {one_line(error)}"
            rows.append(evolve(row, status="broken", detail=detail, cure=reinstall(entry)))
    return tuple(rows)


def _row(entry: Entry, loader: Loader) -> PluginStatus:
    schemes = (e for e in loader.catalogue.entries if e.kind == "scheme")
    return PluginStatus(
        name=entry.name,
        kind=entry.kind,
        dist=entry.dist,
        version=entry.version,
        module=entry.value,
        schemes=tuple(e.name for e in schemes if loader.home(e) is entry),
        conformance=read_score(entry.dist, entry.version, entry.value)
        if entry.kind == "provider"
        else None,
    )


def _checked(
    row: PluginStatus, entry: Entry, host: PluginHost, loader: Loader, *, load: bool
) -> PluginStatus:
    if loader.is_disabled(entry):
        raise loader.blocked(entry)
    check_metadata(entry)
    loader.find(entry.kind, entry.name)
    if not load:
        return row
    if entry.kind == "command":
        loader.load_command(entry.name)
        return row
    plugin = loader.load(entry.kind, entry.name)
    row = evolve(row, api=PLUGIN_API, provides=host.hooks_of(plugin))
    if entry.kind == "provider":
        host.target_options(entry.name)
        for verb in _REQUIRED:
            host.require(verb, plugin)
    return row


def _word(error: ScalableError, entry: Entry, loader: Loader) -> Status:
    if isinstance(error, ProviderBlockedError):
        return "disabled"
    if isinstance(error, ProviderIncompatibleError):
        return "incompatible"
    return "duplicate" if len(loader.claims(entry.kind, entry.name)) > 1 else "broken"
