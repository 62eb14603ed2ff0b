"""What the core hands to every hook, and the protocols by which stages meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs
from attrs import frozen

from scalable_core.types.run import Event

if TYPE_CHECKING:
    from scalable_core.member.bundle import Bundle
    from scalable_core.types.bundle import Environment


@runtime_checkable
class EventSink(Protocol):
    """Takes what happens, in order, from any thread."""

    def emit(self, event: Event) -> None:
        """Record one event. Never raises, never blocks for long."""


class NullSink:
    """An `EventSink` that forgets."""

    def emit(self, event: Event) -> None:
        """Forget the event."""


@runtime_checkable
class LazyCluster(Protocol):
    """A Dask cluster that starts its workers when the first call needs them."""

    def request_workers(self) -> None:
        """Ask for the workers of the plan. Returns at once; calls after the first do nothing."""


#: Finds the options class(es) of a provider: an attrs class, a mapping of `cluster_type` to attrs classes,
#: or None when the provider is not installed. Raises `ProviderError` when it is installed but broken.
OptionsLookup = Callable[[str], "type | Mapping[str, type] | None"]


@frozen(kw_only=True)
class Settings:
    """What `configure` tells every plugin, however late it is loaded.

    Attributes:
        verbosity: -1 quiet, 0 normal, 1 verbose, 2 debug.
        offline: No socket may be opened.
    """

    verbosity: int = 0
    offline: bool = False


@frozen(kw_only=True)
class HookContext:
    """The circumstances of a hook call.

    Attributes:
        project: The project's name.
        run: The run's id; None while planning.
        workdir: Folder of the manifest; relative paths in it start here.
        run_dir: Folder of the run's own records and scratch files; None while planning.
        log: Logger of the plugin that is called.
        dry_run: Nothing may be created.
        deadline: Monotonic time after which the caller no longer waits; None for no limit.
        events: Where to say what happens.
        bundle: Makes the zip of the travelling code (see `scalable_core.member.bundle`), once, for a provider
            that starts Python where the code is not; None while planning.
        environment: Makes the zip of this environment's packages, once, for groups of the plan with
            ``environment`` set; None while planning.
        secrets: Gives variables that the environment of every worker must have and nobody else may read, such
            as the key that kept results are signed with. A provider whose workers do not inherit this process's
            environment hands them over with the run's certificates. None while planning.
        data: More facts, by name, for hooks that want them.
    """

    project: str = ""
    run: str | None = None
    workdir: Path = attrs.field(factory=Path.cwd)
    run_dir: Path | None = None
    log: logging.Logger = attrs.field(factory=lambda: logging.getLogger("scalable"))
    dry_run: bool = False
    deadline: float | None = None
    events: EventSink = attrs.field(factory=NullSink)
    bundle: Callable[[], Bundle] | None = None
    environment: Callable[[], Environment] | None = None
    secrets: Callable[[], Mapping[str, str]] | None = None
    data: Mapping[str, Any] = attrs.field(factory=dict)
