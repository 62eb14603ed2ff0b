"""What others may ask of a run that lasts, and what the run says to them: ``control.json``, ``progress.json``.

Both are in the run's folder, and in the project's storage where the run's records are copied to: whoever can
read the records can follow the run, and whoever can write there can end it.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, frozen

from scalable_core.errors import StorageError
from scalable_core.records.shared import PREFIX
from scalable_core.session.limits import DriverLimits
from scalable_core.session.mirror import mirror_uri
from scalable_core.session.storage import open_storage
from scalable_core.types import HookContext, Progress, Storage, to_data

if TYPE_CHECKING:
    from scalable_core.session.invocation import Invocation
    from scalable_core.session.session import ScalableSession

logger = logging.getLogger("scalable")

CONTROL = "control.json"
PROGRESS = "progress.json"
#: Seconds between looks at the run and its folder, and between looks at the storage.
_LOOK, _ASK = 0.5, 3.0

What = Literal["cancel", "detach"]


@frozen(kw_only=True)
class Request:
    """What somebody asks of a run: that it ends, and keeps what it has done.

    Attributes:
        what: Whether that is all, or it goes on detached.
        by: Who asks.
        time: Epoch seconds.
    """

    what: What
    by: str
    time: float

    def __str__(self) -> str:
        return f"{'cancelled' if self.what == 'cancel' else 'detached'} by {self.by}"


def request_end(run: str, folder: Path | None, storage: Storage | None, *, what: What) -> None:
    """Ask a run to end.

    Args:
        run: Its id.
        folder: Its folder, when the run itself writes there; None otherwise.
        storage: The project's, when the run's records are copied there.
        what: Why.

    Raises:
        StorageError: The storage cannot be written.
    """
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    text = json.dumps(to_data(Request(what=what, by=by, time=time.time()))).encode()
    if folder is not None:
        aside = folder / f".{CONTROL}.{os.getpid()}"
        aside.write_bytes(text)
        aside.replace(folder / CONTROL)
    if storage is not None:
        storage.put(f"{PREFIX}{run}/{CONTROL}", text)


class Overseer(threading.Thread):
    """Writes down how far a workflow is, and ends it when that is asked for, or a limit of its driver is met.

    It is a context manager around the workflow.

    Args:
        run: The workflow's invocation.

    Attributes:
        why: What it ends the workflow for; None while it does not.
    """

    def __init__(self, run: Invocation) -> None:
        super().__init__(name="scalable-overseer", daemon=True)
        self._run = run
        self._done = threading.Event()
        self._said = Progress()
        self._storage: Storage | None = None
        self._asked = float("-inf")
        self._limits = DriverLimits(run.plan.target.options) if run.plan.detached else None
        self.why: str | None = None

    def run(self) -> None:
        """Look now and then."""
        while not self._done.wait(_LOOK):
            session = self._run.sessions[-1] if self._run.sessions else None
            if session is not None and session.record is not None:
                self._write_progress(session)
            over = self._limits.over(self._said) if self._limits else None
            self.why = over or self._look()
            if self.why is not None:
                self._end(session, self._done.is_set if over is None else lambda: True)
                return

    def __enter__(self) -> Overseer:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()

    def _write_progress(self, session: ScalableSession) -> None:
        try:
            progress = session.progress()
        except Exception:
            return  # the scheduler is just closing
        if progress == evolve(self._said, spent=progress.spent, projected=progress.projected):
            return
        self._said = progress
        try:
            write_progress(session.run_dir, progress)
        except OSError as error:
            logger.warning("%s cannot be written: %s", session.run_dir / PROGRESS, error)

    def _look(self) -> str | None:
        folder = self._folder()
        if folder is None:
            return None
        try:
            return _asked((folder / CONTROL).read_bytes())
        except OSError:
            pass
        uri = mirror_uri(self._run.plan)
        if uri is None or time.monotonic() < self._asked + _ASK:
            return None
        self._asked = time.monotonic()
        try:
            if self._storage is None:
                context = HookContext(project=self._run.plan.project.name, run=folder.name)
                self._storage = open_storage(uri, host=self._run.host, context=context)
            return _asked(self._storage.get(f"{PREFIX}{folder.name}/{CONTROL}"))
        except (FileNotFoundError, StorageError):
            return None  # nobody asks, or the mirror has said that the storage is out of reach

    def _folder(self) -> Path | None:
        if self._run.sessions:
            return self._run.sessions[0].run_dir
        name = self._run.run_id
        return None if name is None else Path(self._run.plan.stores.records) / name

    def _end(self, session: ScalableSession | None, ending: Callable[[], bool]) -> None:
        if session is not None:
            try:
                session.drain(str(self.why), ending)
            except Exception as error:
                logger.warning("what runs could not be waited for: %r", error)
        main = threading.main_thread().ident
        if not self._done.is_set() and main is not None:
            signal.pthread_kill(main, signal.SIGTERM)


def write_progress(folder: Path, progress: Progress) -> None:
    """Write how far a run is into its folder, whole or not at all."""
    aside = folder / f".{PROGRESS}.{os.getpid()}"
    aside.write_text(json.dumps(to_data(progress)), encoding="utf-8")
    aside.replace(folder / PROGRESS)


def _asked(text: bytes) -> str | None:
    try:
        data: dict[str, Any] = json.loads(text)
        return str(Request(what=data["what"], by=str(data["by"]), time=float(data["time"])))
    except (ValueError, KeyError, TypeError):
        return None
