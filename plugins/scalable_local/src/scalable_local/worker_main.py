"""What a worker process runs: it is told what to be over the socket that is its standard input.

This file is run by its path, and imports nothing but the standard library until it has the module path of the
process that started it. Nothing of the user's program runs again here: functions of ``__main__`` come by value.
When the other end of the socket closes, whoever started this process is gone, and it ends with all it started.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

#: Seconds between looks whether the process that started this one is still there.
PARENT_INTERVAL = 2.0


def main() -> None:
    """Be the worker that the first message describes, until told to stop."""
    channel = _take_channel()
    order = receive(channel)
    if order is None:
        return
    sys.path[:] = order["path"]
    sys.argv[:] = order["argv"]
    watch = _Watch(channel)
    code = 0
    try:
        _work(channel, watch, **pickle.loads(order["payload"]))
    except SystemExit as end:  # as a preload script or a plugin may end a worker
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            send(channel, {"error": end.code, "traceback": ""})
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = f"{type(cause).__name__}: {cause}"
        send(channel, {"error": text, "traceback": traceback.format_exc()})
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without waiting for calls that still run


def _work(
    channel: socket.socket, watch: _Watch, *, config: dict[str, Any], options: dict[str, Any]
) -> None:
    """Run a Dask worker until it closes or is told to."""
    import logging

    import dask.config
    from dask.multiprocessing import default_initializer
    from distributed import Status, Worker

    # What a call raises reaches its future and the records; the terminal need not say it for each attempt.
    log = logging.getLogger("distributed.worker")
    log.addFilter(lambda record: not str(record.msg).startswith("Compute Failed"))
    dask.config.refresh()  # the environment may hold configuration
    dask.config.set(config)
    default_initializer()

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        worker = await Worker(**options)
        # Closing breaks off a heartbeat that is under way; that is no news.
        log.addFilter(
            lambda record: worker.status == Status.running or record.funcName != "heartbeat"
        )
        watch.on_stop = lambda: loop.call_soon_threadsafe(stop.set)
        send(channel, {"address": worker.address, "folder": worker.local_directory})
        ends = [asyncio.ensure_future(end) for end in (worker.finished(), stop.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await worker.close(nanny=False, executor_wait=False)

    asyncio.run(serve())


class _Watch(threading.Thread):
    """Waits for the word to stop, and for the end of whoever started this process."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(name="watch-parent", daemon=True)
        self._channel, self._parent = channel, os.getppid()
        self.on_stop: Callable[[], Any] = _end_all
        self.start()

    def run(self) -> None:
        while True:
            heard, _, _ = select.select([self._channel], [], [], PARENT_INTERVAL)
            if os.getppid() != self._parent:  # a fork of it may still hold the other end open
                _end_all()
            if heard and receive(self._channel) is None:
                _end_all()
            elif heard:
                self.on_stop()


def _end_all() -> None:
    """End this process and the programs that its calls have started: it leads a process group of its own."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _take_channel() -> socket.socket:
    """Move the socket to where neither calls nor the programs that they start find it."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return channel


def frame(message: Any) -> bytes:
    """Return a message as it goes over the socket: eight bytes of length, then its pickle."""
    body = pickle.dumps(message)
    return len(body).to_bytes(8, "big") + body


def send(channel: socket.socket, message: Any) -> None:
    """Send one message; a peer that is gone is no error."""
    try:
        channel.sendall(frame(message))
    except OSError:
        pass


def receive(channel: socket.socket) -> Any:
    """Return the next message; None when the peer is gone."""
    header = _exactly(channel, 8)
    body = header and _exactly(channel, int.from_bytes(header, "big"))
    return pickle.loads(body) if body else None


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            part = channel.recv(size - len(data))
        except OSError:
            part = b""
        if not part:
            return None
        data += part
    return bytes(data)


if __name__ == "__main__":
    main()
