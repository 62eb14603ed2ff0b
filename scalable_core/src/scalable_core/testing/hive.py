"""Many members in one process of their own: it lives on when a driver is killed, and ends with who started it.

`Hive` is the process, started with ``python -m scalable_core.testing.hive``; it speaks JSON, a line each way,
on a port of this machine. Its members are real schedulers and workers of Dask, without nannies, which find the
same documents as other members do. `HiveLauncher` is the `Launcher` for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scalable_core.cluster.launcher import State
from scalable_core.testing.loopback import LoopbackLauncher, LoopbackMember


class Hive:
    """The process, as a context manager.

    Args:
        log: File for what it writes; thrown away when None.

    Attributes:
        program: What Python runs; another one may keep members of another kind.
    """

    program: Sequence[str] = ("-m", __name__)

    def __init__(self, log: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="scalable-hive-")
        place = Path(self._folder.name) / "port"
        with Path(log or "/dev/null").open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, str(place)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not place.exists() and self.process.poll() is None:
            time.sleep(0.02)
        self.port = int(place.read_text())

    def ask(self, **request: Any) -> Any:
        """Ask the process from outside of any event loop."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
            line.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(line.makefile("rb").readline())

    def alive(self, run: str) -> dict[str, str]:
        """Return the members of a run that have not ended, with their states."""
        seen = self.ask(op="look", run=run)
        return {name: state for name, (state, _) in seen.items() if state != "stopped"}

    def kill_members(self, run: str, *names: str) -> None:
        """Take members away at once."""
        self.ask(op="kill", run=run, names=names)

    def close(self) -> None:
        """End the process with all its members."""
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Hive:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


class HiveLauncher(LoopbackLauncher):
    """Starts members in a `Hive`.

    Args:
        folder: As of `LoopbackLauncher`.
        port: Of the hive.
        **kwargs: As of `LoopbackLauncher`.
    """

    kind = "hive:member"

    def __init__(self, folder: Path, port: int, **kwargs: Any) -> None:
        super().__init__(folder, **kwargs)
        self._port = port
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def start_member(self, member: LoopbackMember) -> None:
        """Start it in the hive."""
        await self._ask(
            op="start",
            role=member.group.role,
            group=member.group.name,
            name=member.name,
            documents=str(self.documents),
        )

    async def end_member(self, name: str) -> None:
        """Tell it to end."""
        await self._ask(op="end", names=[name])

    async def look(self) -> Mapping[str, tuple[State, int | None]]:
        """Ask for all members of this run."""
        seen = await self._ask(op="look")
        return {name: (state, code) for name, (state, code) in seen.items()}

    async def _ask(self, **request: Any) -> Any:
        async with self._turn:
            if self._line is None:
                self._line = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
            reader, writer = self._line
            text = json.dumps({"run": self.fleet.run, **request})
            writer.write(text.encode() + b"\n")
            await writer.drain()
            return json.loads(await reader.readline())


class SharedThreads(ThreadPoolExecutor):
    """Threads of all workers together: one for each of a thousand would fight over one interpreter."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stay: the worker that closes is not the only one."""


