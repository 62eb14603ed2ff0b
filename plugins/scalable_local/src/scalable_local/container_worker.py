"""A worker in a container, from its start to its end. Imports distributed: import it inside functions."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import evolve
from distributed.deploy.spec import ProcessInterface  # noqa: TID253

from scalable_core.errors import ClusterError, ImageError
from scalable_core.member.serve import MARK, versions
from scalable_core.types import Secret
from scalable_local.containers import (
    Container,
    render_command,
    require_runtime,
    runtime_environment,
)
from scalable_local.losses import Report, oom_kills, report_loss, was_killed_for_memory

#: Seconds that a container gets to end by itself.
STOP_GRACE = 5

_IMAGE_WORDS = (
    "manifest",
    "no such image",
    "not found",
    "denied",
    "initializing source",
    "invalid reference",
)


class ContainerWorker(ProcessInterface):
    """One worker in one container.

    As Dask's own workers it is awaited until it is ready, `finished` waits for its end, and `close` ends it.

    Args:
        scheduler: The scheduler's address.
        name: The worker's name.
        container: What to run; the container gets a name of its own each time.
        options: Of the Dask worker, as plain data: ``nthreads``, ``memory_limit``, ``resources`` and more.
        folder: Where to write what the container prints, to ``<name>.log``.
        report: Told when the worker is lost.

    Attributes:
        address: The worker's address, once it is ready.
        retired: The worker was closed on purpose, by the scheduler or a client.
    """

    def __init__(
        self,
        scheduler: str,
        name: str,
        *,
        container: Container,
        options: Mapping[str, Any],
        folder: Path,
        report: Report = lambda kind, message, **data: None,
    ) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.scheduler, self.name = scheduler, name
        self.retired = False
        unique = f"{container.name}-{name}-{uuid.uuid4().hex[:6]}"
        self._container = evolve(container, name=re.sub(r"[^a-zA-Z0-9_.-]", "-", unique))
        self._options, self._report = dict(options), report
        self._log = folder / f"{name}.log"
        self._kills = oom_kills()
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the container and wait until its worker has registered with the scheduler.

        Raises:
            ImageError: The runtime has no such image and cannot get it.
            ClusterError: The runtime or a mounted path is missing, the image does not fit, or the worker ended.
        """
        self._check()
        container = _without_missing_limits(self._container)
        container = evolve(container, env={**container.env, **_dask_settings()})
        command = render_command(container, self._order())
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **runtime_environment(container)},
                start_new_session=True,
            )
        try:
            self.address = await self._ready(self._process)
        except BaseException:
            await self.close()
            raise
        self._watch = asyncio.create_task(self._wait(self._process))
        await super().start()

    async def close(self) -> None:
        """End the worker, and see that its container is gone. May be called twice."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            await self._stop(process)
        await super().close()

    def _check(self) -> None:
        require_runtime(self._container.runtime, self._container.image)
        for source in self._container.mounts:
            if not Path(source).exists():
                raise ClusterError(
                    f"{source} is to be mounted into a container, but does not exist",
                    cure="make it, or correct the component's mounts",
                )

    def _order(self) -> dict[str, Any]:
        options = {**self._options, "name": self.name, "host": "127.0.0.1"}
        options.pop("local_directory", None)  # a folder of this machine
        options.pop("preload", None)
        return {"scheduler": self.scheduler, "options": options, "versions": versions()}

    async def _ready(self, process: asyncio.subprocess.Process) -> str:
        """Wait for the worker's word that it is ready; return its address."""
        ended = asyncio.ensure_future(process.wait())
        while True:
            await asyncio.wait({ended}, timeout=0.1)
            words = self._words()
            if "address" in words:
                return str(words["address"])
            if "error" in words:
                message = (
                    f"worker {self.name} could not be started in a container: {words['error']}"
                )
                raise ClusterError(message, cure=words["cure"] or f"see {self._log}")
            if ended.done():
                raise self._failure(ended.result())

    def _words(self) -> dict[str, Any]:
        for line in self._log.read_text(errors="replace").splitlines():
            if line.startswith(MARK):
                words: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return words
        return {}

    def _failure(self, code: int) -> ClusterError | ImageError:
        image, runtime = self._container.image, self._container.runtime
        last = self._last_line()
        if code in (125, 255) and any(word in last.lower() for word in _IMAGE_WORDS):
            return ImageError(
                f"{runtime} cannot get the image {image}: {last}",
                cure=f"build or pull it with {runtime}, or correct its name in the manifest",
            )
        if code in (126, 127):
            return ClusterError(
                f"the image {image} cannot run python3: {last}",
                cure="use an image with Python, dask, distributed and cloudpickle",
            )
        return ClusterError(
            f"the container of worker {self.name} ended with exit code {code}: {last}",
            cure=f"all that it printed is in {self._log}",
        )

    def _last_line(self) -> str:
        lines = [
            line for line in self._log.read_text(errors="replace").splitlines() if line.strip()
        ]
        return lines[-1].strip() if lines else "it printed nothing"

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self.retired = code == 0
        if code:
            limit = self._options.get("memory_limit")
            for_memory = was_killed_for_memory(code, self._kills, None, limit)
            often = code == 137 and not for_memory
            reason = ", for which most often too much memory is the cause" if often else ""
            text = f"the container of worker {self.name} ended with exit code {code}{reason}"
            report_loss(self._report, self.name, text, limit=limit, for_memory=for_memory)
        self._event_finished.set()

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        runtime, name = self._container.runtime, self._container.name
        if runtime == "apptainer":
            _signal_group(process, signal.SIGTERM)
        else:
            await _run(runtime, "stop", "--time", str(STOP_GRACE), name)
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE)
        except TimeoutError:
            if runtime != "apptainer":
                await _run(runtime, "rm", "--force", name)
            _signal_group(process, signal.SIGKILL)
            await process.wait()


def _without_missing_limits(container: Container) -> Container:
    """Leave out limits that this user may not set: without root podman needs a delegated control group."""
    if container.runtime != "podman" or os.geteuid() == 0:
        return container
    uid = os.getuid()
    group = Path(
        f"/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    )
    delegated = group.read_text().split() if group.exists() else []
    return evolve(
        container,
        cpus=container.cpus if "cpu" in delegated else None,
        memory=container.memory if "memory" in delegated else None,
    )


def _dask_settings() -> dict[str, Secret]:
    """Return this process's settings of distributed as the variable from which Dask reads them."""
    import dask.config

    text = dask.config.serialize({"distributed": dask.config.get("distributed")})
    return {"DASK_INTERNAL_INHERIT_CONFIG": Secret(text)}


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
