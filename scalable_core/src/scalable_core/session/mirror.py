"""Keeps a copy of a run's records in the project's storage while the run lasts. Imports no distributed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from scalable_core.records.shared import SharedRecords
from scalable_core.session.invocation import current
from scalable_core.session.storage import is_remote, open_storage
from scalable_core.types import Event

if TYPE_CHECKING:
    from scalable_core.plugins import PluginHost
    from scalable_core.types import HookContext, Plan, Storage

#: Seconds between looks at the folder: what a kill of this process may cost.
INTERVAL = 3.0
#: The most seconds between two tries when the storage cannot be written.
_REST = 60.0
#: Seconds that the end of a run waits for the last rows.
_PATIENCE = 30.0


def mirror_uri(plan: Plan) -> str | None:
    """Return where the records of a run are copied to; None when they are not.

    They are when the run's workers are not on this machine and the project has a storage that is not either,
    when the run is detached, and always with ``project.mirror: true``.
    """
    if plan.project.default_storage is None:
        return None
    if (
        plan.project.mirror
        or plan.detached
        or (plan.target.provider != "local" and is_remote(plan.stores.artifacts))
    ):
        return plan.stores.artifacts
    return None


def start_mirror(plan: Plan, host: PluginHost, context: HookContext, folder: Path) -> Mirror | None:
    """Begin to copy the records of a run to the project's storage, where they are to be copied.

    The records of a detached run are copied by its driver, from before its session until after.

    Args:
        plan: The run's plan.
        host: For the plugin of the storage's scheme.
        context: Of the run; hears what goes wrong.
        folder: The run's folder.
    """
    uri, run = mirror_uri(plan), current()
    if uri is None or (run is not None and run.copied and run.run_id == context.run):
        return None

    def say(message: str) -> None:
        context.events.emit(Event(time=time.time(), kind="mirror.failed", message=message))

    return Mirror(folder, uri, lambda: open_storage(uri, host=host, context=context), say)


def for_provision(
    plan: Plan, host: PluginHost, context: HookContext, *, eager: bool
) -> HookContext:
    """Return the context with what a fleet takes from its ``data``.

    ``ledger`` is the project's storage where the run's records are copied to as well, or None; ``eager`` says
    whether workers are wanted at once.
    """
    uri = mirror_uri(plan)
    ledger = None if uri is None else open_storage(uri, host=host, context=context)
    return evolve(context, data={**context.data, "eager": eager, "ledger": ledger})


class Mirror(threading.Thread):
    """Copies the records of a run until it is closed. It never fails the run, and slows only its end.

    Args:
        folder: The run's folder.
        uri: Where the copy goes, for what is said.
        open_storage: Opens that place.
        say: Told once, in a sentence, when it cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        uri: str,
        open_storage: Callable[[], Storage],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name="scalable-mirror", daemon=True)
        self._folder, self._uri = folder, uri
        self._open, self._say = open_storage, say
        self._ending = threading.Event()
        self._records: SharedRecords | None = None
        self.start()

    def run(self) -> None:
        """Send what is new, now and then, and what is left at the end."""
        rest, said = INTERVAL, False
        while not self._ending.wait(rest):
            started = time.monotonic()
            try:
                self._send()
                rest = max(INTERVAL, 4 * (time.monotonic() - started))
            except Exception as error:  # whatever a storage raises: the run goes on
                rest = min(2 * rest, _REST)
                if not said:
                    said = True
                    self._say(f"the records cannot be copied to {self._uri} now: {_first(error)}")
        try:
            self._send()
        except Exception as error:
            self._say(
                f"the records in {self._uri} are not whole, those in {self._folder} are: {_first(error)}"
            )

    def close(self) -> None:
        """Send what is left, and wait for it as long as is reasonable. Call it when the folder is complete."""
        self._ending.set()
        self.join(_PATIENCE)
        if self.is_alive():
            self._say(
                f"the records in {self._uri} are not whole, those in {self._folder} are: "
                f"the storage has not answered for {_PATIENCE:.0f} s"
            )

    def _send(self) -> None:
        if self._records is None:
            self._records = SharedRecords(self._folder, self._open())
        self._records.send()


def _first(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