class Keeper:
    """Inside the process: keeps the members of all runs."""

    def __init__(self) -> None:
        self.tasks: dict[tuple[str, str], asyncio.Task[int]] = {}
        self.servers: dict[tuple[str, str], Any] = {}
        self.threads = SharedThreads(64)
        self._closing: set[asyncio.Future[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one line after the other."""
        while line := await reader.readline():
            request = json.loads(line)
            answer = getattr(self, request.pop("op"))(**request)
            if asyncio.iscoroutine(answer):
                answer = await answer
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    def start(self, run: str, role: str, group: str, name: str, documents: str) -> None:
        """Start a member."""
        live = self._schedule if role == "scheduler" else self._work
        self.servers.pop((run, name), None)  # of who had its name before
        self.tasks[run, name] = asyncio.ensure_future(live((run, name), group, Path(documents)))

    def end(self, run: str, names: list[str]) -> None:
        """Tell members to end."""
        for name in names:
            server = self.servers.get((run, name))
            if server is None and (task := self.tasks.get((run, name))) is not None:
                task.cancel()
            elif server is not None:
                self._soon(server.close())

    def kill(self, run: str, names: list[str]) -> None:
        """Break the connections of members, and end them."""
        for name in names:
            server = self.servers.get((run, name))
            if server is not None:
                for comm in list(server._comms):
                    comm.abort()
                stream = getattr(server, "batched_stream", None)
                if stream is not None:
                    stream.abort()
                self._soon(server.close())

    def look(self, run: str) -> dict[str, tuple[str, int | None]]:
        """Return state and exit code of each member of a run."""
        seen: dict[str, tuple[str, int | None]] = {}
        for (of, name), task in self.tasks.items():
            if of == run:
                failed = task.done() and (task.cancelled() or task.exception() is not None)
                seen[name] = ("stopped", int(failed)) if task.done() else ("running", None)
        return seen

    def _soon(self, closing: Any) -> None:
        task = asyncio.ensure_future(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _schedule(self, key: tuple[str, str], group: str, documents: Path) -> int:
        from scalable_core.member.scheduler_member import FleetScheduler

        order = await _document(documents, "run")
        scheduler = await FleetScheduler(
            code=b"",
            limits=order["limits"],
            protocol="tls://",
            host=order["listen"],
            port=order["port"],
            security=_security(await _document(documents, "tls")),
            dashboard=False,
            dashboard_address="127.0.0.1:0",
            **order["scheduler"],
        )
        self.servers[key] = scheduler
        await scheduler.watch()
        await scheduler.finished()
        return 0

    async def _work(self, key: tuple[str, str], group: str, documents: Path) -> int:
        from distributed import Worker

        limits = (await _document(documents, "run"))["limits"]
        order = await _document(documents, f"group/{group}")
        worker = await Worker(
            await asyncio.wait_for(_document(documents, "address"), limits["join"]),
            name=key[1],
            host="127.0.0.1",
            security=_security(await _document(documents, "tls")),
            nthreads=order["worker"]["nthreads"],
            resources=order["worker"]["resources"],
            memory_limit=0,
            executor=self.threads,
            death_timeout=limits["join"],
            dashboard=False,
        )
        self.servers[key] = worker
        asyncio.get_running_loop().call_later(limits["lifetime"], worker.close)
        await worker.finished()
        return 0


async def _document(folder: Path, key: str) -> Any:
    path = folder / key.replace("/", ".")
    while not path.exists():
        await asyncio.sleep(0.05)
    return json.loads(path.read_text(encoding="utf-8"))


def _security(tls: Mapping[str, str]) -> Any:
    from distributed import Security

    roles = ("scheduler", "worker", "client")
    return Security(
        require_encryption=True,
        tls_ca_file=tls["ca"],
        **{f"tls_{role}_cert": tls["cert"] for role in roles},
        **{f"tls_{role}_key": tls["key"] for role in roles},
    )


async def keep(place: Path, keeper: Keeper) -> None:
    """Serve until the process that has started this one is gone.

    Args:
        place: File for the port, once there is one.
        keeper: Of the members.
    """
    import gc
    import logging

    import dask

    # What each worker does now and then for its own sake would be all that hundreds of them do: to count the
    # files that a process has open takes as long as there are many, and all of them have the same.
    dask.config.set(
        {
            "distributed.worker.profile.enabled": False,
            "distributed.admin.system-monitor.interval": "1h",
            "distributed.scheduler.work-stealing-interval": "500ms",
        }
    )
    logging.disable(logging.WARNING)
    # To look through all that a thousand workers have for garbage, again and again, took half of the time.
    gc.freeze()
    gc.set_threshold(200_000, 10, 10)
    server = await asyncio.start_server(keeper.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place.with_suffix(".new").write_text(str(port))
    place.with_suffix(".new").replace(place)
    starter = os.getppid()
    while os.getppid() == starter:
        await asyncio.sleep(2)
    # Members that are ended in good order may wait for ever for others that were ended before.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), Keeper()))
