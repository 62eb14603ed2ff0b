"""Run a workflow file as ``__main__`` in this process."""

from __future__ import annotations

import importlib.machinery
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from scalable_core.errors import UsageError
from scalable_core.plugins import PluginHost
from scalable_core.session.control import Overseer
from scalable_core.session.invocation import Invocation, invoked
from scalable_core.types import Event, EventSink, NullSink, Plan, RunRecord


@frozen(kw_only=True)
class RunOutcome:
    """How a workflow ended.

    Attributes:
        records: One for each session that the workflow started, in order.
        folders: Their folders.
        error: What the workflow raised; None when it ended well. A `KeyboardInterrupt` is Ctrl-C or SIGTERM.
    """

    records: tuple[RunRecord, ...] = ()
    folders: tuple[Path, ...] = ()
    error: BaseException | None = None


def run_workflow(
    plan: Plan,
    *,
    host: PluginHost,
    workflow: Path | None = None,
    arguments: Sequence[str] = (),
    sink: EventSink | None = None,
    budget: float | None = None,
    resumed: str | None = None,
    run_id: str | None = None,
    copied: bool = False,
) -> RunOutcome:
    """Run a workflow to its end, release everything, and say how it went.

    The file is ``__main__``, with its own folder first on ``sys.path``, as with ``python workflow.py``.
    Functions defined in it reach worker processes and containers by value, and worker processes do not run
    the file again, whether or not it has an ``if __name__ == "__main__"`` guard.

    Args:
        plan: What its sessions will use.
        host: The plugins.
        workflow: The file; the plan's own when None.
        arguments: ``sys.argv[1:]`` of the workflow.
        sink: Hears the events of its sessions.
        budget: USD at which the run is stopped; None for no limit.
        resumed: The run that this one goes on with, for the record.
        run_id: The id of the first session's run; a new one when None.
        copied: The caller copies the records of that run to the project's storage.

    Raises:
        UsageError: There is no such file.
    """
    path = Path(workflow or plan.workflow).absolute()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the workflow {path} cannot be read: {error.strerror}",
            cure="write it, name another with --workflow, or set project.workflow in the manifest",
        ) from None
    run = Invocation(
        plan=plan,
        host=host,
        sink=sink,
        workflow=path,
        arguments=tuple(arguments),
        budget=budget,
        resumed=resumed,
        run_id=run_id,
        copied=copied,
    )
    failure: BaseException | None = None
    overseer = Overseer(run)
    with (
        invoked(run),
        _as_main(path, arguments) as module,
        _interrupts(run, overseer),
        overseer,
    ):
        try:
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
        except SystemExit as error:
            failure = None if error.code in (None, 0) else error
        except BaseException as error:
            failure = error
        for session in run.sessions:
            try:
                session.close(failure)
            except BaseException as error:
                failure = failure or error
    started = [session for session in run.sessions if session.record is not None]
    if not isinstance(failure, KeyboardInterrupt):
        # A workflow may have made something else of it, or nothing at all.
        failure = next((s.stopped for s in started if s.stopped is not None), failure)
    return RunOutcome(
        records=tuple(session.record for session in started if session.record is not None),
        folders=tuple(session.run_dir for session in started),
        error=failure,
    )


@contextmanager
def _as_main(path: Path, arguments: Sequence[str]) -> Iterator[types.ModuleType]:
    """Put a fresh module in place of ``__main__``, and its folder and arguments where a script has them."""
    module = types.ModuleType("__main__")
    module.__file__ = str(path)
    # multiprocessing runs the main module again in each spawned process, unless its spec is that of a
    # package's own __main__: cloudpickle carries the workflow's functions by value, so that is not needed.
    module.__spec__ = importlib.machinery.ModuleSpec("scalable.__main__", None)
    saved: tuple[Any, ...] = (sys.modules["__main__"], sys.argv, sys.path[:])
    sys.modules["__main__"] = module
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))
    try:
        yield module
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = saved


@contextmanager
def _interrupts(run: Invocation, overseer: Overseer) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the workflow; the next ones do not disturb the release.

    Once the release has begun the second says what is still going on, and the third gives up waiting.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = 0

    def interrupt(number: int, frame: object) -> None:
        nonlocal received
        received += 1
        # What is raised in the middle of somebody's clean-up can be lost: then the next one is a first one.
        if received != 2 or not any(session.closed for session in run.sessions):
            raise KeyboardInterrupt(*filter(None, [overseer.why]))
        message = "still releasing what the run has started; interrupt once more to give up waiting"
        event = Event(time=time.time(), kind="interrupt.again", message=message)
        # From a thread: this one may hold a lock that the sink needs.
        sink = run.sink or NullSink()
        threading.Thread(target=sink.emit, args=(event,), daemon=True).start()

    previous = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
