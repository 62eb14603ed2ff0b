"""A worker's process, as a nanny keeps it. Linux and macOS; imports distributed: import it inside functions.

It is started with its complete environment, so that what must be known before Python starts (library paths,
malloc, threads) really holds. It leads a process group, so that programs started by its calls end with it.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from distributed import Status  # noqa: TID253

from scalable_local import worker_main
from scalable_local.losses import oom_kills, wait_with_peak

#: Seconds that a worker that is told to stop may take before it is killed.
STOP_GRACE = 3.0


class WorkerStartError(RuntimeError):
    """A worker process ended, or reported an error, before it was ready.

    Attributes:
        traceback: The error's own traceback; empty when the process just ended.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class WorkerProcess:
    """What `distributed.Nanny` needs to know and do about the process of its worker.

    Args:
        environ: Gives the whole environment of the process, each time it is started.
        payload: Gives what the worker is made from: ``config`` and ``options``.
        on_exit: Called with the exit code, in the event loop, when the process is gone.

    Attributes:
        told_to_stop: The process was to end.
        peak: Bytes that the process held at most; None while it lives, and when unknown.
        kills: How many processes the kernel had ended for memory when this one was started.
    """

    def __init__(
        self,
        *,
        environ: Callable[[], Mapping[str, str]],
        payload: Callable[[], Mapping[str, Any]],
        on_exit: Callable[[int], None],
    ) -> None:
        self.status = Status.init
        self.process: subprocess.Popen[bytes] | None = None
        self.worker_address: str | None = None
        self.worker_dir: str | None = None
        self.told_to_stop = False
        self.peak: int | None = None
        self.kills = 0
        self._environ, self._payload, self._on_exit = environ, payload, on_exit
        self._writer: asyncio.StreamWriter | None = None
        self._ended, self._tried = asyncio.Event(), asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return self.process.pid if self.process is not None and self.is_alive() else None

    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and not self._ended.is_set()

    async def start(self) -> Status:
        """Start the process, if it is not there, and wait until its worker has registered with the scheduler.

        Returns:
            ``Status.running``; another one when it was told to stop meanwhile.

        Raises:
            WorkerStartError: It could not.
        """
        if self.status is Status.running:
            return self.status
        if self.status is Status.starting:
            await self._tried.wait()
            return self.status
        self.status, self.told_to_stop = Status.starting, False
        self._ended, self._tried = asyncio.Event(), asyncio.Event()
        try:
            answer = await self._ask(*await self._launch())
        except BaseException as error:
            if isinstance(error, WorkerStartError) and self.told_to_stop:
                return self.status
            self.status = Status.failed
            if self.process is not None:
                kill_group(self.process)
            raise
        finally:
            self._tried.set()
        if self.status is Status.starting:
            self.worker_address, self.worker_dir = answer["address"], answer["folder"]
            self.status = Status.running
        return self.status

    async def _launch(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Start the process; what it is to be goes over a socket, so that no secret is on its command line."""
        self.peak, self.kills = None, oom_kills()
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = process = subprocess.Popen(
                [sys.executable, "-P", worker_main.__file__],
                stdin=theirs.fileno(),
                env=dict(self._environ()),
                start_new_session=True,
            )
        loop = asyncio.get_running_loop()
        name = f"wait-for-worker-{process.pid}"
        threading.Thread(target=self._wait, args=(process, loop), name=name, daemon=True).start()
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        return reader, self._writer

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[str, Any]:
        payload = pickle.dumps(self._payload())
        order = {"path": sys.path, "argv": sys.argv, "payload": payload}
        answer: dict[str, Any]
        try:
            writer.write(worker_main.frame(order))
            await writer.drain()
            header = await reader.readexactly(8)
            answer = pickle.loads(await reader.readexactly(int.from_bytes(header, "big")))
        except (OSError, EOFError):
            await self._ended.wait()
            assert self.process is not None
            ended = how_it_ended(self.process.returncode)
            raise WorkerStartError(f"the worker process {ended} before it was ready") from None
        if "error" in answer:
            raise WorkerStartError(answer["error"], answer["traceback"])
        return answer

    async def kill(self, timeout: float = 5, reason: str = "", **kwargs: Any) -> None:
        """Stop the worker, at first by telling it to, and wait until the process is gone.

        Args:
            timeout: Seconds to wait for a killed process.
            reason: For Dask's logs.
            **kwargs: What else Dask's own process takes.

        Raises:
            TimeoutError: The kernel does not let it go.
        """
        process = self.process
        if process is None or self._ended.is_set():
            return
        ready, self.status = self.status is Status.running, Status.stopping
        self.told_to_stop = True
        if ready and self._writer is not None:
            with suppress(OSError, RuntimeError, TimeoutError):
                self._writer.write(worker_main.frame({"op": "stop"}))
                await asyncio.wait_for(self._ended.wait(), STOP_GRACE)
        kill_group(process)
        await asyncio.wait_for(self._ended.wait(), timeout)

    def _wait(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        code, self.peak = wait_with_peak(process)
        with suppress(OSError):  # programs that its calls have left behind
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._gone, code)

    def _gone(self, code: int) -> None:
        self.status = Status.stopped
        if self._writer is not None:
            self._writer.close()
        if self.worker_dir:
            shutil.rmtree(self.worker_dir, ignore_errors=True)
        self._ended.set()
        self._on_exit(code)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a process group, with the group; one that is gone is no error."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def how_it_ended(code: int) -> str:
    """Return in words what an exit code says, such as ``was ended by signal 9 (SIGKILL)``."""
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"was ended by signal {-code}"
